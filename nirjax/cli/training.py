"""`nirjax finetune`: train a graph's parameters and write it back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nirjax.cli.arguments import (
    SURROGATES,
    add_batch_size,
    add_graph,
    add_json,
    add_labels,
    add_quantization,
    add_semantics,
    count,
    model_of,
    positive,
    quantization_of,
    share,
    stored,
    whole,
)
from nirjax.cli.data_files import arrays_of, check_new, check_place, labelled
from nirjax.cli.joining import add_distributed, join
from nirjax.cli.pictures import check_picture, figure, save
from nirjax.cli.terminal import EXIT_CODES, FINE, say, show_json, show_table
from nirjax.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from nirjax.engine.model import Model
    from nirjax.finetuning.loop import FinetuneResult
    from nirjax.finetuning.quantization import Quantize

HELP = "train a graph's weights and biases, or other parameters, and write the tuned graph"

LEARNING_RATE = 1e-3
OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = (
    "spike_count_cross_entropy",
    "spike_rate_cross_entropy",
    "stepwise_cross_entropy",
    "max_membrane_cross_entropy",
    "last_membrane_cross_entropy",
    "summed_softmax_cross_entropy",
    "first_spike_time_cross_entropy",
    "spike_count_mse",
    "spike_rate_mse",
    "membrane_mse",
    "first_spike_time_mse",
)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    parser.add_argument(
        "train",
        metavar="TRAIN",
        help="a .npz file with x (sample, time, *shape), y and, if needed, length; a .npy of x; NIR data, in which "
        "y is what was observed at the Output",
    )
    add_labels(parser, "--labels", "TRAIN")
    add_semantics(parser, default="that of --target, else nir")
    add_quantization(parser)
    parser.add_argument("--out", required=True, metavar="OUT.nir", help="where to write the tuned graph")
    held = parser.add_mutually_exclusive_group()
    held.add_argument("--valid", metavar="FILE", help="validation data, by which the best parameters are chosen")
    held.add_argument(
        "--valid-share",
        type=share,
        metavar="P",
        help="hold back this share of TRAIN, drawn by the seed, for validation",
    )
    add_labels(parser, "--valid-labels", "the validation data")
    parser.add_argument(
        "--trainable", action="append", metavar="PATTERN",
        help="parameters to train, such as '*.weight' or '!readout.*'; may be given several times "
        "(default: '*.weight' and '*.bias')",
    )  # fmt: skip
    parser.add_argument("--loss", default=LOSSES[0], choices=LOSSES, metavar="NAME", help=f"one of {', '.join(LOSSES)}")
    parser.add_argument(
        "--surrogate", metavar="NAME", help=f"derivative of the spikes: {', '.join(SURROGATES)}, or a call: 'atan(2)'"
    )
    parser.add_argument("--optimizer", default="adam", choices=OPTIMIZERS, help="(default: adam)")
    parser.add_argument(
        "--learning-rate", action="append", type=rate, metavar="[PATTERN=]R",
        help="of the parameters that match the pattern, such as '*.tau=1e-4', or of all others; may be given several "
        "times (default: 0.001)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=count, metavar="N", help="passes through TRAIN (default: 10, without --steps)")
    parser.add_argument("--steps", type=count, metavar="N", help="updates; whichever comes first ends the training")
    parser.add_argument("--patience", type=count, metavar="N", help="stop after N passes without a better model")
    parser.add_argument(
        "--truncation", type=count, metavar="K", help="let gradients flow back through K time steps at most"
    )
    parser.add_argument(
        "--skip-nonfinite", type=whole, default=0, metavar="N",
        help="skip up to N steps in a row whose loss or gradient is not finite (default: the first one is an error)",
    )  # fmt: skip
    parser.add_argument("--devices", type=count, metavar="N", help="use so many devices (default: all)")
    add_distributed(parser)
    add_batch_size(parser, None, "samples in a batch, over all devices (default: 32)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the data's order (default: 0)")
    parser.add_argument("--checkpoints", metavar="DIR", help="keep training states here")
    parser.add_argument("--resume", action="store_true", help="continue from the newest state in DIR")
    parser.add_argument(
        "--no-provenance", action="store_true",
        help="do not note version, dt, dialect, what was trained and the digest of GRAPH in the metadata of OUT.nir",
    )  # fmt: skip
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the training curves (needs: pip install 'nirjax[plot]')"
    )
    add_json(parser)
    parser.epilog = (
        "With --target or --bits the run sees what is stored, and so does OUT.nir, with the scales in its metadata.\n\n"
        "example: nirjax finetune nirjax-demo/digits.nir nirjax-demo/train.npz --dt 1e-4 --valid-share 0.1 --epochs 2 "
        f"--out retuned.nir\n{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Train, and write the best model."""
    check_place(args.out)
    check_new(args.out, args.graph, args.train, args.valid)
    if args.plot:
        check_picture(args.plot)
    if args.resume and not args.checkpoints:
        raise ArgumentError("there is nothing to resume from", field="--resume", expected="--checkpoints DIR")
    first = join(args)
    model, quantization = model_of(args, surrogate=args.surrogate), quantization_of(args)
    from nirjax.exporting import to_nir
    from nirjax.ir.hdf5 import write

    result = trained(args, model, quantization)
    if not first:
        return FINE
    write(args.out, to_nir(stored(result.model, quantization), provenance=not args.no_provenance))
    if args.plot:
        from nirjax import plot

        drawn = figure(7, 4)
        plot.training_curves(result, ax=drawn.add_subplot())
        save(drawn, args.plot)
    report(args, result)
    return FINE


