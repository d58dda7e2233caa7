"""The model as a pytree and as a pure function: what JAX's transformations make of it, dtypes, and its arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nirjax
from engine.graphs import affine, conv2d, cubalif, filled, graph, if_, lif, linear, ports, spikes
from nirjax.errors import ArgumentError, NIRWarning, ParameterError
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph


def recurrent() -> NIRGraph:
    nodes = {**ports(), "fc": affine(), "lif": cubalif(), "rec": affine(seed=5)}
    return graph(nodes, "in fc lif out", "lif rec lif")


@pytest.fixture
def model() -> nirjax.Model:
    return nirjax.from_nir(recurrent(), dt=1)


# ------------------------------------------------------------------------------------------------------- a pytree


def test_the_leaves_are_the_real_parameters(model: nirjax.Model) -> None:
    assert len(jax.tree.leaves(model)) == len(model.parameters) == 4 + 7
    assert {f"{node}.{field}" for node, fields in model.params.items() for field in fields} == set(model.parameters)
    assert model.params["lif"]["tau_syn"].dtype == jnp.float32
    np.testing.assert_array_equal(model.params["fc"]["weight"], model.graph.nodes["fc"].weight)


def test_strides_paddings_and_shapes_are_no_leaves() -> None:
    made = graph({"in": ir.Input((2, 4, 4)), "conv": conv2d(), "out": ir.Output((2, 4, 4))}, "in conv out")
    assert nirjax.from_nir(made, dt=1).parameters == ("conv.weight", "conv.bias")


def test_it_goes_in_and_out_of_jitted_functions(model: nirjax.Model) -> None:
    doubled = jax.jit(lambda model: jax.tree.map(lambda leaf: 2 * leaf, model))(model)
    assert isinstance(doubled, nirjax.Model)
    assert doubled.program is model.program
    np.testing.assert_array_equal(doubled.params["fc"]["bias"], 2 * model.params["fc"]["bias"])


def test_the_state_has_one_float_leaf_for_each_variable_and_register(model: nirjax.Model) -> None:
    state = model.init_state((4, 2))
    assert {name: set(held) for name, held in state.items()} == {"lif": {"v", "i"}, "rec -> lif": {"register"}}
    assert all(leaf.shape == (4, 2, 3) and leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
    _, after = model(spikes(3, 4, 2, 3))
    assert jax.tree.structure(after) == jax.tree.structure(state)


# ------------------------------------------------------------------------------------------------- transformations


def test_jit(model: nirjax.Model) -> None:
    x = spikes(8, 2, 3)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(lambda model, x: model(x))(model, x), model(x))


def test_batch_axes_are_vmap(model: nirjax.Model) -> None:
    x = spikes(8, 2, 3, 3)
    y, state = model(x)
    assert y.shape == (8, 2, 3, 3)
    assert state["lif"]["v"].shape == (2, 3, 3)
    mapped, last = jax.vmap(jax.vmap(model, in_axes=1, out_axes=(1, 0)), in_axes=1, out_axes=(1, 0))(x)
    np.testing.assert_array_equal(mapped, y)
    jax.tree.map(np.testing.assert_array_equal, last, state)
    for a in range(2):
        np.testing.assert_array_equal(model(x[:, a, 0])[0], y[:, a, 0])


def test_vmap_over_parameters(model: nirjax.Model) -> None:
    x = spikes(8, 3)
    models = [jax.tree.map(lambda leaf, k=k: leaf * k, model) for k in (0.5, 1, 1.5)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    y = jax.vmap(lambda model: model(x)[0])(stacked)
    np.testing.assert_array_equal(y, [one(x)[0] for one in models])


class Directions:
    """A loss of the model's output, and its derivatives along one random direction of the parameters."""

    def __init__(self, time: int, nodes: str = "in fc lif out") -> None:
        """With a wide surrogate, so that there are second derivatives."""
        choices: dict[str, Any] = {"dtype": "float64", "surrogate": nirjax.surrogate.sigmoid(2)}
        self.model = nirjax.from_nir(
            graph({**ports(), "fc0": affine(seed=3), "fc": affine(), "lif": lif()}, *nodes.split("|")), dt=1, **choices
        )
        self.x, self.weights = spikes(time, 3), np.random.default_rng(0).normal(size=(time, 3))
        random = np.random.default_rng(1)
        self.direction = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape)), self.model)

    def loss(self, model: nirjax.Model) -> jax.Array:
        return jnp.sum(model(self.x)[0] * self.weights)

    def forward(self, model: nirjax.Model) -> jax.Array:
        return jax.jvp(self.loss, (model,), (self.direction,))[1]

    def reverse(self, model: nirjax.Model) -> Any:
        product = jax.tree.map(lambda a, b: jnp.sum(a * b), jax.grad(self.loss)(model), self.direction)
        return sum(jax.tree.leaves(product))

    def twice(self, first: Any) -> jax.Array:
        return jax.jit(lambda model: jax.jvp(first, (model,), (self.direction,))[1])(self.model)


