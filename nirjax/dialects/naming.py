"""A dialect from what a user may write on a command line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

from nirjax.dialects import imports, presets
from nirjax.dialects.dialect import Dialect
from nirjax.errors import ArgumentError

PRESETS: dict[str, Callable[..., Dialect]] = {preset.__name__: preset for preset in (*presets.ALL, *imports.ALL)}


def dialect_of(given: Dialect | str) -> Dialect:
    """A dialect from what a user may write: a Dialect, a preset's name, or a call of one with literal arguments.

    "snntorch(reset_delay=False)" is parsed, never evaluated.

    Raises:
        ArgumentError: no such preset, or arguments that it does not take.
    """
    if isinstance(given, Dialect):
        return given
    if not isinstance(given, str):
        raise ArgumentError("not a dialect", field="dialect", found=type(given).__name__)
    name, arguments = _parsed(given)
    preset = PRESETS.get(name)
    if preset is None:
        raise ArgumentError("no such dialect", field="dialect", found=given, expected=f"one of {', '.join(names())}")
    try:
        return preset(**arguments)
    except TypeError as error:
        words = ", ".join(inspect.signature(preset).parameters)
        expected = f"{name}({words})" if words else f"{name}, which takes no words"
        raise ArgumentError(str(error), field="dialect", found=given, expected=expected) from None


def _parsed(text: str) -> tuple[str, dict[str, object]]:
    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args:
            return tree.func.id, {word.arg or "**": ast.literal_eval(word.value) for word in tree.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ArgumentError(
        "not a dialect", field="dialect", found=text, expected="a name, or name(word=value, ...) with literal values"
    )


def names() -> tuple[str, ...]:
    """The presets."""
    return tuple(PRESETS)