def trained(args: argparse.Namespace, model: Model, quantization: Quantize | None) -> FinetuneResult:
    """What `nirjax.finetune` makes of the arguments.

    Raises:
        NIRError: what `nirjax.finetune` raises; the file is named where there is one.
    """
    from nirjax.finetuning import losses
    from nirjax.finetuning.loop import finetune

    train: Any
    valid: Any
    if args.valid_share:
        arrays = arrays_of(model, args.train, args.labels)
        train, valid = split(arrays, args.train, args.valid_share, args.seed)
    else:
        train = labelled(args.train, args.labels)
        valid = None if args.valid is None else labelled(args.valid, args.valid_labels)
    try:
        return finetune(
            model,
            train,
            valid,
            optimizer=optimizer_of(args, model),
            loss=getattr(losses, args.loss),
            **({"trainable": args.trainable} if args.trainable else {}),
            transform=() if quantization is None else quantization,
            truncation=args.truncation,
            epochs=args.epochs or (None if args.steps else 10),
            steps=args.steps,
            batch_size=args.batch_size,
            patience=args.patience,
            seed=args.seed,
            skip_nonfinite=args.skip_nonfinite,
            checkpoints=args.checkpoints,
            resume=args.resume,
            mesh=args.devices,
            progress=not args.json,
        )
    except DataError as error:
        raise (error if args.valid else error.located(file=args.train)) from None


def rate(text: str) -> tuple[str | None, float]:
    """A learning rate, and the pattern of the parameters that it is for: "1e-3", "*.tau=1e-4"."""
    pattern, _, number = text.rpartition("=")
    return pattern or None, positive(number)


def optimizer_of(args: argparse.Namespace, model: Model) -> Any:
    """The optimizer, or one for each pattern; what no pattern names has the rate that stands alone.

    Raises:
        ArgumentError: two rates for one pattern. PatternError: a pattern that matches no parameter.
    """
    import optax

    from nirjax.finetuning.partition import WEIGHTS_AND_BIASES, chosen_names
    from nirjax.ir.patterns import matching

    given = args.learning_rate or []
    rates = dict(given)
    if len(rates) < len(given):
        raise ArgumentError("two learning rates for one pattern", field="--learning-rate")
    kind, other = getattr(optax, args.optimizer), rates.pop(None, LEARNING_RATE)
    if not rates:
        return kind(other)
    trained = chosen_names(model, args.trainable or WEIGHTS_AND_BIASES)
    named = {name for pattern in rates for name in matching(pattern, trained, argument="--learning-rate")}
    rest = tuple(name for name in trained if name not in named)
    return {pattern: kind(number) for pattern, number in rates.items()} | ({rest: kind(other)} if rest else {})


def split(arrays: Mapping[str, Any], path: str, part: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recordings of a file, as arrays by name, as two sets of samples: training, validation.

    Raises:
        DataError: arrays of different lengths; too few samples.
    """
    import jax
    import numpy as np

    sizes = {len(values) if values.ndim else 0 for values in jax.tree.leaves(arrays)}
    if "x" not in arrays or len(sizes) != 1:
        shapes = {name: jax.tree.map(np.shape, values) for name, values in arrays.items()}
        raise DataError("not a set of samples", file=path, found=shapes, expected="x and y of one length")
    (samples,) = sizes
    held = round(samples * part)
    if not 0 < held < samples:
        raise DataError("too few samples to hold some back", file=path, found=samples)
    order = np.random.default_rng(seed).permutation(samples)
    parts = [jax.tree.map(lambda values: values[places], dict(arrays)) for places in (order[held:], order[:held])]  # noqa: B023
    return parts[0], parts[1]


def report(args: argparse.Namespace, result: FinetuneResult) -> None:
    """What came of it."""
    steps = len(result.history.get("loss", ()))
    if args.json:
        show_json(
            {"graph": args.graph, "out": args.out, "steps": steps, "best_step": result.best_step,
             "metrics": result.metrics, "history": result.history}
        )  # fmt: skip
        return
    say(f"\n{steps} {'step' if steps == 1 else 'steps'}, the best after {result.best_step}", style="bold")
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in result.metrics.items()]
    show_table(["measure", "there"], rows, right=("there",))
    say(f"\nwritten to {args.out}")
