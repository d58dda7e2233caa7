"""What the commands write: tables and lines for people, JSON for programs, progress, warnings and errors."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import numpy as np

from nirjax.errors import NIRError, NIRWarning

if TYPE_CHECKING:
    from rich.console import Console

FINE = 0
"""Exit code: all is as it should be."""
FINDINGS = 1
"""Exit code: the command ran, and what it looked for was found: differences, invalid files, a broken promise."""
USER_ERROR = 2
"""Exit code: wrong arguments, files or data."""

EXIT_CODES = "exit codes: 0 fine, 2 wrong arguments, files or data"

_PIPED_WIDTH = 160

_moving: list[Console] = []
"""The terminal on which a bar or a status moves, while it does."""

_OPTIONS = (
    "dt",
    "dialect",
    "target",
    "bits",
    "record",
    "trainable",
    "surrogate",
    "batch_size",
    "checkpoints",
    "resume",
)
"""Arguments of the library that are options of the same name."""

_HINTS = {
    "nirjax.read(path, repair=True)": "--repair",
    "nirjax.read(path, repair='rewire')": "--rewire",
    "`time_axis` says where time is": "x is (sample, time, *shape)",
    "resume=True": "--resume",
    "'mesh'": "'--devices'",
    "np.swapaxes(trace, 0, 1)": "say --sample-first for what `nirjax run` wrote",
}
"""Words of the library, and those of the command line in their place."""

Item = TypeVar("Item")


def console(error: bool = False) -> Console:
    """The terminal (stdout, or stderr); plain and wide where the output goes into a file or another program."""
    if error and _moving:
        return _moving[-1]
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `main`; rich would exit with code 1."""
            raise BrokenPipeError

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Terminal(file=stream, width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def say(text: str = "", *, style: str | None = None) -> None:
    """A line on stdout, never broken by force."""
    console().print(text, style=style, soft_wrap=True)


def complain(text: str, *, style: str) -> None:
    """One line on stderr."""
    console(error=True).print(" ".join(text.split()), style=style, soft_wrap=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; columns named in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def show_json(value: Any) -> None:
    """A value on stdout as JSON; NaN and infinities, which JSON does not have, become null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int | bool) else repr(value)


def for_terminal(error: NIRError) -> str:
    """The error's text with hints that fit a command line."""
    return in_shell(str(error))


def in_shell(text: str) -> str:
    """A text whose hints speak of Python, speaking of options."""
    for hint, words in _HINTS.items():
        text = text.replace(hint, words)
    for option in _OPTIONS:
        text = text.replace(f"field '{option}'", f"--{option.replace('_', '-')}")
    return re.sub(r"field '(--?[a-z-]+)'", r"\1", text)


def shown(name: str) -> str:
    """A name that can be printed whatever it holds."""
    return name if name.isprintable() else ascii(name)[1:-1]


def percent(share: float) -> str:
    """A share in percent with one decimal: "95.2 %"."""
    return f"{100 * share:.1f} %"


def tracked(items: Iterable[Item], what: str, total: int, *, quiet: bool = False) -> Iterator[Item]:
    """The items, with a progress bar on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    with _shared(console(error=True)) as terminal, Progress(*columns, console=terminal, disable=quiet) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)


@contextlib.contextmanager
def _shared(terminal: Console) -> Iterator[Console]:
    """The terminal on which something moves; lines that are said meanwhile go above that."""
    _moving.append(terminal)
    try:
        yield terminal
    finally:
        _moving.remove(terminal)


@contextlib.contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[None]:
    """A line that shows that something is going on, on stderr, while it is."""
    terminal = console(error=True)
    if quiet or not terminal.is_terminal:
        yield
        return
    with _shared(terminal), terminal.status(what):
        yield


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[list[str]]:
    """Every warning of nirjax as one line on stderr, once; the list fills with their texts."""
    seen: list[str] = []

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if text not in seen:
            seen.append(text)
            complain(f"warning: {text}", style="yellow")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", NIRWarning)
        warnings.showwarning = show
        yield seen
