"""The command line: a command and its options in, tables or one JSON object out. Only the commands print.

Exit codes: 0 done; 1 the run failed; 2 usage; 75 checkpointed after SIGTERM or SIGUSR1, start again to go on; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import metadata
from typing import Any

from akd.commands import COMMANDS
from akd.errors import AkdError, ConfigError, Refused, brief, shortened
from akd.options import Parser
from akd.place import place


def build_parser() -> Parser:
    parser = Parser(prog="akd", description="Data-free knowledge distillation: a trained classifier in, a small student out.")
    parser.add_argument("--version", action="version", version=f"akd {metadata.version('akd')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub: Parser = commands.add_parser(name, help=command.SUMMARY.replace("%", "%%"), description=command.SUMMARY)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        command.add_options(sub)
        sub.set_defaults(call=command.call, parser=sub)
    return parser


def _answer(options: Namespace) -> tuple[dict[str, Any], Refused | None]:
    """The command's result; with the refusal where the answer is no."""
    try:
        return options.call(options), None
    except Refused as error:
        return error.result, error


def main(argv: Sequence[str] | None = None) -> int:
    here = place()
    try:
        options = build_parser().parse_strictly(sys.argv[1:] if argv is None else argv)
        if here.size > 1 and options.command != "distill":
            raise ConfigError(
                f"only akd distill is shared among processes; start akd {options.command} alone, without torchrun"
            )
        # With --json, stdout is for the one object: what a user's own factory prints goes to stderr.
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            result, refused = _answer(options)
        if options.json and here.rank == 0:
            print(json.dumps(result))
        sys.stdout.flush()
        if refused:
            raise refused
    except AkdError as error:
        if not error.alike or here.local_rank == 0:
            print(f"akd: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if here.local_rank == 0:
            print("akd: interrupted; start the same command again to go on", file=sys.stderr)
        return 130
    except SystemExit as error:
        if error.code in (0, None):  # --help, --version
            raise
        print("akd: the user's own code asked to exit; look into the factory that was named", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away; keep Python's exit from complaining again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a path that was named and cannot be, such as one too long
        if os.environ.get("AKD_TRACEBACK"):
            raise
        print(
            f"akd: cannot use {shortened(error.filename)}: {error.strerror or brief(error)}; name another path", file=sys.stderr
        )
        return 1
    except Exception as error:
        if os.environ.get("AKD_TRACEBACK"):
            raise
        print(f"akd: unexpected {brief(error)}; set AKD_TRACEBACK=1 to see where", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
