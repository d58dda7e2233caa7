"""What importers make of a graph: for each framework the node types that it takes, and what it does to their fields.

Read off the frameworks' sources and measured with `tools/record_imports.py`; the versions are those that the import
dialects name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import ArgumentError, quoted
from nirjax.ir.findings import Finding, close, reachable
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
    """Who imports: its limits, the node types that it takes (None: any), the time step that it has if none is given
    (`fixed`: always), and which of the ways to walk over a graph it has."""

    name: str
    limits: tuple[Limit, ...]
    takes: frozenset[str] | None = None
    step: float = 1.0
    fixed: bool = False
    walk: str = ""
    cycles: str = ""


def _is(value: float) -> Callable[[str], Test]:
    return lambda field: lambda node, dt: close(getattr(node, field), value)


def _over_dt(of: str, *also: float) -> Callable[[str], Test]:
    """The field is `of` / dt, or one of the other values."""
    return lambda field: (
        lambda node, dt: any(close(getattr(node, field), value) for value in (getattr(node, of) / dt, *also))
    )


def _one_value(field: str) -> Test:
    return lambda node, dt: not np.ptp(getattr(node, field))


def _rows(fields: str, test: Callable[[str], Test], what: str, *, refuses: bool = False) -> tuple[Limit, ...]:
    """A Limit for each "<node type>.<field>"."""
    pairs = [word.split(".") for word in fields.split()]
    return tuple(Limit(kind, field, test(field), what, refuses) for kind, field in pairs)


def _gain(of: str, weight: str) -> Callable[[str], Test]:
    """threshold / (weight dt / of) is one number: snnTorch scales the threshold by the gain of one neuron."""
    return lambda field: (
        lambda node, dt: close(
            np.ptp(node.v_threshold / (getattr(node, weight) * dt / getattr(node, of))) * getattr(node, weight).max(), 0
        )
    )


_PLAIN = frozenset(["Input", "Output", "Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "LIF", "CubaLIF"])
_POOL = _rows("SumPool2d.padding", _is(0), "it is taken as 0")
_BATCH = _rows(
    "Flatten.start_dim",
    lambda f: lambda node, dt: bool(np.ravel(node.start_dim)[0] < 0),
    "it counts the batch axis too",
)
_R = "the input enters as if r were 1"
_GAIN_ONE = "it is not used: the input enters with gain one"

TARGETS = {
    target.name: target
    for target in (
        Target(
            "norse",
            (
                *_rows("LIF.r", _is(1), _R),
                *_rows("IF.r", lambda f: lambda node, dt: close(node.r, 1) or close(node.r, 1 / dt), _GAIN_ONE),
                *_rows("LIF.v_reset IF.v_reset CubaLIF.v_reset", _is(0), "it is not used: the reset is to zero"),
                *(*_POOL, *_BATCH),
            ),
            takes=_PLAIN | {"IF"},
            step=1e-3,
            walk="depth first",
        ),
        Target(
            "snntorch",
            (
                *_rows("LIF.v_leak CubaLIF.v_leak", _is(0), "it has to be 0", refuses=True),
                *_rows("LIF.v_threshold", _one_value, "one threshold a layer is asked for", refuses=True),
                *_rows(
                    "CubaLIF.v_threshold", _gain("tau_syn", "w_in"), "v_threshold tau_syn / w_in differs", refuses=True
                ),
                *_rows("CubaLIF.r", _over_dt("tau_mem"), "tau_mem / 1e-4 is asked for", refuses=True),
                *_rows("LIF.r", _gain("tau", "r"), "all thresholds are scaled by r dt / tau of one neuron"),
                *_rows("LIF.v_reset CubaLIF.v_reset", _is(0), "it is not used: the reset is to zero"),
                *(*_POOL, *_BATCH),
            ),
            takes=_PLAIN | {"AvgPool2d", "Conv1d"},
            step=1e-4,
            fixed=True,
            walk="endless",
            cycles="the input of a recurrent layer goes through its weights, or the import fails (not of a subgraph)",
        ),
        Target(
            "sinabs",
            (
                *_rows("LIF.r", _over_dt("tau", 1), _GAIN_ONE),
                *_rows("IF.r", lambda f: lambda node, dt: close(node.r, 1) or close(node.r, 1 / dt), _GAIN_ONE),
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
                *_POOL,
            ),
            takes=_PLAIN - {"Linear", "CubaLIF"} | {"Conv1d", "IF", "LI"},
            walk="depth first",
            cycles="the recurrent connection is ignored",
        ),
        Target(
            "spikingjelly",
            (
                *_rows(
                    "LIF.tau LIF.r LIF.v_leak LIF.v_threshold LIF.v_reset IF.r IF.v_threshold IF.v_reset "
                    "CubaLIF.tau_syn CubaLIF.tau_mem CubaLIF.r CubaLIF.v_threshold CubaLIF.v_reset CubaLIF.w_in",
                    *(_one_value, "one value for all neurons of a layer is asked for"),
                    refuses=True,
                ),
                *_rows("LIF.r", _over_dt("tau", 1), "1 or tau / dt is asked for", refuses=True),
                *_rows(
                    "LIF.v_leak",
                    lambda f: lambda n, dt: close(n.v_leak, n.v_reset),
                    "v_reset is asked for",
                    refuses=True,
                ),
                *_rows("IF.r", lambda f: lambda node, dt: close(node.r, 1 / dt), "1 / dt is asked for", refuses=True),
                *_rows("CubaLIF.r", _over_dt("tau_mem"), "tau_mem / dt is asked for", refuses=True),
                *_rows("CubaLIF.w_in", _over_dt("tau_syn"), "tau_syn / dt is asked for", refuses=True),
                *_rows("CubaLIF.v_leak", _is(0), "it has to be 0", refuses=True),
                *_POOL,
            ),
            takes=_PLAIN | {"AvgPool2d", "Conv1d", "IF"},
            step=1e-4,
            walk="endless",
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
            cycles="the recurrent connection is ignored, unless it is a subgraph of four nodes",
        ),
        Target(
            "spyx",
            (
                *_rows(
                    "LIF.r",
                    lambda f: lambda n, dt: any(close(n.r, x) for x in (1 - dt / n.tau, n.tau / dt)),
                    _GAIN_ONE,
                ),
                *_rows("IF.r", lambda f: lambda node, dt: close(node.r, 1) or close(node.r, 1 / dt), _GAIN_ONE),
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


def target_of(target: Any) -> Target:
    if isinstance(target, str) and target in TARGETS:
        return TARGETS[target]
    if isinstance(getattr(target, "name", None), str) and hasattr(target, "limits"):
        return Target(target.name, tuple(target.limits))
    raise ArgumentError(
        "no such target",
        field="target",
        found=quoted(target),
        expected=f"one of {', '.join(sorted(TARGETS))}, or an object with a name and limits",
    )


def findings_for(flat: FlatGraph, target: Target, dt: float | None) -> Iterator[Finding]:
    step = target.step if dt is None or target.fixed else dt
    if dt is not None and target.fixed and not close(dt / step, 1):
        yield Finding("ignored", "", "dt", f"{target.name}'s time step is {step:g}, not {dt:g}")
    for name, node in flat.nodes.items():
        kind = type(node).__name__
        if target.takes is not None and kind not in target.takes:
            yield Finding("refused", name, None, f"{target.name} cannot import a {kind}, or drops it", "error")
            continue
        for limit in target.limits:
            if limit.node_type == kind and not limit.taken(node, step):
                kinds = ("refused", "error") if limit.refuses else ("ignored", "warning")
                yield Finding(kinds[0], name, limit.field, f"{target.name}: {limit.what}", kinds[1])
    yield from _walked(flat, target)


def _walked(flat: FlatGraph, target: Target) -> Iterator[Finding]:
    """What the way in which a framework walks over a graph does to it."""
    several = len(flat.inputs) > 1 or len(flat.outputs) > 1
    loops = [name for name in flat.nodes if name in reachable([b for a, b in flat.edges if a == name], flat.edges)]
    if target.cycles and any(flat.nodes[name].spiking and _is_flat(flat, name, target) for name in loops):
        yield Finding("ignored", loops[0], "edges", f"{target.name}: {target.cycles}")
    idle = set(flat.nodes) - reachable(flat.outputs, [(b, a) for a, b in flat.edges])
    if target.walk == "endless" and (several or idle):
        text = f"{target.name}: more than one Input fails; a branch that does not end in the one Output never returns"
        yield Finding("refused", "", "edges", text, "error")
    if target.walk == "first edges":
        if "input" not in flat.inputs or "output" not in flat.outputs:
            yield Finding("refused", "", "nodes", f"{target.name} wants its ports called 'input' and 'output'", "error")
        if several or any(count > 1 for name, count in _outgoing(flat).items() if name not in loops):
            yield Finding("ignored", "", "edges", f"{target.name} follows the first edge out of each node only")
    if target.walk == "depth first" and flat.inputs:
        order = {name: at for at, name in enumerate(_preorder(flat))}
        late = [
            (a, b) for a, b in flat.edges if order.get(a, -1) > order.get(b, -1) and not (a in loops and b in loops)
        ]
        if several or late or list(order)[-1:] != list(flat.outputs):
            last = quoted([name for name in order if name not in flat.outputs][-1])
            text = f"{target.name} executes depth first and returns what comes last, {last}"
            text += f"; the edge {quoted(late[0])} is late or ignored" if late else ""
            yield Finding("ignored", "", "edges", text)


def _is_flat(flat: FlatGraph, name: str, target: Target) -> bool:
    return target.name == "sinabs" or len(flat.paths[name]) == 1


def _outgoing(flat: FlatGraph) -> Counter[str]:
    return Counter(a for a, _ in flat.edges)


def _preorder(flat: FlatGraph) -> list[str]:
    done: dict[str, None] = {}
    stack = [flat.inputs[0]]
    while stack:
        name = stack.pop()
        if name not in done:
            done[name] = None
            stack += [b for a, b in reversed(flat.edges) if a == name]
    return list(done)
