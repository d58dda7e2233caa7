"""NIR data to test with, and what makes two pieces of it the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nirjax.data import EventData, NIRGraphData, NIRNodeData, TimeGriddedData, ValuedEventData


def observables(seed: int = 0) -> dict[str, Any]:
    """One of every kind and dtype."""
    random = np.random.default_rng(seed)
    idx = random.integers(-1, 6, (4, 300))
    time = np.where(idx < 0, np.inf, random.random(idx.shape))
    grid = random.normal(size=(3, 20, 6))
    return {
        "spikes": TimeGriddedData(grid > 0.5, 1e-4),
        "v": TimeGriddedData(grid, float(np.float32(1e-3))),
        "i": TimeGriddedData(grid.astype(np.float16), 1),
        "counts": TimeGriddedData((grid * 9).astype(np.int16), 1 / 3),
        "events": EventData(idx, time.astype(np.float32), 6, 1.0),
        "values": ValuedEventData(idx.astype(np.int32), time, 6, 1.0, random.normal(size=idx.shape)),
        "none": EventData(np.zeros((2, 0), int), np.zeros((2, 0)), 6, 0.0),
    }


def flat_data() -> NIRGraphData:
    """Several nodes, none inside another."""
    return NIRGraphData({"lif": NIRNodeData(observables()), "a.b ü": NIRNodeData(observables(1)), "o": NIRNodeData({})})


def nested_data() -> NIRGraphData:
    """Nodes in subgraphs."""
    inner = NIRGraphData({"lif": NIRNodeData({"spikes": observables(3)["spikes"]}), "empty": NIRGraphData({})})
    return NIRGraphData({"lif": NIRNodeData(observables(2)), "rnn": NIRGraphData({"deep": inner, **inner.nodes})})


def same(ours: Any, other: Any) -> None:
    """Equal names in order, fields, dtypes and bits; `other` may be the reference package's."""
    if hasattr(ours, "nodes") or hasattr(ours, "observables"):
        name = "nodes" if hasattr(ours, "nodes") else "observables"
        one, two = getattr(ours, name), getattr(other, name)
        assert sorted(one) == sorted(two)
        for key in one:
            same(one[key], two[key])
        return
    assert type(ours).__name__ == type(other).__name__
    for field in dataclasses.fields(ours):
        a, b = getattr(ours, field.name), getattr(other, field.name)
        assert type(a) is type(b)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert a.tobytes() == b.tobytes()
        else:
            assert a == b