@pytest.mark.usefixtures("x64")
def test_forward_and_reverse_mode_agree() -> None:
    along = Directions(time=4)
    forward, reverse = jax.jit(lambda model: (along.forward(model), along.reverse(model)))(along.model)
    assert abs(forward) > 1e-3
    np.testing.assert_allclose(reverse, forward, rtol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("time", "nodes"),
    [
        (1, "in fc lif out"),
        (4, "in fc lif out"),
        (4, "in lif out|lif fc lif"),
        (4, "in fc0 lif out|lif fc lif"),
    ],
    ids=["a step", "a layer", "a cycle", "a cycle that moving inputs enter"],
)
def test_forward_mode_over_reverse_mode_agrees_with_forward_over_forward(time: int, nodes: str) -> None:
    along = Directions(time, nodes)
    second = along.twice(along.forward)
    assert abs(second) > 1e-3
    np.testing.assert_allclose(along.twice(along.reverse), second, rtol=1e-10)


def test_a_gradient_reaches_every_parameter_and_the_initial_state(model: nirjax.Model) -> None:
    wide = model.replace(surrogate=nirjax.surrogate.atan(1))
    x, state = spikes(6, 3), wide.init_state()
    weights = np.random.default_rng(0).normal(size=(6, 3))
    gradient, early = jax.grad(lambda model, state: jnp.sum(model(x, state)[0] * weights), (0, 1))(wide, state)
    assert all(np.count_nonzero(leaf) for leaf in jax.tree.leaves((gradient, early)))


def test_parameters_that_are_none_are_neither_seen_nor_paid_for(model: nirjax.Model) -> None:
    """A model of which half the leaves are None, as a partition makes it, is put together before it runs."""
    weights = {"fc": {"weight": model.params["fc"]["weight"]}, "rec": {"weight": model.params["rec"]["weight"]}}

    def loss(weights: Any) -> jax.Array:
        params = {name: {**fields, **weights.get(name, {})} for name, fields in model.params.items()}
        return model.replace(params=params)(spikes(5, 3))[0].sum()

    gradient = jax.grad(loss)(weights)
    assert jax.tree.structure(gradient) == jax.tree.structure(weights)


SHARDED = """
import jax, numpy as np, nirjax
from engine.test_model import recurrent
from engine.graphs import spikes
from jax.sharding import Mesh, NamedSharding, PartitionSpec
devices = jax.devices()
assert len(devices) == 2
model, x = nirjax.from_nir(recurrent(), dt=1), spikes(6, 4, 3)
cut = jax.device_put(x, NamedSharding(Mesh(devices, "batch"), PartitionSpec(None, "batch")))
y, state = model(cut)
assert y.sharding.is_equivalent_to(cut.sharding, 3), y.sharding
assert np.array_equal(y, model(x)[0])
print("equal")
"""


