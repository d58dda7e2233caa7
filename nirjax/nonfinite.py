"""Finding where a run first leaves the finite numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.engine import execute
from nirjax.engine.inputs import only_numbers
from nirjax.engine.model import Model
from nirjax.engine.records import trace_names
from nirjax.engine.states import States


@dataclass(frozen=True)
class NonFinite:
    """The first value that is NaN or infinite.

    Attributes:
        node, variable: where, the earliest in the order of execution among those of the same step.
        step: at which time step.
    """

    node: str
    variable: str
    step: int

    def __str__(self) -> str:
        return f"node {self.node!r}: {self.variable} is not finite from time step {self.step} on"


def first_nonfinite(model: Model, x: Any, state: States | None = None) -> NonFinite | None:
    """Run the model and say where a value first is NaN or infinite; None if all are finite.

    Every node's output and every variable of its state is looked at; nothing is kept over time. A membrane that
    overflows is found even where a spike resets it: what a reset makes of infinity is NaN.

    Raises:
        ShapeError: as for a call of the model.
    """
    with only_numbers(model.program.plan, model.params, x, state):
        steps = {name: int(step) for name, step in _first_steps(model, x, state).items()}
    names = trace_names(model.program.plan)
    order = [node for stage in model.program.plan.stages for node in stage.members]
    found = [(step, order.index(names[name][0]), name) for name, step in steps.items() if step >= 0]
    if not found:
        return None
    step, _, name = min(found)
    return NonFinite(*names[name], step)


@jax.jit
def _first_steps(model: Model, x: Any, state: States | None) -> dict[str, Array]:
    """The first step at which each trace is not finite, -1 if it always is."""
    plan = model.program.plan
    params, inputs, states, schedule = model._given(x, state)
    record = tuple(trace_names(plan).values())

    def look(
        carry: tuple[Array, dict[str, Array]], outputs: dict[str, Array], traces: dict[str, Array]
    ) -> tuple[tuple[Array, dict[str, Array]], tuple[()]]:
        start, first = carry
        length = next(iter(traces.values())).shape[0]
        for name, trace in traces.items():
            bad = ~jnp.isfinite(trace.reshape(length, -1)).all(axis=1)
            here = jnp.where(bad.any(), start + jnp.argmax(bad), -1)
            first = {**first, name: jnp.where(first[name] < 0, here, first[name])}
        return (start + length, first), ()

    none = {f"{node}.{variable}": jnp.array(-1) for node, variable in record}
    start = (jnp.array(0), none)
    _, (_, first), _ = execute.fold_blocks(plan, params, states, inputs, schedule, look, start, record)
    return first
