"""Declarations of fields, and the frozen containers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from nirjax.errors import ParameterError
from nirjax.ir.fields import FrozenDict, Spec, freeze


def test_a_frozen_dict_cannot_be_changed() -> None:
    frozen = FrozenDict.deep({"a": {"b": [1, 2]}})
    for change in (
        lambda: frozen.update(a=1),
        lambda: frozen.pop("a"),
        lambda: frozen.clear(),
        lambda: frozen.setdefault("c", 1),
        lambda: frozen["a"].__setitem__("b", 1),
        lambda: frozen.__ior__({"x": 1}),
    ):
        with pytest.raises(TypeError, match="immutable"):
            change()
    with pytest.raises(ValueError, match="read-only"):
        frozen["a"]["b"][0] = 7


def test_a_frozen_dict_survives_pickling_and_copying() -> None:
    frozen = FrozenDict.deep({"a": {"b": 1}})
    for other in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen), copy.copy(frozen)):
        assert other == frozen
        assert isinstance(other["a"], FrozenDict)


def test_freezing_copies_only_what_can_be_written_to() -> None:
    array = np.zeros(2)
    frozen = freeze(array)
    assert frozen is not array
    assert freeze(frozen) is frozen


def test_a_view_of_something_writable_is_not_taken_for_frozen() -> None:
    array = np.zeros(2)
    view = array[:]
    view.flags.writeable = False
    frozen = freeze(view)
    array[0] = 7
    assert frozen[0] == 0


@pytest.mark.parametrize("value", [[[1, 2], [3]], {"a": 1}, object(), None, [None]])
def test_what_is_no_array_is_refused(value: object) -> None:
    with pytest.raises(ParameterError) as caught:
        Spec("real").check(value, "weight")
    assert caught.value.field == "weight"


def test_metadata_must_be_a_mapping() -> None:
    with pytest.raises(ParameterError, match="mapping") as caught:
        FrozenDict.deep([1, 2])  # type: ignore[arg-type]
    assert caught.value.field == "metadata"


def test_ragged_metadata_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        FrozenDict.deep({"a": [[1, 2], [3]]})
    assert caught.value.field == "metadata.a"


@pytest.mark.parametrize(("value", "fine"), [([2.0, 3.0], True), ([2.5], False), ([True], False), ([2**53], False)])
def test_whole_numbers_may_be_stored_as_floats(value: list[float], fine: bool) -> None:
    spec = Spec("index", positive=True)
    if fine:
        np.testing.assert_array_equal(spec.check(value, "stride"), value)
    else:
        with pytest.raises(ParameterError):
            spec.check(value, "stride")
