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
    x[2, 0, 1] = np.nan
    assert first_nonfinite(model, x).step == 2
    assert first_nonfinite(model, x).node == "input"
