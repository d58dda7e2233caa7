"""Functions that are compiled once for all equal settings, from call to call of `finetune` and `evaluate`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax

from nirjax.finetuning.content import content


@dataclass(frozen=True)
class Settings:
    """What a compiled function is keyed by: the value, compared by its content."""

    value: Any = field(compare=False)
    content: Hashable


def compiled(function: Callable[..., Any], settings: Any) -> Callable[..., Any]:
    """`function(settings, ...)` as a compiled function of what follows.

    Args:
        function: a function of a module.
        settings: constants of the computation; equal ones (`nirjax.finetuning.content`) share what was compiled. Where
            they cannot be compared, the function is compiled anew, and forgotten with what is returned here.
    """
    known = content(settings)
    if known is None:
        return jax.jit(functools.partial(function, settings))
    return functools.partial(_call, function, Settings(settings, known))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _call(function: Callable[..., Any], settings: Settings, *arguments: Any) -> Any:
    return function(settings.value, *arguments)
