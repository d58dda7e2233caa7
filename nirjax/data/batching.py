"""`batches`: the one contract that training, evaluation and the command line read data by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nirjax.data.batch import Batch
from nirjax.data.recordings import Seed
from nirjax.data.sources import open_source
from nirjax.errors import ArgumentError


def batches(
    source: Any, *, batch_size: int | None, seed: Seed = None, time_axis: int = 0, batched: bool = False
) -> Iterator[Batch]:
    """One epoch of a data set as batches, time first.

    A source is one of

    - recordings: a list, a data set with length and index, or an iterable, of pairs `(x, y)` with `x (time, *shape)`;
      lengths may differ;
    - arrays: a tuple `(x, y)` or `(x, y, length)`, or a mapping with these names, `x (sample, time, *shape)`,
      `y (sample, ...)`, `length (sample,)`; or the path of an NPZ file that holds them, or of a .npy file with x;
    - batches, with `batched=True`: anything that yields `(x, y)`, `(x, y, length)`, such a mapping, or a `Batch`,
      `x (time, batch, *shape)`;
    - events, as an `EventSource` that says its time step and shape;
    - a `Source` of any of these.

    Where a model is at hand, in `nirjax.evaluate` and `nirjax.finetune`, a `NIRGraphData` or the path of a file of NIR
    data is a source too: what it has at the Inputs is x, and what it has at a single Output is y; or with labels, as a
    pair `(data, y)`.

    Arrays may be NumPy's, JAX's or torch's. For a graph of several inputs, `x` is a dict by Input node. Without
    anything to compare with, `y` is None or left out. A target of two or more axes whose first is as long as the
    recording has a time axis of its own and is treated as the input is. Dtypes are kept (bool and uint8 too), but
    integers in `y` become int32.

    Args:
        source: see above.
        batch_size: samples in a batch; the last batch is filled up with repeats, which `Batch.valid` tells apart. No
            larger than the number of samples, where that is known; None is all of them. Ready batches keep their own.
        seed: fixes an order in which recordings are drawn; None is their own order. Recordings that come from an
            iterable without a length, and ready batches, stay in the order they come in.
        time_axis: where time is in one recording (in one batch, where `batched`).
        batched: the source yields batches.

    Returns:
        an iterator of batches: every recording once.

    Raises:
        DataError: empty or malformed data, shapes that differ, lengths that do not fit, NaN or infinity in x or y;
            at once where the data is in memory, else with the batch that holds it.
        FileError: a file that cannot be read.
        ArgumentError: a batch size below one.
    """
    if batch_size is not None and batch_size < 1:
        raise ArgumentError("a batch holds at least one sample", field="batch_size", found=batch_size)
    return open_source(source, time_axis=time_axis, batched=batched).batches(batch_size, seed)
