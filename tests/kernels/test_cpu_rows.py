"""Walks of rows as machine code: steps with products, as cycles have them, against the same as scans and NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import nirjax
from benchmarks.workloads import DT, recurrent
from nirjax.kernels import cpu_rows, machine_code, time_loop
from nirjax.kernels import walk as scan
from nirjax.kernels.time_loop import Loop
from nirjax.kernels.walk import NotKnownError
from nirjax.surrogate import sigmoid, spike

pytestmark = pytest.mark.skipif(
    not machine_code.available(), reason="llvmlite is not installed, or jaxlib's interface unknown"
)

TARGET = "nirjax_walk_"


def recurrent_step(keep: Array, bias: Array, back: Array, out: Array, v: Array, u: Array, z: Array, x: Array) -> Any:
    """A recurrent neuron, and a layer of another length behind it that its spikes go to."""
    v = keep * v + x + z @ back + bias
    fired = spike(v, jnp.float32(1), sigmoid(2))
    u = 0.5 * u + fired @ out.T
    return [v * (1 - fired), u, fired, u, fired]


LOOP = Loop(recurrent_step, constants=4, states=3, sequences=1, outputs=2, rows=1)


def arrays(steps: int, samples: int, n: int, m: int) -> list[Array]:
    random = np.random.default_rng(steps + samples + n + m)
    draw = lambda *shape: jnp.asarray(random.normal(size=shape), jnp.float32)  # noqa: E731
    constants = [draw(n) / 4, draw(n), draw(n, n) / n**0.5, draw(m, n) / n**0.5]
    return [*constants, draw(samples, n), draw(samples, m), draw(samples, n), draw(steps, samples, n)]


def assert_equals_the_scan(meaning: Callable[..., list[Array]], given: list[Array], **choices: Any) -> None:
    found = jax.jit(functools.partial(meaning, walk=functools.partial(cpu_rows.as_rows, lead=1), **choices))(*given)
    wanted = jax.jit(functools.partial(meaning, walk=scan.walk, **choices))(*given)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


SIZES = [
    (1, 1, 5, 3),
    (2, 4, 16, 32),  # whole vectors and blocks
    (3, 5, 38, 7),  # no whole ones
    (4, 23, 40, 70),  # several tiles
    (3, 2, 2, 3),
]


@pytest.mark.parametrize(("steps", "samples", "n", "m"), SIZES)
@pytest.mark.parametrize("kept", [(False,) * 3, (True,) * 3])
def test_forward_back_and_forward_mode(steps: int, samples: int, n: int, m: int, kept: tuple[bool, ...]) -> None:
    inputs = arrays(steps, samples, n, m)
    assert_equals_the_scan(time_loop.forward, inputs, loop=LOOP, kept=kept)
    results = time_loop.forward(*inputs, loop=LOOP, kept=(True,) * 3)
    before = results[LOOP.states + LOOP.outputs :]
    given = time_loop.forward(*inputs, loop=LOOP, kept=kept)
    cotangents = [jnp.cos(jnp.arange(one.size, dtype=jnp.float32)).reshape(one.shape) for one in given]
    # weights do not move in the loop, see `nirjax.engine.cycle`
    moved = (*[False] * 4, True, True, True, True)
    residuals = [*inputs[:4], *before, inputs[-1]]
    assert_equals_the_scan(time_loop.adjoint, [*residuals, *cotangents], loop=LOOP, kept=kept, moved=moved)
    assert_equals_the_scan(time_loop.tangent, [*residuals, *inputs[4:]], loop=LOOP, kept=kept, moved=moved)


@pytest.mark.parametrize(("inside", "outside"), [(2, 2), (3, 16), (7, 33), (64, 64), (20, 47), (70, 300), (130, 120)])
@pytest.mark.parametrize(("samples", "share"), [(1, 1), (3, 0.1), (4, 1), (9, 0.1), (9, 0)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_are_those_of_numpy(inside: int, outside: int, samples: int, share: float, turned: bool) -> None:
    """Of rows in which most elements are zero, or few."""
    random = np.random.default_rng(inside + outside)
    matrix = random.integers(-8, 8, (outside, inside) if turned else (inside, outside)).astype(np.float32)
    x = random.integers(-8, 8, (2, samples, inside)).astype(np.float32) * (random.random((samples, inside)) < share)
    x = x.astype(np.float32)

    def step(constants: Any, carry: Any, rows: Any) -> Any:
        return carry, [rows[0] @ (constants[0].T if turned else constants[0])]

    if turned:  # the contraction is over the matrix's last axis, without a turned copy in the step

        def step(constants: Any, carry: Any, rows: Any) -> Any:
            over = (((1,), (1,)), ((), ()))
            return carry, [jax.lax.dot_general(rows[0], constants[0], over)]

    run = jax.jit(functools.partial(cpu_rows.as_rows, step, lead=1))
    _, (found,) = run([jnp.asarray(matrix)], [jnp.zeros((samples, 2))], [jnp.asarray(x)])
    np.testing.assert_array_equal(found, x @ (matrix.T if turned else matrix))


def test_a_product_of_a_row_does_not_depend_on_the_others() -> None:
    """Bit for bit, though the rows of quiet samples are multiplied in another way than those of busy ones."""
    random = np.random.default_rng(3)
    matrix, busy = jnp.asarray(random.normal(size=(140, 130)), jnp.float32), np.array([1, 0, 1, 1, 0, 1, 1, 1, 1, 0])
    share = np.where(busy, 0.9, 0.05)[:, None]
    x = jnp.asarray(random.random((1, 10, 140)) < share, jnp.float32)
    step = lambda constants, carry, rows: (carry, [rows[0] @ constants[0]])  # noqa: E731
    run = jax.jit(functools.partial(cpu_rows.as_rows, step, lead=1))
    _, (together,) = run([matrix], [jnp.zeros((10, 2))], [x])
    for sample in range(10):
        _, (alone,) = run([matrix], [jnp.zeros((1, 2))], [x[:, sample : sample + 1]])
        np.testing.assert_array_equal(together[:, sample], alone[:, 0])


def test_what_is_asked_for_twice_is_written_once() -> None:
    def step(constants: Any, carry: Any, rows: Any) -> Any:
        return [carry[0] + rows[0]], [carry[0], rows[0], carry[0], 2 * rows[0]]

    run = jax.jit(functools.partial(cpu_rows.as_rows, step, lead=1))
    x = jnp.arange(24.0).reshape(3, 2, 4)
    _, found = run([], [jnp.zeros((2, 4))], [x])
    before = jnp.stack([jnp.zeros((2, 4)), x[0], x[0] + x[1]])
    for one, wanted in zip(found, [before, x, before, 2 * x], strict=True):
        np.testing.assert_array_equal(one, wanted)
    (call,) = [line for line in run.lower([], [jnp.zeros((2, 4))], [x]).as_text().splitlines() if TARGET in line]
    assert call.partition("->")[2].count("tensor") == 4  # the carry, and three results


def test_what_is_no_work_on_rows_is_not_known() -> None:
    def of(function: Callable[[Array], Array]) -> None:
        step = lambda c, carry, rows: ([carry[0]], [function(rows[0])])  # noqa: E731
        cpu_rows.as_rows(step, [], [jnp.zeros((2, 4))], [jnp.zeros((3, 2, 4))], lead=1)

    for function in (lambda x: x + x.sum(), lambda x: x[:, ::-1], lambda x: x @ x.T @ x, jnp.tanh):
        with pytest.raises(NotKnownError):
            of(function)


# ------------------------------------------------------------------------------------------------- where it is used


def walks(model: nirjax.Model, x: Any) -> int:
    """How many loops of machine code the program holds, forward and back; none of it may be a scan."""
    params, rest = nirjax.partition(model, ["*.weight"])
    loss = lambda params, x: nirjax.combine(params, rest)(x)[0].sum()  # noqa: E731
    text = jax.jit(jax.value_and_grad(loss)).lower(params, x).as_text()
    assert "stablehlo.while" not in text
    return text.count(f"@{TARGET}")


@pytest.mark.parametrize("dialect", ["nir", "exact", "norse", "snntorch", "spyx"])
def test_a_recurrent_layer_runs_as_machine_code(dialect: str) -> None:
    model = nirjax.from_nir(recurrent(6, 5, 3), dt=DT, dialect=dialect)
    assert walks(model, jnp.zeros((4, 2, 6))) == 4


def test_it_gives_what_the_scan_gives_and_any_block_the_same() -> None:
    graph = recurrent(6, 20, 3)
    x = jnp.asarray(np.random.default_rng(0).random((12, 5, 6)) < 0.5, jnp.float32) * 40
    names = ["lif1.v", "lif1.spikes"]
    runs = [
        nirjax.from_nir(graph, dt=DT, schedule=schedule).run(x, record=names).traces
        for schedule in (12, 5, 1, nirjax.Schedule(fused="never"))
    ]
    assert 0 < runs[0]["lif1.spikes"].mean() < 1
    for run in runs[1:]:
        np.testing.assert_array_equal(run["lif1.spikes"], runs[0]["lif1.spikes"])
        np.testing.assert_allclose(run["lif1.v"], runs[0]["lif1.v"], rtol=1e-4, atol=1e-4)


def test_a_vmap_over_samples_or_weights_gives_the_same() -> None:
    model = nirjax.from_nir(recurrent(6, 5, 3), dt=DT)
    x = jax.random.uniform(jax.random.key(0), (7, 4, 6), maxval=40)
    by_samples = jax.vmap(lambda x: model(x)[0], in_axes=1, out_axes=1)(x)
    np.testing.assert_allclose(by_samples, model(x)[0], rtol=1e-5, atol=1e-5)
    params, rest = nirjax.partition(model, ["*.weight"])
    two = jax.tree.map(lambda one: jnp.stack([one, 0.5 * one]), params)
    gradient = jax.grad(lambda params: nirjax.combine(params, rest)(x)[0].sum())
    found = jax.vmap(gradient)(two)
    for place, wanted in enumerate((params, jax.tree.map(lambda one: 0.5 * one, params))):
        same = lambda one, other, place=place: np.testing.assert_allclose(one[place], other, rtol=1e-4, atol=1e-4)  # noqa: E731
        jax.tree.map(same, found, gradient(wanted))
