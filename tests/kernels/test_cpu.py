"""Walks as machine code against NumPy, bit for bit where products are exact, and against the same walks as scans; and
where they are used."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax

import nirjax
from benchmarks.workloads import DT, chain, cubalif, lif
from kernels.loops import LOOP, arrays
from nirjax import ir, surrogate
from nirjax.kernels import cpu, llvm_handler, llvm_walk, machine_code, time_loop
from nirjax.kernels import walk as scan
from nirjax.kernels.time_loop import Loop
from nirjax.kernels.walk import Ahead, NotKnownError

pytestmark = pytest.mark.skipif(
    not machine_code.available(), reason="llvmlite is not installed, or jaxlib's interface unknown"
)

TARGET = "nirjax_walk_"
TILE, WIDTH = llvm_walk.TILE, llvm_walk.WIDTH


def leaky(constants: Any, carry: Any, rows: Any) -> tuple[list[Any], list[Any]]:
    """A leaky integrator that fires; NumPy runs it as JAX does."""
    (keep, threshold), (v,), (x,) = constants, carry, rows
    v = keep * v + x
    z = (v > threshold).astype(x.dtype)
    return [v * (1 - z)], [z, v]


def by_numpy(step: Any, constants: Any, carry: Any, sequences: Any, backward: bool) -> tuple[list[Any], list[Any]]:
    times = range(len(sequences[0]))
    kept = []
    for t in reversed(times) if backward else times:
        carry, results = step(constants, carry, [one[t] for one in sequences])
        kept.append(results)
    kept = kept[::-1] if backward else kept
    return carry, [np.stack(one) for one in zip(*kept, strict=True)]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (1,),
        (WIDTH - 1,),  # one by one
        (WIDTH,),
        (WIDTH + 3,),  # the last vector overlaps the one before
        (2 * TILE + 37,),  # several tiles
        (2 * TILE + 3 * WIDTH,),  # the last of them shorter
        (3, 5),  # rows of constants that are repeated
        (7, 300),  # rows long enough
        (2, 3, 40),
    ],
)
def test_every_lane_computes_what_numpy_does(shape: tuple[int, ...], backward: bool) -> None:
    random = np.random.default_rng(sum(shape))
    # eighths, so that no product rounds, contracted or not
    draw = lambda *shape: (random.integers(1, 8, shape) / 8).astype(np.float32)  # noqa: E731
    constants = [draw(*shape[-1:]), np.float32(0.75)]
    carry = [draw(*shape)]
    rows = [draw(5, *shape)]
    wanted = by_numpy(leaky, constants, carry, rows, backward)
    found = jax.jit(functools.partial(cpu.as_kernel, leaky, backward=backward))(
        *jax.tree.map(jnp.asarray, (constants, carry, rows))
    )
    jax.tree.map(np.testing.assert_array_equal, found, tuple(wanted))


@pytest.mark.parametrize("shape", [(WIDTH,), (WIDTH + 3,), (2 * TILE + 3 * WIDTH,), (3, 400)])
def test_on_the_way_back_a_result_takes_the_place_of_a_sequence(shape: tuple[int, ...]) -> None:
    """And a sequence that is needed afterwards is as it was."""

    def step(constants: Any, carry: Any, rows: Any) -> tuple[list[Any], list[Any]]:
        after, (z, v) = leaky(constants, carry, rows[:1])
        return after, [v * rows[1], z]

    random = np.random.default_rng(sum(shape))
    draw = lambda *shape: (random.integers(1, 8, shape) / 8).astype(np.float32)  # noqa: E731
    constants, carry, rows = [draw(*shape[-1:]), np.float32(0.75)], [draw(*shape)], [draw(5, *shape), draw(5, *shape)]
    wanted = by_numpy(step, constants, carry, rows, True)
    arrays = [[jnp.asarray(one) for one in some] for some in (constants, carry, rows)]

    def twice(constants: Any, carry: Any, rows: Any) -> Any:
        rows = [rows[0], rows[1] * 1]
        return cpu.as_kernel(step, constants, carry, rows, backward=True), rows[1]

    run = jax.jit(twice)
    assert ("output_operand_aliases = [#" in run.lower(*arrays).as_text()) == (shape[-1] % WIDTH == 0)
    for _ in range(2):
        found, second = run(*arrays)
        jax.tree.map(np.testing.assert_array_equal, found, wanted)
        np.testing.assert_array_equal(second, rows[1])


def test_threads_share_the_tiles() -> None:
    # more tiles than threads, and enough steps that help is asked for
    shape = (60, 700)
    constants = [jnp.where(jnp.arange(700) % 2, 0.5, 1), jnp.float32(0.75)]
    rows = [jnp.round(jax.random.uniform(jax.random.key(0), (40, *shape)))]
    assert llvm_walk.ALONE < 40 * 60 * 700
    run = jax.jit(functools.partial(cpu.as_kernel, leaky))
    wanted = by_numpy(
        leaky, [np.asarray(one) for one in constants], [np.zeros(shape, np.float32)], [np.asarray(rows[0])], False
    )
    for _ in range(20):
        jax.tree.map(np.testing.assert_array_equal, run(constants, [jnp.zeros(shape)], rows), tuple(wanted))


def ahead_and_back(constants: Any, carry: Any, rows: Any) -> tuple[list[Any], list[Any]]:
    """A walk backward that sees the states of `leaky` before each step."""
    (keep, _), (to_v,), (v, x) = constants, carry, rows
    to_v = keep * to_v + v - x
    return [to_v], [to_v * v]


@pytest.mark.parametrize(
    ("steps", "shape"), [(5, (3,)), (5, (2 * TILE + 37,)), (1, (40,)), (0, (40,)), (llvm_walk.KEPT // 100, (130,))]
)
def test_states_that_are_walked_anew_are_those_that_were_kept(steps: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(steps)
    draw = lambda *shape: jnp.asarray(random.integers(1, 8, shape) / 8, jnp.float32)  # noqa: E731
    constants, rows = [draw(*shape), jnp.float32(0.75)], [draw(steps, *shape)]
    start, last = [draw(*shape)], [draw(*shape)]
    run = functools.partial(cpu.as_kernel, ahead_and_back, backward=True, ahead=Ahead(leaky, start, 1))
    wanted = scan.walk(ahead_and_back, constants, last, rows, backward=True, ahead=Ahead(leaky, start, 1))
    found = jax.jit(run)(constants, last, rows)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, tuple(wanted))


def test_large_results_are_as_small_ones() -> None:
    rows = jnp.ones((3, llvm_handler.LARGE // 4 + 1))
    count = lambda c, carry, rows: ([carry[0] + rows[0]], [carry[0] + rows[0]])  # noqa: E731
    last, (sums,) = jax.jit(functools.partial(cpu.as_kernel, count))([], [jnp.zeros(rows.shape[1])], [rows])
    np.testing.assert_array_equal(last[0], 3)
    np.testing.assert_array_equal(sums, np.broadcast_to([[1], [2], [3]], rows.shape))


def test_no_steps_leave_the_carry() -> None:
    carry = [jnp.arange(40.0)]
    last, results = jax.jit(functools.partial(cpu.as_kernel, leaky))(
        [jnp.ones(40), jnp.ones(())], carry, [jnp.zeros((0, 40))]
    )
    np.testing.assert_array_equal(last[0], carry[0])
    assert [one.shape for one in results] == [(0, 40), (0, 40)]


# -------------------------------------------------------------------------------------------------------- operations

NUMBERS = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 1e-30, 1e30, np.inf, -np.inf, np.nan, 87.0, -87.0, 20.25],
    np.float32,
)
OPERATIONS: dict[str, Callable[..., Any]] = {
    "sums": lambda x, y: x + y - 2 * x,
    "quotient": lambda x, y: x / y,
    "negative": lambda x, y: -x,
    "extremes": lambda x, y: jnp.maximum(x, y) + jnp.minimum(x, 3.0),
    "clamped": lambda x, y: lax.clamp(-1.5, x, 2.5),
    "absolute": lambda x, y: jnp.abs(x) * jnp.sign(y),
    "rounded": lambda x, y: jnp.round(x) + 10 * lax.round(y, lax.RoundingMethod.AWAY_FROM_ZERO),
    "whole": lambda x, y: jnp.floor(x) + 10 * jnp.ceil(y),
    "powers": lambda x, y: x**2 + y**3 + x**-1,
    "roots": lambda x, y: jnp.sqrt(x) + lax.rsqrt(y),
    "compared": lambda x, y: (
        1.0 * (x > y) + 2.0 * (x >= y) + 4.0 * (x == y) + 8.0 * (x != y) + 16.0 * (x < y) + 32.0 * (x <= y)
    ),
    "logic": lambda x, y: jnp.where(((x > 0) & ~(y > 1)) | ((x > 0) ^ (y > 0)), x, y),
    "truth": lambda x, y: x.astype(bool).astype(x.dtype),
    "steps": lambda x, y: jnp.where(lax.stop_gradient(x) > 0, 5, y),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_the_one_that_jax_has(name: str) -> None:
    pairs = np.array(np.meshgrid(NUMBERS, NUMBERS)).reshape(2, -1)
    x, y = (jnp.asarray(one) for one in pairs)
    step = lambda c, carry, rows: (carry, [OPERATIONS[name](*rows)])  # noqa: E731
    found = jax.jit(functools.partial(cpu.as_kernel, step))([], [x], [x[None], y[None]])[1][0][0]
    wanted = OPERATIONS[name](x, y)
    np.testing.assert_allclose(found, wanted, rtol=3e-7)
    np.testing.assert_array_equal(np.signbit(found)[found == 0], np.signbit(wanted)[found == 0])


def test_the_exponential_is_within_two_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-87, 88.7, 200_001), NUMBERS]).astype(np.float32)
    step = lambda c, carry, rows: (carry, [jnp.exp(rows[0])])  # noqa: E731
    (found,) = jax.jit(functools.partial(cpu.as_kernel, step))([], [jnp.asarray(x)], [jnp.asarray(x)[None]])[1]
    with np.errstate(over="ignore", under="ignore"):
        wanted = np.exp(x.astype(np.float64)).astype(np.float32)
    found = np.asarray(found[0])
    normal = (wanted >= np.finfo(np.float32).tiny) & np.isfinite(wanted)
    assert (np.abs(found[normal] - wanted[normal]) <= 2 * np.spacing(wanted[normal])).all()
    np.testing.assert_array_equal(found[np.isinf(wanted)], np.inf)
    assert np.isnan(found[np.isnan(x)]).all()
    assert (found[wanted < np.finfo(np.float32).tiny] <= np.finfo(np.float32).tiny).all()


@pytest.mark.parametrize("function", [jnp.tanh, lambda x: lax.erf(x), lambda x: x.astype(jnp.int32).astype(x.dtype)])
def test_what_is_not_known_is_left_to_the_scan(function: Callable[[Array], Array]) -> None:
    step = lambda c, carry, rows: (carry, [function(rows[0])])  # noqa: E731
    x = jnp.linspace(-1, 1, 40)
    with pytest.raises(NotKnownError):
        cpu.as_kernel(step, [], [x], [x[None]])
    np.testing.assert_array_equal(jax.jit(functools.partial(cpu.walk, step))([], [x], [x[None]])[1][0][0], function(x))


# ---------------------------------------------------------------------------------------------- as the loop has them

ALL = (True,) * LOOP.inputs


def assert_equals_the_scan(meaning: Callable[..., list[Array]], given: list[Array], **choices: Any) -> None:
    found = jax.jit(functools.partial(meaning, walk=cpu.as_kernel, **choices))(*given)
    wanted = jax.jit(functools.partial(meaning, walk=scan.walk, **choices))(*given)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5)


def residuals(inputs: list[Array], loop: Loop, kept: tuple[bool, ...]) -> list[Array]:
    """What the way back takes: constants, states before each step, x, and cotangents."""
    everything = (True,) * loop.states
    results = time_loop.forward(*inputs, loop=loop, kept=everything)
    given = time_loop.forward(*inputs, loop=loop, kept=kept)
    cotangents = [jnp.cos(jnp.arange(one.size, dtype=one.dtype)).reshape(one.shape) for one in given]
    return [*inputs[: loop.constants], *results[loop.states + 1 :], inputs[-1], *cotangents]


@pytest.mark.parametrize("shape", [(3,), (2, 64), (3, 400)])
@pytest.mark.parametrize("kept", [(False, False), (True, True)])
def test_forward_back_and_forward_mode(shape: tuple[int, ...], kept: tuple[bool, ...]) -> None:
    inputs = arrays(9, shape)
    back = residuals(inputs, LOOP, kept)
    assert_equals_the_scan(time_loop.forward, inputs, loop=LOOP, kept=kept)
    assert_equals_the_scan(time_loop.adjoint, back, loop=LOOP, kept=kept, moved=ALL)
    assert_equals_the_scan(time_loop.tangent, [*back[: LOOP.inputs], *inputs], loop=LOOP, kept=kept, moved=ALL)


# ------------------------------------------------------------------------------------------------- where it is used

X = jax.ShapeDtypeStruct((10, 3), np.float32)
DIALECTS = ("nir", "exact", "snntorch", "norse", "sinabs", "rockpool", "spyx", "spikingjelly")
SURROGATES = (
    surrogate.fast_sigmoid(),
    surrogate.atan(),
    surrogate.sigmoid(),
    surrogate.triangular(),
    surrogate.boxcar(),
    surrogate.gaussian(),
    surrogate.straight_through(),
)


def layer(node: ir.NIRNode, **choices: Any) -> nirjax.Model:
    nodes = {"input": ir.Input((3,)), "neuron": node, "output": ir.Output((3,))}
    return nirjax.from_nir(chain(nodes), dt=DT, **choices)


def walks(model: nirjax.Model, x: Any = X) -> int:
    """How many walks of machine code the program holds, forward and back."""
    return jax.jit(jax.value_and_grad(lambda model, x: model(x)[0].sum())).lower(model, x).as_text().count(f"@{TARGET}")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("node", [lif(3), cubalif(3)], ids=["lif", "cubalif"])
def test_every_dialect_runs_as_machine_code(dialect: str, node: ir.NIRNode) -> None:
    assert walks(layer(node, dialect=dialect)) == 2


@pytest.mark.parametrize("chosen", SURROGATES, ids=lambda one: type(one).__name__)
def test_every_surrogate_runs_as_machine_code(chosen: surrogate.Surrogate) -> None:
    assert walks(layer(lif(3), surrogate=chosen)) == 2


def test_a_schedule_can_do_without() -> None:
    assert walks(layer(lif(3), schedule=nirjax.Schedule(fused="never"))) == 0


@pytest.mark.parametrize("missing", ["llvmlite", "the interface"])
def test_without_it_there_is_the_scan(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "llvmlite":
        monkeypatch.setattr(machine_code.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(machine_code, "interface_version", lambda: (0, 99))
    machine_code.available.cache_clear()
    try:
        assert walks(layer(lif(3))) == 0
    finally:
        monkeypatch.undo()
        machine_code.available.cache_clear()


def test_the_interface_says_its_version() -> None:
    major, minor = machine_code.interface_version()
    assert (major, minor) >= (0, 3)


def test_threads_may_lower_the_same_program() -> None:
    def step(constants: Any, carry: Any, rows: Any) -> Any:
        return carry, [rows[0] * 0.1234567]  # that no other test has

    def lowered(_: int) -> str:
        x = jnp.ones((3, 40))
        return jax.jit(functools.partial(cpu.as_kernel, step)).lower([], [x[0]], [x]).as_text()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lowered, range(8)))) == 1


def test_an_exported_program_runs_where_there_is_no_such_thing() -> None:
    model = layer(lif(3))
    exported = jax.export.export(jax.jit(lambda x: model(x)[0]))(X)
    assert TARGET not in exported.mlir_module()
    x = jax.random.uniform(jax.random.key(1), X.shape, maxval=40)
    np.testing.assert_array_equal(exported.call(x), model(x)[0])


def test_blocks_of_any_length_give_the_same_bits() -> None:
    x = jax.random.normal(jax.random.key(2), (12, 4, 3)) * 20
    membranes = [
        layer(cubalif(3), schedule=block).run(x, record=["neuron.v"]).traces["neuron.v"] for block in (1, 3, 5, 12)
    ]
    for membrane in membranes[1:]:
        np.testing.assert_array_equal(membrane, membranes[0])


@pytest.mark.usefixtures("x64")
def test_float64_runs_as_machine_code_and_bfloat16_as_a_scan() -> None:
    assert walks(layer(lif(3), dtype="float64"), jax.ShapeDtypeStruct((10, 3), np.float64)) == 2
    assert walks(layer(lif(3), dtype="bfloat16"), jax.ShapeDtypeStruct((10, 3), jnp.bfloat16)) == 0
