"""Which parameters are trained: a model taken apart by name patterns, and put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax

from nirjax.engine.model import Model, Params
from nirjax.engine.program import Program
from nirjax.engine.records import parameter_names
from nirjax.errors import ParameterError
from nirjax.ir.patterns import as_patterns, matching

WEIGHTS_AND_BIASES = ("*.weight", "*.bias")
"""What is trained where nothing else is said. A graph need not have both."""


@dataclass(frozen=True, eq=False, repr=False)
class Rest:
    """A model without its chosen parameters; a pytree of the others.

    Args:
        params: `params[node path][field]` of what was not chosen.
        program: the model's.
    """

    params: Params
    program: Program

    def __repr__(self) -> str:
        names = [f"{node}.{field}" for node, fields in self.params.items() for field in fields]
        return f"Rest({', '.join(names)})"


jax.tree_util.register_dataclass(Rest, data_fields=["params"], meta_fields=["program"])


def chosen_names(model: Model, patterns: Sequence[str] | str) -> tuple[str, ...]:
    """The parameters that the patterns choose, in the model's order; `partition` says how.

    Raises:
        PatternError: a pattern that matches nothing; the message lists the names.
    """
    names, wanted = model.parameters, as_patterns(patterns, "patterns")
    if wanted == WEIGHTS_AND_BIASES:
        present = tuple(pattern for pattern in wanted if any(fnmatchcase(name, pattern) for name in names))
        wanted = present or wanted
    return matching(wanted, names, argument="patterns")


def partition(model: Model, patterns: Sequence[str] | str) -> tuple[Params, Rest]:
    """Takes the chosen parameters out of a model.

    What is differentiated and optimised is the first part alone: a plain nested dict, as optax likes it. What is not
    chosen lies in the second part, where no gradient is computed for it and no optimizer sees it.

        params, rest = partition(model, ["*.weight", "!readout.*"])
        grads = jax.grad(lambda params: loss(combine(params, rest)))(params)

    Args:
        model: the model.
        patterns: matched as by `fnmatch` on the whole name `<node path>.<field>`, in the order given; one that starts
            with `!` takes away what it matches from what those before it chose. Of `["*.weight", "*.bias"]`, one may
            match nothing.

    Returns:
        `params[node path][field]` of the chosen parameters, and the rest for `combine`.

    Raises:
        PatternError: a pattern that matches nothing; the message lists the names.
    """
    chosen = set(chosen_names(model, patterns))
    params: Params = {}
    others: Params = {}
    for node, fields in model.params.items():
        for field, value in fields.items():
            part = params if f"{node}.{field}" in chosen else others
            part.setdefault(node, {})[field] = value
    return params, Rest(others, model.program)


def combine(params: Mapping[str, Mapping[str, Any]], rest: Rest) -> Model:
    """The model of these parameters and the rest: the inverse of `partition`.

    Raises:
        ParameterError: a parameter that is missing, or is none of those that were chosen.
    """
    whole: Params = {}
    given = {(node, field) for node, fields in params.items() for field in fields}
    for node, field in parameter_names(rest.program.plan).values():
        kept = field in rest.params.get(node, {})
        if not kept and (node, field) not in given:
            raise ParameterError("a chosen parameter is missing", node=node, field=field)
        if not kept:
            given.remove((node, field))
        whole.setdefault(node, {})[field] = (rest.params if kept else params)[node][field]
    if given:
        node, field = min(given)
        raise ParameterError("this parameter was not chosen", node=node, field=field, hint="Choose it in `partition`")
    return Model(whole, rest.program)
