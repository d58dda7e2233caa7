"""What a setting amounts to, as a value that can be compared: losses, metrics, transforms and optimizers are functions.

Functions are often made anew: `optax.adam(1e-3)` in a sweep over seeds, a lambda in a notebook's cell that is run
again. Two functions are taken for equal if their code is, and with it every value that the code can see: defaults,
closures and the globals that it names. What cannot be told by looking, such as an object with a state of its own, is
equal to nothing.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import sys
import types
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

LIBRARIES = frozenset(
    {"builtins", "nirjax", "jax", "jaxlib", "optax", "flax", "chex", "numpy", *sys.stdlib_module_names}
)
"""Packages whose modules stay as they are while a program runs: their globals are not looked at."""

_PLAIN = (int, bool, str, bytes, types.NoneType, types.EllipsisType, range, np.dtype, types.CodeType)
_BUILTIN = (types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType, np.ufunc)
_JIT = type(jax.jit(len))


class UnknownError(Exception):
    """It cannot be told what this value amounts to."""


def content(value: Any) -> Hashable | None:
    """A hashable value that is equal for equal settings; None where that cannot be told."""
    try:
        return _content(value, ())
    except UnknownError:
        return None


def _content(value: Any, above: tuple[int, ...]) -> Hashable:
    """The content; `above` are the ids of what is being looked at, so that a circle ends."""
    if id(value) in above:
        return "above", above.index(id(value))
    above = (*above, id(value))
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, float | complex | slice):
        return type(value), repr(value)
    if isinstance(value, np.generic):
        return type(value), value.tobytes()
    if isinstance(value, tuple | list):
        return _of_a_library(type(value)), tuple(_content(item, above) for item in value)
    if isinstance(value, Mapping) and type(value).__module__ in (
        "builtins",
        "types",
        "collections",
        "nirjax.ir.fields",
    ):
        return type(value), tuple((_content(key, above), _content(item, above)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return type(value), frozenset(_content(item, above) for item in value)
    if isinstance(value, np.ndarray | jax.Array):
        return _array(value)
    if isinstance(value, types.ModuleType | type):
        return _of_a_library(value)
    return _callable(value, above)


def _callable(value: Any, above: tuple[int, ...]) -> Hashable:
    if isinstance(value, types.FunctionType):
        return "function", *_function(value, above)
    if isinstance(value, types.MethodType):
        return "method", _content(value.__self__, above), _content(value.__func__, above)
    if isinstance(value, functools.partial):
        return type(value), _content((value.func, value.args, value.keywords), above)
    if isinstance(value, _BUILTIN) and isinstance(getattr(value, "__self__", None), types.ModuleType | types.NoneType):
        return "builtin", value
    if isinstance(value, _JIT):
        return "jit", _content(getattr(value, "__wrapped__", None), above)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass(value, above)
    if _compares(type(value)):
        return _of_a_library(type(value)), value
    raise UnknownError


def _function(function: types.FunctionType, above: tuple[int, ...]) -> Iterator[Hashable]:
    yield function.__code__
    yield _content((function.__defaults__, function.__kwdefaults__, vars(function)), above)
    yield tuple(_cell(cell, above) for cell in function.__closure__ or ())
    if not _stays(function.__globals__.get("__name__")):
        yield tuple(_globals(function.__code__, function.__globals__, above))


def _cell(cell: types.CellType, above: tuple[int, ...]) -> Hashable:
    try:
        return _content(cell.cell_contents, above)
    except ValueError:
        return "empty"


def _globals(code: types.CodeType, values: Mapping[str, Any], above: tuple[int, ...]) -> Iterator[Hashable]:
    """The globals that the code names, that of the functions in it too."""
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in values:
            yield name, _content(values[name], above)
        elif instruction.opname == "IMPORT_NAME" and not _stays(name):
            raise UnknownError
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals(inner, values, above)


def _dataclass(value: Any, above: tuple[int, ...]) -> Hashable:
    """A frozen one by its fields, or by its own idea of equality; the methods of one that is no library's too."""
    kind = type(value)
    parameters = kind.__dataclass_params__
    if not parameters.frozen:
        raise UnknownError
    if not parameters.eq and _compares(kind):
        return _of_a_library(kind), value
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    methods = () if _stays(kind.__module__) else tuple(_methods(kind, above))
    return kind, _content(fields, above), methods


def _methods(kind: type, above: tuple[int, ...]) -> Iterator[Hashable]:
    for cls in kind.__mro__[:-1]:
        for name, member in vars(cls).items():
            inner = getattr(member, "__func__", member)
            if name in ("__call__", "__post_init__") or not name.startswith("__"):
                yield name, _content(inner, above)


def _array(array: Any) -> Hashable:
    if isinstance(array, jax.core.Tracer):
        raise UnknownError
    kind = str(array.dtype)
    if isinstance(array, jax.Array) and jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    plain = np.ascontiguousarray(array)
    if plain.dtype == object:
        raise UnknownError
    return "array", kind, plain.shape, hashlib.sha256(plain.reshape(-1).view(np.uint8).data).digest()


def _of_a_library(value: Any) -> Hashable:
    """A module or class that is a library's, itself."""
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    if not _stays(name):
        raise UnknownError
    found: Hashable = value
    return found


def _compares(kind: Any) -> bool:
    """Do its instances have an idea of their own of what is equal?"""
    return getattr(kind, "__eq__", None) is not object.__eq__ and kind.__hash__ is not None


def _stays(module: str | None) -> bool:
    return (module or "").partition(".")[0] in LIBRARIES
