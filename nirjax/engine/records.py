"""Names: of parameters, of traces, and the patterns that choose among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from nirjax.engine.lowering import Plan
from nirjax.errors import PatternError, quoted


def trace_names(plan: Plan) -> dict[str, tuple[str, str]]:
    """Every trace that can be recorded: its name `<node>.<variable>` to (node, variable)."""
    names = {}
    for name, primitive in plan.primitives.items():
        spikes = ("spikes",) if primitive.spiking else ()
        for variable in (*primitive.variables, *spikes, "output"):
            names[f"{name}.{variable}"] = (name, variable)
    return names


def parameter_names(plan: Plan) -> dict[str, tuple[str, str]]:
    """Every parameter: its name `<node>.<field>` to (node, field)."""
    return {
        f"{name}.{field}": (name, field)
        for name, site in plan.sites.items()
        for field in type(site.node).parameter_names()
    }


def matching(patterns: Sequence[str] | str, names: Iterable[str], *, argument: str) -> tuple[str, ...]:
    """The names that the patterns choose, in the order of `names`.

    A pattern is matched as by `fnmatch`, on the whole name; one that starts with `!` takes away what it matches from
    what the patterns before it chose.

    Raises:
        PatternError: a pattern that matches nothing; the message lists the names.
    """
    names = list(names)
    chosen: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        wanted = pattern.removeprefix("!")
        matched = {name for name in names if name == wanted or fnmatchcase(name, wanted)}
        if not matched:
            raise PatternError(
                "the pattern matches nothing", field=argument, found=pattern, expected=f"one of {_listed(names)}"
            )
        chosen = chosen - matched if pattern.startswith("!") else chosen | matched
    return tuple(name for name in names if name in chosen)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:40])
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")
