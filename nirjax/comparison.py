"""`compare`: do two models, or a model and a recording, behave alike on one input; if not, where they part, and why."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from nirjax.data.nir_data import NIRGraphData
from nirjax.data.nir_files import as_graph_data, is_hdf5, read
from nirjax.data.observables import TimeGriddedData
from nirjax.data.recording import from_nir_data, paths_of
from nirjax.engine.model import Model
from nirjax.errors import ArgumentError, DataError, FileError, PatternError, ShapeError, quoted
from nirjax.ir.patterns import as_patterns, matching

OUTPUT = "output"
SPIKES = ("*.spikes",)

TOLERANCE = 1e-5
"""How much values that are not spikes may differ, as a part of the largest."""

LONGEST_LAG = 10
"""The most steps of a lag that is looked for."""


@dataclass(frozen=True)
class Mismatch:
    """One trace that both have, compared.

    Attributes:
        trace: its name, "<node>.<variable>", or "output" for what the graph gives.
        count: how many of its `size` values differ: spikes at all, other values by more than a part in 1e5 of the
            largest.
        size: how many values it has.
        largest: the largest difference.
        step: the first step at which a value differs; None where none does.
    """

    trace: str
    count: int
    size: int
    largest: float
    step: int | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found.

    Attributes:
        equal: nothing that was compared differs.
        traces: every trace that was compared, along the graph.
        step, node, element: where the two part: the earliest step, there the first node along the graph, there the
            first element (batch axes first); None where they are equal. The node is "output" for what the graph gives.
        values: what a and b have there.
        why: an explanation where one can be told: a lag, a factor, a reset, a membrane on the threshold; else None.
        alone: traces that were asked for and that only one of the two has.
        trace: the name of the trace in which they part; of the last one compared, where they are equal.
        sides: that trace of a and of b, (time, *batch, *shape), for `nirjax.plot.comparison`.
    """

    equal: bool
    traces: tuple[Mismatch, ...]
    step: int | None = None
    node: str | None = None
    element: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    why: str | None = None
    alone: tuple[str, ...] = ()
    trace: str | None = None
    sides: tuple[np.ndarray, np.ndarray] | None = None

    def __str__(self) -> str:
        rows = [("trace", "differ", "of", "largest difference", "first step")]
        rows += [
            (one.trace, str(one.count), str(one.size), f"{one.largest:.4g}", "-" if one.step is None else str(one.step))
            for one in self.traces
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["equal" if self.equal else "not equal"]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        if self.values is not None:
            a, b = self.values
            lines.append(
                f"they part at step {self.step}, node {quoted(self.node)}, element {list(self.element or ())}: "
                f"{a:.6g} in a, {b:.6g} in b"
            )
            lines.append(f"why: {self.why}" if self.why else "why: not told by the traces")
        if self.alone:
            lines.append(f"only one of the two has {', '.join(map(quoted, self.alone))}")
        return "\n".join(lines)


def compare(a: Any, b: Any, x: Any = None, *, record: Sequence[str] | str = SPIKES) -> Comparison:
    """Run two models on one input, or hold one against a recording: where do they part, and why?

    Traces are matched by name, so two graphs need common node names where they are to be compared; what the graph
    gives is compared besides, under the name "output". Dialects, dtypes and graphs may differ.

    Args:
        a, b: a Model each, or a recording: arrays by trace name ("lif1.spikes", "output"), time first; the path of an
            NPZ with such names; NIR data, or the path of a file of it.
        x: the input, as a Model takes it; not needed for two recordings.
        record: patterns of the traces to compare, as `Model.run` takes them.

    Raises:
        ArgumentError: neither a Model nor a recording; a Model without an input.
        PatternError: a pattern that matches no trace that both have.
        ShapeError: a trace whose shapes differ.
        FileError, DataError: a recording that cannot be read, holds no numbers, or has another time step.
    """
    given = (_given(a, "a"), _given(b, "b"))
    pair = _Pair(_side(given[0], given), _side(given[1], given), x)
    if x is None and any(isinstance(side, Model) for side in (pair.a, pair.b)):
        raise ArgumentError("a model needs an input", field="x", found="None")
    names, alone = _chosen(_names(pair.a), _names(pair.b), record)
    names = _along(pair, names)
    both = {name: (one, other) for name, one, other in pair.traces(names)}
    traces = tuple(_compared(name, *both[name]) for name in names)
    parted = [(one.step, at) for at, one in enumerate(traces) if one.step is not None]
    if not parted:
        return Comparison(True, traces, alone=alone, trace=names[-1], sides=both[names[-1]])
    step, at = min(parted)
    trace = traces[at].trace
    one, other = both[trace]
    element = tuple(int(i) for i in np.argwhere(_differ(one, other)[step])[0])
    node = trace.rpartition(".")[0] or OUTPUT
    apart = {name: both[name] for name in names if _differ(*both[name]).any()}
    return Comparison(
        False,
        traces,
        step=step,
        node=node,
        element=element,
        values=(float(one[step][element]), float(other[step][element])),
        why=_lag(apart) or _factor(apart) or _neuron(pair, node, step),
        alone=alone,
        trace=trace,
        sides=both[trace],
    )


# --------------------------------------------------------------------------------------------------------- both sides

Side = Model | Mapping[str, np.ndarray]

SWAPPED = "One of them seems to have time second: np.swapaxes(trace, 0, 1)"
"""What to do about a trace (sample, time, *shape)."""


@dataclass(frozen=True, eq=False)
class _Pair:
    a: Side
    b: Side
    x: Any

    def traces(self, names: Sequence[str], steps: int | None = None) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """(name, of a, of b) for traces that both have, of the first steps.

        Raises:
            ShapeError: a trace whose shapes differ.
        """
        found = [_traces(side, self.x, names, steps) for side in (self.a, self.b)]
        for at, side in enumerate((self.a, self.b)):
            if isinstance(side, _OneBatchAxis):
                found[at] = {name: _laid_out_as(values, found[1 - at][name]) for name, values in found[at].items()}
        for name in names:
            one, other = (side[name].shape for side in found)
            if one != other or not one:
                text = "the two do not have this trace in one shape, time first"
                turned = one[:2] == other[1::-1] and one[2:] == other[2:]
                hint = f"{SWAPPED}." if turned else None
                raise ShapeError(text, field=name, found=f"{one} in a, {other} in b", hint=hint)
        return [(name, found[0][name], found[1][name]) for name in names]


class _OneBatchAxis(dict[str, np.ndarray]):
    """A recording whose batch axes have become one, as NIR data has it."""


def _given(given: Any, argument: str) -> Side | NIRGraphData:
    """What a user gave, read where it is a path."""
    if isinstance(given, Model):
        return given
    if isinstance(given, str | PathLike):
        given = _read(os.fspath(given))
    if type(given).__name__ == "NIRGraphData":
        return as_graph_data(given)
    if not isinstance(given, Mapping):
        raise ArgumentError(
            "neither a model nor a recording",
            field=argument,
            found=type(given).__name__,
            expected="a Model, arrays by trace name, NIR data, or the path of an NPZ or of NIR data",
        )
    recording = {str(name): np.asarray(value) for name, value in given.items()}
    for name, value in recording.items():
        if value.dtype.kind not in "biuf":
            raise DataError("a recording holds numbers", field=name, found=f"dtype {value.dtype}")
    return recording


def _read(path: str) -> Any:
    if is_hdf5(path):
        return read(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        expected = "an NPZ with arrays by trace name, or NIR data"
        raise FileError("not a recording", file=path, expected=expected) from error


def _side(given: Side | NIRGraphData, both: Sequence[Side | NIRGraphData]) -> Side:
    """A model or a recording by trace name; NIR data by the names, shapes and time step of the model beside it."""
    if not isinstance(given, NIRGraphData):
        return given
    for model in both:
        if isinstance(model, Model):
            known = set(paths_of(model).values())
            parts: dict[bool, dict[Any, Any]] = {True: {}, False: {}}
            for path, name, observable in given.walk():
                parts[path in known][path, name] = observable
            arrays = from_nir_data(NIRGraphData.of(parts[True]), model)
            arrays |= from_nir_data(NIRGraphData.of(parts[False]), dt=model.dt)
            outputs = model.program.plan.outputs
            if len(outputs) == 1 and f"{outputs[0]}.output" in arrays:
                arrays[OUTPUT] = arrays.pop(f"{outputs[0]}.output")
            return _OneBatchAxis(arrays)
    grids = [one for data in both if isinstance(data, NIRGraphData) for _, _, one in data.walk()]
    steps = [one.dt for one in grids if isinstance(one, TimeGriddedData)]
    if not steps and grids:
        raise ArgumentError(
            "two recordings of events have no time step to compare them at", found="events alone",
            hint="Put one on a grid with to_time_gridded(dt), or compare with a model",
        )  # fmt: skip
    return _OneBatchAxis(from_nir_data(given, dt=steps[0] if steps else None))


def _laid_out_as(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The values in the other's shape, where only batch axes are to be told apart."""
    return values.reshape(other.shape) if len(values) == len(other) and values.size == other.size else values


def _names(side: Side) -> list[str]:
    if not isinstance(side, Model):
        return list(side)
    return [*side.variables, *([OUTPUT] if len(side.program.plan.outputs) == 1 else [])]


def _chosen(a: list[str], b: list[str], record: Sequence[str] | str) -> tuple[list[str], tuple[str, ...]]:
    """The traces that both have, of those that are asked for, and those that only one has."""
    both, everything = set(a) & set(b), list(dict.fromkeys([*a, *b]))
    patterns = as_patterns(record, "record")
    if patterns == SPIKES and not any(name.endswith(".spikes") for name in everything):
        patterns = ()  # a graph need not have neurons
    asked = matching(patterns, everything, argument="record") if patterns else ()
    names = [name for name in everything if name in both and (name in asked or name == OUTPUT)]
    if not names or (asked and not both.intersection(asked)):
        raise PatternError(
            "the two have no such trace in common",
            field="record",
            found=list(patterns),
            expected=f"some of {quoted(sorted(both))}",
        )
    return names, tuple(name for name in asked if name not in both)


def _traces(side: Side, x: Any, names: Sequence[str], steps: int | None) -> dict[str, np.ndarray]:
    if not isinstance(side, Model):
        return {name: np.asarray(side[name][:steps], np.float64) for name in names}
    if steps is not None:
        x = {port: value[:steps] for port, value in x.items()} if isinstance(x, Mapping) else x[:steps]
    run = side.run(x, record=[_exactly(name) for name in names if name != OUTPUT])
    found = {name: run.output if name == OUTPUT else run.traces[name] for name in names}
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


def _exactly(name: str) -> str:
    """A pattern for this name."""
    text = "".join(f"[{c}]" if c in "*?[" else c for c in name)
    return f"?{text[1:]}" if text.startswith("!") else text


def _along(pair: _Pair, names: list[str]) -> list[str]:
    """The names along the graph of the first that is a model, what the graph gives last."""
    for side in (pair.a, pair.b):
        if isinstance(side, Model):
            nodes = [name for stage in side.program.plan.stages for name in stage.members]
            place = {name: at for at, name in enumerate(nodes)}
            return sorted(names, key=lambda name: place.get(name.rpartition(".")[0], len(place)))
    return sorted(names, key=lambda name: name == OUTPUT)


# ------------------------------------------------------------------------------------------------------ what differs


def _are_spikes(*traces: np.ndarray) -> bool:
    return all(np.array_equal(trace, np.round(trace)) for trace in traces)


def _differ(a: np.ndarray, b: np.ndarray) -> npt.NDArray[np.bool_]:
    """Where two traces differ: spikes at all, other values beyond the tolerance."""
    if _are_spikes(a, b):
        return np.asarray(a != b)
    finite = [np.abs(trace[np.isfinite(trace)]).max(initial=0.0) for trace in (a, b)]
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= TOLERANCE * max(finite)
    return np.asarray(~(near | (a == b) | (np.isnan(a) & np.isnan(b))))


def _compared(name: str, a: np.ndarray, b: np.ndarray) -> Mismatch:
    differ = _differ(a, b)
    steps = np.flatnonzero(differ.reshape(len(differ), -1).any(axis=1))
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    largest = float(np.max(gap[~np.isnan(gap)], initial=0.0))
    return Mismatch(name, int(differ.sum()), differ.size, largest, int(steps[0]) if steps.size else None)


# --------------------------------------------------------------------------------------------------------------- why

Apart = Mapping[str, tuple[np.ndarray, np.ndarray]]


def _lag(apart: Apart) -> str | None:
    """Every trace that differs is the other's, some steps later."""
    lags = {name: _steps_late(*pair) for name, pair in apart.items()}
    if any(steps is None for steps in lags.values()) or len({steps > 0 for steps in lags.values() if steps}) != 1:
        return None
    late = {name: abs(steps) for name, steps in lags.items() if steps}
    later, first = ("b", "a") if next(steps for steps in lags.values() if steps) > 0 else ("a", "b")
    if len(set(late.values())) == 1:
        steps = next(iter(late.values()))
        return f"{later} is {first}, {steps} step{'s' if steps > 1 else ''} later"
    shown = ", ".join(f"{steps} in {quoted(name)}" for name, steps in list(late.items())[:6])
    return f"{later} is {first}, later by {shown} steps"


def _steps_late(a: np.ndarray, b: np.ndarray) -> int | None:
    """The least k for which b at step t + k is a at step t; negative where a is the later one."""
    for steps in range(1, min(LONGEST_LAG, len(a) // 2) + 1):
        for sign, (early, late) in ((1, (a[:-steps], b[steps:])), (-1, (b[:-steps], a[steps:]))):
            if np.ptp(early, axis=0).any() and not _differ(early, late).any():
                return sign * steps
    return None


def _factor(apart: Apart) -> str | None:
    """No spikes differ, and every trace that does is the other's times one number."""
    factors = {}
    for name, (a, b) in apart.items():
        if _are_spikes(a, b) or not (np.isfinite(a).all() and np.isfinite(b).all()) or not a.any():
            return None
        factors[name] = float(np.sum(a * b) / np.sum(a * a))
        if not factors[name] or _differ(a * factors[name], b).any():
            return None
    return ", ".join(
        f"{quoted(name)} is {factor:.6g} times as large in b" for name, factor in list(factors.items())[:6]
    )


def _neuron(pair: _Pair, node: str, step: int) -> str | None:
    """What a look at the membrane tells, where both have one: the kind of reset, or a membrane on the threshold."""
    node = _behind(pair, node)
    names = [f"{node}.v", f"{node}.spikes"]
    if not all(name in _names(side) for name in names for side in (pair.a, pair.b)):
        return None
    (_, a, b), (_, fired, other) = pair.traces(names, step + 1)
    threshold = _field(pair, node, "v_threshold", a[0])
    if threshold is None:
        return None
    at_step = fired[step] != other[step]
    near = np.abs(np.where(fired[step] > 0, b[step], a[step]) - threshold) <= TOLERANCE * np.maximum(
        1, np.abs(threshold)
    )
    if at_step.any() and np.all(near[at_step]) and not np.any(_differ(a[:step], b[:step])):
        return f"the membrane of {quoted(node)} lies on the threshold: a tie, or rounding"
    steps = np.flatnonzero(_differ(a, b).reshape(len(a), -1).any(axis=1))
    if not steps.size:
        return None
    first = int(steps[0])
    both = _differ(a, b)[first] & (fired[first] > 0) & (other[first] > 0)
    if not both.any() or np.any(_differ(a, b)[first] & ~both):
        return None
    reset = _field(pair, node, "v_reset", a[0])
    kinds = [_reset(v[first][both], threshold[both], None if reset is None else reset[both]) for v in (a, b)]
    if kinds[0] == kinds[1]:
        return None
    return f"after a spike of {quoted(node)} at step {first}, a {kinds[0]}, and b {kinds[1]}"


def _reset(v: np.ndarray, threshold: np.ndarray, v_reset: np.ndarray | None) -> str:
    """What a membrane after a spike says of its reset."""
    if not np.any(np.abs(v) > TOLERANCE * np.abs(threshold)):
        return "is reset to zero"
    if v_reset is not None and not np.any(np.abs(v - v_reset) > TOLERANCE * np.abs(threshold)):
        return "is reset to v_reset"
    return "is still above the threshold" if np.all(v > threshold) else "keeps what was above the threshold"


def _field(pair: _Pair, node: str, field: str, like: np.ndarray) -> np.ndarray | None:
    for side in (pair.a, pair.b):
        if isinstance(side, Model) and field in side.params.get(node, {}):
            return np.broadcast_to(np.asarray(side.params[node][field], np.float64), like.shape)
    return None


def _behind(pair: _Pair, node: str) -> str:
    """The neuron whose spikes a node hands on; the node itself where that is not one alone."""
    for side in (pair.a, pair.b):
        if isinstance(side, Model):
            plan = side.program.plan
            name = plan.outputs[0] if node == OUTPUT and node not in plan.sources else node
            while name in plan.sources and not plan.primitives[name].spiking and len(plan.sources[name]) == 1:
                name = plan.sources[name][0]
            return name if name in plan.primitives and plan.primitives[name].spiking else node
    return node
