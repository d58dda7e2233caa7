"""`nirjax`: the command line's entry."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from nirjax import __version__
from nirjax.cli import (
    INTERRUPTED,
    comparing,
    converting,
    demo,
    differing,
    evaluating,
    inspecting,
    running,
    training,
    validating,
)
from nirjax.cli.arguments import Parser
from nirjax.cli.terminal import FINE, USER_ERROR, complain, for_terminal, warnings_as_lines
from nirjax.errors import NIRError

COMMANDS = {
    "inspect": inspecting,
    "run": running,
    "evaluate": evaluating,
    "finetune": training,
    "compare": comparing,
    "diff": differing,
    "validate": validating,
    "convert": converting,
    "demo": demo,
}
"""Name to the module that holds the command: its HELP, `describe(parser)` and `execute(args) -> exit code`."""


def parser() -> Parser:
    """The parser of the whole command line."""
    top = Parser(
        prog="nirjax",
        description="Run, inspect, check and fine-tune NIR graphs, the exchange format of spiking neural networks.",
        epilog="start with: nirjax demo",
    )
    top.add_argument("--version", action="version", version=f"nirjax {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name, help=module.HELP, description=module.HELP[0].upper() + module.HELP[1:] + "."
        )
        module.describe(command)
        command.set_defaults(execute=module.execute)
    return top


def _open_streams() -> None:
    """Python has no stdout or stderr where the shell has closed it (`>&-`): what is said then goes nowhere."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    A user's mistake is one line on stderr and exit code 2; a fault of nirjax keeps its traceback.
    """
    top = parser()
    _open_streams()
    try:
        args = top.parse_args(argv)
        if args.command is None:
            top.print_help()
            return USER_ERROR
        with warnings_as_lines():
            code: int = args.execute(args)
        sys.stdout.flush()
        return code
    except NIRError as error:
        complain(f"nirjax: error: {for_terminal(error)}", style="red")
        return USER_ERROR
    except KeyboardInterrupt:
        complain("nirjax: interrupted", style="red")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone: `nirjax inspect model.nir | head`. Nobody is there to be told.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except OSError as error:
        complain(f"nirjax: error: {error}", style="red")
        return USER_ERROR
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else FINE
