"""What an evaluation is of: digests by which a folder of results knows whether it is continued or mixed up."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from nirjax.engine.model import Model
from nirjax.evaluation.measuring import Wanted
from nirjax.finetuning.checkpoints import digest
from nirjax.ir.digest import content_digest


def of_model(model: Model) -> str:
    """A digest of all that a model's outputs depend on; how it is scheduled and differentiated is not."""
    program = model.program
    parts = (
        content_digest(program.graph),
        digest({f"{node}.{field}": value for node, fields in model.params.items() for field, value in fields.items()}),
        (program.dt, program.dialect, program.max_delay, str(program.dtype), program.plan.registers, program.own),
    )
    return _digest(parts)


def of_wanted(wanted: Wanted) -> str:
    """A digest of the metrics and of the traces that they see."""
    return _digest((wanted.metrics, wanted.record))


def _digest(value: Any) -> str:
    total = hashlib.sha256()
    for piece in _pieces(value):
        total.update(len(piece).to_bytes(8, "little"))
        total.update(piece)
    return total.hexdigest()


def _pieces(value: Any) -> Iterator[Any]:
    """The value as byte strings that are the same in every process; a function is its name, its code and plain values
    that it holds."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        array = np.ascontiguousarray(value)
        yield f"array {array.dtype} {np.shape(value)}".encode()
        yield array.reshape(-1).view(np.uint8).data
    elif isinstance(value, Mapping):
        yield f"mapping {len(value)}".encode()
        for key, item in value.items():
            yield from _pieces((key, item))
    elif isinstance(value, set | frozenset):
        yield from _pieces(sorted(map(str, value)))
    elif isinstance(value, tuple | list):
        yield f"list {len(value)}".encode()
        for item in value:
            yield from _pieces(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield _name(type(value))
        yield from _pieces([getattr(value, field.name) for field in dataclasses.fields(value)])
    elif isinstance(value, functools.partial):
        yield from _pieces(["partial", value.func, value.args, value.keywords])
    elif isinstance(value, types.CodeType):
        yield value.co_code
        yield from _pieces([value.co_names, value.co_varnames, value.co_consts])
    elif callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        code = getattr(getattr(value, "__wrapped__", value), "__code__", None)
        # nirjax's own functions mean the same in every version; a user's module may be `__main__` or imported.
        if code is None or named.__module__.startswith("nirjax."):
            yield _name(named)
        else:
            cells = [cell.cell_contents for cell in getattr(value, "__closure__", None) or () if _is_plain(cell)]
            yield from _pieces([named.__qualname__, code, getattr(value, "__defaults__", None), cells])
    else:
        yield f"{type(value).__name__} {value!r}".encode()


def _is_plain(cell: types.CellType) -> bool:
    """Does a closure hold a number, a text or an array there?"""
    try:
        return isinstance(cell.cell_contents, int | float | str | None | np.ndarray | jax.Array)
    except ValueError:
        return False


def _name(value: Any) -> bytes:
    return f"{value.__module__}.{value.__qualname__}".encode()
