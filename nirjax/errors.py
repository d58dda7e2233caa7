"""Every exception and warning that a user of nirjax can see.

An error says where (file, node, field), what was found, what was expected and what to do about it; each of
these is also an attribute, so that a program can read it.
"""

from __future__ import annotations

import copy
from typing import Any, Self

_LONGEST = 120


def quoted(value: object) -> str:
    """`repr(value)`, safe to print (no control characters) and shortened in the middle past 120 characters."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2 - 2
    return f"{text[:half]} ... {text[-half:]}"


class NIRError(Exception):
    """Base of all nirjax errors.

    Args:
        message: what is wrong, in a sentence without a full stop.
        file: path of the file concerned.
        node: path of the node in the graph, with dots between levels; the empty string is the graph itself.
        field: the node's field, or the argument's name.
        found: what was there.
        expected: what should have been there.
        hint: what to do.
    """

    def __init__(
        self,
        message: str,
        *,
        file: object = None,
        node: str | None = None,
        field: str | None = None,
        found: Any = None,
        expected: Any = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = None if file is None else str(file)
        self.node = node
        self.field = field
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        where = []
        if self.file is not None:
            where.append(f"file {quoted(self.file)}")
        if self.node is not None:
            where.append("the graph" if self.node == "" else f"node {quoted(self.node)}")
        if self.field is not None:
            where.append(f"field {quoted(self.field)}")
        text = f"{', '.join(where)}: {self.message}" if where else self.message
        if self.found is not None:
            text += f"; found {_words(self.found)}"
        if self.expected is not None:
            text += f"; expected {_words(self.expected)}"
        if self.hint:
            text += f". {self.hint}"
        return text

    def located(self, *, file: object = None, node: str | None = None) -> Self:
        """A copy that also says the file, and the node where the error itself did not know its name."""
        other = copy.copy(self)
        if other.file is None and file is not None:
            other.file = str(file)
        if other.node is None and node is not None:
            other.node = node
        return other

    def inside(self, parent: str) -> Self:
        """A copy whose node path is taken to start inside the subgraph `parent`."""
        other = copy.copy(self)
        other.node = f"{parent}.{self.node}" if self.node else parent
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.__dict__))


def _words(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else quoted(value)


def _rebuild(kind: type[NIRError], message: str, attributes: dict[str, Any]) -> NIRError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class FileError(NIRError, OSError):
    """A file cannot be read or written: missing, damaged, not HDF5, too large, pointing elsewhere."""

    __str__ = NIRError.__str__
    __reduce__ = NIRError.__reduce__


class GraphError(NIRError, ValueError):
    """The structure of the graph is wrong: edges, names, ports, a missing Input or Output."""


class ShapeError(NIRError, ValueError):
    """Shapes do not fit: along an edge, inside a node, or of what was given to a model."""


class ParameterError(NIRError, ValueError):
    """A parameter is missing or has a wrong type, rank, size or value."""


class AlgebraicLoopError(GraphError):
    """A cycle in which nothing holds a state: its value at a time step would depend on itself."""


class UnknownNodeError(GraphError):
    """A node type that NIR does not have, and that was not given through `node_types` or `primitives`."""


class UnsupportedByTarget(NIRError, ValueError):  # noqa: N818  (the name that the interface promises)
    """A framework or chip cannot hold or import this node."""


class PatternError(NIRError, KeyError):
    """A name pattern that matches nothing, or matches what it must not."""

    __str__ = NIRError.__str__


class DataError(NIRError, ValueError):
    """Data given for training or evaluation is empty, malformed, or does not fit the model."""


class TrainingError(NIRError, RuntimeError):
    """Training cannot start or go on: nothing to train, a loss that is not finite."""


class CheckpointError(NIRError, OSError):
    """A saved training state, or a saved evaluation, is missing, damaged, or belongs to another run."""

    __str__ = NIRError.__str__
    __reduce__ = NIRError.__reduce__


class ArgumentError(NIRError, ValueError):
    """An argument has a value that the function does not take."""


class DistributedError(NIRError, RuntimeError):
    """Several processes that work together have lost each other, or do not hold what they should."""


class MissingExtraError(NIRError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class NIRWarning(UserWarning):
    """Something that will surprise, but is not wrong."""


class RepairWarning(NIRWarning):
    """One mend that `repair=True` made to a file's content."""
