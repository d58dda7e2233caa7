"""Several optimizers in one: each parameter by the one whose pattern its name matches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optax

from nirjax.errors import ArgumentError, PatternError
from nirjax.ir.patterns import matching

Pattern = str | tuple[str, ...]
Optimizers = Mapping[Pattern, optax.GradientTransformation]


def by_pattern(optimizers: Optimizers) -> optax.GradientTransformation:
    """An optax optimizer that gives every parameter to one of several.

        by_pattern({"*.weight": optax.adam(1e-3), "*.tau": optax.adam(1e-4)})
        optax.chain(optax.clip_by_global_norm(1.0), by_pattern({"readout.*": ..., ("*", "!readout.*"): ...}))

    Args:
        optimizers: patterns of names `<node path>.<field>`, as `nirjax.partition` takes them (several in a tuple), to
            optimizers. Each trained parameter matches exactly one.

    Returns:
        an optimizer of params such as `partition` gives. Its `init` raises a PatternError for a pattern that matches
        nothing that is trained, and for a parameter that matches none, or several.

    Raises:
        ArgumentError: no optimizers, or something that is none.
    """
    if not optimizers:
        raise ArgumentError("there is no optimizer", field="optimizer", expected="patterns to optimizers of optax")
    for pattern, optimizer in optimizers.items():
        check_optimizer(optimizer, f"optimizer[{pattern!r}]")
    patterns = tuple(optimizers)

    def labels(params: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
        names = [f"{node}.{field}" for node, fields in params.items() for field in fields]
        of_name = _choices(patterns, names)
        return {node: {field: str(of_name[f"{node}.{field}"]) for field in fields} for node, fields in params.items()}

    numbered = {str(place): optimizer for place, optimizer in enumerate(optimizers.values())}
    return optax.multi_transform(numbered, labels)


def as_optimizer(given: Any) -> optax.GradientTransformation:
    """What a user gave: an optimizer, or a dict of them by pattern.

    Raises:
        ArgumentError: something else.
    """
    if isinstance(given, Mapping):
        return by_pattern(given)
    check_optimizer(given, "optimizer")
    return given


def check_optimizer(given: Any, argument: str) -> None:
    """Raises an ArgumentError if this is no optimizer of optax."""
    if not (hasattr(given, "init") and hasattr(given, "update")):
        raise ArgumentError(
            "this is no optimizer", field=argument, found=type(given).__name__,
            expected="one of optax, called: optax.adam(1e-3)",
        )  # fmt: skip


def _choices(patterns: tuple[Pattern, ...], names: list[str]) -> dict[str, int]:
    """For each name the place of the one pattern that it matches.

    Raises:
        PatternError: a pattern without a name, a name without a pattern or with two.
    """
    chosen: dict[str, int] = {}
    for place, pattern in enumerate(patterns):
        try:
            matched = matching(pattern, names, argument="optimizer")
        except PatternError as error:
            error.hint = "Only what is trained is looked at: add it to `trainable`"
            raise
        if not matched:
            raise PatternError("nothing is left of these patterns", field="optimizer", found=pattern)
        for name in matched:
            if name in chosen:
                raise PatternError(
                    "two optimizers for one parameter", field="optimizer", found=name,
                    expected=f"one of {patterns[chosen[name]]!r} and {pattern!r}",
                    hint="A tuple with '!' takes names out of a pattern: ('*', '!readout.*')",
                )  # fmt: skip
            chosen[name] = place
    for name in names:
        if name not in chosen:
            raise PatternError(
                "a trained parameter has no optimizer", field="optimizer", found=name,
                expected=f"it to match one of {', '.join(map(repr, patterns))}",
            )  # fmt: skip
    return chosen
