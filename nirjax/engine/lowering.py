"""From a graph to a plan: what runs, in which order, and over which loop.

    inline subgraphs, add missing ports -> shapes -> a primitive and a discretisation for each node
    -> feedback edges -> strongly connected components -> stages

A plan is static: names, shapes and functions, no arrays of parameters.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from nirjax.dialects import Dialect, Discretisation
from nirjax.engine.schedule import Work
from nirjax.errors import GraphError, NIRWarning, ParameterError, PatternError
from nirjax.ir.cycles import components, feedback_edges, in_order, refuse_algebraic_loops
from nirjax.ir.graph import Edge, NIRGraph
from nirjax.ir.inline import Path, inline
from nirjax.ir.nodes import Conv1d, Conv2d, Delay
from nirjax.ir.ports import refuse_unreachable, with_ports
from nirjax.ir.shapes import infer_shapes
from nirjax.kernels.event_convolutions import event_convolution
from nirjax.kernels.event_products import event_product
from nirjax.primitives.base import Primitive, Site
from nirjax.primitives.delay import steps_of
from nirjax.primitives.registry import Registry, primitive_of
from nirjax.surrogate import Surrogate

LONGEST_DELAY = 1_000_000
"""The most time steps that a Delay may hold."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of the plan that is executed over a whole block of time steps at once.

    Attributes:
        members: node names in the order of one time step.
        cyclic: the members depend on each other: one loop over time steps with all of them inside. Otherwise there
            is one member: a stateless one is applied to the whole block, a stateful one loops over its own update.
    """

    members: tuple[str, ...]
    cyclic: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """How a graph runs.

    Attributes:
        sites, primitives: every node by dotted path, as its primitive sees it, and that primitive.
        sources: node to the nodes whose outputs it sums, in file order.
        registers: feedback edges: what they deliver is the output of the step before.
        waiting: nodes whose output does not depend on their present input; they impose no order.
        stages: in order of execution.
        channels_last: nodes whose output is kept channels last within a block.
        flat: lone neurons of several axes, which a run has as one: XLA loops faster over one axis than over several.
        inputs, outputs: the graph's ports, in file order.
        paths: dotted path to the names that lead to the node in the nested graph.
        start: where registers start: "rest" or "zero".
        work: what one time step of one sample costs.
    """

    sites: dict[str, Site]
    primitives: dict[str, Primitive]
    sources: dict[str, tuple[str, ...]]
    registers: tuple[Edge, ...]
    waiting: frozenset[str]
    stages: tuple[Stage, ...]
    channels_last: frozenset[str]
    flat: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    paths: dict[str, Path]
    start: str
    work: Work


def lower(
    graph: NIRGraph,
    *,
    dt: float,
    dialect: Dialect,
    overrides: Mapping[str, Discretisation | Mapping[str, object]],
    surrogate: Surrogate,
    feedback: Sequence[Edge] | None,
    registry: Registry,
    max_delay: float | None,
    dtype: DTypeLike,
    product_dtype: DTypeLike | None = None,
) -> tuple[Plan, Dialect]:
    """The plan of a graph under a dialect, and the dialect with the overrides in it.

    Raises:
        GraphError: no path from an Input to an Output; a feedback override that is no edge or leaves a loop.
        AlgebraicLoopError: a cycle in which nothing holds a state.
        ShapeError: shapes that do not fit along an edge, or that nothing tells.
        UnknownNodeError, UnsupportedByTarget, PatternError: see the registry and the dialect.
    """
    flat = inline(with_ports(graph))
    refuse_unreachable(flat)
    signals = infer_shapes(flat)
    primitives = {name: primitive_of(registry, node, name) for name, node in flat.nodes.items()}
    place = {name: number for number, name in enumerate(flat.nodes)}
    found = [sorted(part, key=place.__getitem__) for part in components(list(flat.nodes), flat.edges)]
    selves = {source for source, destination in flat.edges if source == destination}
    looped = {name for part in found if len(part) > 1 or part[0] in selves for name in part}
    kinds = {name: (type(flat.nodes[name]).__name__, name in looped) for name, p in primitives.items() if p.stateful}
    dialect = dialect.changed(overrides, kinds)
    steps = {name: dialect.step_of(node, dt) for name, node in flat.nodes.items()}
    sites = {
        name: Site(
            name=name,
            node=node,
            input_shape=signals[name].input,
            output_shape=signals[name].output,
            dt=steps[name],
            dtype=dtype,
            product_dtype=product_dtype,
            multiply=event_product,
            convolve=event_convolution,
            rule=dialect.of(name, type(node).__name__, name in looped),
            surrogate=surrogate,
            flatten=dialect.flatten,
            max_delay=_delay_capacity(name, node, steps[name], max_delay) if isinstance(node, Delay) else None,
        )
        for name, node in flat.nodes.items()
    }
    refuse_algebraic_loops(
        found,
        flat.edges,
        holds=lambda name: primitives[name].stateful and primitives[name].holds(sites[name]),
        field=lambda name: "delay" if isinstance(flat.nodes[name], Delay) else "edges",
    )
    _warn_of_short_time_constants(sites, primitives)
    unordered = {name for name, p in primitives.items() if p.stateful and p.waits(sites[name])}
    waiting = frozenset(unordered & looped)
    sites |= {name: _waiting_site(sites[name]) for name in waiting}
    binding = [edge for edge in flat.edges if edge[1] not in unordered]
    if feedback is None:
        registers = feedback_edges(list(flat.nodes), binding, flat.inputs)
    else:
        registers = _chosen_registers(feedback, flat.edges, found)
    held = set(registers)
    forward = [edge for edge in binding if edge not in held]
    order = {name: number for number, name in enumerate(in_order(list(flat.nodes), forward))}
    stages = tuple(Stage(tuple(sorted(part, key=order.__getitem__)), part[0] in looped) for part in found)
    alone = [stage.members[0] for stage in stages if not stage.cyclic]
    sources: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, destination in flat.edges:
        sources[destination].append(source)
    plan = Plan(
        sites=sites,
        primitives=primitives,
        sources={name: tuple(names) for name, names in sources.items()},
        registers=registers,
        waiting=waiting,
        stages=stages,
        channels_last=_channels_last(alone, sources, primitives),
        flat=frozenset(name for name in alone if primitives[name].elementwise and len(sites[name].output_shape) > 1),
        inputs=flat.inputs,
        outputs=flat.outputs,
        paths=flat.paths,
        start=dialect.registers,
        work=_work(sites, bool(looped)),
    )
    return plan, dialect


def _channels_last(
    alone: Sequence[str], sources: Mapping[str, Sequence[str]], primitives: Mapping[str, Primitive]
) -> frozenset[str]:
    """Convolutions and pools, and the neurons behind them, outside cycles."""
    found: set[str] = set()
    for name in alone:
        primitive, fed = primitives[name], sources[name]
        if primitive.channels_last or (primitive.elementwise and fed and found.issuperset(fed)):
            found.add(name)
    return frozenset(found)


def _work(sites: Mapping[str, Site], cyclic: bool) -> Work:
    values = sum(math.prod(site.output_shape) for site in sites.values())
    multiplied, convolves = 0, False
    for site in sites.values():
        weight = getattr(site.node, "weight", None)
        if isinstance(site.node, Conv1d | Conv2d):
            multiplied += site.node.weight.size * math.prod(site.output_shape[1:])
            convolves = True
        elif isinstance(weight, np.ndarray):
            multiplied += weight.size
    return Work(values * jnp.dtype(next(iter(sites.values())).dtype).itemsize, multiplied, values, convolves, cyclic)


def _delay_capacity(name: str, node: Delay, step: float, max_delay: float | None) -> int:
    longest = float(steps_of(node.delay, step).max()) if max_delay is None else max_delay / step
    if not math.isfinite(longest) or longest > LONGEST_DELAY or longest < 0:
        raise ParameterError(
            "the delay is too long to hold",
            node=name,
            field="delay",
            found=f"{longest:.6g} time steps",
            expected=f"at most {LONGEST_DELAY}",
            hint="Is dt in the file's unit of time?",
        )
    return math.ceil(longest - 1e-6)


def _waiting_site(site: Site) -> Site:
    """The site of a node that keeps a cycle open; a Delay must then be able to hold a step."""
    if site.max_delay is not None and site.max_delay < 1:
        raise ParameterError(
            "the delay keeps a cycle open, and max_delay leaves it less than a time step",
            node=site.name,
            field="max_delay",
            found=f"{site.max_delay} time steps",
            expected="at least one",
        )
    return dataclasses.replace(site, waits=True)


def _warn_of_short_time_constants(sites: Mapping[str, Site], primitives: Mapping[str, Primitive]) -> None:
    """Under Euler a time constant below dt makes the decay factor negative: the membrane swings instead of leaking."""
    for name, site in sites.items():
        if not primitives[name].stateful:
            continue
        kinds = {"tau": site.rule.decay, "tau_mem": site.rule.decay, "tau_syn": site.rule.synapse_decay}
        for field, kind in kinds.items():
            tau = getattr(site.node, field, None)
            if kind == "euler" and tau is not None and float(np.min(tau)) < site.dt * (1 - 1e-6):
                warnings.warn(
                    f"node {name!r}, field {field!r}: the time constant {float(np.min(tau)):.6g} is shorter than the "
                    f"time step {site.dt:.6g}, so that its Euler step overshoots. Choose a smaller dt, or the "
                    f"dialect 'exact'.",
                    NIRWarning,
                    stacklevel=4,
                )


def _chosen_registers(
    feedback: Sequence[Edge], edges: Sequence[Edge], found: Sequence[Sequence[str]]
) -> tuple[Edge, ...]:
    """The edges that a user chose to hold registers; each must lie on a cycle."""
    component = {name: place for place, part in enumerate(found) for name in part}
    chosen = []
    for edge in feedback:
        pair = tuple(edge)
        if pair not in edges:
            raise PatternError("no such edge", field="feedback", found=pair, expected=f"one of {sorted(edges)}")
        if component[pair[0]] != component[pair[1]]:
            raise GraphError(
                "the edge lies on no cycle, and only an edge of a cycle can hold a register",
                node=pair[1],
                field="feedback",
                found=pair,
                hint="To delay a signal elsewhere, put a Delay node there.",
            )
        chosen.append((pair[0], pair[1]))
    return tuple(dict.fromkeys(chosen))
