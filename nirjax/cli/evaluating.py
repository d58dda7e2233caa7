"""`nirjax evaluate`: how good a graph is on labelled recordings."""

from __future__ import annotations

import argparse

from nirjax.cli.arguments import (
    add_batch_size,
    add_graph,
    add_json,
    add_quantization,
    add_semantics,
    model_of,
    quantization_of,
    stored,
)
from nirjax.cli.data_files import check_ending, write_arrays
from nirjax.cli.terminal import EXIT_CODES, FINE, percent, say, show_json, show_table, waiting

HELP = "measure a graph on labelled recordings: accuracy, rate of spikes"

_SHARES = ("accuracy",)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    parser.add_argument(
        "data", metavar="DATA", help="a .npz file with x (sample, time, *shape), y (sample,) and, if needed, length"
    )
    add_semantics(parser)
    add_quantization(parser)
    parser.add_argument("--out", metavar="FILE.npz", help="write each sample's prediction and measures here")
    add_batch_size(parser, None, "samples run at once (default: as many as fit into 256 MiB, 256 at most)")
    add_json(parser)
    parser.epilog = (
        "The prediction is the class with the most output spikes; of equal ones, the lowest.\n\n"
        f"example: nirjax evaluate nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4\n{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Evaluate the graph."""
    if args.out:
        check_ending(args.out, ("prediction",))
    model = stored(model_of(args), quantization_of(args))
    from nirjax.evaluation import evaluate

    with waiting("evaluating", quiet=args.json):
        result = evaluate(model, args.data, batch_size=args.batch_size or "auto")
    if args.out:
        write_arrays(args.out, result.per_sample)
    if args.json:
        show_json({"graph": args.graph, "data": args.data, "samples": result.samples, "metrics": result.metrics})
        return FINE
    say(f"{args.graph} on {args.data}: {result.samples} recordings", style="bold")
    rows = [
        (name.replace("_", " "), percent(value) if name in _SHARES else f"{value:.4g}")
        for name, value in result.metrics.items()
    ]
    show_table(["measure", "mean"], rows, right=("mean",))
    if args.out:
        say(f"\nwritten to {args.out}")
    return FINE
