"""What a tuned graph says of itself: an entry `nirjax` in its metadata, and a warning where it is run otherwise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nirjax.dialects import Dialect, Discretisation
from nirjax.errors import NIRWarning, quoted
from nirjax.ir.digest import content_digest
from nirjax.ir.graph import NIRGraph

ENTRY = "nirjax"
"""The entry's name in the graph's metadata."""


def provenance_of(graph: NIRGraph, dt: float, dialect: Dialect, trained: Sequence[str]) -> dict[str, Any]:
    """The entry of a graph whose parameters were trained.

    Returns:
        `version` of nirjax; `dt`, `dialect` and, where there are any, its `overrides`, under which the graph was run;
        `trained`, the names of the parameters that changed, separated by spaces; `parent`, the digest of the graph
        that they were in before (`nirjax.ir.digest`), which is that of the file, if nirjax wrote it.
    """
    from nirjax import __version__

    entry = {
        "version": __version__,
        "dt": np.float64(dt),
        "dialect": dialect.name,
        "trained": " ".join(trained),
        "parent": content_digest(graph),
    }
    return entry | ({"overrides": _overrides(dialect)} if dialect.overrides else {})


def warn_of_other_semantics(graph: NIRGraph, dt: float, dialect: Dialect) -> None:
    """A NIRWarning if the graph says that it was tuned under another time step or dialect than these."""
    entry = graph.metadata.get(ENTRY)
    if not isinstance(entry, Mapping):
        return
    differing = []
    tuned = _number(entry.get("dt"))
    if tuned is not None and not math.isclose(tuned, dt, rel_tol=1e-6):
        differing.append(f"dt = {tuned:g}, not {dt:g}")
    named = entry.get("dialect")
    if isinstance(named, str) and named != dialect.name:
        differing.append(f"dialect {quoted(named)}, not {quoted(dialect.name)}")
    if isinstance(named, str) and entry.get("overrides", "") != _overrides(dialect):
        differing.append("other overrides of the dialect")
    if differing:
        warnings.warn(
            f"this graph was tuned under {'; '.join(differing)}: it will not behave as it did then",
            NIRWarning,
            stacklevel=4,
        )


def _overrides(dialect: Dialect) -> str:
    return "; ".join(f"{pattern}: {discretisation!r}" for pattern, discretisation in dialect.overrides)


def _number(value: Any) -> float | None:
    try:
        found = float(np.asarray(value))
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def warn_of_unused_surrogate(rules: Mapping[str, Discretisation]) -> None:
    """Warn where a surrogate is given, and a spiking node's rule has a derivative of its own.

    Args:
        rules: spiking node to its discretisation.
    """
    own = [name for name, rule in rules.items() if rule.spike_gradient == "linear"]
    if own:
        warnings.warn(
            f"node {own[0]!r}: the dialect has a derivative of spikes of its own, and the surrogate is not used. "
            f"overrides={{'*': {{'spike_gradient': 'crossing'}}}} lets it be.",
            NIRWarning,
            stacklevel=3,
        )
