"""Which primitive gives which node type its meaning."""

from __future__ import annotations

from collections.abc import Sequence

from nirjax.errors import ArgumentError, UnknownNodeError
from nirjax.ir.nodes import NIRNode
from nirjax.primitives.base import Primitive
from nirjax.primitives.convolution import CONVOLUTIONS
from nirjax.primitives.delay import DELAYS
from nirjax.primitives.linear import LINEAR
from nirjax.primitives.neurons import NEURONS

Registry = dict[type[NIRNode], Primitive]

REGISTRY: Registry = {primitive.node: primitive for primitive in (*LINEAR, *CONVOLUTIONS, *NEURONS, *DELAYS)}


def registry_with(primitives: Sequence[Primitive]) -> Registry:
    """The registry, with one's own primitives in place of, or beside, nirjax's.

    Raises:
        ArgumentError: something that is not a Primitive, or two for one node type.
    """
    own: Registry = {}
    for primitive in primitives:
        if not isinstance(primitive, Primitive):
            raise ArgumentError("not a Primitive", field="primitives", found=type(primitive).__name__)
        if primitive.node in own:
            raise ArgumentError("two primitives for one node type", field="primitives", found=primitive.node.__name__)
        own[primitive.node] = primitive
    return {**REGISTRY, **own}


def primitive_of(registry: Registry, node: NIRNode, name: str) -> Primitive:
    """The node's primitive.

    Raises:
        UnknownNodeError: nothing says what this node type does.
    """
    try:
        return registry[type(node)]
    except KeyError:
        raise UnknownNodeError(
            "nothing says what this node type does",
            node=name,
            found=type(node).__name__,
            expected=f"one of {sorted(kind.__name__ for kind in registry)}",
            hint="Give its meaning with from_nir(..., primitives=[Primitive(...)]).",
        ) from None
