"""A graph as a chain of layers, for peers that are built layer by layer. Needs nir and NumPy."""

from __future__ import annotations

import nir
import numpy as np

from benchmarks.peers import UnsupportedError


def one(array: np.ndarray) -> float:
    """The one value of a uniform array.

    Raises:
        UnsupportedError: it is not uniform.
    """
    if not np.allclose(array, array.flat[0]):
        raise UnsupportedError("parameters that differ from neuron to neuron")
    return float(array.flat[0])


def chain(graph: nir.NIRGraph) -> list[tuple[str, str | None]]:
    """The nodes from input to output, each with the Affine that leads from it back to itself, if there is one."""
    loops = {a: b for a, b in graph.edges if (b, a) in graph.edges and isinstance(graph.nodes[b], nir.Affine)}
    loops = {a: b for a, b in loops.items() if not isinstance(graph.nodes[a], nir.Affine)}
    following = {a: b for a, b in graph.edges if b not in loops.values() and a not in loops.values()}
    (name,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    found = []
    while not isinstance(graph.nodes[following[name]], nir.Output):
        name = following[name]
        found.append((name, loops.get(name)))
    return found


def unbiased(node: nir.Affine) -> np.ndarray:
    """The weights of an Affine whose bias is zero, for layers whose recurrence has none.

    Raises:
        UnsupportedError: it has a bias.
    """
    if np.any(node.bias):
        raise UnsupportedError("a recurrent bias")
    return node.weight
