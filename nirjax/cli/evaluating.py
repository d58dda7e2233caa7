"""`nirjax evaluate`: how good a graph is on labelled recordings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nirjax.cli.arguments import (
    add_batch_size,
    add_graph,
    add_json,
    add_labels,
    add_quantization,
    add_semantics,
    count,
    model_of,
    quantization_of,
    stored,
)
from nirjax.cli.data_files import check_ending, check_new, labelled, write_arrays
from nirjax.cli.joining import add_distributed, join
from nirjax.cli.terminal import EXIT_CODES, FINE, percent, say, show_json, show_table, shown
from nirjax.errors import ArgumentError

if TYPE_CHECKING:
    from nirjax.engine.model import Model

HELP = "measure a graph on labelled recordings: accuracy, rate of spikes"

_SHARES = ("accuracy",)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a .npz file with x (sample, time, *shape), y (sample,) and, if needed, length; a .npy of x; NIR data",
    )
    add_labels(parser, "--labels", "DATA")
    add_semantics(parser, default="that of --target, else nir")
    add_quantization(parser)
    parser.add_argument(
        "--costs", action="store_true",
        help="also synaptic operations, sparsity and membrane updates by NeuroBench's definitions, parameters, memory",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE.npz", help="write each sample's prediction and measures here")
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="write results here as they come, and go on from those that are there; may be killed at any time",
    )
    parser.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="PATTERN",
        help="write these traces there too, such as 'lif1.v'",
    )
    parser.add_argument("--devices", type=count, metavar="N", help="use so many devices (default: all)")
    add_distributed(parser)
    add_batch_size(parser, None, "samples run at once (default: as many as fit into 256 MiB, 256 at most, per device)")
    add_json(parser)
    parser.epilog = (
        "The prediction is the class with the most output spikes; of equal ones, the lowest.\n\n"
        f"example: nirjax evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4\n{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Evaluate the graph."""
    if args.out:
        check_ending(args.out, ("prediction",), (".npz",))
        check_new(args.out, args.data, args.labels)
    if args.record and not args.output:
        raise ArgumentError("there is nowhere to write to", field="--record", expected="--output DIR")
    first = join(args)
    model = stored(model_of(args), quantization_of(args))
    from nirjax.evaluation import evaluate

    source, size = labelled(args.data, args.labels), args.batch_size or "auto"
    result = evaluate(
        model,
        source,
        batch_size=size,
        record=args.record,
        mesh=args.devices,
        output=args.output,
        progress=not args.json,
    )
    costs = _costs(model, source, size) if args.costs else {}
    if not first:
        return FINE
    if args.out:
        write_arrays(args.out, result.per_sample)
    if args.json:
        measured = {"samples": result.samples, "metrics": result.metrics, "bytes_per_sample": result.bytes_per_sample}
        show_json({"graph": args.graph, "data": args.data, **measured, **costs})
        return FINE
    say(f"{args.graph} on {args.data}: {result.samples} recordings", style="bold")
    rows = [
        (name.replace("_", " "), percent(value) if name in _SHARES else f"{value:.4g}")
        for name, value in result.metrics.items()
    ]
    show_table(["measure", "mean"], rows, right=("mean",))
    if costs:
        show_costs(costs)
    for written in filter(None, (args.out, args.output)):
        say(f"\nwritten to {written}")
    return FINE


def _costs(model: Model, source: Any, batch_size: Any) -> dict[str, Any]:
    """What a sample costs on average, by node and in all, and what the graph takes."""
    from nirjax import metrics
    from nirjax.evaluation import evaluate

    by_node = {**metrics.synaptic_operations_by_node(model), **metrics.activation_sparsity_by_node(model)}
    measures = {**metrics.workload(model), **by_node}
    found: dict[str, float] = {}
    if measures:
        record = metrics.workload_traces(model)
        found = evaluate(model, source, metrics=measures, record=record, batch_size=batch_size).metrics
    return {
        "workload": {name: value for name, value in found.items() if name not in by_node},
        "workload_by_node": {name: value for name, value in found.items() if name in by_node},
        "parameters": metrics.parameter_count(model),
        "parameters_by_node": metrics.parameter_count_by_node(model),
        "footprint": metrics.footprint(model),
        "footprint_by_node": metrics.footprint_by_node(model),
        "connection_sparsity": metrics.connection_sparsity(model),
    }


def show_costs(costs: dict[str, Any]) -> None:
    """The costs for people."""
    say("\na recording on average, and the graph", style="bold")
    sizes = {name: costs[name] for name in ("connection_sparsity", "parameters", "footprint")}
    rows = [(name.replace("_", " "), f"{value:,.6g}") for name, value in {**costs["workload"], **sizes}.items()]
    show_table(["cost", "mean"], rows, right=("mean",))
    by_node = costs["workload_by_node"]
    kinds = ("effective_acs", "effective_macs", "dense", "activation_sparsity")
    nodes = dict.fromkeys([*costs["footprint_by_node"], *(name.rpartition(".")[0] for name in by_node)])
    table = [
        (
            shown(node),
            *(f"{by_node[f'{node}.{kind}']:,.6g}" if f"{node}.{kind}" in by_node else "" for kind in kinds),
            f"{costs['parameters_by_node'].get(node, 0):,}",
            f"{costs['footprint_by_node'].get(node, 0):,}",
        )
        for node in nodes
    ]
    columns = ["node", *(kind.replace("_", " ") for kind in kinds), "parameters", "bytes"]
    say()
    show_table(columns, table, right=tuple(columns[1:]))
