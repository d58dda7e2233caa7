"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
import ast
import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from nirjax.cli.terminal import waiting
from nirjax.errors import ArgumentError, NIRError

if TYPE_CHECKING:
    from nirjax.dialects import Dialect
    from nirjax.engine.model import Model
    from nirjax.finetuning.quantization import Quantize
    from nirjax.ir.graph import NIRGraph
    from nirjax.surrogate import Surrogate

Number = TypeVar("Number", int, float)

CHIPS = ("loihi2", "speck", "spinnaker2", "xylo", "xylo_audio2", "xylo_imu")
SURROGATES = ("fast_sigmoid", "atan", "sigmoid", "triangular", "boxcar", "gaussian", "straight_through")


class UsageError(NIRError):
    """The command line itself is wrong."""


class Paragraphs(argparse.HelpFormatter):
    """Paragraphs stay apart; each is filled to the terminal's width, but for an example, which stays a line to copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for paragraph in text.split("\n\n"):
            filled = super()._fill_text
            parts = paragraph.split("\n") if paragraph.startswith("example: ") else [paragraph]
            lines += ["", *(part if part.startswith("example: ") else filled(part, width, indent) for part in parts)]
        return "\n".join(lines[1:])


class Parser(argparse.ArgumentParser):
    """A parser whose errors are exceptions, so that one place prints them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", Paragraphs)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> Any:
        """Raise instead of exiting.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


def add_graph(parser: argparse.ArgumentParser, help: str = "the .nir file") -> None:
    """The positional argument GRAPH, and --repair."""
    parser.add_argument("graph", metavar="GRAPH", help=help)
    add_repair(parser)


def add_repair(parser: argparse.ArgumentParser) -> None:
    """--repair and --rewire."""
    parser.add_argument(
        "--repair",
        action="store_const",
        const=True,
        default=False,
        help="mend what can be mended in the file without guessing; each mend is told",
    )
    parser.add_argument(
        "--rewire",
        dest="repair",
        action="store_const",
        const="rewire",
        help="as --repair, and lead the input of recurrent layers, which Spyx and snnTorch write into the recurrent "
        "weights, into their neurons",
    )


def add_semantics(parser: argparse.ArgumentParser, *, default: str = "nir") -> None:
    """--dt and --dialect: how the graph is run."""
    parser.add_argument(
        "--dt",
        type=positive,
        help="the time step, in the file's own unit of time (seconds by convention); a NIR file does not carry one",
    )
    parser.add_argument(
        "--dialect",
        metavar="NAME",
        help=f"the discrete semantics: a name, or a call such as 'snntorch(reset_delay=False)' (default: {default})",
    )


def add_quantization(parser: argparse.ArgumentParser) -> None:
    """--target and --bits: how parameters are stored."""
    parser.add_argument(
        "--target",
        metavar="CHIP",
        help=f"store parameters as this chip does: {', '.join(CHIPS)}; it must hold the graph",
    )
    parser.add_argument(
        "--bits", type=count, metavar="N", help="store weights in N bits; with --target, in place of its"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="write the result to stdout as JSON")


def add_batch_size(parser: argparse.ArgumentParser, default: int | None, help: str) -> None:
    """--batch-size."""
    parser.add_argument("--batch-size", type=count, default=default, metavar="N", help=help)


def add_labels(parser: argparse.ArgumentParser, option: str, of: str) -> None:
    """--labels: targets of data that has none in it."""
    parser.add_argument(option, metavar="FILE", help=f"the targets of {of}: a .npy file, or a .npz file with y")


def number(kind: Callable[[str], Number], fits: Callable[[Number], bool], words: str) -> Callable[[str], Number]:
    """What argparse makes numbers with: those that fit, or one line that says what a number should be."""

    def read(text: str) -> Number:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if fits(value):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {words}")

    return read


positive = number(float, lambda value: 0 < value < math.inf, "a positive number")
count = number(int, lambda value: value >= 1, "a whole number from 1")
whole = number(int, lambda value: value >= 0, "a whole number from 0")
share = number(float, lambda value: 0 < value < 1, "a number between 0 and 1")


def graph_of(args: argparse.Namespace) -> NIRGraph:
    """The graph of `args.graph`, repaired if that is wished.

    Raises:
        FileError, GraphError, UnknownNodeError, ParameterError, ShapeError: as `nirjax.read`.
    """
    from nirjax.ir.hdf5 import read

    return read(args.graph, repair=args.repair)


def model_of(args: argparse.Namespace, *, surrogate: str | None = None) -> Model:
    """The model that `args.graph`, `args.dt` and `args.dialect` stand for.

    Raises:
        ArgumentError: dt is missing; no such dialect, surrogate or target. What `nirjax.read` and `nirjax.from_nir`
            raise. UnsupportedByTarget: the target cannot hold the graph.
    """
    from nirjax.dialects import dialect_of

    graph = graph_of(args)
    dialect = dialect_of(args.dialect or default_dialect(args, graph))
    chosen = None if surrogate is None else surrogate_of(surrogate)
    with waiting("making the model", quiet=args.json):
        from nirjax.engine.model import from_nir

        return from_nir(graph, dt=args.dt, dialect=dialect, surrogate=chosen)


def default_dialect(args: argparse.Namespace, graph: NIRGraph) -> Dialect | str:
    """The dialect where none is given: that of --target, or NIR's own equations.

    Raises:
        ArgumentError: no such target.
        UnsupportedByTarget: it cannot hold the graph.
    """
    if not getattr(args, "target", None):
        return "nir"
    from nirjax.finetuning.targets import check_held, target_of

    target = target_of(args.target)
    check_held(graph, target, args.dt)
    return target.dialect


def quantization_of(args: argparse.Namespace) -> Quantize | None:
    """What --target and --bits stand for; None without them.

    Raises:
        ArgumentError: no such target, or a number of bits that is none.
    """
    if args.target is None and args.bits is None:
        return None
    from nirjax.finetuning.quantization import quantize

    return quantize(args.target, bits=args.bits)


def stored(model: Model, quantization: Quantize | None) -> Model:
    """The model with what is stored in place of its parameters.

    Raises:
        UnsupportedByTarget: the target cannot hold the graph.
    """
    if quantization is None:
        return model
    model, quantization = quantization.begin(model)
    return quantization(model)


def surrogate_of(text: str) -> Surrogate:
    """A surrogate from its name or a call with literals: "atan", "fast_sigmoid(10)", "gaussian(sigma=0.5)".

    Raises:
        ArgumentError: no such surrogate, or arguments that it does not take.
    """
    name, args, words = literal_call(text)
    if name not in SURROGATES:
        raise ArgumentError(
            "no such surrogate", field="surrogate", found=text, expected=f"one of {', '.join(SURROGATES)}"
        )
    from nirjax import surrogate

    try:
        made: Surrogate = getattr(surrogate, name)(*args, **words)
    except TypeError as error:
        raise ArgumentError(str(error), field="surrogate", found=text) from None
    return made


def literal_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """The name and the literal arguments of a call that is parsed and never evaluated.

    Raises:
        ArgumentError: it is anything else.
    """
    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, [], {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            words = {word.arg: ast.literal_eval(word.value) for word in tree.keywords if word.arg is not None}
            if len(words) == len(tree.keywords):
                return tree.func.id, [ast.literal_eval(value) for value in tree.args], words
    except (SyntaxError, ValueError):
        pass
    raise ArgumentError("not a name or a call with literal values", found=text, expected="name, or name(value, ...)")
