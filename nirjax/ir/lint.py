"""What will surprise about a graph that is valid: time steps, units, wiring, neurons that cannot fire, what its
exporter lost, what the importer of a named framework would drop or refuse, and what a chip cannot hold.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from nirjax.errors import ArgumentError, quoted
from nirjax.ir import nodes as ir
from nirjax.ir import timestep
from nirjax.ir.chips import CHIPS
from nirjax.ir.findings import Finding, close, reachable, time_constants
from nirjax.ir.graph import NIRGraph
from nirjax.ir.importers import TARGETS, Limit, Target, findings_for
from nirjax.ir.inline import FlatGraph, inline
from nirjax.ir.ranges import highest_membranes
from nirjax.ir.reference import as_graph

__all__ = ["Finding", "Limit", "lint"]

_ORDER = ("error", "warning", "note")


def lint(graph: Any, *, dt: float | None = None, target: Any = None) -> list[Finding]:
    """What will surprise about a graph, the gravest first, then in file order; empty where nothing will.

    A graph that passes is not thereby right, and a finding is not an error of the file: everything here is legal NIR.

    Args:
        graph: a `nirjax.NIRGraph`, a path, or a `nir.NIRGraph`.
        dt: the time step that it is meant to run with, in the file's unit; some checks need it.
        target: who is to take the graph: the name of a framework, or of a chip, or an object with a `name` and
            `limits`, such as those of `nirjax.targets`; a limit is a `Limit`, or one of the checks in
            `nirjax.ir.fitting`.

    Raises:
        ArgumentError: an unknown target (the message lists the known ones), or a dt that is not positive.
        What `as_graph` raises.
    """
    if dt is not None and not (isinstance(dt, int | float | np.number) and 0 < dt < float("inf")):
        raise ArgumentError("the time step is a positive number", field="dt", found=dt)
    importer = None if target is None else target_of(target)
    graph = as_graph(graph)
    flat = inline(graph)
    found = [
        *_names(graph, ""),
        *_edges(graph, ""),
        *_reach(flat),
        *_times(flat, dt),
        *_wiring(flat),
        *_resets(flat),
        *_dead(flat),
        *_lost(flat),
        *(() if importer is None else findings_for(flat, importer, dt)),
    ]
    place = {name: at for at, name in enumerate(("", *flat.nodes))}
    return sorted(found, key=lambda one: (_ORDER.index(one.severity), place.get(one.node, 0)))


def target_of(target: Any) -> Target:
    """A target from its name, or from an object with a `name` and `limits`.

    Raises:
        ArgumentError: an unknown name (the message lists the known ones), or something else.
    """
    if isinstance(target, str) and target in TARGETS:
        return TARGETS[target]
    if isinstance(target, str) and target in CHIPS:
        return Target(target, CHIPS[target])
    if isinstance(getattr(target, "name", None), str) and hasattr(target, "limits"):
        return Target(target.name, tuple(target.limits))
    raise ArgumentError(
        "no such target",
        field="target",
        found=quoted(target),
        expected=f"one of {', '.join([*sorted(TARGETS), *sorted(CHIPS)])}, or an object with a name and limits",
    )


# ------------------------------------------------------------------------------------------------ names, edges, reach


def _names(graph: NIRGraph, path: str) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name, node in graph.nodes.items():
        first = seen.setdefault(unicodedata.normalize("NFKC", name), name)
        where = f"{path}.{name}" if path else name
        if first != name:
            text = f"the name looks like another node's: {name!a} and {first!a} differ only in their Unicode form"
            yield Finding("name", where, None, text)
        if isinstance(node, NIRGraph):
            yield from _names(node, where)


def _edges(graph: NIRGraph, path: str) -> Iterator[Finding]:
    for edge, count in Counter(graph.edges).items():
        if count > 1:
            text = f"the edge {quoted(edge)} is there {count} times; it acts once, and other tools may add it up"
            yield Finding("edges", path, "edges", text)
    for name, node in graph.nodes.items():
        if isinstance(node, NIRGraph):
            yield from _edges(node, f"{path}.{name}" if path else name)


def _reach(flat: FlatGraph) -> Iterator[Finding]:
    reached = reachable(flat.inputs, flat.edges) if flat.inputs else set(flat.nodes)
    seen = reachable(flat.outputs, [(b, a) for a, b in flat.edges]) if flat.outputs else set(flat.nodes)
    for name in flat.nodes:
        if name not in reached:
            yield Finding("disconnected", name, "edges", "nothing that enters the graph reaches this node")
        elif name not in seen:
            yield Finding("unseen", name, "edges", "no Output sees what this node does")


# ---------------------------------------------------------------------------------------------------- time and wiring


def _times(flat: FlatGraph, dt: float | None) -> Iterator[Finding]:
    constants = [(name, field, tau) for name, node in flat.nodes.items() for field, tau in time_constants(node).items()]
    if constants and all(tau.min() > 0.5 for _, _, tau in constants):
        text = "all time constants are above 0.5: are they in steps (Sinabs: dt = 1) or in milliseconds?"
        yield Finding("unit", "", None, text)
    for name, field, tau in constants:
        if dt is not None and tau.min() < dt * (1 - 1e-6):
            text = f"the time constant {tau.min():.6g} is shorter than dt = {dt:.6g}: an Euler step overshoots"
            norse = ", unless Norse wrote it as tau * dt (dialect 'norse')" if tau.max() < 2e-4 else ""
            yield Finding("dt", name, field, text + norse)


def _wiring(flat: FlatGraph) -> Iterator[Finding]:
    """w <-> neuron, where what comes from outside enters w and not the neuron."""
    for a, b in flat.edges:
        if not (isinstance(flat.nodes[a], ir.Affine | ir.Linear) and flat.nodes[b].stateful and (b, a) in flat.edges):
            continue
        outside = [source for source, target in flat.edges if target == a and source != b]
        if outside and all(source == a for source, target in flat.edges if target == b):
            text = (
                f"{quoted(outside[0])} enters the recurrent weights and not the neuron {quoted(b)}. Spyx and snnTorch "
                f"write this where they ran {quoted(outside[0])} -> {quoted(b)}; if they did, rewire that edge"
            )
            yield Finding("wiring", a, "edges", text)


def _resets(flat: FlatGraph) -> Iterator[Finding]:
    for name, node in flat.nodes.items():
        if isinstance(node, ir.IF | ir.LIF | ir.CubaLIF) and np.any(np.greater(node.v_reset, node.v_threshold)):
            yield Finding("reset", name, "v_reset", "a reset above the threshold: the neuron fires for ever")


def _dead(flat: FlatGraph) -> Iterator[Finding]:
    for name, reach in highest_membranes(flat).items():
        node = flat.nodes[name]
        threshold = np.broadcast_to(getattr(node, "v_threshold"), reach.shape)  # noqa: B009
        dead = reach + 1e-5 * np.abs(reach) < threshold  # what rounding may add
        if not dead.any():
            continue
        at = tuple(int(i) for i in np.argwhere(dead)[0])
        which = "it" if dead.size == 1 else f"{int(dead.sum())} of {dead.size}, first {list(at)}"
        text = (
            f"cannot fire by NIR's equations ({which}): the membrane reaches {reach[at]:.6g} at most, the threshold is "
            f"{threshold[at]:.6g}"
        )
        rest = np.maximum.reduce(
            np.broadcast_arrays(0, getattr(node, "v_leak", 0), getattr(node, "v_reset", 0), reach * 0)
        )
        if np.any(reach[dead] > rest[dead]):  # something drives it: a matter of gains
            yield Finding("dead", name, "v_threshold", f"{text}; with an input gain of one it may", "note")
        else:
            yield Finding("dead", name, "v_threshold", f"{text}, and nothing drives it up")


# --------------------------------------------------------------------------------------------- what the exporter lost


def _lost(flat: FlatGraph) -> Iterator[Finding]:
    spyx = any(name.rpartition(".")[2].startswith("layer_") for name in flat.nodes)
    neurons = {name: node for name, node in flat.nodes.items() if isinstance(node, ir.IF | ir.LIF | ir.CubaLIF)}
    times = [tau for node in neurons.values() for tau in time_constants(node).values()]
    norse = bool(times) and all(tau.max() < 2e-4 for tau in times)
    snntorch: list[str] = []
    for name, node in neurons.items():
        tau = None if isinstance(node, ir.IF) else node.tau if isinstance(node, ir.LIF) else node.tau_mem
        if tau is None:
            if close(node.r, 1) and not spyx:
                yield _note(name, "v_reset", "Sinabs", "spike_fn, reset_fn and min_v_mem (nor does Norse's v_reset)")
        elif norse:
            if not np.any(node.v_reset):
                yield _note(name, "v_reset", "Norse", "v_reset: a 0 stands there whatever it was")
        elif close(r := node.r, 1):
            if tau.min() > 0.5:
                yield _note(name, "tau", "Sinabs", "tau_syn, norm_input, spike_fn, reset_fn and min_v_mem")
        elif np.allclose(r, tau / 1e-4, rtol=1e-3):
            snntorch.append(name)
        elif timestep._rockpool_dt(tau, r):
            yield _note(name, "v_leak", "Rockpool", "the bias that a neuron adds in every step: a 0 stands there")
            yield _note(name, "edges", "Rockpool", "recurrent weights (w_rec)")
    if snntorch:
        text = f"reset_mechanism and reset_delay of {', '.join(map(quoted, snntorch[:4]))}"
        yield _note("", "v_reset", "snnTorch", text + (", ..." if len(snntorch) > 4 else ""))
    for a, b in flat.edges:
        if spyx and isinstance(flat.nodes[a], ir.Flatten) and isinstance(flat.nodes[b], ir.Affine | ir.Linear):
            text = "the weights behind a Flatten in NIR's order (C, H, W), but in its own, (H, W, C)"
            yield _note(b, "weight", "Spyx", text)


def _note(node: str, field: str, exporter: str, lost: str) -> Finding:
    text = f"this looks like a file of {exporter}'s, whose exporter does not write {lost}"
    return Finding("lost", node, field, text, "note")
