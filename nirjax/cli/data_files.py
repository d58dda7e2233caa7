"""Recordings from and to .npz and .npy files, and files of NIR data."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nirjax.errors import ArgumentError, DataError, FileError

if TYPE_CHECKING:
    from nirjax.engine.model import Model

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recordings:
    """The input of a graph, from a file.

    Attributes:
        x: by Input node, each (sample, time, *shape).
        single: the file held one recording, without a sample axis.
        time_first: the file held (time, sample, *shape).
        length: time steps of each sample, or None.
    """

    x: Arrays
    single: bool
    time_first: bool
    length: np.ndarray | None

    @property
    def samples(self) -> int:
        """How many recordings there are."""
        return len(next(iter(self.x.values())))

    def laid_out(self, values: np.ndarray) -> np.ndarray:
        """(sample, time, ...) as the file had it."""
        if self.single:
            return np.asarray(values[0])
        return np.swapaxes(values, 0, 1) if self.time_first else values


def read_arrays(path: str) -> Arrays:
    """The arrays of a .npz file by name; a .npy file's is called x.

    Raises:
        FileError: missing, damaged, or of another kind.
    """
    try:
        found: Any = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"x": found}
        with found:
            arrays: Arrays = {name: found[name] for name in found.files}
            return arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        # NumPy takes whatever it does not know for a pickle, and says so.
        unknown = isinstance(error, ValueError) and "pickle" in str(error)
        reason = "another kind of file" if unknown else getattr(error, "strerror", None) or str(error)
        raise FileError(
            "the data cannot be read", file=path, found=reason, expected="a .npz or .npy file, or NIR data"
        ) from None


def recordings_of(model: Model, path: str, *, time_first: bool = False) -> Recordings:
    """The recordings of a file as the model takes them.

    A .npy file, or `x` in a .npz file, is the input of a graph with one Input; with several Inputs the .npz file has
    an array under each one's name. Each is (sample, time, *shape), or (time, *shape) of one recording. NIR data has
    what was observed at the Inputs.

    Raises:
        FileError, DataError: the file cannot be read, or does not fit the model.
    """
    if is_nir_data(path):
        return Recordings(nir_inputs(model, path), single=False, time_first=False, length=None)
    plan = model.program.plan
    arrays = read_arrays(path)
    wanted = {name: "x" if len(plan.inputs) == 1 and "x" in arrays else name for name in plan.inputs}
    missing = [name for name in wanted.values() if name not in arrays]
    if missing:
        raise DataError(
            "the file lacks an array",
            file=path,
            field=missing[0] if len(plan.inputs) > 1 else "x",
            found=sorted(arrays),
            expected="x" if len(plan.inputs) == 1 else f"one array for each Input: {', '.join(plan.inputs)}",
        )
    values, leads = {}, {}
    for name, key in wanted.items():
        shape = plan.sites[name].input_shape
        array = arrays[key]
        lead = array.ndim - len(shape)
        if array.dtype.kind not in "fiub" or lead not in (1, 2) or array.shape[lead:] != shape or array.size == 0:
            axes = "".join(f", {n}" for n in shape)
            raise DataError(
                "the recordings do not fit the graph",
                file=path,
                node=name,
                field=key,
                found=f"{array.dtype} {array.shape}",
                expected=f"numbers (time{axes}) or {'(time, sample' if time_first else '(sample, time'}{axes})",
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError("the recordings are not finite", file=path, node=name, field=key, found="NaN or infinity")
        values[name] = array[None] if lead == 1 else np.swapaxes(array, 0, 1) if time_first else array
        leads[name] = values[name].shape[:2], lead == 1
    if len(set(leads.values())) > 1:
        raise DataError("the inputs differ in samples or time steps", file=path, found=leads)
    (samples, steps), single = next(iter(leads.values()))
    return Recordings(values, single, time_first, _length(arrays.get("length"), samples, steps, path))


def _length(length: np.ndarray | None, samples: int, steps: int, path: str) -> np.ndarray | None:
    if length is None:
        return None
    fits = length.shape == (samples,) and length.dtype.kind in "iu"
    if not fits or length.min() < 1 or length.max() > steps:
        raise DataError(
            "the lengths do not fit", file=path, field="length", found=f"{length.dtype} {length.shape}",
            expected=f"integers ({samples},), from 1 to {steps}",
        )  # fmt: skip
    return length


def is_nir_data(path: str) -> bool:
    """Is a file, by its first bytes, one of NIR data (and none of .npz or .npy)?"""
    from nirjax.data.nir_files import is_hdf5

    return is_hdf5(path)


def nir_inputs(model: Model, path: str) -> Arrays:
    """What a file of NIR data has at a model's Inputs, (sample, time, *shape) each.

    Raises:
        FileError, GraphError, DataError: the file cannot be read, is no NIR data, or does not fit the model.
    """
    from nirjax.data.nir_files import read
    from nirjax.data.nir_source import gridded, port_signal

    plan, data = model.program.plan, read(path)
    try:
        signals = {name: port_signal(data, name) for name in plan.inputs}
        x = {name: gridded(one, plan.sites[name].input_shape, model.dt, name) for name, one in signals.items()}
    except DataError as error:
        raise error.located(file=path) from None
    if len({values.shape[:2] for values in x.values()}) > 1:
        raise DataError("the inputs differ in samples or time steps", file=path, found=sorted(x))
    if next(iter(x.values())).size == 0:
        raise DataError("there are no recordings", file=path, found="no samples or time steps")
    return x


def labelled(path: str, labels: str | None) -> Any:
    """A data set as `nirjax.evaluate` and `nirjax.finetune` take it, with its targets from a file of their own, if any.

    Raises:
        FileError, DataError: a file that cannot be read, or has no targets.
    """
    if labels is None:
        return path
    found = read_arrays(labels)
    y = found.get("y", found.get("x") if len(found) == 1 else None)
    if y is None:
        raise DataError("the file has no targets", file=labels, found=sorted(found), expected="y, or one array")
    if not is_nir_data(path):
        return {**read_arrays(path), "y": y}
    from nirjax.data.nir_files import read

    return read(path), y


def arrays_of(model: Model, path: str, labels: str | None) -> dict[str, Any]:
    """A data set as arrays `x`, `y` and `length`, as far as it has them; `x` is a dict where there are several Inputs.

    Raises:
        FileError, GraphError, DataError: as `labelled`; NIR data that does not fit the model.
    """
    source = labelled(path, labels)
    if not is_nir_data(path):
        arrays = read_arrays(path) if isinstance(source, str) else source
        return {name: values for name, values in arrays.items() if name in ("x", "y", "length")}
    from nirjax.data.checks import Fit
    from nirjax.data.nir_files import read
    from nirjax.data.nir_source import nir_target

    x = nir_inputs(model, path)
    y = nir_target(read(path), Fit.of(model, labels=False)) if isinstance(source, str) else source[1]
    return {"x": x if len(x) > 1 else next(iter(x.values())), **({} if y is None else {"y": y})}


def write_recording(path: str, model: Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Write what a run gave as NIR data.

    Args:
        path: the file, ending in .nir.
        model: what was run.
        arrays: (sample, time, *shape) by the names of traces, and of Outputs or "output".

    Raises:
        FileError: it cannot be written.
    """
    from nirjax.data.nir_files import write
    from nirjax.data.recording import to_nir_data

    outputs = model.program.plan.outputs
    ports = {"output": outputs[0]} if len(outputs) == 1 else dict(zip(outputs, outputs, strict=True))
    named = {f"{ports[name]}.output" if name in ports else name: values for name, values in arrays.items()}
    write(path, to_nir_data(model, {name: np.swapaxes(values, 0, 1) for name, values in named.items()}))


