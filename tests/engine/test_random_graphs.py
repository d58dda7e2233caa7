"""Random graphs of all node types through everything: lower, run, cut, differentiate, export, write, read, run."""

from __future__ import annotations

import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ir.random_graphs import graphs

import nirjax
from engine.test_execute import delay_in_a_cycle, inputs_of
from nirjax.errors import AlgebraicLoopError, NIRWarning

STEPS = 6
CUTS = [(3, 3), (2, 2, 2), (1, 5), (4, 2), (1,) * 6]


def settled(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )


@given(graph=graphs(depth=2, max_nodes=4), cut=st.sampled_from(CUTS), seed=st.integers(0, 99))
@settled(4)
@pytest.mark.usefixtures("x64")
def test_a_random_graph(graph: nirjax.NIRGraph, cut: tuple[int, ...], seed: int) -> None:
    through_everything(graph, cut, seed)


@pytest.mark.slow
@given(graph=graphs(depth=3, max_nodes=6), cut=st.sampled_from(CUTS), seed=st.integers(0, 99))
@settled(100)
@pytest.mark.usefixtures("x64")
def test_many_random_graphs(graph: nirjax.NIRGraph, cut: tuple[int, ...], seed: int) -> None:
    through_everything(graph, cut, seed)


def through_everything(graph: nirjax.NIRGraph, cut: tuple[int, ...], seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)
        try:
            model = nirjax.from_nir(graph, dt=0.01, dtype="float64")
        except AlgebraicLoopError:
            return  # a cycle that was drawn without a neuron on it
        rng = np.random.default_rng(seed)
        shape = next(iter(graph.inputs.values())).shape
        x = jnp.asarray(rng.uniform(0, 2, (STEPS, *shape)))
        whole, last = model(x)
        assert np.all(np.isfinite(whole))
        cut_anywhere(model, x, cut, whole, last)
        differentiate(model, x, rng)
        export(model, graph, x, whole)


def cut_anywhere(model: nirjax.Model, x: Any, cut: tuple[int, ...], whole: Any, last: Any) -> None:
    ends = np.cumsum([0, *cut])
    parts, state = [], None
    for start, end in pairwise(ends):
        part, state = model(x[start:end], state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9, atol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), state, last)


def differentiate(model: nirjax.Model, x: Any, rng: np.random.Generator) -> None:
    """Along a random direction forward and reverse mode agree, and both are finite."""
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), model.params)

    def loss(params: Any) -> jax.Array:
        return jnp.sum(model.replace(params=params)(x)[0] ** 2)

    @jax.jit
    def both(params: Any) -> tuple[jax.Array, Any]:
        return jax.jvp(loss, (params,), (direction,))[1], jax.grad(loss)(params)

    forward, gradient = both(model.params)
    reverse = sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), gradient, direction)))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(reverse, forward, rtol=1e-6, atol=1e-9)


def export(model: nirjax.Model, graph: nirjax.NIRGraph, x: Any, whole: Any) -> None:
    back = nirjax.to_nir(model)
    assert nirjax.diff(back, graph) == []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nir"
        nirjax.write(path, back)
        again = nirjax.from_nir(nirjax.read(path, trusted=True), dt=0.01, dtype="float64")
    np.testing.assert_array_equal(again(x)[0], whole)


@given(lengths=st.lists(st.integers(1, 3), min_size=1, max_size=8))
@settled(30)
def test_any_cutting_of_a_stream(lengths: list[int]) -> None:
    """All numbers are short in binary: bit for bit."""
    model, x = STREAMED
    x = x[: sum(lengths)]
    whole, last = model(x)
    state, parts = None, []
    for start, end in pairwise(np.cumsum([0, *lengths])):
        part, state = model(x[start:end], state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    jax.tree.map(np.testing.assert_array_equal, state, last)


STREAMED = nirjax.from_nir(delay_in_a_cycle(), dt=1), inputs_of(delay_in_a_cycle(), time=24, batch=())
