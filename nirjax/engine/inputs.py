"""Checking what a model is given, at trace time, with errors that name the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.engine.execute import Values
from nirjax.engine.lowering import Plan
from nirjax.engine.states import States, initial_state
from nirjax.errors import DataError, NIRError, ParameterError, ShapeError, quoted
from nirjax.ir.nodes import Shape


def checked_inputs(plan: Plan, x: Any) -> tuple[Values, Shape]:
    """Input node to array, and the batch axes that all share.

    Raises:
        ShapeError: an input without a time axis, whose last axes are not the Input node's, or whose leading axes are
            not those of the other inputs.
        DataError: values that are not numbers, or not one for each Input node.
    """
    values = _by_port(plan, x)
    leads = {}
    for name, value in values.items():
        shape = plan.sites[name].input_shape
        if jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise DataError("the input is not real", node=name, field="x", found=f"dtype {value.dtype}")
        lead = value.shape[: value.ndim - len(shape)]
        if value.ndim < 1 + len(shape) or value.shape[len(lead) :] != shape:
            raise ShapeError(
                "the input does not fit",
                node=name,
                field="x",
                found=f"shape {value.shape}",
                expected=f"(time, *batch{''.join(f', {n}' for n in shape)})",
                hint="Time is the first axis, then any batch axes, then the shape of the Input node.",
            )
        leads[name] = lead
    first = plan.inputs[0]
    for name, lead in leads.items():
        if lead != leads[first]:
            raise ShapeError(
                "the inputs differ in time or batch",
                node=name,
                field="x",
                found=f"{lead} here and {leads[first]} at {first!r}",
            )
    return values, leads[first][1:]


def _by_port(plan: Plan, x: Any) -> Values:
    if not isinstance(x, Mapping):
        if len(plan.inputs) > 1:
            raise DataError(
                "the graph has several inputs", field="x", found="one array", expected=f"a dict of {list(plan.inputs)}"
            )
        x = {plan.inputs[0]: x}
    if set(x) != set(plan.inputs):
        raise DataError("not the graph's inputs", field="x", found=sorted(map(str, x)), expected=sorted(plan.inputs))
    return {name: _array(x[name], name) for name in plan.inputs}


def _array(value: Any, name: str) -> Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError("the input is not an array of numbers", node=name, field="x", found=str(error)) from error


def checked_params(plan: Plan, params: Any) -> dict[str, dict[str, Array]]:
    """The parameters, of the model's dtype, if each has its node's shape.

    Raises:
        ParameterError: one is missing, has another shape or is not real.
    """
    checked: dict[str, dict[str, Array]] = {}
    for name, site in plan.sites.items():
        given = params.get(name) or {}
        for field in type(site.node).parameter_names():
            value, wanted = given.get(field), np.shape(getattr(site.node, field))
            place: dict[str, Any] = {"node": name, "field": field, "expected": f"real numbers of shape {wanted}"}
            if value is None:
                raise ParameterError("the parameter is missing", found="nothing", **place)
            array = jnp.asarray(value)
            if array.shape != wanted or jnp.issubdtype(array.dtype, jnp.complexfloating):
                found = f"{array.dtype} of shape {array.shape}"
                raise ParameterError("the parameter is not this model's", found=found, **place)
            checked.setdefault(name, {})[field] = array.astype(site.dtype)
    return checked


@contextmanager
def only_numbers(plan: Plan, params: Any, x: Any, state: Any) -> Iterator[None]:
    """Where JAX refuses what a run is given, an error that says what of it is no array of numbers."""
    try:
        yield
    except TypeError as error:
        raise _not_numbers(plan, params, x, state) or error from None


def _not_numbers(plan: Plan, params: Any, x: Any, state: Any) -> NIRError | None:
    for kind, field, tree in ((ParameterError, "params", params), (DataError, "x", x), (ShapeError, "state", state)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            try:
                jax.eval_shape(jnp.asarray, leaf)
            except (TypeError, ValueError):
                names = [str(getattr(key, "key", key)) for key in path] or ([plan.inputs[0]] if field == "x" else [])
                node, place = (*names, None)[0], names[1] if len(names) > 1 else field
                found = f"{type(leaf).__name__} of dtype {leaf.dtype}" if hasattr(leaf, "dtype") else quoted(leaf)
                return kind("not an array of numbers", node=node, field=place, found=found)
    return None


def checked_states(plan: Plan, params: Any, state: Any, batch: Shape) -> States:
    """The state, if it is one of this model for this batch.

    Raises:
        ShapeError: it is another model's, or another batch's.
    """
    expected = jax.eval_shape(lambda p: initial_state(plan, p, batch), params)
    if not isinstance(state, Mapping) or set(state) != set(expected):
        raise ShapeError(
            "the state is not this model's",
            field="state",
            found=sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__,
            expected=sorted(expected),
        )
    for name, variables in expected.items():
        if not isinstance(state[name], Mapping) or set(state[name]) != set(variables):
            raise ShapeError(
                "the state is not this model's",
                node=name,
                field="state",
                found=sorted(map(str, state[name])) if isinstance(state[name], Mapping) else type(state[name]).__name__,
                expected=sorted(variables),
            )
        for variable, wanted in variables.items():
            held = state[name][variable]
            found = None if held is None else jnp.shape(held)
            if found != wanted.shape or jnp.iscomplexobj(held):
                raise ShapeError(
                    "the state is not this model's, or not for this batch",
                    node=name,
                    field=variable,
                    found=f"shape {found}" + (" of complex numbers" if found == wanted.shape else ""),
                    expected=f"shape {wanted.shape}",
                    hint="model.init_state(batch_shape) makes one.",
                )
    return {
        name: {variable: jnp.asarray(state[name][variable], wanted.dtype) for variable, wanted in variables.items()}
        for name, variables in expected.items()
    }


def outward(plan: Plan, outputs: Values) -> Array | Values:
    """One array where the graph has one Output, else a dict by name."""
    return outputs[plan.outputs[0]] if len(plan.outputs) == 1 else dict(outputs)