def test_a_batch_over_two_devices_gives_what_one_device_gives() -> None:
    tests = Path(__file__).parents[1]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    environment = os.environ | flags | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    done = subprocess.run([sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr


# ------------------------------------------------------------------------------------------------ lengths and types


def every_primitive() -> NIRGraph:
    nodes = {"in": ir.Input((2, 4, 4)), "conv": conv2d(), "if": if_((2, 4, 4)), "pool": ir.AvgPool2d(2, 2, 0)}
    nodes |= {"flat": ir.Flatten(None, 0, -1), "fc": affine(3, 8), "lif": lif(), "rec": linear(seed=4)}
    nodes |= {"out": ir.Output((3,)), "delay": ir.Delay(np.float32([0, 1.5, 3])), "scale": filled(ir.Scale, scale=0.5)}
    nodes |= {"cuba": cubalif(), "sum": ir.SumPool2d(2, 2, 0), "threshold": filled(ir.Threshold, 8, threshold=0.5)}
    paths = ("in conv if pool flat threshold fc lif delay scale cuba out", "lif rec lif", "if sum flat")
    return graph(nodes, *paths)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_no_time_steps_and_one(batch: tuple[int, ...]) -> None:
    model = nirjax.from_nir(every_primitive(), dt=1)
    x = spikes(1, *batch, 2, 4, 4)
    run = model.run(x[:0], record=["*.v", "*.output"])
    assert run.output.shape == (0, *batch, 3)
    assert all(trace.shape[: 1 + len(batch)] == (0, *batch) for trace in run.traces.values())
    jax.tree.map(np.testing.assert_array_equal, run.state, model.init_state(batch))
    y, state = model(x)
    assert y.shape == (1, *batch, 3)
    y_t, state_t = model.step(x[0], model.init_state(batch))
    np.testing.assert_array_equal(y[0], y_t)
    jax.tree.map(np.testing.assert_array_equal, state, state_t)


def test_a_batch_of_none() -> None:
    y, _ = nirjax.from_nir(recurrent(), dt=1)(np.zeros((5, 0, 3)))
    assert y.shape == (5, 0, 3)


def test_half_precision_runs_every_primitive() -> None:
    """On a binary grid half precision loses nothing, so the numbers are those of float32."""
    model = nirjax.from_nir(every_primitive(), dt=1, dtype="bfloat16")
    x = spikes(6, 2, 4, 4)
    y, state = model(x)
    assert {leaf.dtype for leaf in jax.tree.leaves((model, y, state))} == {jnp.dtype("bfloat16")}
    np.testing.assert_array_equal(y, nirjax.from_nir(every_primitive(), dt=1)(x)[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_backward(dtype: str) -> None:
    model = nirjax.from_nir(recurrent(), dt=1, dtype=dtype)
    gradient = jax.grad(lambda model: model(spikes(6, 3))[0].sum())(model)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(dtype)}
    assert all(np.isfinite(leaf.astype(np.float32)).all() for leaf in jax.tree.leaves(gradient))


def test_products_of_rounded_factors_lose_nothing_on_a_binary_grid() -> None:
    x = spikes(6, 2, 4, 4)
    model = nirjax.from_nir(every_primitive(), dt=1)
    rounded = model.replace(product_dtype="bfloat16")
    y, state = rounded(x)
    assert {leaf.dtype for leaf in jax.tree.leaves((rounded, y, state))} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(y, model(x)[0])


def off_the_grid(seed: int = 0) -> nirjax.Model:
    """The recurrent model, with weights that take more digits than bfloat16 has."""
    model = nirjax.from_nir(recurrent(), dt=1)
    keys = iter(jax.random.split(jax.random.key(seed), 2))
    params = {name: dict(fields) for name, fields in model.params.items()}
    for name in ("fc", "rec"):
        params[name]["weight"] += 0.1 * jax.random.normal(next(keys), params[name]["weight"].shape)
    return model.replace(params=params)


def test_rounded_factors_are_rounded_weights_where_the_input_is_spikes() -> None:
    model, x = off_the_grid(), spikes(12, 4, 3)
    params = {name: dict(fields) for name, fields in model.params.items()}
    for name in ("fc", "rec"):
        params[name]["weight"] = params[name]["weight"].astype(jnp.bfloat16).astype(jnp.float32)

    def run(model: nirjax.Model) -> Any:
        def loss(model: nirjax.Model) -> Any:
            run = model.run(x, record="*.output")
            return jnp.sum(run.output * jnp.arange(12)[:, None, None]), run.traces

        (_, traces), gradient = jax.value_and_grad(loss, has_aux=True)(model)
        return traces, gradient.params

    traces, gradients = run(model.replace(product_dtype="bfloat16"))
    expected, wanted = run(model.replace(params=params))
    for name, trace in traces.items():
        np.testing.assert_allclose(trace, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)
    assert np.abs(traces["fc.output"] - run(model)[0]["fc.output"]).max() > 1e-4
    jax.tree.map(lambda found, other: np.testing.assert_allclose(found, other, rtol=0.03, atol=0.03), gradients, wanted)


def test_rounded_factors_in_forward_mode_and_whatever_the_schedule() -> None:
    model, x = off_the_grid().replace(product_dtype="bfloat16"), spikes(6, 2, 3)
    tangents = jax.tree.map(jnp.ones_like, model)
    y, dy = jax.jvp(lambda model: model(x)[0], (model,), (tangents,))
    assert np.isfinite(dy).all()
    assert np.any(dy != 0)
    for block in (1, 4):
        np.testing.assert_array_equal(model.replace(schedule=block)(x)[0], y)


@pytest.mark.usefixtures("x64")
def test_double_precision() -> None:
    model = nirjax.from_nir(every_primitive(), dt=1, dtype="float64")
    y, state = model(spikes(6, 2, 4, 4))
    assert {leaf.dtype for leaf in jax.tree.leaves((model, y, state))} == {jnp.dtype("float64")}
    assert nirjax.from_nir(every_primitive(), dt=1)(spikes(6, 2, 4, 4))[0].dtype == jnp.float32


# ------------------------------------------------------------------------------------------------------- arguments


def test_a_missing_dt_quotes_what_the_parameters_hint_at() -> None:
    counting = graph({**ports(), "if": if_()}, "in if out")
    (hint, *_) = nirjax.suggest_dt(counting)
    with pytest.raises(ArgumentError) as caught:
        nirjax.from_nir(counting)
    assert caught.value.field == "dt"
    assert str(hint) in str(caught.value)
    with pytest.raises(ArgumentError, match="exporter"):
        nirjax.from_nir(graph({**ports(), "fc": affine()}, "in fc out"))


@pytest.mark.parametrize("dt", [0, -1e-3, float("nan"), float("inf"), True, "1e-4", [1e-4]])
def test_a_dt_that_is_no_time_step(dt: Any) -> None:
    with pytest.raises(ArgumentError, match="dt"):
        nirjax.from_nir(recurrent(), dt=dt)


@pytest.mark.parametrize("dt", [1, 1.0, np.float32(1), np.int64(1)])
def test_a_dt_may_be_any_number(dt: Any) -> None:
    assert nirjax.from_nir(recurrent(), dt=dt).dt == 1.0


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"dialect": "norsk"}, "one of nir"),
        ({"dialect": "nir(reset='zero')"}, "nir"),
        ({"dialect": "__import__('os')"}, "dialect"),
        ({"dialect": 3}, "dialect"),
        ({"surrogate": "atan"}, "surrogate"),
        ({"surrogate": jnp.tanh}, "surrogate"),
        ({"dtype": "int32"}, "floating"),
        ({"dtype": "float64"}, "jax_enable_x64"),
        ({"product_dtype": "int8"}, "narrower than float32"),
        ({"product_dtype": "float64"}, "narrower than float32"),
        ({"product_dtype": "float16", "dtype": "bfloat16"}, "narrower than bfloat16"),
        ({"schedule": "fast"}, "schedule"),
        ({"primitives": [lif()]}, "Primitive"),
    ],
)
def test_a_choice_that_cannot_be(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        nirjax.from_nir(recurrent(), dt=1, **choice)


def test_a_reference_graph_and_a_path_are_taken(tmp_path: Path) -> None:
    x = spikes(6, 3)
    expected, _ = nirjax.from_nir(recurrent(), dt=1)(x)
    nirjax.write(tmp_path / "graph.nir", recurrent())
    for given in (recurrent().to_reference(), tmp_path / "graph.nir", str(tmp_path / "graph.nir")):
        np.testing.assert_array_equal(nirjax.from_nir(given, dt=1)(x)[0], expected)


def test_what_a_model_tells_of_itself(model: nirjax.Model) -> None:
    assert model.dt == 1.0
    assert model.dialect.name == "nir()"
    assert model.feedback == (("rec", "lif"),)
    assert list(model.graph.nodes) == ["in", "out", "fc", "lif", "rec"]


# --------------------------------------------------------------------------------------------------------- replace


def test_other_choices_keep_the_parameters(model: nirjax.Model) -> None:
    x = spikes(6, 3)
    tuned = jax.tree.map(lambda leaf: leaf * 1.25, model)
    for change in ({"schedule": 2}, {"surrogate": nirjax.surrogate.atan()}):
        other = tuned.replace(**change)
        np.testing.assert_array_equal(other(x)[0], tuned(x)[0])
        assert other.program != tuned.program
    halved = tuned.replace(dt=0.5)
    assert halved.dt == 0.5
    np.testing.assert_array_equal(halved.params["lif"]["tau_syn"], tuned.params["lif"]["tau_syn"])
    assert tuned.replace(dtype="bfloat16").params["fc"]["weight"].dtype == jnp.bfloat16


def test_other_choices_keep_what_factors_are_rounded_to(model: nirjax.Model) -> None:
    rounded = model.replace(product_dtype="bfloat16")
    for change in ({"schedule": 2}, {"surrogate": nirjax.surrogate.atan()}, {"dt": 0.5}):
        assert rounded.replace(**change).program.product_dtype == jnp.bfloat16
    assert rounded.replace(product_dtype=None).program == model.program
    assert rounded.replace(product_dtype="float32").program == model.program
    assert rounded.replace(dtype="bfloat16").program.product_dtype is None


def test_other_choices_keep_the_feedback_and_the_overrides() -> None:
    nodes = {**ports((1,)), "a": if_(1, v_threshold=0.9), "b": if_(1, v_threshold=0.9)}
    overrides = {"a": {"reset": "subtract"}}
    model = nirjax.from_nir(graph(nodes, "in a b out", "b a"), dt=1, feedback=[("a", "b")], overrides=overrides)
    for change in ({"schedule": 2}, {"surrogate": nirjax.surrogate.atan()}, {"dt": 0.5}):
        other = model.replace(**change)
        assert other.feedback == (("a", "b"),)
        assert other.dialect.of("a", "IF", True).reset == "subtract"


def test_a_replacement_of_what_a_model_does_not_have(model: nirjax.Model) -> None:
    with pytest.raises(ArgumentError, match="surrogate"):
        model.replace(surogate=nirjax.surrogate.atan())


def test_parameters_that_are_not_the_model_s(model: nirjax.Model) -> None:
    fc = model.params["fc"]
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({**model.params, "fc": {**fc, "bias": jnp.zeros(4)}}, "fc", "bias"),
        ({**model.params, "fc": {"weight": fc["weight"]}}, "fc", "bias"),
        ({**model.params, "fd": {"weight": fc["weight"]}}, "fd", "weight"),
        ({name: fields for name, fields in model.params.items() if name != "rec"}, "rec", "weight"),
    ]
    for params, node, field in wrong:
        with pytest.raises(ParameterError) as caught:
            model.replace(params=params)
        assert (caught.value.node, caught.value.field) == (node, field)


