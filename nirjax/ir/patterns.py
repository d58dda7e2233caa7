"""Patterns that choose among names: of parameters, of traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from nirjax.errors import ArgumentError, PatternError, quoted


def matching(patterns: Sequence[str] | str, names: Iterable[str], *, argument: str) -> tuple[str, ...]:
    """The names that the patterns choose, in the order of `names`.

    A pattern is matched as by `fnmatch`, on the whole name; one that starts with `!` takes away what it matches from
    what the patterns before it chose.

    Raises:
        ArgumentError: what is no pattern.
        PatternError: a pattern that matches nothing; the message lists the names.
    """
    names = list(names)
    chosen: set[str] = set()
    for pattern in as_patterns(patterns, argument):
        wanted = pattern.removeprefix("!")
        matched = {name for name in names if name == wanted or fnmatchcase(name, wanted)}
        if not matched:
            raise PatternError(
                "the pattern matches nothing", field=argument, found=pattern, expected=f"one of {_listed(names)}"
            )
        chosen = chosen - matched if pattern.startswith("!") else chosen | matched
    return tuple(name for name in names if name in chosen)


def as_patterns(given: Any, argument: str) -> tuple[str, ...]:
    """What a user gave as patterns: one string, or several.

    Raises:
        ArgumentError: something else.
    """
    patterns = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ArgumentError(
                "a pattern is a string", field=argument, found=type(pattern).__name__, expected="one string, or several"
            )
    return patterns


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:40])
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")
