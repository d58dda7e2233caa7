"""The engine in float64 against the NumPy interpreter of `tests/oracle`, which shares no code with it."""

from typing import Any

import jax
import numpy as np
import oracle
import pytest
from oracle.graph import flatten
from oracle.neurons import NEURONS
from oracle.random_graphs import random_case

import nirjax
from engine.graphs import from_dict


def compare_random_case(seed: int) -> None:
    """Every node's output and every membrane of one random graph, in its own random number of blocks.

    In every fifth graph the neurons rest for two steps after a spike.
    """
    rng = np.random.default_rng(seed)
    rules = {"refractory": 2 if seed % 5 == 4 else 0}
    case, x, dt = random_case(rng, rules=rules)
    expected, traces = oracle.run(case, x, dt=dt, record=True, rules=rules)
    overrides = {"*": rules} if has(case, *NEURONS) else {}
    block = int(rng.integers(1, 25))
    model = nirjax.from_nir(from_dict(case), dt=dt, dtype="float64", schedule=block, overrides=overrides)
    run = model.run(x, record=["*.output", "*.v", "*.i"] if has(case, "CubaLIF", "CubaLI") else ["*.output", "*.v"])
    one = not isinstance(expected, dict)
    for name, value in {"": expected}.items() if one else expected.items():
        np.testing.assert_allclose(run.output if one else run.output[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    assert {name for name in run.traces if name.endswith(".v")} <= set(traces)
    for name, trace in run.traces.items():
        np.testing.assert_allclose(trace, traces[name], rtol=1e-9, atol=1e-9, err_msg=name)
        if f"{name.removesuffix('.output')}.spikes" in traces:
            np.testing.assert_array_equal(trace, traces[name], err_msg=name)


def has(case: dict[str, Any], *types: str) -> bool:
    return any(node["type"] in types for node in flatten(case).nodes.values())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(seed: int) -> None:
    compare_random_case(seed)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_many_random_graphs(seed: int) -> None:
    compare_random_case(seed)
    jax.clear_caches()  # two thousand compiled programs are more memory maps than a process may hold
