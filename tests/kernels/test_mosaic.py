"""The kernel against its twin, in Pallas' interpreter; and that it can be written for a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, export

import nirjax
from benchmarks.workloads import DT, chain, cubalif, lif
from kernels.loops import LOOP, arrays, neuron
from nirjax import ir
from nirjax.kernels import mosaic, time_loop
from nirjax.kernels.time_loop import Loop

ALL = (True,) * LOOP.inputs


def residuals(inputs: list[Array], loop: Loop, kept: tuple[bool, ...]) -> list[Array]:
    """What the way back takes: constants, states before each step, x, and cotangents."""
    everything = (True,) * loop.states
    results = time_loop.forward(*inputs, loop=loop, kept=everything)
    given = time_loop.forward(*inputs, loop=loop, kept=kept)
    cotangents = [jnp.cos(jnp.arange(one.size, dtype=jnp.float32)).reshape(one.shape) for one in given]
    return [*inputs[: loop.constants], *results[loop.states + 1 :], inputs[-1], *cotangents]


def both(name: str, given: list[Array], **choices: Any) -> tuple[list[Array], list[Array]]:
    """What the kernel gives, and what the scan gives."""
    kernel = functools.partial(getattr(mosaic, name), interpret=True, **choices)
    return jax.jit(kernel)(*given), jax.jit(functools.partial(getattr(time_loop, name), **choices))(*given)


def assert_close(found: list[Array], wanted: list[Array]) -> None:
    assert [one.shape for one in found] == [one.shape for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "shape", "kept"),
    [
        (1, (3,), (False, False)),  # fewer elements than a tile, one step
        (mosaic.AHEAD, (2, 64), (True, False)),  # a tile, one turn
        (2 * mosaic.AHEAD + 3, (3, 70), (True, True)),  # tiles that overlap, turns and a rest
    ],
)
def test_forward_is_the_scan(steps: int, shape: tuple[int, ...], kept: tuple[bool, ...]) -> None:
    assert_close(*both("forward", arrays(steps, shape), loop=LOOP, kept=kept))


@pytest.mark.parametrize(
    ("steps", "shape", "kept", "moved"),
    [
        (1, (3,), (False, False), ALL),
        (mosaic.AHEAD, (2, 64), (True, False), (False, False, False, False, True)),
        (2 * mosaic.AHEAD + 3, (3, 70), (True, True), ALL),
        (mosaic.AHEAD + 1, (5,), (False, True), (True, False, False, True, False)),
    ],
)
def test_the_way_back_is_the_scan(
    steps: int, shape: tuple[int, ...], kept: tuple[bool, ...], moved: tuple[bool, ...]
) -> None:
    given = residuals(arrays(steps, shape), LOOP, kept)
    assert_close(*both("adjoint", given, loop=LOOP, kept=kept, moved=moved))


@pytest.mark.parametrize("function", [jnp.floor, jnp.ceil, jax.nn.sigmoid, lambda x: jax.lax.stop_gradient(x) * x])
def test_operations_that_mosaic_has_not_are_written_in_others(function: Callable[[Array], Array]) -> None:
    loop = Loop(lambda v, x: [0.5 * v + x, function(8 * (v - x))], constants=0, states=1)
    given = arrays(3, (40,))[2:3] + arrays(3, (40,))[4:]
    assert mosaic._operations(mosaic._traced_step(loop)) & set(mosaic.REWRITTEN)
    assert_close(*both("forward", given, loop=loop, kept=(False,)))


# ------------------------------------------------------------------------------------------------- where it is used


def lowered(model: nirjax.Model, x: Any) -> str:
    """The program for a GPU, forward and back."""
    traced = jax.jit(jax.grad(lambda model, x: model(x)[0].sum())).trace(model, x)
    return str(traced.lower(lowering_platforms=("cuda",)).as_text())


def layer(dialect: str, node: ir.NIRNode, **choices: Any) -> nirjax.Model:
    return nirjax.from_nir(
        chain({"input": ir.Input((3,)), "neuron": node, "output": ir.Output((3,))}), dt=DT, dialect=dialect, **choices
    )


X = jax.ShapeDtypeStruct((10, 3), np.float32)


@pytest.mark.parametrize("dialect", ["nir", "exact", "snntorch", "norse", "sinabs", "rockpool", "spyx", "spikingjelly"])
@pytest.mark.parametrize("node", [lif(3), cubalif(3)], ids=["lif", "cubalif"])
def test_a_gpu_runs_every_dialect_as_kernels(dialect: str, node: ir.NIRNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "_has_warpgroups", lambda: True)
    try:
        model = layer(dialect, node)
    except nirjax.UnsupportedByTarget:
        pytest.skip(f"{dialect} has no such neuron")
    assert lowered(model, X).count("mosaic_gpu") >= 2


def test_without_such_a_gpu_and_where_it_is_not_wanted_the_scan_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "_has_warpgroups", lambda: False)
    assert "mosaic_gpu" not in lowered(layer("nir", lif(3)), X)
    monkeypatch.setattr(mosaic, "_has_warpgroups", lambda: True)
    assert "mosaic_gpu" not in lowered(layer("nir", lif(3), schedule=nirjax.Schedule(fused=False)), X)


@pytest.mark.usefixtures("x64")
def test_what_the_kernel_cannot_run_is_left_to_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "_has_warpgroups", lambda: True)
    given = arrays(4, (3,))
    table = jnp.arange(3.0, dtype=jnp.float32)
    assert mosaic.can_run(LOOP, given)
    assert not mosaic.can_run(LOOP, arrays(4, (3,), np.float64))
    assert not mosaic.can_run(LOOP, arrays(0, (3,)))
    assert not mosaic.can_run(LOOP, [*given[:-1], jax.ShapeDtypeStruct((*export.symbolic_shape("t"), 3), np.float32)])
    assert not mosaic.can_run(Loop(lambda v, x: [v, jax.lax.lgamma(x)], 0, 1), given[2:3] + given[4:])
    assert not mosaic.can_run(Loop(lambda v, x: [v, x * table[0]], 0, 1), given[2:3] + given[4:])
    assert not mosaic.can_run(Loop(lambda *now: [*neuron(*now)[:2], now[-1] + table.sum()], 2, 2), given)
