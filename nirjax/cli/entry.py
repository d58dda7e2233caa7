"""Where the shell comes in. It imports next to nothing, so that Ctrl-C finds somebody at home from the first moment."""

from __future__ import annotations

import os
import sys

from nirjax.cli import INTERRUPTED


def run() -> None:
    """Run one command and leave with its exit code."""
    code = INTERRUPTED
    try:
        from nirjax.cli.main import main

        code = main()
    except KeyboardInterrupt:  # while the commands are imported
        print("nirjax: interrupted", file=sys.stderr)
    if code == INTERRUPTED:
        # What JAX was computing is left where it is: taken down in the middle, it crashes now and then.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
