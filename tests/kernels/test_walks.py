"""Walks as kernels, in Pallas' interpreter, against the same walks as scans; and that devices are given them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, export

import nirjax
from benchmarks.workloads import DT, chain, cubalif, lif
from kernels.loops import LOOP, arrays
from nirjax import ir
from nirjax.kernels import gpu, steps, time_loop, tpu
from nirjax.kernels.time_loop import Loop

ALL = (True,) * LOOP.inputs
LENGTHS = {gpu: gpu.AHEAD, tpu: tpu.TURN}
each_kernel = pytest.mark.parametrize("kernel", [gpu, tpu], ids=["gpu", "tpu"])


def residuals(inputs: list[Array], loop: Loop, kept: tuple[bool, ...]) -> list[Array]:
    """What the way back takes: constants, states before each step, x, and cotangents."""
    everything = (True,) * loop.states
    results = time_loop.forward(*inputs, loop=loop, kept=everything)
    given = time_loop.forward(*inputs, loop=loop, kept=kept)
    cotangents = [jnp.cos(jnp.arange(one.size, dtype=jnp.float32)).reshape(one.shape) for one in given]
    return [*inputs[: loop.constants], *results[loop.states + 1 :], inputs[-1], *cotangents]


def assert_equals_the_scan(
    kernel: ModuleType, meaning: Callable[..., list[Array]], given: list[Array], **choices: Any
) -> None:
    walk = functools.partial(kernel.as_kernel, interpret=True)
    found = jax.jit(functools.partial(meaning, walk=walk, **choices))(*given)
    wanted = jax.jit(functools.partial(meaning, **choices))(*given)
    assert [one.shape for one in found] == [one.shape for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@each_kernel
@pytest.mark.parametrize(
    ("turns", "rest", "shape", "kept"),
    [
        (0, 1, (3,), (False, False)),  # fewer elements than a tile, one step
        (1, 0, (2, 64), (True, False)),  # a row of elements, one turn
        (2, 3, (3, 400), (True, True)),  # several tiles, the last not whole; turns and a rest
    ],
)
def test_forward(kernel: ModuleType, turns: int, rest: int, shape: tuple[int, ...], kept: tuple[bool, ...]) -> None:
    given = arrays(turns * LENGTHS[kernel] + rest, shape)
    assert_equals_the_scan(kernel, time_loop.forward, given, loop=LOOP, kept=kept)


@each_kernel
@pytest.mark.parametrize(
    ("turns", "rest", "shape", "kept", "moved"),
    [
        (0, 1, (3,), (False, False), ALL),
        (1, 0, (2, 64), (True, False), (False, False, False, False, True)),
        (2, 3, (3, 400), (True, True), ALL),
        (1, 1, (5,), (False, True), (True, False, False, True, False)),
    ],
)
def test_the_way_back(
    kernel: ModuleType,
    turns: int,
    rest: int,
    shape: tuple[int, ...],
    kept: tuple[bool, ...],
    moved: tuple[bool, ...],
) -> None:
    given = residuals(arrays(turns * LENGTHS[kernel] + rest, shape), LOOP, kept)
    assert_equals_the_scan(kernel, time_loop.adjoint, given, loop=LOOP, kept=kept, moved=moved)


@each_kernel
def test_forward_mode(kernel: ModuleType) -> None:
    kept, inputs = (True, True), arrays(9, (2, 70))
    given = [*residuals(inputs, LOOP, kept)[: LOOP.inputs], *inputs]
    assert_equals_the_scan(kernel, time_loop.tangent, given, loop=LOOP, kept=kept, moved=ALL)


@pytest.mark.parametrize("function", [jnp.floor, jnp.ceil, jax.nn.sigmoid, lambda x: jax.lax.stop_gradient(x) * x])
def test_operations_that_mosaic_has_not_are_written_in_others(function: Callable[[Array], Array]) -> None:
    loop = Loop(lambda v, x: [0.5 * v + x, function(8 * (v - x))], constants=0, states=1)
    given = arrays(3, (40,))[2:3] + arrays(3, (40,))[4:]
    taken = steps.traced(lambda _, carry, rows: ([], loop.step(*carry, *rows)), (0, 1, 1), (8,))
    assert steps._operations(taken.traced) & set(steps.REWRITTEN)
    assert_equals_the_scan(gpu, time_loop.forward, given, loop=loop, kept=(False,))


# ------------------------------------------------------------------------------------------------- where it is used


X = jax.ShapeDtypeStruct((10, 3), np.float32)
DIALECTS = ("nir", "exact", "snntorch", "norse", "sinabs", "rockpool", "spyx", "spikingjelly")
KERNEL = {"cuda": "mosaic_gpu", "tpu": "tpu_custom_call"}


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "has_warpgroups", lambda: True)


def layer(dialect: str, node: ir.NIRNode, **choices: Any) -> nirjax.Model:
    nodes = {"input": ir.Input((3,)), "neuron": node, "output": ir.Output((3,))}
    return nirjax.from_nir(chain(nodes), dt=DT, dialect=dialect, **choices)


def kernels(model: nirjax.Model, platform: str) -> int:
    """How many kernels the program for a device holds, forward and back."""
    traced = jax.jit(jax.grad(lambda model, x: model(x)[0].sum())).trace(model, X)
    return traced.lower(lowering_platforms=(platform,)).as_text().count(KERNEL[platform])


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("node", [lif(3), cubalif(3)], ids=["lif", "cubalif"])
def test_a_gpu_runs_every_dialect_as_kernels(dialect: str, node: ir.NIRNode) -> None:
    assert kernels(layer(dialect, node), "cuda") >= 2


def test_a_gpu_that_is_too_old_runs_the_scan() -> None:
    assert kernels(layer("nir", lif(3)), "cuda") == 0


@pytest.mark.usefixtures("on_a_gpu")
def test_a_schedule_can_do_without() -> None:
    assert kernels(layer("nir", lif(3), schedule=nirjax.Schedule(fused="never")), "cuda") == 0
    with pytest.raises(nirjax.ArgumentError, match="always"):
        nirjax.Schedule(fused="sometimes")


def test_a_tpu_runs_kernels_where_that_is_asked_for() -> None:
    assert kernels(layer("nir", lif(3)), "tpu") == 0
    assert kernels(layer("nir", lif(3), schedule=nirjax.Schedule(fused="always")), "tpu") >= 2


@pytest.mark.usefixtures("x64")
def test_what_a_kernel_cannot_run_is_left_to_the_scan() -> None:
    def fits(step: Callable[..., list[Array]], v: Any, x: Any) -> bool:
        return steps.fits(lambda _, carry, rows: ([carry[0]], step(*carry, *rows)), [], [v], [x])

    v, x = arrays(4, (3,))[2], arrays(4, (3,))[4]
    table = jnp.arange(3.0, dtype=jnp.float32)
    assert fits(lambda v, x: [v * x], v, x)
    assert not fits(lambda v, x: [jax.lax.lgamma(x)], v, x)
    assert not fits(lambda v, x: [x * table[0]], v, x)
    assert not fits(lambda v, x: [v * x], v.astype(np.float64), x)
    assert not fits(lambda v, x: [v * x], v, x[:0])
    assert not fits(lambda v, x: [v * x], v, jax.ShapeDtypeStruct((*export.symbolic_shape("t"), 3), np.float32))
