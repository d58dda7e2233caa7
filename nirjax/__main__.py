"""`python -m nirjax`: the command line."""

from nirjax.cli.entry import run

run()
