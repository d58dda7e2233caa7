"""`nirjax validate`: is a file a valid NIR graph?"""

from __future__ import annotations

import argparse
import os
import warnings
from typing import TYPE_CHECKING, Any

from nirjax.cli.arguments import add_json, add_repair
from nirjax.cli.terminal import FINDINGS, FINE, for_terminal, say, show_json, shown, tracked
from nirjax.errors import FileError, NIRError, NIRWarning, RepairWarning

if TYPE_CHECKING:
    from nirjax.ir.graph import NIRGraph
    from nirjax.ir.nodes import NIRNode

HELP = "tell whether files are valid NIR graphs, and what is wrong with those that are not"


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .nir file")
    add_repair(parser)
    add_json(parser)
    parser.epilog = (
        "Checked are the file, its structure, every field of every node, edges and shapes; and then, whether it can\n"
        "run: all shapes known, a state in every cycle. With --repair a file that can be mended is valid;\n"
        "`nirjax convert` writes the mended one.\n\n"
        "example: nirjax validate nirjax-demo/digits.nir nirjax-demo/tuned.nir\n"
        "exit codes: 0 all valid and fit to run, 1 some are not, 2 wrong arguments, or a file that is not there"
    )


def execute(args: argparse.Namespace) -> int:
    """Check every file."""
    for file in args.files:
        if not os.path.exists(file):
            raise FileError("there is no such file", file=file)
    quiet = args.json or len(args.files) < 20
    verdicts = [verdict(file, args.repair) for file in tracked(args.files, "checking", len(args.files), quiet=quiet)]
    if args.json:
        show_json(verdicts)
    else:
        for one in verdicts:
            say(f"{shown(one['file'])}: {one['verdict']}", style="green" if one["runs"] else "red")
            for line in ([one["error"]["text"]] if one["error"] else []) + one["repairs"] + one["warnings"]:
                say(f"    {' '.join(line.split())}")
    return FINE if all(one["runs"] for one in verdicts) else FINDINGS


def verdict(file: str, repair: bool = False) -> dict[str, Any]:
    """What is to be said of one file, as plain data."""
    from nirjax.ir.hdf5 import read

    valid, error = False, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            graph = read(file, repair=repair)
            valid = True
            check_runnable(graph)
        except NIRError as found:
            error = found.located(file=file)
    repairs = [str(one.message) for one in caught if issubclass(one.category, RepairWarning)]
    others = [
        str(one.message)
        for one in caught
        if issubclass(one.category, NIRWarning) and not issubclass(one.category, RepairWarning)
    ]
    words = "not valid" if not valid else "valid once repaired" if repairs else "valid"
    words += ", but it cannot run" if valid and error else ""
    words += f", {len(others)} warning{'s' if len(others) > 1 else ''}" if others else ""
    return {
        "file": file,
        "valid": valid,
        "runs": error is None,
        "verdict": words,
        "error": None if error is None else _as_data(error),
        "repairs": repairs,
        "warnings": others,
    }


def check_runnable(graph: NIRGraph) -> None:
    """Check what a valid graph may lack and running needs, as far as it can be told without a time step.

    Raises:
        ShapeError: a shape that nothing tells.
        AlgebraicLoopError: a cycle in which nothing holds a state.
    """
    from nirjax.ir.cycles import components, refuse_algebraic_loops
    from nirjax.ir.inline import inline
    from nirjax.ir.shapes import infer_shapes

    flat = inline(graph)
    infer_shapes(flat)
    refuse_algebraic_loops(
        components(list(flat.nodes), flat.edges),
        flat.edges,
        holds=lambda name: _holds(flat.nodes[name]),
        field=lambda name: "edges",
    )


def _holds(node: NIRNode) -> bool:
    """May the node hold what enters it from one step to the next? A delay that is zero somewhere does not."""
    from nirjax.ir.nodes import Delay

    return node.stateful and not (isinstance(node, Delay) and bool((node.delay == 0).any()))


def _as_data(error: NIRError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "node": error.node,
        "field": error.field,
        "message": error.message,
        "found": None if error.found is None else str(error.found),
        "expected": None if error.expected is None else str(error.expected),
        "text": for_terminal(error),
    }
