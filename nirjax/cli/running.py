"""`nirjax run`: a graph on recordings, outputs and traces into a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.cli.arguments import add_batch_size, add_graph, add_json, add_semantics, model_of
from nirjax.cli.data_files import (
    Arrays,
    Recordings,
    check_ending,
    check_new,
    recordings_of,
    write_arrays,
    write_recording,
)
from nirjax.cli.terminal import EXIT_CODES, FINE, say, show_json, show_table, shown, tracked, waiting

if TYPE_CHECKING:
    from nirjax.engine.model import Model

HELP = "run a graph on recordings and save what comes out"

BATCH_SIZE = 64


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a .npy file, or a .npz file with x (several Inputs: an array under each one's name): "
        "(sample, time, *shape), or (time, *shape) of one recording; or a file of NIR data",
    )
    add_semantics(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="write outputs and traces here (.npz, or .nir for NIR data), or the output (.npy)"
    )
    parser.add_argument(
        "--record",
        action="append",
        default=[],
        metavar="PATTERN",
        help="also keep these traces, such as 'lif.v' or '*.spikes'; may be given several times",
    )
    parser.add_argument("--time-first", action="store_true", help="DATA is (time, sample, *shape), and so is FILE")
    add_batch_size(parser, BATCH_SIZE, f"samples run at once (default: {BATCH_SIZE})")
    add_json(parser)
    parser.epilog = (
        "FILE holds `output` (several Outputs: one array under each one's name), each recorded trace under its name,\n"
        "and `length` if DATA has it; steps beyond a sample's length are zero. Axes are as in DATA. NIR data holds\n"
        "observables by node; --record input.output stores the input (of an Input named `input`) beside them.\n\n"
        "example: nirjax run nirjax-demo/digits.nir nirjax-demo/test.npz --dt 1e-4 --record '*.spikes' --out run.npz\n"
        f"{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Run the graph on all recordings."""
    if args.out:
        check_ending(args.out, ("output", *args.record), (".npz", ".npy", ".nir"))
        check_new(args.out, args.graph, args.data)
    model = model_of(args)
    if args.record:
        from nirjax.ir.patterns import matching

        matching(args.record, model.variables, argument="--record")
    recordings = recordings_of(model, args.data, time_first=args.time_first)
    if args.out and args.out.endswith(".npy") and len(model.program.plan.outputs) > 1:
        check_ending(args.out, model.program.plan.outputs)
    with waiting("running", quiet=args.json or recordings.samples > args.batch_size):
        results = run_all(model, recordings, args.record, args.batch_size)
    if args.out:
        save(args.out, model, recordings, results)
    facts = {name: _facts(values) for name, values in results.items()}
    if args.json:
        show_json({"graph": args.graph, "data": args.data, "samples": recordings.samples, "arrays": facts})
        return FINE
    say(f"{args.graph} on {args.data}: {recordings.samples} recording{'s' if recordings.samples > 1 else ''}")
    rows = [
        (shown(name), " x ".join(map(str, one["shape"])), *(f"{one[key]:.4g}" for key in ("min", "mean", "max")))
        for name, one in facts.items()
    ]
    show_table(["array", "sample x time x shape", "min", "mean", "max"], rows, right=("min", "mean", "max"))
    if args.out:
        say(f"\nwritten to {args.out}")
    return FINE


def save(path: str, model: Model, recordings: Recordings, results: Arrays) -> None:
    """Write the results: as NIR data, or as arrays laid out as the recordings were."""
    if path.endswith(".nir"):
        write_recording(path, model, results)
        return
    arrays = {name: recordings.laid_out(values) for name, values in results.items()}
    if recordings.length is not None:
        arrays["length"] = recordings.length
    write_arrays(path, arrays)


def run_all(model: Model, recordings: Recordings, record: list[str], batch_size: int) -> Arrays:
    """Outputs and traces of all recordings, (sample, time, *shape) each."""
    parts: dict[str, list[np.ndarray]] = {}
    batches = -(-recordings.samples // batch_size)
    for batch, real in tracked(_batches(recordings, batch_size), "running", batches, quiet=batches < 2):
        run = model.run(batch if len(batch) > 1 else next(iter(batch.values())), record=record)
        outputs: dict[str, Any] = run.output if isinstance(run.output, dict) else {"output": run.output}
        for name, values in {**outputs, **run.traces}.items():
            parts.setdefault(name, []).append(np.swapaxes(np.asarray(values), 0, 1)[:real])
    results = {name: np.concatenate(values) for name, values in parts.items()}
    if recordings.length is None:
        return results
    return {name: _cut(values, recordings.length) for name, values in results.items()}


def _batches(recordings: Recordings, size: int) -> Iterator[tuple[Arrays, int]]:
    """Batches (time, batch, *shape), all of one size so that one program is compiled, and how many samples are real."""
    size = min(size, recordings.samples)
    for start in range(0, recordings.samples, size):
        real = min(size, recordings.samples - start)
        places = np.minimum(np.arange(start, start + size), recordings.samples - 1)
        yield {name: np.swapaxes(values[places], 0, 1) for name, values in recordings.x.items()}, real


def _cut(values: np.ndarray, length: np.ndarray) -> np.ndarray:
    inside = np.arange(values.shape[1]) < length[:, None]
    return np.where(inside.reshape(*inside.shape, *(1,) * (values.ndim - 2)), values, values.dtype.type(0))


def _facts(values: np.ndarray) -> dict[str, Any]:
    return {"shape": values.shape, "min": values.min(), "mean": values.mean(dtype=np.float64), "max": values.max()}
