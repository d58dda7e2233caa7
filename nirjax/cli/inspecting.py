"""`nirjax inspect`: what is in a graph."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.cli.arguments import add_graph, add_json, add_semantics, graph_of
from nirjax.cli.data_files import check_new, check_place
from nirjax.cli.pictures import check_picture, save
from nirjax.cli.terminal import EXIT_CODES, FINE, console, in_shell, say, show_json, show_table, shown, waiting

if TYPE_CHECKING:
    from nirjax.ir.graph import Edge, NIRGraph
    from nirjax.ir.inline import FlatGraph
    from nirjax.ir.nodes import NIRNode

HELP = "show what is in a graph: nodes, shapes, parameters, cycles, hints at the time step"

_STYLES = {"error": "red", "warning": "yellow", "note": None}
_ROOMY = 110
"""Columns of a terminal from which there is room for everything."""
_TIMES = ("tau", "tau_mem", "tau_syn", "delay")


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    add_semantics(parser)
    parser.add_argument(
        "--target", metavar="NAME", help="also tell what this chip cannot hold, or this framework drops or refuses"
    )
    parser.add_argument("--plot", metavar="FILE.png", help="draw the graph (needs: pip install 'nirjax[plot]')")
    parser.add_argument(
        "--dot",
        metavar="FILE.dot",
        help="write the graph in Graphviz's language; with --dt its delays are the dialect's",
    )
    add_json(parser)
    parser.epilog = (
        "Without --dt the file alone is looked at. With it the graph is made ready to run, which shows time constants\n"
        "in steps, where delays sit under the dialect, and what the engine warns of.\n\n"
        f"example: nirjax inspect nirjax-demo/digits.nir --dt 1e-4 --plot digits.png\n{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Show the graph."""
    if args.plot:
        check_picture(args.plot)
    if args.dot:
        check_place(args.dot)
        check_new(args.dot, args.graph, option="--dot")
    graph = graph_of(args)
    facts = facts_of(graph, args.dt, args.dialect or "nir", args.target)
    if args.plot:
        draw(graph, args.plot, title=args.graph)
    if args.dot:
        write_dot(graph, args)
    if args.json:
        show_json({"file": args.graph, **facts})
    else:
        show(args.graph, facts)
        if args.plot:
            say(f"\ndrawn to {args.plot}")
        if args.dot:
            say(f"\nwritten to {args.dot}")
    return FINE


def facts_of(
    graph: NIRGraph, dt: float | None = None, dialect: str = "nir", target: str | None = None
) -> dict[str, Any]:
    """Everything that `inspect` says, as plain data.

    Raises:
        NIRError: the graph cannot be run under this dt and dialect; without a dt, never.
    """
    from nirjax.ir.inline import inline
    from nirjax.ir.lint import lint
    from nirjax.ir.timestep import suggest_dt

    steps: dict[str, float] = {}
    feedback, flat = None, inline(graph)
    if dt is not None:
        with waiting("making the model"):
            from nirjax.engine.model import from_nir
            from nirjax.ir.ports import with_ports

            model = from_nir(graph, dt=dt, dialect=dialect)
        steps = {name: site.dt for name, site in model.program.plan.sites.items()}
        feedback, flat = model.feedback, inline(with_ports(graph))
    shapes = _shapes(flat)
    nodes = {name: _node(node, shapes.get(name), steps.get(name)) for name, node in flat.nodes.items()}
    sizes = [int(np.prod(one["shape"])) for node in nodes.values() for one in node["parameters"].values()]
    return {
        "dt": dt,
        "dialect": None if dt is None else dialect,
        "nodes": nodes,
        "edges": list(flat.edges),
        "inputs": list(flat.inputs),
        "outputs": list(flat.outputs),
        "parameters": sum(sizes),
        "cycles": _cycles(flat, feedback),
        "hints": [{"dt": hint.dt, "nodes": hint.nodes, "why": hint.why} for hint in suggest_dt(graph)],
        "metadata": dict(graph.metadata),
        "target": target,
        "findings": [dataclasses.asdict(one) for one in lint(graph, dt=dt, target=target)],
    }


def _shapes(flat: FlatGraph) -> dict[str, tuple[Any, Any]]:
    from nirjax.errors import ShapeError
    from nirjax.ir.shapes import infer_shapes

    try:
        return {name: (signal.input, signal.output) for name, signal in infer_shapes(flat).items()}
    except ShapeError:
        return {}


def _node(node: NIRNode, shapes: tuple[Any, Any] | None, step: float | None) -> dict[str, Any]:
    parameters = {}
    for field in type(node).parameter_names():
        values = getattr(node, field)
        entry: dict[str, Any] = {
            "shape": values.shape,
            "dtype": str(values.dtype),
            "min": values.min() if values.size else None,
            "max": values.max() if values.size else None,
        }
        if step is not None and field in _TIMES and values.size:
            entry["steps"] = [float(values.min()) / step, float(values.max()) / step]
        parameters[field] = entry
    other = {
        field: getattr(node, field)
        for field in type(node).field_names()
        if field not in parameters and field not in ("input_type", "output_type")
    }
    return {
        "type": type(node).__name__,
        "input": None if shapes is None else shapes[0],
        "output": None if shapes is None else shapes[1],
        "parameters": parameters,
        "settings": {field: value for field, value in other.items() if value is not None},
        "metadata": dict(node.metadata),
    }


