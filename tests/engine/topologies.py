"""Graphs of every shape: each function gives one, with Inputs first and weights on a grid where sums are exact."""

from __future__ import annotations

import numpy as np

from engine.graphs import affine, conv2d, cubalif, filled, graph, if_, lif, linear, ports
from nirjax.ir import nodes as ir
from nirjax.ir.graph import NIRGraph


def chain() -> NIRGraph:
    nodes = {"in": ir.Input((4,)), "fc": affine(3, 4), "lif": lif(), "li": filled(ir.LI, tau=2, r=2, v_leak=0)}
    return graph(nodes | {"out": ir.Output((3,))}, "in fc lif li out")


def skip() -> NIRGraph:
    return graph(
        {**ports(), "fc": affine(), "lif": lif(), "fc2": affine(seed=2)}, "in fc lif fc2 out", "in fc2", "fc out"
    )


def fan_in() -> NIRGraph:
    nodes = {
        **ports(),
        "a": affine(seed=1),
        "b": linear(seed=2),
        "c": filled(ir.Scale, scale=0.5),
        "lif": lif(v_threshold=2),
    }
    return graph(nodes, "in a lif out", "in b lif", "in c lif", "in lif")


def several_ports() -> NIRGraph:
    nodes: dict[str, ir.NIRNode] = {"left": ir.Input((2,)), "right": ir.Input((3,)), "sum": lif(2), "b": linear(2, 3)}
    nodes |= {"spikes": ir.Output((2,)), "current": ir.Output((2,)), "copy": ir.Output((3,))}
    return graph(nodes, "left sum spikes", "right b sum", "b current", "right copy")


def self_loop() -> NIRGraph:
    return graph({**ports(), "lif": lif()}, "in lif lif out")


def recurrent() -> NIRGraph:
    return graph({**ports(), "fc": affine(), "lif": lif(), "rec": affine(seed=5)}, "in fc lif out", "lif rec lif")


def two_cycles_that_share_a_node() -> NIRGraph:
    nodes = {**ports(), "a": lif(), "b": cubalif(), "w": affine(seed=3), "back": linear(seed=4), "self": linear(seed=6)}
    return graph(nodes, "in a w b out", "b back a", "b self b", "a out")


def a_cycle_behind_a_cycle() -> NIRGraph:
    nodes = {**ports(), "a": lif(), "ra": affine(seed=3), "w": affine(seed=7), "b": if_(), "rb": linear(seed=4)}
    return graph(nodes, "in a w b out", "a ra a", "b rb b")


def a_cycle_that_no_input_reaches() -> NIRGraph:
    nodes = {**ports(), "clock": lif(v_leak=1.5), "w": affine(seed=3), "sum": lif()}
    return graph(nodes, "in sum out", "clock w clock", "w sum")


def a_node_that_nothing_enters() -> NIRGraph:
    return graph({**ports(), "bias": affine(), "lif": lif()}, "in lif out", "bias lif")


def delay_in_a_cycle() -> NIRGraph:
    nodes = {**ports(), "lif": lif(), "rec": affine(seed=5), "delay": ir.Delay(np.float32([1, 2, 3]))}
    return graph(nodes, "in lif rec delay lif out")


def recurrent_with_delay() -> NIRGraph:
    nodes = {**ports(), "fc": affine(), "lif": lif(v_threshold=2), "rec": affine(seed=5)}
    nodes["delay"] = ir.Delay(np.float32([1, 2, 3]))
    return graph(nodes, "in fc lif out", "lif rec lif", "lif delay lif")


def delay_of_less_than_a_step_in_a_cycle() -> NIRGraph:
    nodes = {**ports(), "lif": lif(), "rec": linear(seed=5), "delay": ir.Delay(np.float32([0.5, 1, 2.25]))}
    return graph(nodes, "in lif rec delay lif out")


def nested() -> NIRGraph:
    inner = graph({**ports(), "lif": lif(), "rec": affine(seed=5)}, "in lif out", "lif rec lif")
    middle = graph({**ports(), "layer": inner, "fc": linear(seed=8)}, "in fc layer out")
    return graph({**ports(), "first": middle, "second": middle}, "in first second out")


def nested_ports() -> NIRGraph:
    two = {"x": ir.Input((3,)), "y": ir.Input((3,)), "z": ir.Output((3,)), "w": ir.Output((3,)), "lif": lif()}
    inner = graph(two | {"fc": linear(seed=8)}, "x lif z", "y fc lif", "fc w")
    return graph({**ports(), "sub": inner, "fc": affine()}, "in sub.x", "in fc sub.y", "sub.z out", "sub.w out")


def a_cycle_through_a_subgraph() -> NIRGraph:
    inner = graph({**ports(), "lif": lif()}, "in lif out")
    return graph({**ports(), "layer": inner, "rec": affine(seed=5)}, "in layer out", "layer rec layer")


def names_with_dots() -> NIRGraph:
    inner = graph({"in1": ir.Input((3,)), "lif": lif(), "out": ir.Output((3,))}, "in1 lif out")
    nodes = {**ports(), "lif1.lif": lif(), "lif1.w_rec": affine(seed=5), "sub": inner, "sub.fc": linear(seed=3)}
    return graph(nodes, "in lif1.lif sub.fc sub.in1", "lif1.lif lif1.w_rec lif1.lif", "sub out")


def in_any_order() -> NIRGraph:
    forward = two_cycles_that_share_a_node()
    return NIRGraph(dict(reversed(forward.nodes.items())), forward.edges[::-1])


def convolutional() -> NIRGraph:
    nodes = {"in": ir.Input((2, 4, 4)), "conv": conv2d(), "if": if_((2, 4, 4)), "pool": ir.SumPool2d(2, 2, 0)}
    nodes |= {"flat": ir.Flatten(None, 0, -1), "fc": affine(3, 8), "lif": lif(), "out": ir.Output((3,))}
    return graph(nodes, "in conv if pool flat fc lif out")


def feed_forward_delay() -> NIRGraph:
    nodes = {**ports(), "fc": affine(), "delay": ir.Delay(np.float32([0, 1.5, 4])), "lif": lif()}
    return graph(nodes, "in fc delay lif out")


TOPOLOGIES = [
    *(chain, skip, fan_in, several_ports, self_loop, recurrent, two_cycles_that_share_a_node, feed_forward_delay),
    *(
        a_cycle_behind_a_cycle,
        a_cycle_that_no_input_reaches,
        a_node_that_nothing_enters,
        delay_in_a_cycle,
        delay_of_less_than_a_step_in_a_cycle,
        recurrent_with_delay,
    ),
    *(
        nested,
        nested_ports,
        a_cycle_through_a_subgraph,
        names_with_dots,
        in_any_order,
        convolutional,
    ),
]
