"""The commands by name. A new one is a file here (`SUMMARY`, `EXAMPLES`, `add_options`, `call`) and a line in this table."""

from types import ModuleType

from akd.commands import bench, design, distill, dream, evaluate, export, inspect, methods, quickstart, report, watch

COMMANDS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        quickstart,
        inspect,
        distill,
        evaluate,
        watch,
        report,
        export,
        dream,
        design,
        methods,
        bench,
    )
}