def _cycles(flat: FlatGraph, feedback: tuple[Edge, ...] | None) -> list[dict[str, Any]]:
    """Each cycle's nodes, and its edges that deliver what they carried one step before."""
    from nirjax.ir.cycles import components, feedback_edges

    names, edges = list(flat.nodes), set(flat.edges)
    delayed = feedback_edges(names, flat.edges, flat.inputs) if feedback is None else feedback
    found = []
    for part in components(names, flat.edges):
        if len(part) > 1 or (part[0], part[0]) in edges:
            members = set(part)
            inside = [edge for edge in delayed if edge[0] in members and edge[1] in members]
            found.append({"nodes": [name for name in names if name in members], "delayed": inside})
    return found


def draw(graph: NIRGraph, path: str, *, title: str) -> None:
    """The graph as a picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
        FileError: the picture cannot be written.
    """
    from nirjax import plot

    save(plot.graph(graph, title=title), path)


def write_dot(graph: NIRGraph, args: argparse.Namespace) -> None:
    """The graph as a file in Graphviz's language; with a time step, as the model under the dialect runs it.

    Raises:
        FileError: it cannot be written.
    """
    from nirjax.ir.atomic import replace_file
    from nirjax.plot import to_dot

    source: Any = graph
    if args.dt is not None:
        from nirjax.engine.model import from_nir

        source = from_nir(graph, dt=args.dt, dialect=args.dialect or "nir")
    replace_file(args.dot, to_dot(source, parameters=True, title=args.graph).encode())


def show(file: str, facts: dict[str, Any]) -> None:
    """The facts for people."""
    nodes, edges = facts["nodes"], facts["edges"]
    say(f"{file}: {len(nodes)} nodes, {len(edges)} edges, {facts['parameters']:,} parameters", style="bold")
    say()
    timed = facts["dt"] is not None
    columns = ["node", "type", "input", "output", "parameter", "shape", "dtype", "range", *(["steps"] if timed else [])]
    rows = []
    for name, node in nodes.items():
        settings = [(field, "", "", _setting(value), "") for field, value in node["settings"].items()]
        entries = [(field, _size(entry["shape"]), entry["dtype"], *_ranges(entry))
                   for field, entry in node["parameters"].items()]  # fmt: skip
        lines = entries + settings or [("", "", "", "", "")]
        for place, line in enumerate(lines):
            head = (shown(name), node["type"], _size(node["input"]), _size(node["output"])) if place == 0 else ("",) * 4
            rows.append((*head, *(line if timed else line[:-1])))
    if console().width < _ROOMY:
        rows = [tuple(cell for place, cell in enumerate(row) if columns[place] != "dtype") for row in rows]
        columns.remove("dtype")
    show_table(columns, rows)
    say()
    say("edges: " + ", ".join(f"{shown(a)} -> {shown(b)}" for a, b in edges))
    for cycle in facts["cycles"]:
        delayed = ", ".join(f"{shown(a)} -> {shown(b)}" for a, b in cycle["delayed"])
        where = f"delayed by one step: {delayed}" if delayed else "no edge needs a register: a node on it waits"
        say(f"cycle: {', '.join(map(shown, cycle['nodes']))} ({where})")
    if not facts["cycles"]:
        say("no cycles")
    for hint in facts["hints"]:
        dt = "time step unknown" if hint["dt"] is None else f"hint: dt = {hint['dt']:.6g}"
        say(f"{dt} by {', '.join(map(shown, hint['nodes']))}: {hint['why']}")
    for finding in facts["findings"]:
        where = shown(finding["node"]) if finding["node"] else "the graph"
        field = f", {finding['field']}" if finding["field"] else ""
        text = f"{finding['severity']}: {where}{field}: {in_shell(finding['message'])}"
        say(text, style=_STYLES[finding["severity"]])
    if facts["target"] and not any(finding["severity"] == "error" for finding in facts["findings"]):
        say(f"{facts['target']}: nothing is refused", style="green")
    if facts["metadata"]:
        say(f"metadata: {', '.join(shown(str(key)) for key in facts['metadata'])}")


def _size(shape: Any) -> str:
    if shape is None:
        return "?"
    return " x ".join(map(str, shape)) if len(shape) else "-"


def _ranges(entry: dict[str, Any]) -> tuple[str, str]:
    values = _spread(entry["min"], entry["max"]) if entry["min"] is not None else "empty"
    return values, _spread(*entry["steps"]) if "steps" in entry else ""


def _spread(low: Any, high: Any) -> str:
    return f"{float(low):.4g}" if low == high else f"{float(low):.4g} to {float(high):.4g}"


def _setting(value: Any) -> str:
    return shown(value) if isinstance(value, str) else str(np.asarray(value).tolist())
