"""Which primitive is whose."""

from typing import Any

import pytest

from nirjax.errors import ArgumentError, UnknownNodeError
from nirjax.ir import nodes as ir
from nirjax.ir.nodes import NODE_TYPES
from nirjax.primitives.base import Primitive
from nirjax.primitives.registry import REGISTRY, primitive_of, registry_with


def test_every_node_type_has_a_meaning_of_its_kind() -> None:
    assert set(REGISTRY) == set(NODE_TYPES.values())
    for cls, primitive in REGISTRY.items():
        assert primitive.node is cls
        assert primitive.stateful == cls.stateful
        assert (primitive.apply is None) == primitive.stateful
        assert (primitive.init is None) == (primitive.step is None)
        assert primitive.spiking == (cls.spiking or cls is ir.Threshold)


def double(site: Any, params: Any, x: Any) -> Any:
    return 2 * x


def test_one_s_own_stand_beside_and_in_place_of_the_others() -> None:
    class Doubler(ir.NIRNode):
        pass

    mine, scale = Primitive(Doubler, apply=double), Primitive(ir.Scale, apply=double)
    registry = registry_with([mine, scale])
    assert registry[Doubler] is mine
    assert primitive_of(registry, ir.Scale(2), "s") is scale
    assert registry[ir.Linear] is REGISTRY[ir.Linear]
    assert Doubler not in REGISTRY
    assert REGISTRY[ir.Scale] is not scale


def test_what_cannot_be_registered() -> None:
    with pytest.raises(ArgumentError, match="not a Primitive"):
        registry_with([ir.Scale])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="two primitives"):
        registry_with([Primitive(ir.Scale, apply=double), Primitive(ir.Scale, apply=double)])


def test_a_subclass_does_not_inherit_a_meaning() -> None:
    class Mine(ir.Scale):
        pass

    with pytest.raises(UnknownNodeError, match=r"Scale.*primitives=") as caught:
        primitive_of(REGISTRY, Mine(2.0), "a.b")
    assert (caught.value.node, caught.value.found) == ("a.b", "Mine")
