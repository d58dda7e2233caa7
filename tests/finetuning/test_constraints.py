"""Projection into physical bounds."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import cubalif, filled, graph, if_, lif, linear, ports
from hypothesis import given, settings
from hypothesis import strategies as st

import nirjax
from nirjax.finetuning.constraints import SHORTEST, projection
from nirjax.finetuning.partition import partition
from nirjax.ir import nodes as ir

DT = 0.5


def model(dialect: Any = "nir", **changes: float) -> nirjax.Model:
    nodes = {
        **ports(),
        "fc": linear(),
        "delay": filled(ir.Delay, delay=2.0),
        "lif": lif(**changes),
        "cuba": cubalif(),
        "if": if_(),
    }
    return nirjax.from_nir(graph(nodes, "in fc delay lif cuba if out"), dt=DT, dialect=dialect)


def projected(whole: nirjax.Model, patterns: Any, value: float) -> Any:
    params, _ = partition(whole, patterns)
    moved = jax.tree.map(lambda leaf: jnp.full_like(leaf, value), params)
    return jax.jit(projection(whole, params))(moved)


def test_time_constants_stay_above_the_step_under_euler() -> None:
    found = projected(model(), ["*.tau*"], -3.0)
    assert {f"{n}.{f}" for n, fields in found.items() for f in fields} == {"lif.tau", "cuba.tau_mem", "cuba.tau_syn"}
    for leaf in jax.tree.leaves(found):
        np.testing.assert_array_equal(leaf, DT)


def test_time_constants_stay_positive_under_exact_decay() -> None:
    for leaf in jax.tree.leaves(projected(model(nirjax.dialects.exact()), ["*.tau*"], -3.0)):
        np.testing.assert_allclose(leaf, SHORTEST * DT)


def test_resistances_are_positive_and_delays_within_reach() -> None:
    for leaf in jax.tree.leaves(projected(model(), ["*.r"], -3.0)):
        assert (leaf > 0).all()
    np.testing.assert_array_equal(projected(model(), ["delay.delay"], -3.0)["delay"]["delay"], 0)
    np.testing.assert_array_equal(projected(model(), ["delay.delay"], 9.0)["delay"]["delay"], 2.0)


def test_thresholds_stay_above_resets() -> None:
    both = projected(model(), ["lif.v_threshold", "lif.v_reset"], 0.3)["lif"]
    assert (both["v_threshold"] > both["v_reset"]).all()
    np.testing.assert_allclose(both["v_threshold"], 0.3, rtol=1e-6)
    alone = projected(model(), ["lif.v_threshold"], -5.0)["lif"]["v_threshold"]
    assert (alone > 0).all()
    reset = projected(model(), ["lif.v_reset"], 5.0)["lif"]["v_reset"]
    assert (reset < 1).all()


def test_weights_are_free() -> None:
    np.testing.assert_array_equal(projected(model(), ["fc.weight"], -7.0)["fc"]["weight"], -7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_projection_is_idempotent_and_leaves_the_start_alone(seed: int) -> None:
    with pytest.warns(nirjax.NIRWarning, match="shorter"):
        whole = model(tau=0.2, v_threshold=-1.0)
    params, _ = partition(whole, "*")
    project = projection(whole, params)
    jax.tree.map(np.testing.assert_array_equal, project(params), params)
    rng = np.random.default_rng(seed)
    moved = jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32), params)
    once = project(moved)
    jax.tree.map(np.testing.assert_array_equal, project(once), once)
