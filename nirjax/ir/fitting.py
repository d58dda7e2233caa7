"""What a chip's mapper checks of a graph as a whole: node types, wiring, counts, memory.

Each check is a frozen value with numbers in it, and gives findings on a `Layout`. A chip is a list of them
(`nirjax.ir.chips`), beside checks of single fields (`nirjax.ir.importers.Limit`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nirjax.errors import quoted
from nirjax.ir.findings import Finding, on_cycles
from nirjax.ir.inline import FlatGraph, port_kind
from nirjax.ir.nodes import NIRNode, Shape
from nirjax.ir.shapes import Signal, known_shapes


@dataclass(frozen=True)
class Layout:
    """A graph as a mapper sees it.

    Attributes:
        nodes: by dotted path, without the ports of subgraphs.
        after, before: the neighbours of each, with the ports of subgraphs passed through.
        shapes: of what enters and leaves a node, where they can be told.
        dt: the time step.
    """

    nodes: dict[str, NIRNode]
    after: dict[str, tuple[str, ...]]
    before: dict[str, tuple[str, ...]]
    shapes: dict[str, Signal]
    dt: float

    @staticmethod
    def of(flat: FlatGraph, dt: float) -> Layout:
        """The layout of a flat graph.

        Raises:
            ShapeError: an edge whose two ends differ.
        """
        inner = {name for name in flat.nodes if port_kind(flat, name) == "inner"}
        edges = list(flat.edges)
        for port in inner:
            sources = [a for a, b in edges if b == port]
            targets = [b for a, b in edges if a == port]
            edges = [edge for edge in edges if port not in edge] + [(a, b) for a in sources for b in targets]
        nodes = {name: node for name, node in flat.nodes.items() if name not in inner}
        after: dict[str, list[str]] = {name: [] for name in nodes}
        before: dict[str, list[str]] = {name: [] for name in nodes}
        for a, b in dict.fromkeys(edges):
            after[a].append(b)
            before[b].append(a)
        return Layout(
            nodes,
            {name: tuple(names) for name, names in after.items()},
            {name: tuple(names) for name, names in before.items()},
            known_shapes(flat),
            dt,
        )

    def kind(self, name: str) -> str:
        """The node's type, in NIR's word."""
        return type(self.nodes[name]).__name__

    def of_kind(self, *kinds: str) -> list[str]:
        """Nodes of these types."""
        return [name for name in self.nodes if self.kind(name) in kinds]

    def neurons(self) -> list[str]:
        """Nodes with a membrane."""
        return [name for name, node in self.nodes.items() if node.stateful and self.kind(name) != "Delay"]

    def size(self, name: str) -> int:
        """Numbers that leave a node in a time step; 0 where the shape cannot be told."""
        return math.prod(self.shapes[name].output) if name in self.shapes else 0

    def behind(self, name: str, kinds: tuple[str, ...]) -> set[str]:
        """What a node leads to, with nodes of these types passed through."""
        found, todo, seen = set[str](), list(self.after[name]), set[str]()
        while todo:
            other = todo.pop()
            if self.kind(other) not in kinds:
                found.add(other)
            elif other not in seen:
                seen.add(other)
                todo += self.after[other]
        return found

    def outer(self) -> set[str]:
        """Neurons that lead straight to an Output."""
        return {name for name in self.neurons() if any(self.kind(other) == "Output" for other in self.after[name])}


class Check(Protocol):
    """A check of a whole graph."""

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        """What is wrong, "refused" as an error or "ignored" as a warning."""
        ...


def refused(target: str, node: str, field: str | None, text: str) -> Finding:
    """A finding that the target cannot hold this."""
    return Finding("refused", node, field, f"{target}: {text}", "error")


@dataclass(frozen=True)
class Types:
    """Node types that the chip holds.

    Attributes:
        held: their names.
        instead: for some others, what to do.
    """

    held: tuple[str, ...]
    instead: tuple[tuple[str, str], ...] = ()

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        for name in layout.nodes:
            kind = layout.kind(name)
            if kind not in self.held:
                hint = dict(self.instead).get(kind)
                yield refused(target, name, None, f"it cannot hold a {kind}{f': {hint}' if hint else ''}")


@dataclass(frozen=True)
class Wiring:
    """What may follow what: node type to the types that it may lead to. Types that do not appear are not spoken of.

    Attributes:
        allowed: (type, types it may lead to) pairs.
        what: the rule in words.
    """

    allowed: tuple[tuple[str, tuple[str, ...]], ...]
    what: str

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        allowed: Mapping[str, tuple[str, ...]] = dict(self.allowed)
        for name, others in layout.after.items():
            for other in others:
                kinds = layout.kind(name), layout.kind(other)
                if kinds[0] in allowed and kinds[1] in allowed and kinds[1] not in allowed[kinds[0]]:
                    text = f"a {kinds[0]} cannot lead to a {kinds[1]}, {quoted(name)} to {quoted(other)}: {self.what}"
                    yield refused(target, other, "edges", text)


@dataclass(frozen=True)
class Acyclic:
    """No recurrence.

    Attributes:
        outer_only: of neurons that lead to an Output only.
        what: the reason.
    """

    what: str
    outer_only: bool = False

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        edges = [(a, b) for a, others in layout.after.items() for b in others]
        spoken_of = layout.outer() if self.outer_only else set(layout.neurons())
        for name in on_cycles(layout.nodes, edges):
            if name in spoken_of:
                yield refused(target, name, "edges", self.what)


@dataclass(frozen=True)
class Fan:
    """How many nodes a neuron may lead to.

    Attributes:
        most: at most so many of `kinds`, with nodes of `through` passed.
    """

    most: int
    kinds: tuple[str, ...]
    through: tuple[str, ...]

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        for name in layout.neurons():
            reached = [other for other in layout.behind(name, self.through) if layout.kind(other) in self.kinds]
            if len(reached) > self.most:
                text = f"it leads to {len(reached)} layers, and {self.most} is the most"
                yield refused(target, name, "edges", text)


@dataclass(frozen=True)
class Biases:
    """Neurons in front of which biases mean something else.

    Attributes:
        kinds: their types.
        what: what becomes of the biases.
    """

    kinds: tuple[str, ...]
    what: str

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        for name, node in layout.nodes.items():
            kinds = {layout.kind(other) for other in layout.after[name]}
            if np.any(getattr(node, "bias", 0)) and kinds & set(self.kinds):
                yield Finding("ignored", name, "bias", f"{target}: {self.what}")


@dataclass(frozen=True)
class Most:
    """How much there may be of something in the whole graph; None is no bound.

    Attributes:
        inputs, outputs: input channels, output neurons.
        hidden: neurons that lead to no Output.
        neurons: all of them.
        entered, leaving: hidden neurons that input weights enter, and that output weights leave.
        fan_out: hidden neurons that one hidden neuron has a weight, not 0, to.
        recurrent: weights, not 0, between hidden neurons.
        synapses: weights, not 0, of all; those of a convolution once for each place.
        layers: the fewest layers of neurons.
    """

    inputs: int | None = None
    outputs: int | None = None
    hidden: int | None = None
    neurons: int | None = None
    entered: int | None = None
    leaving: int | None = None
    fan_out: int | None = None
    recurrent: int | None = None
    synapses: int | None = None
    layers: int = 0

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        neurons, outer = layout.neurons(), layout.outer()
        if len(neurons) < self.layers:
            yield refused(
                target, "", "nodes", f"{self.layers} layers of neurons are the fewest, there is {len(neurons)}"
            )
        sizes = {name: layout.size(name) for name in layout.nodes}
        counts = {
            "inputs": sum(sizes[name] for name in layout.of_kind("Input")),
            "outputs": sum(sizes[name] for name in outer),
            "hidden": sum(sizes[name] for name in neurons if name not in outer),
            "neurons": sum(sizes[name] for name in neurons),
            **self._connections(layout, set(neurons) - outer),
        }
        words = {
            "inputs": "input channels", "outputs": "output neurons", "hidden": "hidden neurons", "neurons": "neurons",
            "entered": "hidden neurons that the input reaches", "leaving": "hidden neurons that reach the output",
            "fan_out": "weights from one hidden neuron to others", "recurrent": "weights between hidden neurons",
            "synapses": "synapses",
        }  # fmt: skip
        for name, word in words.items():
            most = getattr(self, name)
            if most is not None and counts[name] > most:
                yield refused(target, "", "nodes", f"{counts[name]:,} {word}, and {most:,} is the most")

    def _connections(self, layout: Layout, hidden: set[str]) -> dict[str, int]:
        """Counts over matrices of weights; a convolution counts as synapses only."""
        counts = dict.fromkeys(("entered", "leaving", "recurrent", "synapses"), 0)
        fan: dict[str, np.ndarray] = {}
        for name, node in layout.nodes.items():
            weight = getattr(node, "weight", None)
            if weight is None or name not in layout.shapes:
                continue
            used = np.count_nonzero(weight)
            places = math.prod(layout.shapes[name].output[1:]) if weight.ndim > 2 else 1
            counts["synapses"] += int(used) * places
            if weight.ndim != 2:
                continue
            from_input = any(layout.kind(other) == "Input" for other in layout.before[name])
            into, out_of = hidden & set(layout.after[name]), hidden & set(layout.before[name])
            if from_input and into:
                counts["entered"] = max(counts["entered"], int(np.any(weight, axis=1).sum()))
            if out_of and not into:
                counts["leaving"] = max(counts["leaving"], int(np.any(weight, axis=0).sum()))
            for source in out_of if into else ():
                counts["recurrent"] += int(used)
                if layout.size(source) == weight.shape[1]:
                    fan[source] = fan.get(source, np.zeros((), np.int64)) + np.count_nonzero(weight, axis=0)
        counts["fan_out"] = int(max((each.max(initial=0) for each in fan.values()), default=0))
        return counts


@dataclass(frozen=True)
class Cores:
    """Convolution cores of unequal memories, one for each layer of weights and neurons.

    A kernel of (f, c, k_x, k_y) takes c 2^(ceil log2(k_x k_y) + ceil log2 f) words, f maps of n_x by n_y neurons take
    f 2^(ceil log2 n_x + ceil log2 n_y). Weights without a kernel are one as large as the map that they read.

    Attributes:
        memories: (kernel, neurons, biases) in words, of each core.
        largest_input, largest_map, most_channels, largest_kernel: sides of maps, channels of a layer, sides of a
            kernel.
    """

    memories: tuple[tuple[int, int, int], ...]
    largest_input: int
    largest_map: int
    most_channels: int
    largest_kernel: int

    def findings(self, layout: Layout, target: str) -> Iterator[Finding]:
        cores: list[list[int]] = []
        for name, node in layout.nodes.items():
            weight = getattr(node, "weight", None)
            if weight is None or name not in layout.shapes:
                continue
            read, given = self._maps(layout, name)
            kernel = weight.shape[2:] if weight.ndim == 4 else read[1:]
            yield from self._sizes(target, name, read, given, kernel)
            need = (
                read[0] * _power(math.prod(kernel)) * _power(given[0]),
                given[0] * _power(given[1]) * _power(given[2]),
                given[0] if np.any(getattr(node, "bias", 0)) else 0,
            )
            fitting = [
                i for i, memory in enumerate(self.memories) if all(a <= b for a, b in zip(need, memory, strict=True))
            ]
            if not fitting:
                words = f"{need[0]:,} words of kernel memory and {need[1]:,} of neuron memory"
                yield refused(target, name, "weight", f"no core has the {words} that this layer takes")
            cores.append(fitting)
        if all(cores) and not _matched(cores):
            text = f"{len(cores)} layers of weights, and not each finds a core of its own among {len(self.memories)}"
            yield refused(target, "", "nodes", text)

    def _maps(self, layout: Layout, name: str) -> tuple[Shape, Shape]:
        """(channels, height, width) of what a layer reads, before a Flatten, and of its neurons."""
        signal = layout.shapes[name]
        flat = [other for other in layout.before[name] if layout.kind(other) == "Flatten"]
        read = layout.shapes[flat[0]].input if flat and flat[0] in layout.shapes else signal.input
        return tuple((*read, 1, 1)[:3]), tuple((*signal.output, 1, 1)[:3])

    def _sizes(self, target: str, name: str, read: Shape, given: Shape, kernel: Shape) -> Iterator[Finding]:
        if len(set(kernel)) > 1:
            yield refused(target, name, "weight", f"a kernel is square, and this is {kernel[0]} by {kernel[1]}")
        for what, sides, most in (
            ("a kernel", kernel, self.largest_kernel),
            ("what a layer reads", read[1:], self.largest_input),
            ("what a layer gives", given[1:], self.largest_map),
        ):
            if max(sides) > most:
                text = f"{what} is {most} by {most} at most, and this is {sides[0]} by {sides[1]}"
                yield refused(target, name, "weight", text)
        if max(read[0], given[0]) > self.most_channels:
            text = f"{max(read[0], given[0])} channels, and {self.most_channels} is the most"
            yield refused(target, name, "weight", text)


def _power(count: int) -> int:
    """The power of two at or above."""
    return 1 << max(count - 1, 0).bit_length()


def _matched(cores: list[list[int]]) -> bool:
    """Can each layer have a core of its own? By augmenting paths."""
    holder: dict[int, int] = {}

    def placed(layer: int, tried: set[int]) -> bool:
        for core in cores[layer]:
            if core not in tried:
                tried.add(core)
                if core not in holder or placed(holder[core], tried):
                    holder[core] = layer
                    return True
        return False

    return all(placed(layer, set()) for layer in range(len(cores)))