def write_arrays(path: str, arrays: Mapping[str, Any]) -> None:
    """Write a .npz file, or a .npy file of one array; whole or not at all.

    Raises:
        ArgumentError: another ending, or several arrays for a .npy file.
        FileError: it cannot be written.
    """
    from nirjax.ir.atomic import replace_file

    check_ending(path, arrays)
    buffer = io.BytesIO()
    if path.endswith(".npy"):
        np.save(buffer, next(iter(arrays.values())), allow_pickle=False)
    else:
        np.savez_compressed(buffer, **{name: np.asarray(values) for name, values in arrays.items()})  # type: ignore[arg-type]
    replace_file(path, buffer.getvalue())


def check_new(path: str, *inputs: str | None, option: str = "--out") -> None:
    """Raises an ArgumentError if what is to be written would replace what is read."""
    for name in inputs:
        if name is not None and os.path.exists(path) and os.path.exists(name) and os.path.samefile(path, name):
            raise ArgumentError("this would replace what is read", field=option, found=path, expected="another name")


def check_ending(
    path: str, names: Mapping[str, Any] | tuple[str, ...], endings: tuple[str, ...] = (".npz", ".npy")
) -> None:
    """Can arrays of these names be written to this path? Asked before the work is done.

    Raises:
        ArgumentError: another ending, or several arrays for a .npy file.
        FileError: as `check_place`.
    """
    if not path.endswith(endings):
        expected = "a name in " + " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise ArgumentError("not a kind of data file", field="--out", found=path, expected=expected)
    if path.endswith(".npy") and len(names) > 1:
        raise ArgumentError(
            "a .npy file holds one array", field="--out", found=", ".join(names), expected="a name in .npz"
        )
    check_place(path)


def check_place(path: str) -> None:
    """Can a file of this name be written? Asked before the work is done.

    Raises:
        FileError: its folder is not there or not to be written into, or a folder has its name.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileError("the folder is not there", file=folder)
    if os.path.isdir(path):
        raise FileError("the file cannot be written", file=path, found="a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError("the folder cannot be written into", file=folder, found="no permission")
