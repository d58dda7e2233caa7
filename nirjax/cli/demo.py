"""`nirjax demo`: a graph of another framework, read, run, fine-tuned and written back."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.assets import DIGITS_GRAPH
from nirjax.cli.arguments import add_json, whole
from nirjax.cli.demo_picture import Situation, draw
from nirjax.cli.demo_task import Recordings, Task, task, telling_sample
from nirjax.cli.terminal import FINDINGS, FINE, percent, say, show_json, show_table, waiting
from nirjax.errors import FileError, MissingExtraError

if TYPE_CHECKING:
    from nirjax.engine.model import Model

HELP = "the main job on a real network: read, run, fine-tune and write back a graph that snnTorch wrote"

DT = 1e-4
LEAST_LOSS = 0.20
LEAST_WON_BACK = 0.80
LEARNING_RATE = 0.01
SLOPE = 5.0
BATCH_SIZE = 64
PATIENCE = 6
EPOCHS = 20


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--out", default="nirjax-demo", metavar="DIR", help="where files go (default: nirjax-demo)")
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="N", help="of the validation split and the data's order (default: 0)"
    )
    add_json(parser)
    parser.epilog = (
        "Needs no network. DIR then holds digits.nir and tuned.nir, the recordings (train.npz, test.npz, and\n"
        "turned-train.npz, turned-test.npz), and demo.png; the examples of the other commands use them.\n\n"
        "example: nirjax demo --out nirjax-demo\n"
        "exit codes: 0 all promises kept, 1 one is broken, 2 wrong arguments"
    )


Case = tuple[str, "Model", Recordings, str, bool]
"""A column of the picture: title, model, recordings, the figure that is its accuracy, is its decision to be right?"""


@dataclass(frozen=True, eq=False)
class Report:
    """What one run of the demo found; every figure is of this run.

    Attributes:
        figures: by name, for `--json`.
        promises: what the demo says of itself, and whether it holds.
        say: where lines for people go.
        quiet: no progress either.
    """

    say: Callable[..., None]
    quiet: bool
    figures: dict[str, Any] = field(default_factory=dict)
    promises: dict[str, bool] = field(default_factory=dict)

    def heading(self, text: str) -> None:
        """A line that opens a part."""
        self.say(f"\n{text}", style="bold")

    def promise(self, text: str, kept: bool) -> None:
        """A promise, and whether it is kept; a broken one is said at once."""
        self.promises[text] = bool(kept)
        if not kept:
            self.say(f"  BROKEN: {text}", style="red")


def execute(args: argparse.Namespace) -> int:
    """Run the demo."""
    start = time.monotonic()
    report = Report(_silent if args.json else say, args.json)
    folder = Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError("the folder cannot be made", file=folder, found=error.strerror) from None
    play(report, folder, task(args.seed), seed=args.seed)
    report.figures["seconds"] = round(time.monotonic() - start, 1)
    kept = sum(report.promises.values())
    if args.json:
        show_json({**report.figures, "promises": report.promises, "out": str(folder)})
    else:
        everything = kept == len(report.promises)
        say(
            f"\n{kept} of {len(report.promises)} promises kept, {report.figures['seconds']} s. Files are in {folder}/",
            style="bold green" if everything else "bold red",
        )
        say(f"Next: nirjax inspect {folder / 'tuned.nir'} --dt {DT:g}   or   nirjax --help")
    return FINE if kept == len(report.promises) else FINDINGS


def _silent(*_: Any, **__: Any) -> None:
    """Say nothing."""


def play(report: Report, folder: Path, data: Task, *, seed: int = 0, epochs: int = EPOCHS) -> None:
    """All parts of the demo, one after the other.

    Raises:
        FileError: a file cannot be written.
    """
    write_recordings(folder, data)
    model = read_part(report, folder)
    known = home_part(report, model, data)
    before = shift_part(report, model, data, known)
    tuned = training_part(report, model, data, known, before, seed, epochs)
    writing_part(report, folder, model, tuned, data)
    picture_part(report, folder, model, tuned, data)


def write_recordings(folder: Path, data: Task) -> None:
    """The recordings as files, as the other commands take them; training and validation are one file there."""
    from nirjax.cli.data_files import write_arrays

    for prefix, split in (("", data.known), ("turned-", data.turned)):
        both = {name: np.concatenate([getattr(split.train, name), getattr(split.valid, name)]) for name in ("x", "y")}
        write_arrays(str(folder / f"{prefix}train.npz"), both)
        write_arrays(str(folder / f"{prefix}test.npz"), {"x": split.test.x, "y": split.test.y})


def read_part(report: Report, folder: Path) -> Model:
    """Read the graph, say what is in it, make it a model."""
    from nirjax.ir.hdf5 import read

    path = folder / "digits.nir"
    shutil.copyfile(DIGITS_GRAPH, path)
    graph = read(path)
    with waiting("importing JAX", quiet=report.quiet):
        from nirjax.engine.model import from_nir
        from nirjax.surrogate import fast_sigmoid

        model = from_nir(graph, dt=DT, surrogate=fast_sigmoid(SLOPE))
    plan = model.program.plan
    parameters = sum(int(np.size(value)) for fields in model.params.values() for value in fields.values())
    report.figures.update({"nodes": len(plan.sites), "edges": len(graph.edges), "parameters": parameters})
    report.heading("1  A graph from snnTorch")
    report.say(f"  {path}: {len(plan.sites)} nodes, {len(graph.edges)} edges, {parameters:,} parameters")
    if not report.quiet:
        rows = [
            (f"  {name}", type(site.node).__name__, str(site.input_shape), str(site.output_shape),
             ", ".join(type(site.node).parameter_names()))
            for stage in plan.stages
            for name, site in ((name, plan.sites[name]) for name in stage.members)
        ]  # fmt: skip
        show_table(["  node", "type", "input", "output", "parameters"], rows)
    delayed = ", ".join(f"{source} -> {destination}" for source, destination in model.feedback)
    report.say(f"  one cycle; the edge {delayed} delivers what it carried one step before")
    return model


def home_part(report: Report, model: Model, data: Task) -> float:
    """Run the test recordings as they were at home, and compare every decision."""
    report.heading(f"2  Run here: {len(data.known.test.y)} test recordings, dt = {DT:g}, dialect {model.dialect.name}")
    with waiting("compiling and running", quiet=report.quiet):
        counts, prediction = decisions(spikes_of(model, data.known.test))
        accuracy = accuracy_of(model, data.known.test)
    home = data.home
    equal = int(np.sum(prediction == home.prediction))
    equal_counts = int(np.sum(counts == home.counts))
    report.figures.update(
        {
            "test_recordings": len(prediction),
            "home_accuracy": home.accuracy,
            "accuracy": accuracy,
            "equal_decisions": equal,
            "equal_spike_counts": equal_counts,
            "spike_counts": counts.size,
        }
    )
    report.say(f"  accuracy {percent(accuracy)}; in snnTorch it was {percent(home.accuracy)}")
    report.say(f"  {equal} of {len(prediction)} decisions are snnTorch's own, sample by sample")
    report.say(f"  {equal_counts} of {counts.size} output spike counts are too")
    report.promise("every decision is the home framework's", equal == len(prediction))
    return accuracy


def shift_part(report: Report, model: Model, data: Task, known: float) -> float:
    """Turn every image."""
    report.heading("3  The task shifts: every image is turned by 90 degrees")
    with waiting("running", quiet=report.quiet):
        accuracy = accuracy_of(model, data.turned.test)
    report.figures.update({"shifted_accuracy": accuracy, "lost": known - accuracy})
    report.say(f"  accuracy {percent(accuracy)}: {100 * (known - accuracy):.1f} points lost")
    report.promise(f"the shift costs at least {100 * LEAST_LOSS:.0f} points", known - accuracy >= LEAST_LOSS)
    return accuracy


def training_part(
    report: Report, model: Model, data: Task, known: float, before: float, seed: int, epochs: int
) -> Model:
    """Fine-tune on the turned training recordings, and measure on the turned test recordings."""
    import optax

    from nirjax.finetuning.loop import finetune

    train, valid, test = data.turned.train, data.turned.valid, data.turned.test
    report.heading(
        f"4  Fine-tune weights and biases on {len(train.y):,} turned training recordings, "
        f"{len(valid.y)} held back for validation"
    )
    schedule = optax.cosine_decay_schedule(LEARNING_RATE, epochs * -(-len(train.y) // BATCH_SIZE))
    start = time.monotonic()
    result = finetune(
        model,
        train.arrays,
        valid.arrays,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule)),
        monitor="accuracy",
        epochs=epochs,
        batch_size=BATCH_SIZE,
        patience=PATIENCE,
        seed=seed,
        progress=not report.quiet,
    )
    seconds = time.monotonic() - start
    accuracy = accuracy_of(result.model, test)
    won = (accuracy - before) / (known - before) if known > before else 0.0
    steps = len(result.history["loss"])
    report.figures.update(
        {
            "tuned_accuracy": accuracy,
            "won_back": won,
            "steps": steps,
            "best_step": result.best_step,
            "valid_accuracy": result.metrics["valid_accuracy"],
            "training_seconds": round(seconds, 1),
        }
    )
    report.say(
        f"  {steps} steps in {seconds:.1f} s; validation accuracy {percent(result.metrics['valid_accuracy'])}, "
        f"best after step {result.best_step}"
    )
    report.say(f"  accuracy on the {len(test.y)} turned test recordings {percent(before)} -> {percent(accuracy)}")
    report.say(f"  {percent(won)} of the lost accuracy won back, on recordings that training never saw")
    report.promise(f"at least {100 * LEAST_WON_BACK:.0f} % of the lost accuracy is won back", won >= LEAST_WON_BACK)
    return result.model


def writing_part(report: Report, folder: Path, model: Model, tuned: Model, data: Task) -> None:
    """Write the tuned graph, read it back, compare spikes and content."""
    from nirjax.engine.model import from_nir
    from nirjax.exporting import to_nir
    from nirjax.finetuning.partition import WEIGHTS_AND_BIASES, chosen_names
    from nirjax.ir.diff import diff
    from nirjax.ir.hdf5 import read, write

    path = folder / "tuned.nir"
    report.heading(f"5  Back into a file: {path}")
    with waiting("writing, reading back, running", quiet=report.quiet):
        write(path, to_nir(tuned))
        again = from_nir(read(path), dt=DT, surrogate=model.program.surrogate)
        here, there = (spikes_of(one, data.turned.test) for one in (tuned, again))
    spikes = sum(int(values.sum()) for values in here.values())
    unequal = sum(int(np.sum(here[name] != there[name])) for name in here)
    differences = diff(model.graph, read(path))
    named = [f"{one.node}.{one.field}" for one in differences]
    trained = set(chosen_names(model, WEIGHTS_AND_BIASES))
    report.figures.update({"spikes": spikes, "unequal_spikes": unequal, "differences": named})
    report.say(
        f"  read back, it gives the same {spikes:,} spikes in all layers on the {len(data.turned.test.y)} recordings"
    )
    report.say(f"  nirjax.diff names {len(named)} differences: {', '.join(named)}")
    report.promise("the file that is read back gives the same spikes", unequal == 0)
    report.promise(
        "only what was trained differs", bool(named) and set(named) <= trained
        and all(one.kind == "value" for one in differences),
    )  # fmt: skip


def picture_part(report: Report, folder: Path, model: Model, tuned: Model, data: Task) -> None:
    """Draw one recording in all three situations; without matplotlib, say what to install."""
    path = folder / "demo.png"
    report.heading(f"6  A picture: {path}")
    known, turned = data.known.test, data.turned.test
    cases: tuple[Case, ...] = (
        ("as it came", model, known, "accuracy", True),
        ("turned, before tuning", model, turned, "shifted_accuracy", False),
        ("turned, after tuning", tuned, turned, "tuned_accuracy", True),
    )
    with waiting("drawing", quiet=report.quiet):
        spikes = [spikes_of(one, recordings) for _, one, recordings, _, _ in cases]
        predictions = [decisions(layers)[1] for layers in spikes]
        pairs = [(prediction, case[-1]) for prediction, case in zip(predictions, cases, strict=True)]
        sample = telling_sample(known.y, *pairs)
        situations = [
            situation(case, layers, int(prediction[sample]), sample, report.figures)
            for case, layers, prediction in zip(cases, spikes, predictions, strict=True)
        ]
        try:
            draw(path, situations, int(known.y[sample]), data.home.accuracy, DT)
        except MissingExtraError as error:
            report.figures["picture"] = None
            report.say(f"  not drawn: {error}", style="yellow")
            return
    report.figures["picture"] = str(path)
    report.say(f"  test recording {sample}, a {known.y[sample]}: input, hidden and output spikes, and the accuracies")


def situation(
    case: Case, layers: dict[str, np.ndarray], prediction: int, sample: int, figures: dict[str, Any]
) -> Situation:
    """One column of the picture."""
    title, _, recordings, figure, _ = case
    hidden, output = (layer[:, sample] for layer in layers.values())
    return Situation(title, recordings.x[sample], hidden, output, prediction, figures[figure])


def spikes_of(model: Model, recordings: Recordings) -> dict[str, np.ndarray]:
    """The spikes of every layer, (time, sample, neurons), in the order of the graph: the output layer last."""
    run = model.run(np.swapaxes(recordings.x, 0, 1), record=["*.spikes"])
    return {name: np.asarray(values) for name, values in run.traces.items()}


def decisions(layers: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Output spikes of each class, (sample, class), and the class with the most; of equal ones, the lowest."""
    counts = list(layers.values())[-1].sum(axis=0).astype(np.int64)
    return counts, counts.argmax(axis=1)


def accuracy_of(model: Model, recordings: Recordings) -> float:
    """By `nirjax.evaluate`."""
    from nirjax.evaluation import evaluate

    return float(evaluate(model, recordings.arrays, batch_size=len(recordings.y)).metrics["accuracy"])
