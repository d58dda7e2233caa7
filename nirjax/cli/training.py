"""`nirjax finetune`: train a graph's parameters and write it back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nirjax.cli.arguments import (
    SURROGATES,
    add_batch_size,
    add_graph,
    add_json,
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
from nirjax.cli.data_files import check_folder
from nirjax.cli.terminal import EXIT_CODES, FINE, say, show_json, show_table
from nirjax.errors import ArgumentError

if TYPE_CHECKING:
    from nirjax.finetuning.loop import FinetuneResult

HELP = "train a graph's weights and biases, or other parameters, and write the tuned graph"

OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = (
    "spike_count_cross_entropy",
    "spike_rate_cross_entropy",
    "stepwise_cross_entropy",
    "max_membrane_cross_entropy",
    "last_membrane_cross_entropy",
    "spike_count_mse",
    "spike_rate_mse",
    "membrane_mse",
)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_graph(parser)
    parser.add_argument(
        "train", metavar="TRAIN", help="a .npz file with x (sample, time, *shape), y and, if needed, length"
    )
    add_semantics(parser)
    add_quantization(parser)
    parser.add_argument("--out", required=True, metavar="OUT.nir", help="where to write the tuned graph")
    held = parser.add_mutually_exclusive_group()
    held.add_argument("--valid", metavar="FILE.npz", help="validation data, by which the best parameters are chosen")
    held.add_argument(
        "--valid-share",
        type=share,
        metavar="P",
        help="hold back this share of TRAIN, drawn by the seed, for validation",
    )
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
    parser.add_argument("--learning-rate", type=positive, default=1e-3, metavar="R", help="(default: 0.001)")
    parser.add_argument("--epochs", type=count, metavar="N", help="passes through TRAIN (default: 10, without --steps)")
    parser.add_argument("--steps", type=count, metavar="N", help="updates; whichever comes first ends the training")
    parser.add_argument("--patience", type=count, metavar="N", help="stop after N passes without a better model")
    add_batch_size(parser, None, "samples in a batch (default: 32)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="of the data's order (default: 0)")
    parser.add_argument("--checkpoints", metavar="DIR", help="keep training states here")
    parser.add_argument("--resume", action="store_true", help="continue from the newest state in DIR")
    parser.add_argument(
        "--plot", metavar="FILE.png", help="draw the training curves (needs: pip install 'nirjax[plot]')"
    )
    add_json(parser)
    parser.epilog = (
        "With --target or --bits the run sees what is stored, and so does OUT.nir, with the scales in its metadata.\n\n"
        "example: nirjax finetune nirjax-demo/digits.nir nirjax-demo/train.npz --dt 1e-4 --valid-share 0.1 \\\n"
        f"             --epochs 2 --out retuned.nir\n{EXIT_CODES}"
    )


def execute(args: argparse.Namespace) -> int:
    """Train, and write the best model."""
    check_folder(args.out)
    if args.resume and not args.checkpoints:
        raise ArgumentError("there is nothing to resume from", field="--resume", expected="--checkpoints DIR")
    model, quantization = model_of(args, surrogate=args.surrogate), quantization_of(args)
    import optax

    from nirjax.engine.exporting import to_nir
    from nirjax.finetuning import losses
    from nirjax.finetuning.loop import finetune
    from nirjax.ir.hdf5 import write

    train, valid = args.train, args.valid
    if args.valid_share:
        train, valid = split(args.train, args.valid_share, args.seed)
    result = finetune(
        model,
        train,
        valid,
        optimizer=getattr(optax, args.optimizer)(args.learning_rate),
        loss=getattr(losses, args.loss),
        **({"trainable": args.trainable} if args.trainable else {}),
        transform=() if quantization is None else quantization,
        epochs=args.epochs or (None if args.steps else 10),
        steps=args.steps,
        batch_size=args.batch_size,
        patience=args.patience,
        seed=args.seed,
        checkpoints=args.checkpoints,
        resume=args.resume,
        progress=not args.json,
    )
    write(args.out, to_nir(stored(result.model, quantization), provenance=True))
    if args.plot:
        from nirjax import plot
        from nirjax.cli.pictures import figure, save

        drawn = figure(7, 4)
        plot.training_curves(result, ax=drawn.add_subplot())
        save(drawn, args.plot)
    report(args, result)
    return FINE


def split(path: str, part: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a .npz file as two sets of samples: training, validation.

    Raises:
        FileError, DataError: no such file, or arrays of different lengths; too few samples.
    """
    import numpy as np

    from nirjax.cli.data_files import read_arrays
    from nirjax.errors import DataError

    arrays = {name: values for name, values in read_arrays(path).items() if name in ("x", "y", "length")}
    sizes = {name: len(values) if values.ndim else 0 for name, values in arrays.items()}
    if "x" not in arrays or len(set(sizes.values())) > 1:
        raise DataError("not a set of samples", file=path, found=sizes, expected="x and y of one length")
    held = round(sizes["x"] * part)
    if not 0 < held < sizes["x"]:
        raise DataError("too few samples to hold some back", file=path, found=sizes["x"])
    order = np.random.default_rng(seed).permutation(sizes["x"])
    parts = [{name: values[places] for name, values in arrays.items()} for places in (order[held:], order[:held])]
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
    say(f"\n{steps} steps, the best after {result.best_step}", style="bold")
    rows = [(name.replace("_", " "), f"{value:.4g}") for name, value in result.metrics.items()]
    show_table(["measure", "there"], rows, right=("there",))
    say(f"\nwritten to {args.out}")
