"""`nirjax convert`: a file rewritten in today's format, or as a chip stores it."""

from __future__ import annotations

import argparse
import os

from nirjax.cli.arguments import (
    add_json,
    add_quantization,
    add_repair,
    default_dialect,
    positive,
    quantization_of,
    stored,
)
from nirjax.cli.terminal import FINE, say, show_json
from nirjax.errors import RepairWarning

HELP = "rewrite a file in today's format; with --repair, mend old or odd ones; with --target, as a chip stores it"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("source", metavar="IN", help="the .nir file to read")
    parser.add_argument("out", metavar="OUT", help="the .nir file to write; an existing one is replaced")
    add_repair(parser)
    parser.add_argument(
        "--compression", default="gzip", choices=("gzip", "lzf", "none"), help="of large arrays (default: gzip)"
    )
    add_quantization(parser)
    parser.add_argument("--dt", type=positive, help="the time step, which --target and --bits need")
    add_json(parser)
    parser.epilog = (
        "Names, edges, values and metadata stay as they are, but for what --repair mends and tells, and for what\n"
        "--target or --bits put on a grid, whose scales go into the metadata.\n\n"
        "example: nirjax convert nirjax-demo/digits.nir converted.nir --repair\n"
        "exit codes: 0 written, 2 wrong arguments or files"
    )


def execute(args: argparse.Namespace) -> int:
    """Read, mend if wished, write, and read back."""
    import warnings

    from nirjax.cli.terminal import complain
    from nirjax.ir.hdf5 import read, write

    quantization = quantization_of(args)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = read(args.source, repair=args.repair)
    mends = [str(one.message) for one in caught if issubclass(one.category, RepairWarning)]
    others = [str(one.message) for one in caught if not issubclass(one.category, RepairWarning)]
    for text in others:
        complain(f"warning: {text}", style="yellow")
    if quantization is not None:
        from nirjax.engine.exporting import to_nir
        from nirjax.engine.model import from_nir

        graph = to_nir(stored(from_nir(graph, dt=args.dt, dialect=default_dialect(args)), quantization))
    write(args.out, graph, compression=None if args.compression == "none" else args.compression)
    size = os.path.getsize(args.out)
    if args.json:
        show_json({"in": args.source, "out": args.out, "bytes": size, "repairs": mends, "warnings": others})
    else:
        for mend in mends:
            say(f"mended: {mend}")
        say(f"{args.source} -> {args.out}: {len(graph.nodes)} nodes, {size:,} bytes, {len(mends)} mends")
    return FINE
