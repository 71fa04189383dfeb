"""The command line: a command and its options in, tables or one JSON object out. Only the commands print.

Exit codes: 0 done; 1 the run failed; 2 usage; 75 checkpointed after SIGTERM or SIGUSR1, start again to go on; 130 Ctrl-C;
143 SIGTERM where there was nothing to checkpoint.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from typing import Any

from akd import __version__
from akd.commands import COMMANDS
from akd.errors import AkdError, ConfigError, Refused, brief, shortened
from akd.guards import Terminated, termination
from akd.options import Parser
from akd.place import place


def build_parser() -> Parser:
    parser = Parser(prog="akd", description="Data-free knowledge distillation: a trained classifier in, a small student out.")
    parser.add_argument("--version", action="version", version=f"akd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        examples = "examples:\n" + "".join(f"  {line}\n" for line in command.EXAMPLES.splitlines())
        summary = command.SUMMARY
        sub: Parser = commands.add_parser(name, help=summary.replace("%", "%%"), description=summary, epilog=examples)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        command.add_options(sub)
        sub.set_defaults(call=command.call, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _carried_out(arguments)
    except BrokenPipeError:  # the reader of our output went away; keep Python's exit from complaining again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _carried_out(arguments: list[str]) -> int:
    """The exit code, all words said: a failure's in a line on stderr and, with --json, as {"error": ...} on stdout."""
    here, result, spoken = place(), dict[str, Any](), True
    first, options = here.local_rank == 0, None
    try:
        options = build_parser().parse_strictly(arguments)
        if here.size > 1 and options.command != "distill":
            raise ConfigError(
                f"only akd distill is shared among processes; start akd {options.command} alone, without torchrun"
            )
        # With --json, stdout is for the one object: what a user's own factory prints goes to stderr.
        with redirect_stdout(sys.stderr) if options.json else nullcontext(), termination():
            result = options.call(options)
        words, code = "", 0
    except BrokenPipeError:
        raise
    except AkdError as error:
        result = error.result if isinstance(error, Refused) else {}
        words, code, spoken = " ".join(str(error).split()), error.exit_code, first or not error.alike
    except KeyboardInterrupt:
        words, code, spoken = "interrupted; start the same command again to go on", 130, first
    except Terminated:
        words, code, spoken = "terminated; start the same command again", 143, first
    except SystemExit:
        if options is None:  # --help, --version
            raise
        words, code = "the user's own code asked to exit; look into the factory that was named", 1
    except Exception as error:
        if os.environ.get("AKD_TRACEBACK"):
            raise
        words, code = _unforeseen(error), 1
    if "--json" in arguments and here.rank == 0:
        print(json.dumps({**result, "error": words} if words else result))
    sys.stdout.flush()
    if words and spoken:
        print(f"akd: {words}", file=sys.stderr)
    return code


def _unforeseen(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:  # a path that was named and cannot be, such as one too long
        return f"cannot use {shortened(error.filename)}: {error.strerror or brief(error)}; name another path"
    return f"unexpected {brief(error)}; set AKD_TRACEBACK=1 to see where"


if __name__ == "__main__":
    sys.exit(main())
