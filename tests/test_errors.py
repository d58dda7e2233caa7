"""Errors say where, what was found, what was expected and what to do; each is also an attribute."""

from __future__ import annotations

import copy
import pickle

import pytest

from nirjax import errors
from nirjax.errors import FileError, NIRError, ParameterError, PatternError, quoted

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NIRError)]
SAID = {
    "file": "a.nir",
    "node": "sub.lif",
    "field": "tau",
    "found": "0.0 at index [3]",
    "expected": "positive numbers",
    "hint": "Look at the exporter.",
}


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_in_the_text_and_in_attributes(kind: type[NIRError]) -> None:
    error = kind("bad value", **SAID)
    assert all(word in str(error) for word in SAID.values())
    assert {name: getattr(error, name) for name in SAID} == SAID
    assert error.message == "bad value"
    assert str(error) == (
        "file 'a.nir', node 'sub.lif', field 'tau': bad value; found 0.0 at index [3]; expected positive numbers. "
        "Look at the exporter."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_error_is_its_message(kind: type[NIRError]) -> None:
    assert str(kind("bad value")) == "bad value"
    assert str(kind("bad value", node="")) == "the graph: bad value"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_pickling_and_copying(kind: type[NIRError]) -> None:
    error = kind("bad value", **SAID)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert other.__dict__ == error.__dict__


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("FileError", OSError),
        ("GraphError", ValueError),
        ("ShapeError", ValueError),
        ("ParameterError", ValueError),
        ("AlgebraicLoopError", errors.GraphError),
        ("UnknownNodeError", errors.GraphError),
        ("UnsupportedByTarget", ValueError),
        ("PatternError", KeyError),
        ("DataError", ValueError),
        ("TrainingError", RuntimeError),
        ("CheckpointError", OSError),
        ("DistributedError", RuntimeError),
        ("ArgumentError", ValueError),
        ("MissingExtraError", ImportError),
    ],
)
def test_errors_are_what_people_catch(name: str, base: type[Exception]) -> None:
    with pytest.raises(base):
        raise getattr(errors, name)("bad value")


def test_warnings() -> None:
    assert issubclass(errors.RepairWarning, errors.NIRWarning)
    assert issubclass(errors.NIRWarning, UserWarning)


def test_a_place_is_added_only_where_there_is_none() -> None:
    error = ParameterError("bad value", field="tau")
    placed = error.located(file="a.nir", node="lif")
    assert (placed.file, placed.node) == ("a.nir", "lif")
    assert (error.file, error.node) == (None, None)
    assert placed.located(file="b.nir", node="x").file == "a.nir"
    assert placed.inside("sub").node == "sub.lif"
    assert error.inside("sub").node == "sub"
    assert error.located(node="").inside("sub").node == "sub"


def test_text_is_safe_to_print() -> None:
    error = FileError("bad name", node="x\n\x1b[31m" + "y" * 10_000)
    assert str(error).isprintable()
    assert len(str(error)) < 200
    assert quoted("é") == "'é'"
    assert quoted("\x1b") == "'\\x1b'"
    assert len(quoted("x" * 1000)) <= 125
    assert PatternError("no match", found="a").args == ("no match",)
