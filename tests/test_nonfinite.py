"""The first non-finite value of a run is found: its node, its variable, its step."""

import numpy as np
import pytest

import nirjax
from nirjax import ir
from nirjax.nonfinite import first_nonfinite


@pytest.mark.parametrize("schedule", ["auto", 1, 4])
def test_first_nonfinite_membrane(schedule):
    ones = np.ones(2, np.float32)
    graph = nirjax.NIRGraph(
        {
            "input": ir.Input((2,)),
            "scale": ir.Scale(np.float32(1e30) * ones),
            "first": ir.I(np.float32(1e6) * ones),
            "second": ir.LI(0.01 * ones, ones, 0 * ones),
            "output": ir.Output((2,)),
        },
        [("input", "scale"), ("scale", "first"), ("first", "second"), ("second", "output")],
    )
    model = nirjax.from_nir(graph, dt=1.0, dialect="exact", schedule=schedule)
    x = np.zeros((12, 3, 2), np.float32)
    assert first_nonfinite(model, x) is None
    x[5:, 1, 0] = 90
    # 5, 6, 7, 8: 90e36 a step passes the largest float32, 3.4e38, with the fourth.
    found = first_nonfinite(model, x)
    assert (found.node, found.step) == ("first", 8)
    assert "time step 8" in str(found)
    x[2, 0, 1] = np.nan  # seen where it enters
    assert first_nonfinite(model, x).step == 2
    assert first_nonfinite(model, x).node == "input"


RESETS = [
    "nir",
    "exact",
    "norse",
    "spikingjelly",
    "snntorch",
    "snntorch(reset_mechanism='zero')",
    "snntorch(reset_mechanism='zero', reset_delay=False)",
    "sinabs",
    "rockpool",
    "spyx",
]


@pytest.mark.parametrize("dialect", RESETS)
def test_a_membrane_that_overflows_is_found_though_a_spike_resets_it(dialect):
    """A reset does not make it finite again: v (1 - z) is NaN where v is infinite, and stays so."""
    ones = np.ones(3, np.float32)
    nodes = {
        "input": ir.Input((3,)),
        "one": ir.Scale(ones),
        "two": ir.Scale(ones),
        "first": ir.LIF(0.1 * ones, ones, 0 * ones, ones, 0 * ones),
        "second": ir.LIF(0.1 * ones, ones, 0 * ones, ones, 0 * ones),
        "output": ir.Output((3,)),
    }
    edges = "input-one input-two one-first two-first first-second second-output"
    graph = nirjax.NIRGraph(nodes, [tuple(edge.split("-")) for edge in edges.split()])
    model = nirjax.from_nir(graph, dt=0.05, dialect=dialect)
    x = np.zeros((9, 2, 3), np.float32)
    x[3] = 1
    assert first_nonfinite(model, x) is None
    x[5, 1, 2] = 3e38
    found = first_nonfinite(model, x)
    assert (found.node, found.step) == ("first", 5)
    v = model.run(x, record="first.v").traces["first.v"]
    assert not np.isfinite(v[5:, 1, 2]).any()
    assert np.isfinite(np.delete(v.reshape(9, 6), 5, axis=1)).all()
