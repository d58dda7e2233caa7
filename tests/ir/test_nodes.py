"""Every node class: sound examples, and every fault of every field, at construction and through a file."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from pathlib import Path

import nir
import numpy as np
import pytest

from ir import raw_files
from ir.examples import FIELDS, Fault, faults, node, python_names
from nirjax.errors import NIRError, ParameterError, ShapeError
from nirjax.ir import nodes as ir
from nirjax.ir.fields import REQUIRED
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read

_FAULTS = list(faults())


def test_the_examples_cover_every_class() -> None:
    assert set(FIELDS) == set(ir.NODE_TYPES)
    assert {fault.kind for fault in _FAULTS} == set(ir.NODE_TYPES)
    fields = {(kind, stored) for kind, cls in ir.NODE_TYPES.items() for stored in python_names(cls)}
    assert {(fault.kind, fault.field) for fault in _FAULTS} == fields


@pytest.mark.parametrize("fault", [f for f in _FAULTS if not f.on_edge], ids=str)
def test_a_fault_is_refused_at_construction(fault: Fault) -> None:
    cls = ir.NODE_TYPES[fault.kind]
    fields = {k: v for k, v in {**FIELDS[fault.kind][0], fault.field: fault.value}.items() if v is not REQUIRED}
    with pytest.raises(ParameterError) as caught:
        cls(**{python_names(cls)[stored]: value for stored, value in fields.items()})
    assert caught.value.field in (fault.field, fault.partner)
    assert fault.field in str(caught.value)


@pytest.mark.parametrize("fault", _FAULTS, ids=str)
def test_a_fault_is_refused_in_a_file(fault: Fault, tmp_path: Path) -> None:
    """The error names the file, the node by its path through a subgraph, and the field."""
    fields, takes, gives = FIELDS[fault.kind]
    fields = {k: v for k, v in {**fields, fault.field: fault.value}.items() if v is not REQUIRED}
    inner = {
        "in": raw_files.node("Input", {"shape": np.array(takes)}),
        "x": raw_files.node(fault.kind, fields),
        "out": raw_files.node("Output", {"shape": np.array(gives)}),
    }
    edges = {"Input": [("x", "out")], "Output": [("in", "x")]}.get(fault.kind, [("in", "x"), ("x", "out")])
    root = raw_files.graph({"sub": raw_files.graph(inner, edges)}, [])
    path = raw_files.save(tmp_path / "spoilt.nir", root)
    with pytest.raises((ParameterError, ShapeError)) as caught:
        read(path, trusted=True)
    assert (caught.value.file, caught.value.node) == (str(path), "sub.x")
    assert caught.value.field in (fault.field, fault.partner)
    assert all(word in str(caught.value) for word in ("spoilt.nir", "sub.x", fault.field))


@pytest.mark.parametrize("kind", FIELDS)
def test_a_sound_node_is_taken(kind: str) -> None:
    sound = node(kind)
    takes, gives = FIELDS[kind][1:]
    assert sound.accepts() in (takes, None)
    assert sound.gives(takes) == gives
    assert kind in repr(sound)


@pytest.mark.parametrize("kind", FIELDS)
def test_fields_are_those_of_the_reference_package(kind: str) -> None:
    theirs = [name for name in inspect.signature(getattr(nir, kind)).parameters if name != "metadata"]
    assert list(ir.NODE_TYPES[kind].field_names()) == theirs


@pytest.mark.parametrize("kind", FIELDS)
def test_a_node_cannot_be_changed(kind: str) -> None:
    sound = node(kind)
    name = sound.field_names()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(sound, name, None)
    value = getattr(sound, name)
    array = value if isinstance(value, np.ndarray) else next(iter(value.values()))
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 0
    with pytest.raises(TypeError):
        sound.metadata["a"] = 1  # type: ignore[index]


def test_what_was_given_is_not_shared() -> None:
    given = np.ones(3, np.float32)
    scale = ir.Scale(given)
    given[0] = 7
    assert scale.scale[0] == 1


@pytest.mark.parametrize("kind", FIELDS)
def test_a_node_survives_pickling_and_copying(kind: str) -> None:
    sound = node(kind)
    for other in (pickle.loads(pickle.dumps(sound)), copy.deepcopy(sound), dataclasses.replace(sound)):
        assert repr(other) == repr(sound)


def test_left_out_parameters_have_the_references_defaults() -> None:
    threshold = np.array([1, 2], np.float64)
    for kind in ("IF", "LIF", "CubaLIF"):
        fields = {name: np.ones(2) for name in ir.NODE_TYPES[kind].parameter_names()} | {"v_threshold": threshold}
        del fields["v_reset"]
        fields.pop("w_in", None)
        made = ir.NODE_TYPES[kind](**fields)
        np.testing.assert_array_equal(made.v_reset, [0, 0])
        assert made.v_reset.dtype == np.float64
        if kind == "CubaLIF":
            np.testing.assert_array_equal(made.w_in, [1, 1])
    assert (ir.Flatten().start_dim, ir.Flatten().end_dim) == (1, -1)


@pytest.mark.parametrize("name", ["w_in", "r"])
def test_a_matrix_for_a_weight_is_refused_with_advice(name: str) -> None:
    with pytest.raises(ParameterError, match="Linear node before") as caught:
        node("CubaLIF", **{name: np.ones((3, 3), np.float32)})
    assert caught.value.field == name


def test_the_odd_one_out_is_named() -> None:
    for name in ir.LIF.parameter_names():
        with pytest.raises(ParameterError) as caught:
            node("LIF", **{name: np.ones(2, np.float32)})
        assert caught.value.field == name


def test_a_single_w_in_suits_any_shape() -> None:
    assert node("CubaLIF", w_in=np.float32(2)).accepts() == (3,)


def test_the_first_offender_is_named_with_its_index() -> None:
    weight = np.zeros((2, 3), np.float32)
    weight[1, 0] = np.nan
    with pytest.raises(ParameterError, match=r"nan at index \[1, 0\]"):
        ir.Linear(weight)


@pytest.mark.parametrize(
    ("dtype", "value", "fine"),
    [
        ("f8", 1e300, False),
        ("f8", 1e38, True),
        ("i8", 2**53 + 1, False),
        ("i8", -(2**53) - 1, False),
        ("i8", 2**53, True),
        ("u8", 2**64 - 1, False),
        ("i1", -128, True),
        (">f8", 0.5, True),
    ],
)
def test_numbers_that_would_change_are_refused(dtype: str, value: float, fine: bool) -> None:
    weight = np.full((1, 1), value, dtype)
    if fine:
        assert ir.Linear(weight).weight.dtype == np.dtype(dtype)
    else:
        with pytest.raises(ParameterError) as caught:
            ir.Linear(weight)
        assert caught.value.field == "weight"


@pytest.mark.parametrize("tau", [0.0, 1e-45, 1e-320])
def test_a_time_constant_that_float32_cannot_hold_is_refused(tau: float) -> None:
    with pytest.raises(ParameterError):
        node("LIF", tau=np.full(3, tau))


def test_from_list_names_nodes_as_the_reference_does() -> None:
    scales = [ir.Scale(np.ones(2, np.float32)) for _ in range(2)]
    graph = NIRGraph.from_list(*scales)
    theirs = nir.NIRGraph.from_list(*[nir.Scale(np.ones(2, np.float32)) for _ in range(2)])
    assert list(graph.nodes) == list(theirs.nodes) == ["input", "scale", "scale_1", "output"]
    assert list(graph.edges) == theirs.edges


def test_errors_are_what_people_catch() -> None:
    with pytest.raises(ValueError, match="weight"):
        ir.Linear(np.ones(3))
    assert issubclass(ParameterError, NIRError)
