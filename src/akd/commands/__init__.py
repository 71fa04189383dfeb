"""The commands by name. A new one is a file here (`SUMMARY`, `add_options`, `call`) and a line in this table."""

from types import ModuleType

from akd.commands import design, distill, evaluate, inspect, methods, quickstart

COMMANDS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        quickstart,
        inspect,
        distill,
        evaluate,
        design,
        methods,
    )
}
