"""`nirjax diff`: where two graphs differ in content."""

from __future__ import annotations

import argparse

from nirjax.cli.arguments import add_json, add_repair
from nirjax.cli.terminal import FINDINGS, FINE, say, show_json, shown

HELP = "list every difference in content between two graphs: names, edges, dtypes, values, metadata"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("a", metavar="A", help="a .nir file")
    parser.add_argument("b", metavar="B", help="another .nir file")
    add_repair(parser)
    add_json(parser)
    parser.epilog = (
        "Values are compared bit for bit. For behaviour, run both.\n\n"
        "example: nirjax diff nirjax-demo/digits.nir nirjax-demo/tuned.nir\n"
        "exit codes: 0 identical, 1 different, 2 wrong arguments or files"
    )


def execute(args: argparse.Namespace) -> int:
    """Compare the two files."""
    from nirjax.ir.diff import diff
    from nirjax.ir.hdf5 import read

    found = diff(read(args.a, repair=args.repair), read(args.b, repair=args.repair))
    if args.json:
        differences = [
            {"kind": one.kind, "node": one.node, "field": one.field, "note": one.note, "text": str(one)}
            for one in found
        ]
        show_json({"a": args.a, "b": args.b, "identical": not found, "differences": differences})
    else:
        for one in found:
            say(shown(str(one)))
        number = f"{len(found)} difference{'s' if len(found) > 1 else ''}" if found else "identical in content"
        say(f"a: {args.a}, b: {args.b}: {number}", style="bold")
    return FINDINGS if found else FINE
