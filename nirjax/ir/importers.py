"""What importers make of a graph: for each framework the node types that it takes, and what it does to their fields.

Read off the frameworks' sources and measured with `tools/record_imports.py`; the versions are those that the import
dialects name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import quoted
from nirjax.ir.findings import Finding, close, on_cycles, reachable
from nirjax.ir.fitting import Check, Layout
from nirjax.ir.inline import FlatGraph

Test = Callable[[Any, float], bool]
"""(node, dt) -> does the target take the field as NIR means it?"""


@dataclass(frozen=True)
class Limit:
    """One thing that a target does not take as NIR means it.

    Attributes:
        node_type, field: what it is about.
        taken: (node, dt) -> bool: is the value one that the target takes?
        what: what the target does, or asks for, otherwise.
        refuses: the target fails; otherwise it goes on without a word.
    """

    node_type: str
    field: str
    taken: Test
    what: str
    refuses: bool = False


@dataclass(frozen=True)
class Target:
    """Who imports.

    Attributes:
        name: as `lint(target=...)` takes it.
        limits: what it does to fields, and checks of the graph as a whole.
        takes: node types that run; any other is refused, or dropped without a word. None: any.
        step: the time step that it has if none is given; always, if `fixed`.
        walk: how it goes over a graph: "depth first" (NIRTorch's executor: the last node's output comes back), "queue"
            (NIRTorch's interpreter: what does not end in the one Output is waited for without end), "first edges" (a
            chain), or "" (as it is).
        cycles: what becomes of a recurrent layer, in words; empty where it runs as NIR means it.
        subgraphs: a recurrent layer runs as NIR means it where it is a subgraph.
    """

    name: str
    limits: tuple[Limit | Check, ...]
    takes: frozenset[str] | None = None
    step: float = 1.0
    fixed: bool = False
    walk: str = ""
    cycles: str = ""
    subgraphs: bool = True


# ------------------------------------------------------------------------------------------- tests: field -> (node, dt)


def _is(value: float) -> Callable[[str], Test]:
    """The field is this value."""
    return lambda field: lambda node, dt: close(getattr(node, field), value)


def _over_dt(of: str, *also: float) -> Callable[[str], Test]:
    """The field is `of` / dt, or one of the other values."""
    return lambda field: (
        lambda node, dt: any(close(getattr(node, field), value) for value in (getattr(node, of) / dt, *also))
    )


def _rate(*also: float) -> Callable[[str], Test]:
    """The field is 1 / dt, or one of the other values."""
    return lambda field: lambda node, dt: any(close(getattr(node, field), value) for value in (1 / dt, *also))


def _same_as(other: str) -> Callable[[str], Test]:
    """The field is another field."""
    return lambda field: lambda node, dt: close(getattr(node, field), getattr(node, other))


def _uniform(field: str) -> Test:
    """The field is one value for all neurons."""
    return lambda node, dt: not np.ptp(getattr(node, field))


def _one_gain(weight: str, tau: str) -> Callable[[str], Test]:
    """v_threshold tau / weight is one value: snnTorch scales the threshold of a layer by the input gain of a neuron."""

    def taken(node: Any, dt: float) -> bool:
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.ravel(node.v_threshold * getattr(node, tau) / getattr(node, weight))
        return close(scaled / scaled[0], 1)

    return lambda field: taken


def _rows(fields: str, test: Callable[[str], Test], what: str, *, refuses: bool = False) -> tuple[Limit, ...]:
    """A Limit for each "<node type>.<field>"."""
    pairs = [word.split(".") for word in fields.split()]
    return tuple(Limit(kind, field, test(field), what, refuses) for kind, field in pairs)


# ----------------------------------------------------------------------------------------------------------- the table

_PLAIN = frozenset(["Input", "Output", "Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "LIF", "CubaLIF"])
_READER = _rows("Conv2d.groups", _is(1), "the reference package cannot read groups", refuses=True)
_TORCH = (*_READER, *_rows("SumPool2d.padding", _is(0), "it is taken as 0"))
_BATCH = _rows(
    "Flatten.start_dim",
    lambda field: lambda node, dt: bool(np.ravel(node.start_dim)[0] < 0),
    "it counts the batch axis too",
)
_GAIN_ONE = "it is not used: the input enters with gain one"

TARGETS = {
    target.name: target
    for target in (
        Target(
            "norse",
            (
                *_rows("LIF.r", _is(1), "it is not used: it is taken as 1"),
                *_rows("IF.r", _rate(1), _GAIN_ONE),
                *_rows("LIF.v_reset IF.v_reset CubaLIF.v_reset", _is(0), "it is not used: the reset is to zero"),
                *(*_TORCH, *_BATCH),
            ),
            takes=_PLAIN | {"IF"},
            step=1e-3,
            walk="depth first",
        ),
        Target(
            "snntorch",
            (
                *_rows("LIF.v_leak CubaLIF.v_leak", _is(0), "it has to be 0", refuses=True),
                *_rows("LIF.v_threshold", _uniform, "one threshold a layer is asked for", refuses=True),
                *_rows(
                    "CubaLIF.v_threshold",
                    _one_gain("w_in", "tau_syn"),
                    "v_threshold tau_syn / w_in differs",
                    refuses=True,
                ),
                *_rows("CubaLIF.r", _over_dt("tau_mem"), "tau_mem / 1e-4 is asked for", refuses=True),
                *_rows("LIF.r", _one_gain("r", "tau"), "all thresholds are scaled by r dt / tau of one neuron"),
                *_rows("LIF.v_reset CubaLIF.v_reset", _is(0), "it is not used: the reset is to zero"),
                *(*_TORCH, *_BATCH),
            ),
            takes=_PLAIN | {"AvgPool2d", "Conv1d"},
            step=1e-4,
            fixed=True,
            walk="queue",
            cycles="the input of a recurrent layer goes through its weights, or the import fails",
        ),
        Target(
            "sinabs",
            (
                *_rows("LIF.r", _over_dt("tau", 1), _GAIN_ONE),
                *_rows("IF.r", _rate(1), _GAIN_ONE),
                *_rows("LIF.v_reset IF.v_reset", _is(0), "it is not used: the threshold is subtracted"),
                *_rows("LIF.v_leak LI.v_leak", _is(0), "it has to be 0", refuses=True),
                *_rows("LI.r", _is(1), "it has to be 1", refuses=True),
                *_rows(
                    "LIF.v_leak",
                    lambda f: lambda node, dt: node.v_leak.ndim == 1,
                    "one axis is asked for",
                    refuses=True,
                ),
                *_rows(
                    "LIF.tau LI.tau", lambda f: lambda node, dt: dt == 1 or node.tau.min() > 0.5, "it is taken as steps"
                ),
                *_TORCH,
            ),
            takes=_PLAIN - {"Linear", "CubaLIF"} | {"Conv1d", "IF", "LI"},
            walk="depth first",
            cycles="the recurrent connection is ignored",
            subgraphs=False,
        ),
        Target(
            "spikingjelly",
            (
                *_rows(
                    "LIF.tau LIF.r LIF.v_leak LIF.v_threshold LIF.v_reset IF.r IF.v_threshold IF.v_reset "
                    "CubaLIF.tau_syn CubaLIF.tau_mem CubaLIF.r CubaLIF.v_threshold CubaLIF.v_reset CubaLIF.w_in",
                    *(_uniform, "one value for all neurons of a layer is asked for"),
                    refuses=True,
                ),
                *_rows("LIF.r", _over_dt("tau", 1), "1 or tau / dt is asked for", refuses=True),
                *_rows(
                    "LIF.v_leak",
                    _same_as("v_reset"),
                    "v_reset is asked for",
                    refuses=True,
                ),
                *_rows("IF.r", _rate(), "1 / dt is asked for", refuses=True),
                *_rows("CubaLIF.r", _over_dt("tau_mem"), "tau_mem / dt is asked for", refuses=True),
                *_rows("CubaLIF.w_in", _over_dt("tau_syn"), "tau_syn / dt is asked for", refuses=True),
                *_rows("CubaLIF.v_leak", _is(0), "it has to be 0", refuses=True),
                *_TORCH,
            ),
            takes=_PLAIN | {"AvgPool2d", "Conv1d", "IF"},
            step=1e-4,
            walk="queue",
        ),
        Target(
            "rockpool",
            (
                *_rows("CubaLIF.w_in", _over_dt("tau_syn", 1), _GAIN_ONE),
                *_rows("CubaLIF.v_reset", _is(0), "it is not used: the threshold is subtracted"),
                *_rows("CubaLIF.v_leak", _is(0), "it is added to the membrane in every step"),
                *_rows(
                    "CubaLIF.r",
                    lambda f: lambda node, dt: close(node.tau_mem / (1 + node.r), dt),
                    "it is used for a guess of the time step only, the least tau_mem / (1 + r)",
                ),
            ),
            takes=frozenset(["Input", "Output", "Affine", "Linear", "CubaLIF"]),
            walk="depth first",
            cycles="the recurrent connection is ignored",
        ),
        Target(
            "spyx",
            (
                *_rows(
                    "LIF.r",
                    lambda f: lambda node, dt: any(close(node.r, x) for x in (1 - dt / node.tau, node.tau / dt)),
                    _GAIN_ONE,
                ),
                *_rows("IF.r", _rate(1), _GAIN_ONE),
                *_rows("CubaLIF.r", _over_dt("tau_mem"), _GAIN_ONE),
                *_rows("CubaLIF.w_in", _over_dt("tau_syn", 1), _GAIN_ONE),
                *_rows("LIF.v_leak CubaLIF.v_leak LI.v_leak", _is(0), "it is not used"),
                *_rows("LIF.v_reset IF.v_reset CubaLIF.v_reset", _is(0), "it is not used: the threshold is subtracted"),
                *_rows("Conv2d.dilation", _is(1), "it is not used"),
                *_rows("SumPool2d.padding", _is(0), "it is taken as 'same'"),
            ),
            takes=_PLAIN | {"IF", "LI", "Threshold"},
            walk="first edges",
        ),
    )
}


def findings_for(flat: FlatGraph, target: Target, dt: float | None) -> Iterator[Finding]:
    """What the target refuses or drops: "refused" is an error, "ignored" a warning."""
    step = target.step if dt is None or target.fixed else dt
    if dt is not None and not close(dt / step, 1):
        yield Finding("ignored", "", "dt", f"{target.name}'s time step is {step:g}, not {dt:g}")
    fields = [limit for limit in target.limits if isinstance(limit, Limit)]
    for name, node in flat.nodes.items():
        kind = type(node).__name__
        if target.takes is not None and kind not in target.takes:
            yield Finding("refused", name, None, f"{target.name} cannot import a {kind}, or drops it", "error")
            continue
        for limit in fields:
            if limit.node_type == kind and not limit.taken(node, step):
                words = ("refused", "error") if limit.refuses else ("ignored", "warning")
                yield Finding(words[0], name, limit.field, f"{target.name}: {limit.what}", words[1])
    if target.walk or target.cycles:
        yield from _walked(flat, target)
    checks = [limit for limit in target.limits if not isinstance(limit, Limit)]
    if checks:
        layout = Layout.of(flat, step)
        for check in checks:
            yield from check.findings(layout, target.name)


# ------------------------------------------------------------------------------------------------- walking over a graph


def _walked(flat: FlatGraph, target: Target) -> Iterator[Finding]:
    """What the way in which a target goes over a graph makes of it."""
    after: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for a, b in flat.edges:
        after[a].append(b)
    looped = on_cycles(flat.nodes, flat.edges)
    for name in looped:
        nested = target.subgraphs and len(flat.paths[name]) > 1
        if target.cycles and flat.nodes[name].spiking and not nested:
            yield Finding("ignored", name, "edges", f"{target.name}: {target.cycles}")
    several = len(flat.inputs) > 1 or len(flat.outputs) > 1
    if target.walk == "depth first" and flat.inputs:
        yield from _depth_first(flat, target, after, set(looped), several)
    if target.walk == "queue" and (
        several or set(flat.nodes) - reachable(flat.outputs, [(b, a) for a, b in flat.edges])
    ):
        text = f"{target.name}: several Inputs fail, and a branch that does not end in the one Output never returns"
        yield Finding("refused", "", "edges", text, "error")
    if target.walk == "first edges":
        if "input" not in flat.inputs or "output" not in flat.outputs:
            yield Finding("refused", "", "nodes", f"{target.name} wants its ports called 'input' and 'output'", "error")
        if several or any(len(names) > 1 for name, names in after.items() if name not in looped):
            yield Finding(
                "ignored", "", "edges", f"{target.name} follows the first edge out of each node, and no other"
            )
        for name in looped:
            if type(flat.nodes[name]).__name__ == "IF" and len(flat.paths[name]) == 1:
                text = f"{target.name} never returns from a recurrent IF that is no subgraph"
                yield Finding("refused", name, "edges", text, "error")


def _depth_first(
    flat: FlatGraph, target: Target, after: Mapping[str, list[str]], looped: set[str], several: bool
) -> Iterator[Finding]:
    """NIRTorch's executor runs each node when a depth-first walk first comes to it, and gives back the last output."""
    place: dict[str, int] = {}
    stack = [flat.inputs[0]]
    while stack:
        name = stack.pop()
        if name not in place:
            place[name] = len(place)
            stack += reversed(after[name])
    late = [(a, b) for a, b in flat.edges if place.get(a, -1) > place.get(b, -1) and not (a in looped and b in looped)]
    last = [name for name in place if name not in flat.outputs][-1]
    if several or late or list(place)[-1] not in flat.outputs:
        text = f"{target.name} runs nodes depth first and gives back what comes last, the output of {quoted(last)}"
        text += f"; what {quoted(late[0])} carries is late or lost" if late else ""
        yield Finding("ignored", "", "edges", text)
