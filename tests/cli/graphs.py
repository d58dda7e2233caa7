"""Graphs and files that several commands are tried on."""

from __future__ import annotations

import numpy as np

from nirjax.ir import nodes

GRAPH, TEST, TRAIN = "nirjax-demo/digits.nir", "nirjax-demo/test.npz", "nirjax-demo/train.npz"


def lif(size: int, **fields: object) -> nodes.LIF:
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **fields}
    return nodes.LIF(**{name: np.full(size, value, np.float32) for name, value in values.items()})
