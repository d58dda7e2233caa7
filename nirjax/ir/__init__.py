"""The graph as data: every node class of NIR, the graph, and what reads, writes and checks them. No JAX.

    nirjax.ir.LIF(tau=..., r=..., v_leak=..., v_threshold=...)

Names are looked up when they are first used, so that the reader's worker process loads no more than it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nirjax.ir.graph import NIRGraph as NIRGraph
    from nirjax.ir.nodes import IF as IF
    from nirjax.ir.nodes import LI as LI
    from nirjax.ir.nodes import LIF as LIF
    from nirjax.ir.nodes import Affine as Affine
    from nirjax.ir.nodes import AvgPool2d as AvgPool2d
    from nirjax.ir.nodes import Conv1d as Conv1d
    from nirjax.ir.nodes import Conv2d as Conv2d
    from nirjax.ir.nodes import CubaLI as CubaLI
    from nirjax.ir.nodes import CubaLIF as CubaLIF
    from nirjax.ir.nodes import Delay as Delay
    from nirjax.ir.nodes import Flatten as Flatten
    from nirjax.ir.nodes import I as I
    from nirjax.ir.nodes import Input as Input
    from nirjax.ir.nodes import Linear as Linear
    from nirjax.ir.nodes import NIRNode as NIRNode
    from nirjax.ir.nodes import Output as Output
    from nirjax.ir.nodes import Scale as Scale
    from nirjax.ir.nodes import SumPool2d as SumPool2d
    from nirjax.ir.nodes import Threshold as Threshold

_NODES = [
    *("Input", "Output", "Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"),
    *("Delay", "Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "NIRNode"),
]
_HOMES = {**dict.fromkeys(_NODES, "nirjax.ir.nodes"), "NIRGraph": "nirjax.ir.graph"}

__all__ = [*_HOMES]


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


if not TYPE_CHECKING:  # type checkers see the names above, and no others

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'nirjax.ir' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)
