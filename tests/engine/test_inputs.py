"""What a model is given: any real dtype, one array or a dict; and errors that say what was wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nirjax
from engine.graphs import affine, graph, lif, linear, ports, spikes
from nirjax.errors import ArgumentError, DataError, ParameterError, ShapeError
from nirjax.ir import nodes as ir


def recurrent() -> nirjax.Model:
    made = graph({**ports(), "lif": lif(), "rec": affine()}, "in lif out", "lif rec lif")
    return nirjax.from_nir(made, dt=1)


def two_ports() -> nirjax.Model:
    nodes = {"a": ir.Input((3,)), "b": ir.Input((2, 2)), "flat": ir.Flatten(None, 0, -1), "fc": linear(3, 4)}
    nodes |= {"lif": lif(), "y": ir.Output((3,)), "z": ir.Output((4,))}
    return nirjax.from_nir(graph(nodes, "a lif y", "b flat fc lif", "flat z"), dt=1)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.zeros((5, 4)), "(5, 4)"),
        (np.zeros((3,)), "(3,)"),
        (np.zeros((3, 5)), "(3, 5)"),
        (np.zeros(()), "()"),
        (1.0, "()"),
    ],
)
def test_a_wrong_input_shape_names_the_input(x: Any, found: str) -> None:
    with pytest.raises(ShapeError, match=r"\(time, \*batch, 3\)") as caught:
        recurrent()(x)
    assert caught.value.node == "in"
    assert found in str(caught.value)


def test_a_step_has_no_time_axis() -> None:
    model = recurrent()
    with pytest.raises(ShapeError):
        model.step(np.zeros((4,)), model.init_state())
    y, _ = model.step(np.zeros((2, 3)), model.init_state((2,)))
    assert y.shape == (2, 3)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float16, np.float32])
def test_numbers_of_any_real_type(dtype: Any) -> None:
    x = spikes(6, 3)
    y, _ = recurrent()(x.astype(dtype))
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, recurrent()(x)[0])


def test_a_complex_input() -> None:
    with pytest.raises(DataError, match="real") as caught:
        recurrent()(np.zeros((5, 3), np.complex64))
    assert caught.value.node == "in"


def test_several_inputs_and_outputs_are_dicts() -> None:
    x = {"b": spikes(5, 7, 2, 2), "a": spikes(5, 7, 3)}
    y, _ = two_ports()(x)
    assert {name: value.shape for name, value in y.items()} == {"y": (5, 7, 3), "z": (5, 7, 4)}
    np.testing.assert_array_equal(y["z"], x["b"].reshape(5, 7, 4))


def test_one_input_may_be_a_dict() -> None:
    x = spikes(5, 3)
    np.testing.assert_array_equal(recurrent()({"in": x})[0], recurrent()(x)[0])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((5, 3)), DataError, "several inputs.*'a', 'b'"),
        ({"a": np.zeros((5, 3))}, DataError, "'a', 'b'"),
        ({"a": np.zeros((5, 3)), "b": np.zeros((5, 2, 2)), "c": np.zeros(5)}, DataError, "'a', 'b'"),
        ({"a": np.zeros((5, 3)), "b": np.zeros((6, 2, 2))}, ShapeError, "time or batch"),
        ({"a": np.zeros((5, 1, 3)), "b": np.zeros((5, 2, 2))}, ShapeError, "time or batch"),
    ],
)
def test_inputs_that_are_not_the_graph_s(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        two_ports()(x)


def test_a_state_of_another_batch_or_model() -> None:
    model, x = recurrent(), spikes(4, 2, 3)
    with pytest.raises(ShapeError, match="init_state") as caught:
        model(x, model.init_state((5,)))
    assert (caught.value.node, caught.value.field) in [("lif", "v"), ("rec -> lif", "register")]
    with pytest.raises(ShapeError, match="rec -> lif"):
        model(x, {"lif": {"v": np.zeros((2, 3))}})
    with pytest.raises(ShapeError, match="state"):
        model(x, two_ports().init_state((2,)))
    with pytest.raises(ShapeError):
        model(x, {"lif": {}, "rec -> lif": {"register": np.zeros((2, 3))}})


@pytest.mark.parametrize(
    "held",
    [
        {"v": np.zeros((2, 3)), "i": np.zeros((2, 3))},
        {"v": np.zeros((2, 3), np.complex64)},
        {"v": None},
        {"v": "abc"},
        np.zeros((2, 3)),
    ],
    ids=["another variable", "complex", "none", "a word", "no variables"],
)
def test_a_state_that_is_none_names_the_node(held: Any) -> None:
    model, x = recurrent(), spikes(4, 2, 3)
    with pytest.raises(ShapeError) as caught:
        model(x, {**model.init_state((2,)), "lif": held})
    assert caught.value.node == "lif"


@pytest.mark.parametrize("x", ["abc", np.array([["a"] * 3]), np.full((4, 3), None), np.zeros((4, 3), "M8[s]")])
def test_an_input_that_is_no_array_of_numbers_names_the_input(x: Any) -> None:
    model = recurrent()
    for run in (model, lambda x: nirjax.first_nonfinite(model, x)):
        with pytest.raises(DataError, match="not an array of numbers") as caught:
            run(x)
        assert (caught.value.node, caught.value.field) == (model.program.plan.inputs[0], "x")


def test_nothing_as_an_input_names_the_input() -> None:
    model = recurrent()
    for x in (None, {model.program.plan.inputs[0]: None}, np.ones((4, 3), np.complex64)):
        with pytest.raises(DataError) as caught:
            model(x)
        assert (caught.value.node, caught.value.field) == (model.program.plan.inputs[0], "x")


def test_what_is_no_number_is_named_where_it_is() -> None:
    model, x = recurrent(), spikes(4, 3)
    with pytest.raises(ShapeError, match="not an array of numbers") as caught:
        model(x, "a state")
    assert (caught.value.node, caught.value.field) == (None, "state")
    with pytest.raises(ParameterError) as wrong:
        model.replace(params={**model.params, "rec": {**model.params["rec"], "weight": "a"}})(x)
    assert (wrong.value.node, wrong.value.field) == ("rec", "weight")


@pytest.mark.parametrize("shape", [(-1,), "ab", (1.5,), (None,)])
def test_a_batch_shape_that_is_none(shape: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        recurrent().init_state(shape)
    assert caught.value.field == "batch_shape"


@pytest.mark.parametrize(
    "weight",
    [None, "abc", np.ones((3, 4)), np.ones(7), np.ones((3, 3), np.complex64), 1.0],
    ids=["none", "a word", "shape", "rank", "complex", "scalar"],
)
def test_parameters_that_are_not_the_model_s_name_node_and_field_whoever_put_them_there(weight: Any) -> None:
    """At trace time, in any transformation; not only in `replace`, which looks at them as well."""
    model, x = recurrent(), spikes(4, 3)
    other = nirjax.Model({**model.params, "rec": {**model.params["rec"], "weight": weight}}, model.program)
    for run in (
        other,
        jax.jit(other.__call__),
        lambda x: jax.eval_shape(other, x),
        lambda x: nirjax.first_nonfinite(other, x),
    ):
        with pytest.raises(ParameterError) as caught:
            run(x)
        assert caught.value.node == "rec"


def test_parameters_of_another_real_type_are_the_model_s() -> None:
    model, x = recurrent(), spikes(4, 3)
    whole = jax.tree.map(lambda leaf: jnp.round(leaf), model)
    for dtype in (np.int32, np.float16):
        np.testing.assert_array_equal(jax.tree.map(lambda leaf, to=dtype: leaf.astype(to), whole)(x)[0], whole(x)[0])


def test_a_state_can_be_saved_and_restored() -> None:
    """Names are stable and leaves are float arrays, so that an .npz holds a state."""
    model, x = recurrent(), spikes(4, 2, 3)
    _, state = model(x)
    saved = {f"{node}/{name}": np.asarray(value) for node, held in state.items() for name, value in held.items()}
    assert sorted(saved) == ["lif/v", "rec -> lif/register"]
    assert all(value.dtype == np.float32 for value in saved.values())
    restored = {"rec -> lif": {"register": saved["rec -> lif/register"]}, "lif": {"v": saved["lif/v"]}}
    np.testing.assert_array_equal(model(x, restored)[0], model(x, state)[0])
