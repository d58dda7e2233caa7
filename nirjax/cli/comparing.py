"""`nirjax compare`: two graphs, two dialects, or a graph and a recording, on the same input."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.cli.arguments import add_json, add_repair, add_semantics, positive
from nirjax.cli.data_files import read_arrays, recordings_of
from nirjax.cli.pictures import check_picture, figure, save
from nirjax.cli.terminal import FINDINGS, FINE, say, show_json, waiting
from nirjax.errors import ArgumentError, DataError, GraphError

if TYPE_CHECKING:
    from nirjax.comparison import Comparison

HELP = "say whether two graphs, or a graph and a recording, behave alike; if not, where they part and why"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "a", metavar="A", help="a .nir file, or a recording: a .npz with arrays by trace name, or NIR data"
    )
    parser.add_argument("b", metavar="B", help="the same; it may be the same .nir file under another dialect")
    parser.add_argument(
        "-x",
        "--input",
        metavar="DATA",
        help="the input of the graphs, as `nirjax run` takes it; by default what NIR data has at the Inputs",
    )
    add_repair(parser)
    add_semantics(parser)
    for side in ("a", "b"):
        parser.add_argument(f"--dt-{side}", type=positive, metavar="DT", help=f"of {side.upper()} alone")
        parser.add_argument(f"--dialect-{side}", metavar="NAME", help=f"of {side.upper()} alone")
    parser.add_argument(
        "--record", action="append", metavar="PATTERN", help="traces to compare (default: '*.spikes'); may be repeated"
    )
    parser.add_argument("--time-first", action="store_true", help="DATA is (time, sample, *shape)")
    parser.add_argument(
        "--sample-first",
        action="store_true",
        help="recordings are (sample, time, *shape), as `nirjax run` writes them into a .npz",
    )
    parser.add_argument("--plot", metavar="PICTURE", help="draw the trace in which they part, .png, .svg or .pdf")
    add_json(parser)
    parser.epilog = (
        "A recording is time first, (time, sample, *shape), if --sample-first does not say otherwise.\n\n"
        "example: nirjax compare nirjax-demo/digits.nir nirjax-demo/digits.nir -x nirjax-demo/test.npz --dt 1e-4 "
        "--dialect-b 'snntorch(reset_mechanism=\"zero\", reset_delay=False)'\n"
        "exit codes: 0 alike, 1 not alike, 2 wrong arguments, files or data"
    )


def execute(args: argparse.Namespace) -> int:
    """Run both sides and say how they compare."""
    if args.plot:
        check_picture(args.plot)
    with waiting("comparing", quiet=args.json):
        found = compared(args)
    if args.plot:
        _draw(found, args)
    if args.json:
        content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
        content |= {"traces": [dataclasses.asdict(one) for one in found.traces]}
        show_json({"a": args.a, "b": args.b, **{name: value for name, value in content.items() if name != "sides"}})
    else:
        say(str(found))
    return FINE if found.equal else FINDINGS


def compared(args: argparse.Namespace) -> Comparison:
    """What comes of running both sides.

    Raises:
        NIRError: what reading, `nirjax.from_nir` and `nirjax.compare` raise.
    """
    from nirjax.comparison import SPIKES, compare

    a, b = (_side(args, side) for side in ("a", "b"))
    model = next((side for side in (a, b) if hasattr(side, "program")), None)
    recorded = next((getattr(args, name) for name, side in (("a", a), ("b", b)) if hasattr(side, "walk")), None)
    x = None if model is None else _input(model, args, recorded)
    return compare(a, b, x, record=args.record or SPIKES)


def _draw(found: Comparison, args: argparse.Namespace) -> None:
    """The trace in which the two part, of the sample in which they do."""
    from nirjax.plot import comparison

    made = figure(9.0, 3.6)
    sample = found.element[0] if found.element else 0
    a, b = (side[:, sample] if side.ndim > 2 else side for side in found.sides or ())
    title = f"{found.trace}" + (f", sample {sample}" if found.element else "")
    comparison(a, b, ax=made.add_subplot(), dt=args.dt_a or args.dt, names=_names(args), title=title)
    save(made, args.plot)


def _names(args: argparse.Namespace) -> tuple[str, str]:
    """What tells the two sides apart: their files, else their dialects."""
    if args.a != args.b:
        return args.a.rpartition("/")[2], args.b.rpartition("/")[2]
    a, b = (_dialect(args, side) for side in ("a", "b"))
    return (a, b) if a != b else ("a", "b")


def _dialect(args: argparse.Namespace, side: str) -> str:
    """The dialect of one side: its own, that of both, or NIR's own equations."""
    return getattr(args, f"dialect_{side}") or args.dialect or "nir"


def _side(args: argparse.Namespace, side: str) -> Any:
    """A model of a .nir file, or a recording, or the path of one."""
    path: str = getattr(args, side)
    if path.endswith(".npz"):
        return sample_first(path) if args.sample_first else path
    from nirjax.ir.hdf5 import read

    try:
        graph = read(path, repair=args.repair)
    except GraphError as error:
        if error.field != "node" or error.node is not None:
            raise
        from nirjax.data.nir_files import read as read_data

        return read_data(path)
    from nirjax.dialects import dialect_of
    from nirjax.engine.model import from_nir

    dt = getattr(args, f"dt_{side}") or args.dt
    return from_nir(graph, dt=dt, dialect=dialect_of(_dialect(args, side)))


def sample_first(path: str) -> dict[str, np.ndarray]:
    """A recording as `nirjax run` writes it, time first.

    Raises:
        FileError: it cannot be read. DataError: an array without samples and time.
    """
    arrays = {name: values for name, values in read_arrays(path).items() if name != "length"}
    flat = [name for name, values in arrays.items() if values.ndim < 2]
    if flat:
        raise DataError("not a recording", file=path, field=flat[0], expected="(sample, time, *shape)")
    return {name: np.swapaxes(values, 0, 1) for name, values in arrays.items()}


def _input(model: Any, args: argparse.Namespace, recorded: str | None) -> Any:
    """The input of the graphs; without -x, what NIR data has at the Inputs."""
    path = args.input if args.input is not None else recorded
    if path is None:
        raise ArgumentError("a graph needs an input", field="-x", found="none", hint="Give it: -x input.npz.")
    recordings = recordings_of(model, path, time_first=args.time_first)
    arrays = {
        name: values[0] if recordings.single else np.swapaxes(values, 0, 1) for name, values in recordings.x.items()
    }
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
