"""The rows as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.transfer.destinations import HOME, TASKS, Destination, Task

Rows = Sequence[dict[str, Any]]
LEAST_LOSS = 0.05
"""Of less than this the share won back would be that of the seeds' spread."""


def as_markdown(results: dict[str, Any]) -> str:
    rows: Rows = results["rows"]
    names = {row["task"] for row in rows}
    parts = [HEAD.format(part=results["part"], command=command(rows))]
    for task in TASKS:
        if task.name in names:
            mine = [row for row in rows if row["task"] == task.name]
            parts += [f"## {task.title}", *section(task, mine)]
    parts += differences(rows)
    parts += ["## How", HOW.format(**results["recipe"]), ", ".join(f"{n} {v}" for n, v in results["versions"].items())]
    return "\n\n".join(parts) + "\n"


def command(rows: Rows) -> str:
    """What was called; the rows of a task without rounded weights come of a run without bits."""
    names = dict.fromkeys(row["task"] for row in rows)
    rounded = {row["task"] for row in rows if row["stage"].endswith(" rounded")}
    plain = [name for name in names if name not in rounded]
    whole, without = "python -m benchmarks.transfer.run", "without it: also with weights of 8 and 4 bits"
    if not rounded:
        return f"{whole} --bits ''       # {without}"
    return (
        f"{whole} --tasks {','.join(n for n in names if n in rounded)}"
        + "".join(f"\n    {whole} --tasks {name} --bits ''       # {without}" for name in plain)
        if plain
        else whole
    )


HEAD = """\
# From snnTorch to other frameworks

    {command}

Networks trained in snnTorch and exported by snnTorch, run and fine-tuned by nirjax under the dialect of each framework
that imports them, written by nirjax, and imported and run by that framework. Percent of the {part} samples that are
decided right, mean ± standard deviation over seeds."""

HOW = """\
Everywhere the same recipe: Adam at {LEARNING_RATE}, falling to zero along a cosine, batches of {BATCH}, gradients
clipped to a norm of {CLIP:g}, a fast sigmoid of slope {SLOPE:g} as surrogate (but Rockpool's dialect has a derivative
of spikes of its own, with which this recipe hardly learns from scratch), cross entropy of the output's spike counts,
{EPOCHS} epochs at home, of fine-tuning and from scratch, {ROUNDED_EPOCHS} more with rounded weights, the best
parameters by the loss on a validation part of the training data. Weights and biases are trained, nothing else. Of equal
counts the lowest class decides. Every choice was made on the validation part, with other seeds, and none by the test
split.

*As imported*: the file under the framework's import dialect, without training. *From scratch*: snnTorch's network as it
was before training, trained by nirjax under that dialect. *Can hold*: the larger of that and the accuracy at home.
*Won back*: of what lies between "as imported" and "can hold", the share that fine-tuning brings back, where that is 5
points or more. *Differ*: decisions, and spike counts of output neurons, in which the framework differs from nirjax on
the same file, over all files of the row, seeds and samples.

Made with"""


PARTED = """\
The two runs of each of these recordings agree up to one step at which a membrane comes to its threshold within the
rounding of float32: there one run fires and the other does not. *Until then*: the most that any membrane of the
recording differs before that step. The last three columns: the membrane less the threshold, in either run and in
float64."""


def differences(rows: Rows) -> list[str]:
    """Where the runs part whose spike counts differ."""
    heads = (
        *("task", "seed", "imported by", "file", "sample", "counts", "node", "neuron", "step", "until then"),
        *("in nirjax", "in the framework", "in float64"),
    )
    found = [(row, parting) for row in rows for parting in row.get("partings", ())]
    cells = [
        [
            *(row["task"], str(row["seed"]), row["destination"], row["stage"]),
            *(str(parting[name]) for name in ("sample", "counts")),
            *(f"`{parting['node']}`", *(str(parting[name]) for name in ("neuron", "step"))),
            *(f"{parting[name]:.1e}" for name in ("until_then", "nirjax", "framework", "exact")),
        ]
        for row, parting in found
    ]
    unknown = sum(row["counts_differ"] or 0 for row in rows if not row.get("partings"))
    others = [f"Of {unknown} more counts that differ nobody recorded where the runs part."] if unknown else []
    return ["## Counts that differ", PARTED, table(heads, cells), *others] if cells else []


def section(task: Task, rows: Rows) -> list[str]:
    seeds = {row["seed"] for row in rows}
    home = accuracy(rows, HOME, "before")
    samples = rows[0]["samples"]
    lead = f"{len(seeds)} seeds, {samples} samples. At home {spread(home)} %; {equality(of(rows, HOME, 'before'))}."
    away = [destination for destination in task.destinations if destination is not HOME]
    tables = [lead, table(TRANSFER, (transfer(rows, destination, mean(home)) for destination in away))]
    bits = sorted({row["stage"].split()[0] for row in rows if row["stage"].endswith(" rounded")}, key=int, reverse=True)
    if bits:
        heads = ["weights rounded to a grid", "float32"]
        heads += [f"{width} bits, {how}" for width in bits for how in ("rounded", "fine-tuned")] + ["differ"]
        tables.append(
            table(heads, (rounded(rows, destination, bits) for destination in task.destinations if destination.rounded))
        )
    return tables


TRANSFER = ("imported by", "dialect", "as imported", "fine-tuned", "from scratch", "won back", "differ")


def transfer(rows: Rows, destination: Destination, home: float) -> list[str]:
    before, tuned, scratch = (accuracy(rows, destination, stage) for stage in ("before", "tuned", "scratch"))
    holds = max(mean(scratch), home)
    lost = holds - mean(before)
    won = f"{100 * (mean(tuned) - mean(before)) / lost:.0f} %" if lost >= LEAST_LOSS else ""
    run = equality(of(rows, destination, "before", "tuned", "scratch")) if destination.importer else "nothing to run"
    return [destination.name, f"`{destination.dialect}`", spread(before), spread(tuned), spread(scratch), won, run]


def rounded(rows: Rows, destination: Destination, bits: Sequence[str]) -> list[str]:
    stages = [f"{width} {how}" for width in bits for how in ("rounded", "tuned")]
    best = "before" if destination is HOME else "tuned"
    cells = [spread(accuracy(rows, destination, stage)) for stage in (best, *stages)]
    run = equality(of(rows, destination, *stages)) if destination.importer else "nothing to run"
    return [destination.name, *cells, run]


def of(rows: Rows, destination: Destination, *stages: str) -> Rows:
    return [row for row in rows if row["destination"] == destination.name and row["stage"] in stages]


def accuracy(rows: Rows, destination: Destination, stage: str) -> list[float]:
    """nirjax's, one a seed."""
    return [row["accuracy"] for row in of(rows, destination, stage)]


def mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{deviation}"


def equality(rows: Rows) -> str:
    """How many decisions and counts differ."""
    decisions = sum(row["decisions_differ"] for row in rows)
    counts = sum(row["counts_differ"] for row in rows)
    samples = sum(row["samples"] for row in rows)
    return f"{decisions} of {samples:,} decisions, {counts} counts"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