def test_a_short_time_constant_is_warned_of_again_only_where_dt_changes() -> None:
    made = graph({**ports(), "li": filled(ir.LI, tau=0.5, r=1, v_leak=0)}, "in li out")
    with pytest.warns(NIRWarning, match="shorter"):
        model = nirjax.from_nir(made, dt=1)
    model.replace(surrogate=nirjax.surrogate.atan())
    with pytest.warns(NIRWarning, match="shorter"):
        model.replace(dt=0.75)


BATTERY = Path(__file__).parents[1] / "data" / "battery"


@pytest.mark.parametrize("name", ["p_conv2d_same_even", "p_conv1d", "p_delay", "p_subgraph", "p_flatten_partial"])
def test_time_and_batch_may_stay_open(name: str) -> None:
    """As jax.export asks for; chunks of it give what one run gives."""
    model = nirjax.from_nir(BATTERY / f"{name}.nir", dt=1e-3)
    shape = model.program.plan.sites[model.program.plan.inputs[0]].input_shape
    time, batch = jax.export.symbolic_shape("time, batch")
    x = jax.ShapeDtypeStruct((time, batch, *shape), jnp.float32)
    state = jax.eval_shape(lambda: model.init_state((batch,)))
    forward = jax.export.export(jax.jit(lambda x, state: model(x, state)))(x, state)
    x = (np.random.default_rng(0).random((9, 2, *shape)) < 0.4).astype(np.float32)
    first, state = forward.call(x[:4], model.init_state((2,)))
    second, _ = forward.call(x[4:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), model(x)[0], rtol=1e-6)
