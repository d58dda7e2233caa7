"""Batches on their way to the device while the one before is computed with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import jax

from nirjax.errors import ArgumentError

Item = TypeVar("Item")
_END: Any = object()


def prefetch(batches: Iterable[Item], size: int = 2, *, place: Callable[[Item], Item] | None = None) -> Iterator[Item]:
    """The same batches in the same order, each read and placed on the device before it is asked for.

    One thread reads ahead. It ends with the last batch, with an error, and when the iterator is closed or thrown away;
    closing waits for the batch that is being read. An error comes in the place of the batch that it befell, after all
    batches before it.

    Args:
        batches: any iterable of pytrees, such as `nirjax.data.batches(...)`.
        size: how many batches to be ahead.
        place: puts a batch where it is computed with; None is all of it on the default device.

    Raises:
        ArgumentError: a size below one.
    """
    if size < 1:
        raise ArgumentError("at least one batch is read ahead", field="size", found=size)
    return _ahead(batches, size, place or partial(jax.device_put, device=_default_device()))


def _default_device() -> Any:
    """What `jax.default_device` says, which holds for the thread that says it; None without it."""
    device: Any = getattr(jax.config, "jax_default_device", None)
    return jax.local_devices(backend=device)[0] if isinstance(device, str) else device


def _ahead(batches: Iterable[Item], size: int, place: Callable[[Item], Item]) -> Iterator[Item]:
    source = iter(batches)

    def one() -> Item:
        item = next(source, _END)
        return item if item is _END else place(item)

    waiting: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(1, "nirjax-prefetch") as reader:
        try:
            waiting.extend(reader.submit(one) for _ in range(size))
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(reader.submit(one))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            reader.shutdown()
            close = getattr(source, "close", None)
            if close is not None:
                close()
