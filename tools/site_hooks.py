"""What MkDocs calls when it builds the documentation: the reference of the command line is its own help."""

import argparse
import os

MARK = "<!-- help of every command -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page, with the help of every command where it is asked for."""
    return markdown.replace(MARK, help_of_every_command()) if MARK in markdown else markdown


def help_of_every_command() -> str:
    os.environ["COLUMNS"] = "88"
    from nirjax.cli.main import COMMANDS, parser

    top = parser()
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    parts = [_block(top.format_help())]
    parts += [f"## {name}\n\n{_block(commands.choices[name].format_help())}" for name in COMMANDS]
    return "\n\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"
