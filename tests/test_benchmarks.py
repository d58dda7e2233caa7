"""benchmarks: the bars of a results file, the workloads, and the limit's formula."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks import bars, compiled, engine, handwritten, limit, measure, report, workloads
from benchmarks.measure import Row
from benchmarks.task import Task

ONCE = {"a call": {"model(x)": 1.0, "jit(model, x)": 1.5, "hand-written, jit(dict, x)": 1.0}}


def content(*rows: Row) -> dict:
    return json.loads(report.as_json(rows, ONCE, {}, ""))


def found(*rows: Row) -> dict[tuple[str, str], bars.Bar]:
    return {(bar.row, bar.what): bar for bar in bars.of(content(*rows))}


def test_a_bar_compares_rounds_with_each_other() -> None:
    mine, bare = Row("stream", "forward", "nirjax", [1.0, 2.0, 9.0]), Row("stream", "forward", "limit", [1.0, 1.0, 9.0])
    assert found(mine, bare)["stream, forward", "limit"] == bars.Bar("stream, forward", "limit", 1.0, 1.25)


@pytest.mark.parametrize(
    ("workload", "mode", "bar"), [("stream", "training", 1.5), ("conv-1", "forward", 1.25), ("wide", "forward", 2.0)]
)
def test_rows_bound_by_their_products_have_tighter_bars(workload: str, mode: str, bar: float) -> None:
    over = found(Row(workload, mode, "nirjax", [1.9]), Row(workload, mode, "limit", [1.0]))[
        f"{workload}, {mode}", "limit"
    ]
    assert over.bar == bar
    assert over.met == (bar == 2.0)


def test_a_peer_whose_outputs_differ_is_in_no_bar() -> None:
    mine, peer = Row("long", "training", "nirjax", [1.0]), Row("long", "training", "spyx", [3.0], 0.5, "they differ")
    assert not any(what.startswith("best peer") for _, what in found(mine, peer))
    peer.trouble = ""
    assert found(mine, peer)["long, training", "best peer: spyx"].met
    assert "they differ" in report.as_markdown(
        content(mine, Row("long", "training", "norse", [3.0], 0.5, "they differ"))
    )


def test_eager_peers_and_calls_have_bars() -> None:
    rows = [
        Row("stream", "forward", name, [time]) for name, time in (("nirjax", 1.0), ("norse", 4.0), ("sinabs", 64.0))
    ]
    mean = found(*rows)["all rows", "times faster than eager peers"]
    assert math.isclose(mean.found, 16.0)
    assert mean.met
    assert not found(*rows)["a call", "jit(model, x) over jit(dict, x)"].met


def test_the_small_workloads_are_those_that_are_measured() -> None:
    assert {w.family for w in workloads.SMALL} == {w.family for w in workloads.WORKLOADS}
    assert {(w.name, w.time, w.batch) for w in workloads.WORKLOADS} == {
        ("stream", 1000, 1),
        ("batch", 100, 128),
        ("small", 1000, 16),
        ("recurrent-16", 250, 16),
        ("recurrent-128", 250, 128),
        ("conv-1", 300, 1),
        ("conv-16", 100, 16),
        ("braille", 256, 64),
        ("wide", 100, 1),
        ("long", 10_000, 4),
    }


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("graph", [workloads.feedforward(6, 5, 4), workloads.recurrent(6, 5, 4)])
def test_the_limit_computes_what_the_formula_says(graph: object, training: bool) -> None:
    parts = limit.products(graph)
    assert math.isclose(limit.compiled_flops(parts, 8, 2, training), limit.flops(parts, 8, 2, training), rel_tol=5e-3)


@pytest.fixture
def large_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A learning rate at which the gradient shows. Programs have theirs in them, and JAX remembers programs."""
    jax.clear_caches()
    monkeypatch.setattr(compiled, "LEARNING_RATE", 1e3)
    yield
    jax.clear_caches()


@pytest.mark.usefixtures("large_steps")
@pytest.mark.parametrize("family", ["small", "recurrent", "braille", "conv", "wide"])
def test_the_handwritten_step_is_nirjax_own(family: str, tmp_path: Path) -> None:
    """The loss, and what the update makes of the parameters."""
    (workload,) = [one for one in workloads.SMALL if one.family == family]
    try:
        measure.save(workload, tmp_path)
    except workloads.AbsentError as absent:
        pytest.skip(str(absent))
    task = Task(workload.name, "training", str(tmp_path), workload.dt)
    mine, other = (contender.build(task).call() for contender in (engine, handwritten))
    np.testing.assert_allclose(mine[0], other[0], rtol=1e-6)

    def sizes(parameters: Any) -> list[float]:
        """One number of each, so that its layout does not matter."""
        return sorted(float(np.abs(np.asarray(one)).sum()) for one in jax.tree.leaves(parameters))

    np.testing.assert_allclose(sizes(mine[1]), sizes(other[1]), rtol=1e-4)
