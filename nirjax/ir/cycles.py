"""Cycles of a graph: where they are, which edge of each carries a register, and in what order the rest runs.

Everything here is about names and edges; nothing is about arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nirjax.errors import AlgebraicLoopError, GraphError
from nirjax.ir.graph import Edge

Successors = dict[str, list[str]]


def successors_of(names: Iterable[str], edges: Iterable[Edge]) -> Successors:
    """Name to the names that its edges go to, in edge order."""
    after: Successors = {name: [] for name in names}
    for source, destination in edges:
        after[source].append(destination)
    return after


def feedback_edges(names: Sequence[str], edges: Sequence[Edge], starts: Sequence[str]) -> tuple[Edge, ...]:
    """Edges that reach a node still on the stack of a depth-first search.

    The search starts at `starts` in order, then at the remaining names in order, and follows edges in order.
    """
    after = successors_of(names, edges)
    open_, done = set[str](), set[str]()
    found: list[Edge] = []
    for start in (*starts, *names):
        if start in done:
            continue
        open_.add(start)
        stack = [(start, iter(after[start]))]
        while stack:
            name, pending = stack[-1]
            step = next(pending, None)
            if step is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif step in open_:
                found.append((name, step))
            elif step not in done:
                open_.add(step)
                stack.append((step, iter(after[step])))
    return tuple(dict.fromkeys(found))


def components(names: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Strongly connected components, sources before what they feed (Tarjan 1972, without recursion)."""
    after = successors_of(names, edges)
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    on_stack = set[str]()
    found: list[list[str]] = []
    for root in names:
        if root in number:
            continue
        work = [(root, iter(after[root]))]
        number[root] = lowest[root] = len(number)
        waiting.append(root)
        on_stack.add(root)
        while work:
            name, pending = work[-1]
            step = next(pending, None)
            if step is not None and step not in number:
                number[step] = lowest[step] = len(number)
                waiting.append(step)
                on_stack.add(step)
                work.append((step, iter(after[step])))
            elif step is not None:
                if step in on_stack:
                    lowest[name] = min(lowest[name], number[step])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[name])
                if lowest[name] == number[name]:
                    found.append(_pop_until(name, waiting, on_stack))
    return found[::-1]


def _pop_until(name: str, waiting: list[str], on_stack: set[str]) -> list[str]:
    component: list[str] = []
    while not component or component[-1] != name:
        component.append(waiting.pop())
        on_stack.discard(component[-1])
    return component


def in_order(names: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """The names so that every edge goes forward, otherwise in the order given.

    Raises:
        GraphError: the edges hold a cycle; it is named.
    """
    after = successors_of(names, edges)
    left = dict.fromkeys(names, 0)
    for targets in after.values():
        for target in targets:
            left[target] += 1
    ready = [name for name in reversed(names) if left[name] == 0]
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for target in reversed(after[name]):
            left[target] -= 1
            if left[target] == 0:
                ready.append(target)
    if len(order) < len(names):
        cycle = one_cycle([name for name in names if name not in set(order)], edges)
        raise GraphError(
            "a cycle is left without a register",
            node=cycle[0],
            field="edges",
            found=" -> ".join((*cycle, cycle[0])),
            expected="one of its edges in `feedback`",
        )
    return order


def one_cycle(names: Sequence[str], edges: Sequence[Edge]) -> list[str]:
    """The names along one cycle among `names`, which must hold one."""
    members = set(names)
    for component in components(names, [edge for edge in edges if edge[0] in members and edge[1] in members]):
        inside = set(component)
        after = successors_of(component, [e for e in edges if e[0] in inside and e[1] in inside])
        if len(component) > 1 or component[0] in after[component[0]]:
            seen: list[str] = [min(component, key=list(names).index)]
            while after[seen[-1]][0] not in seen:
                seen.append(after[seen[-1]][0])
            return seen[seen.index(after[seen[-1]][0]) :]
    raise ValueError("no cycle among these names")


def refuse_algebraic_loops(
    found: list[list[str]], edges: Sequence[Edge], holds: Callable[[str], bool], field: Callable[[str], str]
) -> None:
    """Refuse a cycle in which nothing holds a state.

    Args:
        found: the components of the graph.
        edges: its edges.
        holds: name -> does the node carry something from step to step?
        field: name -> the field to name in the error ("delay" where a delay of zero is at fault).

    Raises:
        AlgebraicLoopError: naming the cycle.
    """
    loops = set(edges)
    for component in found:
        if (len(component) > 1 or (component[0], component[0]) in loops) and not any(map(holds, component)):
            cycle = one_cycle(component, edges)
            at_fault = [name for name in cycle if field(name) != "edges"]
            raise AlgebraicLoopError(
                "a cycle in which nothing holds a state: its value would depend on itself",
                node=(at_fault or cycle)[0],
                field=field((at_fault or cycle)[0]),
                found=" -> ".join((*cycle, cycle[0])),
                expected="a neuron, an integrator or a Delay of more than zero on the cycle",
            )
