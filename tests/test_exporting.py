"""A graph that goes through a model comes out as it was, but for what was trained."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import affine, conv2d, filled, graph, lif, linear, ports, spikes

import nirjax
from nirjax.errors import NIRWarning, ParameterError
from nirjax.ir import nodes as ir
from nirjax.ir.digest import content_digest
from nirjax.ir.graph import NIRGraph

DATA = Path(__file__).parent / "data"
FRAMEWORKS = ("norse", "rockpool", "sinabs", "snntorch", "spikingjelly", "spyx")


def odd() -> NIRGraph:
    """Every kind of source: float64 that float32 cannot hold, float16, integers, scalars, nested graphs, metadata."""
    inner = graph({**ports(), "w": linear(seed=3), "s": ir.Scale(np.float64(0.1))}, "in w s out")
    third = np.full(3, 1 / 3)
    fc = ir.Affine(np.random.default_rng(0).normal(size=(3, 3)), np.zeros(3, np.int64))
    neuron = ir.LIF(third * 9, third, third, third, third, metadata={"layer": "first", "rate": np.float64(0.2)})
    nodes = {"out": ir.Output((3,)), "fc": fc, "lif": neuron, "half": ir.Scale(np.float16([1, 2, 3]))}
    nodes |= {"whole": ir.Linear(np.eye(3, dtype=np.int32)), "sub": inner, "in": ir.Input((3,))}
    made = graph(nodes, "lif sub half whole out", "in fc lif")
    return dataclasses.replace(made, metadata={"author": "someone", "deep": {"list": [1, 2]}})


def same_bits(a: Any, b: Any) -> bool:
    """Names, order, edges, types, dtypes, shapes, every bit of the values, and metadata."""
    if isinstance(a, ir.NIRNode):
        fields = [*a.field_names(), "metadata"]
        return type(a) is type(b) and all(same_bits(getattr(a, name), getattr(b, name)) for name in fields)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return bool(a == b)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_untouched_model_exports_its_source_bit_for_bit(dtype: str) -> None:
    source = odd()
    model = nirjax.from_nir(source, dt=1, dtype=dtype)
    model(spikes(4, 3))
    assert same_bits(nirjax.to_nir(model), odd())


@pytest.mark.usefixtures("x64")
def test_a_float64_model_exports_its_source_bit_for_bit() -> None:
    assert same_bits(nirjax.to_nir(nirjax.from_nir(odd(), dt=1, dtype="float64")), odd())


def test_a_model_that_went_through_jax_exports_its_source_bit_for_bit() -> None:
    model = nirjax.from_nir(odd(), dt=1)
    for passed in (
        jax.jit(lambda model: model)(model),
        jax.tree.map(lambda leaf: leaf + 0, model),
        jax.tree.unflatten(*reversed(jax.tree.flatten(model))),
        jax.device_put(model),
        model.replace(schedule=3),
        jax.tree.map(np.asarray, model),
    ):
        assert same_bits(nirjax.to_nir(passed), odd())


def changed(model: nirjax.Model, name: str, change: Any) -> nirjax.Model:
    node, _, field = name.rpartition(".")
    params = {**model.params, node: {**model.params[node], field: change(model.params[node][field])}}
    return model.replace(params=params)


TRAINED = [("lif.tau", "float64"), ("half.scale", "float16"), ("sub.w.weight", "float32")]


@pytest.mark.parametrize(("name", "dtype"), TRAINED)
def test_a_trained_parameter_takes_its_source_s_dtype_and_nothing_else_changes(name: str, dtype: str) -> None:
    source = odd()
    model = changed(nirjax.from_nir(source, dt=1), name, lambda leaf: leaf * 1.5)
    exported = nirjax.to_nir(model)
    *path, field = name.split(".")
    before, after = source, exported
    for step in path:
        assert list(after.nodes) == list(before.nodes)
        assert after.edges == before.edges
        others = [other for other in before.nodes if other != step]
        assert all(after.nodes[other] is before.nodes[other] for other in others)
        before, after = before.nodes[step], after.nodes[step]
    assert getattr(after, field).dtype == dtype
    expected = np.float32(getattr(before, field)) * np.float32(1.5)
    np.testing.assert_array_equal(getattr(after, field), expected.astype(dtype))
    for other in before.field_names():
        assert other == field or getattr(after, other) is getattr(before, other)
    assert same_bits(dict(after.metadata), dict(before.metadata))
    assert same_bits(dict(exported.metadata), dict(source.metadata))
    assert same_bits(source, odd())


def test_a_trained_scalar_stays_a_scalar() -> None:
    model = changed(nirjax.from_nir(odd(), dt=1), "sub.s.scale", lambda leaf: leaf - 1)
    assert model.params["sub.s"]["scale"].shape == ()
    scale = nirjax.to_nir(model).nodes["sub"].nodes["s"].scale
    assert (scale.shape, scale.dtype) == ((), np.float64)
    assert float(scale) == np.float32(np.float32(0.1) - 1)


def test_a_trained_integer_goes_out_as_float32_with_a_warning() -> None:
    model = changed(nirjax.from_nir(odd(), dt=1), "whole.weight", lambda leaf: leaf + 0.25)
    with pytest.warns(NIRWarning, match=r"'whole\.weight' holds int32"):
        exported = nirjax.to_nir(model)
    assert exported.nodes["whole"].weight.dtype == np.float32
    np.testing.assert_array_equal(exported.nodes["whole"].weight, np.eye(3) + 0.25)
    assert exported.nodes["fc"].bias.dtype == np.int64


def test_what_is_added_and_taken_back_is_the_source_again() -> None:
    model = nirjax.from_nir(odd(), dt=1)
    there = changed(model, "lif.tau", lambda leaf: leaf * 2)
    back = changed(there, "lif.tau", lambda leaf: leaf / 2)
    assert same_bits(nirjax.to_nir(back), odd())


def test_ports_that_were_added_to_run_are_not_written() -> None:
    bare = graph({"fc": affine(), "lif": lif()}, "fc lif")
    model = changed(nirjax.from_nir(bare, dt=1), "fc.bias", lambda leaf: leaf + 1)
    exported = nirjax.to_nir(model)
    assert list(exported.nodes) == ["fc", "lif"]
    assert exported.edges == bare.edges


def test_names_with_dots_find_their_way_back() -> None:
    inner = graph({**ports(), "lif": lif()}, "in lif out")
    made = graph({**ports(), "sub": inner, "sub.lif": lif(r=4)}, "in sub sub.lif out")
    model = changed(nirjax.from_nir(made, dt=1), "sub/lif.r", lambda leaf: leaf + 1)
    exported = nirjax.to_nir(changed(model, "sub.lif.tau", lambda leaf: leaf + 1))
    assert exported.nodes["sub.lif"].tau[0] == 3
    assert exported.nodes["sub.lif"].r[0] == 4
    assert exported.nodes["sub"].nodes["lif"].r[0] == 3


@pytest.mark.parametrize(("name", "value"), [("lif.tau", -1.0), ("lif.v_threshold", jnp.nan), ("fc.weight", jnp.inf)])
def test_a_value_that_nir_does_not_allow_names_node_and_field(name: str, value: float) -> None:
    made = graph({**ports(), "fc": affine(), "lif": lif()}, "in fc lif out")
    model = changed(nirjax.from_nir(made, dt=1), name, lambda leaf: leaf.at[(0,) * leaf.ndim].set(value))
    with pytest.raises(ParameterError) as caught:
        nirjax.to_nir(model)
    assert f"{caught.value.node}.{caught.value.field}" == name


def test_an_edge_that_appears_twice_is_kept_and_not_warned_of_again() -> None:
    with pytest.warns(NIRWarning):
        made = graph({**ports(), "fc": affine()}, "in fc out", "in fc")
    exported = nirjax.to_nir(changed(nirjax.from_nir(made, dt=1), "fc.bias", lambda leaf: leaf + 1))
    assert exported.edges == made.edges


def test_provenance_is_added_only_when_asked_for() -> None:
    model = changed(nirjax.from_nir(odd(), dt=0.5), "lif.tau", lambda leaf: leaf * 2)
    assert "nirjax" not in nirjax.to_nir(model).metadata
    metadata = nirjax.to_nir(model, provenance=True).metadata
    assert metadata["author"] == "someone"
    assert metadata["nirjax"] == {
        "version": nirjax.__version__, "dt": 0.5, "dialect": "nir()", "trained": "lif.tau",
        "parent": content_digest(model.graph),
    }  # fmt: skip


def test_what_is_exported_runs_as_the_model_does() -> None:
    nodes = {"in": ir.Input((2, 4, 4)), "conv": conv2d(), "li": filled(ir.LI, (2, 4, 4), tau=2, r=1, v_leak=0)}
    model = nirjax.from_nir(graph(nodes | {"out": ir.Output((2, 4, 4))}, "in conv li out"), dt=1)
    model = jax.tree.map(lambda leaf: leaf * 1.1, model)
    x = spikes(4, 2, 4, 4)
    np.testing.assert_array_equal(nirjax.from_nir(nirjax.to_nir(model), dt=1)(x)[0], model(x)[0])


@pytest.mark.parametrize("folder", ["battery", *(f"golden/{name}" for name in FRAMEWORKS)])
def test_files_come_back_from_a_round_trip(folder: str, tmp_path: Path) -> None:
    files = sorted((DATA / folder).rglob("*.nir"))
    assert len(files) >= 10
    for path in files:
        assert_round_trip(path, tmp_path / "again.nir")


def test_the_paper_s_files_come_back_from_a_round_trip(paper: Path, tmp_path: Path) -> None:
    for path in sorted(paper.glob("*.nir")):
        assert_round_trip(path, tmp_path / "again.nir")


def assert_round_trip(path: Path, copy: Path) -> None:
    """Read, run-ready, exported, written, read: the content is that of the file, or of the file as it was mended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NIRWarning)  # mends, and time constants that are short for this dt
        graph = nirjax.read(path, repair=True, trusted=True)
        model = nirjax.from_nir(graph, dt=1e-4)
        nirjax.write(copy, nirjax.to_nir(model))
        assert nirjax.diff(nirjax.read(copy, trusted=True), graph) == [], path
