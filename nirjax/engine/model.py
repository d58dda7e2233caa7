"""The model: a graph's parameters as a pytree, and the program that runs them."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.export import is_symbolic_dim
from jax.typing import ArrayLike, DTypeLike

from nirjax import surrogate as surrogates
from nirjax.dialects import Dialect, Discretisation, dialect_of
from nirjax.dialects.provenance import warn_of_other_semantics, warn_of_unused_surrogate
from nirjax.engine import execute
from nirjax.engine.inputs import checked_inputs, checked_params, checked_states, only_numbers, outward
from nirjax.engine.lowering import lower
from nirjax.engine.program import Program
from nirjax.engine.records import parameter_names, trace_names
from nirjax.engine.schedule import AUTO, WHOLE, Schedule, choose, schedule_of
from nirjax.engine.states import States, initial_state
from nirjax.engine.table import table
from nirjax.errors import ArgumentError, ParameterError
from nirjax.ir.graph import Edge, NIRGraph
from nirjax.ir.grids import Grid
from nirjax.ir.patterns import matching
from nirjax.ir.reference import as_graph
from nirjax.ir.timestep import checked_dt
from nirjax.primitives.base import Primitive
from nirjax.primitives.registry import registry_with
from nirjax.surrogate import Surrogate

Params = dict[str, dict[str, Array]]
Grids = dict[str, dict[str, Grid]]
Signal = Array | Any
"""An array, or, with several Outputs, a dict of them; type checkers take what is done with it for either."""
Carry = TypeVar("Carry")


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        output: (time, *batch, *shape), or a dict by Output node where there are several.
        state: after the last step.
        traces: "<node>.<variable>" to (time, *batch, *shape).
    """

    output: Signal
    state: States
    traces: dict[str, Array]


jax.tree_util.register_dataclass(Run, data_fields=["output", "state", "traces"], meta_fields=[])
jax.tree_util.register_dataclass(Grid, data_fields=["scale"], meta_fields=["form", "lowest", "highest", "step"])


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A runnable graph: a pytree whose leaves are the graph's real-valued parameters.

    `model(x)` is a pure function of the parameters, the state and x, and can be transformed: jit, grad, jvp, vmap,
    sharding. x is (time, *batch, *shape) with any batch axes; with several Inputs a dict by node name.

    Attributes:
        params: `params[node path][field]`, each of the model's dtype.
        program: everything else, static.
        grids: `grids[node path][field]` of the parameters that a quantisation has put on a grid. No run looks at them;
            `to_nir` writes them into the metadata. A model with other parameters, or other choices, has none.
    """

    params: Params
    program: Program
    grids: Grids = dataclasses.field(default_factory=dict)

    def __call__(self, x: ArrayLike | Mapping[str, ArrayLike], state: States | None = None) -> tuple[Signal, States]:
        """Run all time steps: (outputs, the state after the last).

        Raises:
            ShapeError: x, or the state, does not have the shapes that the graph asks for.
        """
        run = self.run(x, state)
        return run.output, run.state

    def step(self, x_t: ArrayLike | Mapping[str, ArrayLike], state: States) -> tuple[Signal, States]:
        """One time step: x_t (*batch, *shape), without a time axis."""
        if isinstance(x_t, Mapping):
            xs: Any = {name: jnp.asarray(x)[None] for name, x in x_t.items()}
        else:
            xs = jnp.asarray(x_t)[None]
        y, state = self(xs, state)
        return jax.tree.map(lambda one: one[0], y), state

    def run(
        self,
        x: ArrayLike | Mapping[str, ArrayLike],
        state: States | None = None,
        *,
        record: Sequence[str] | str = (),
    ) -> Run:
        """Run all time steps and record traces by pattern: `["lif1.v", "*.spikes"]`.

        Raises:
            PatternError: a pattern that matches no trace.
            ShapeError: as for a call.
        """
        names = trace_names(self.program.plan)
        wanted = tuple(names[name] for name in matching(record, names, argument="record")) if record else ()
        with only_numbers(self.program.plan, self.params, x, state):
            run: Run = _run(self, x, state, wanted)
        return run

    def fold(
        self,
        x: ArrayLike | Mapping[str, ArrayLike],
        f: Callable[[Carry, Any], Carry],
        init: Carry,
        state: States | None = None,
    ) -> tuple[Carry, States]:
        """Run all time steps, keeping only a carry: carry = f(carry, output block), block by block.

        The output block is (steps, *batch, *shape); how many steps it has is the schedule's choice, so f must be one
        that does not depend on where the blocks end. Nothing is stacked over time.
        """
        plan = self.program.plan
        params, inputs, states, schedule = self._given(x, state)

        def reduce(carry: Carry, outputs: dict[str, Array], traces: dict[str, Array]) -> tuple[Carry, tuple[()]]:
            return f(carry, outward(plan, outputs)), ()

        states, carry, _ = execute.fold_blocks(plan, params, states, inputs, schedule, reduce, init)
        return carry, states

    def init_state(self, batch_shape: Sequence[int] = ()) -> States:
        """The state before the first step, for a batch: `state[node path][variable]`, and a register for each
        feedback edge under "source -> destination".

        Raises:
            ArgumentError: a batch shape that is none.
        """
        # an axis of jax.export need not have a number yet
        if not all(is_symbolic_dim(n) or (isinstance(n, int | np.integer) and n >= 0) for n in batch_shape):
            raise ArgumentError("not a batch shape", field="batch_shape", found=batch_shape, expected="numbers >= 0")
        plan = self.program.plan
        batch: Any = tuple(n if is_symbolic_dim(n) else int(n) for n in batch_shape)
        return initial_state(plan, checked_params(plan, self.params), batch)

    def replace(self, **changes: Any) -> Model:
        """A model with other parameters or choices: `params`, or what `from_nir` takes by keyword.

        Raises:
            ParameterError: parameters whose names or shapes are not the model's.
        """
        params = changes.pop("params", None)
        model = self if not changes else _relowered(self, changes)
        if params is None:
            return model
        return Model(_checked_params(model, params), model.program)

    @property
    def graph(self) -> NIRGraph:
        """The graph that was read, with its original parameters."""
        return self.program.graph

    @property
    def dt(self) -> float:
        """The time step, in the file's unit of time."""
        return self.program.dt

    @property
    def dialect(self) -> Dialect:
        """The discrete semantics, with the overrides in it."""
        return self.program.dialect

    @property
    def feedback(self) -> tuple[Edge, ...]:
        """Edges that deliver what they carried at the step before."""
        return self.program.plan.registers

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of all traces that can be recorded."""
        return tuple(trace_names(self.program.plan))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter_names(self.program.plan))

    def __repr__(self) -> str:
        return table(self.program, self.params)

    def _given(self, x: Any, state: States | None) -> tuple[Params, dict[str, Array], States, Schedule]:
        """What a run starts from, checked: parameters, inputs and states, and how it is cut."""
        plan = self.program.plan
        inputs, batch = checked_inputs(plan, x)
        params = checked_params(plan, self.params)
        states = self.init_state(batch) if state is None else checked_states(plan, params, state, batch)
        return params, inputs, states, self._schedule(inputs, batch)

    def _schedule(self, inputs: dict[str, Array], batch: tuple[int, ...]) -> Schedule:
        time = next(iter(inputs.values())).shape[0]
        if self.program.schedule == AUTO and any(map(is_symbolic_dim, (time, *batch))):
            return WHOLE
        accelerator = jax.default_backend() != "cpu"
        return choose(time, math.prod(batch), self.program.plan.work, self.program.schedule, accelerator=accelerator)


jax.tree_util.register_dataclass(Model, data_fields=["params", "grids"], meta_fields=["program"])


@functools.partial(jax.jit, static_argnames=("record",))
def _run(model: Model, x: Any, state: States | None, record: execute.Record) -> Run:
    plan = model.program.plan
    params, inputs, states, schedule = model._given(x, state)

    def keep(carry: tuple[()], outputs: dict[str, Array], traces: dict[str, Array]) -> tuple[tuple[()], Any]:
        return (), (outputs, traces)

    states, _, (outputs, traces) = execute.fold_blocks(plan, params, states, inputs, schedule, keep, (), record)
    return Run(outward(plan, outputs), states, traces)


def from_nir(
    graph: Any,
    *,
    dt: float | None = None,
    dialect: Dialect | str = "nir",
    overrides: Mapping[str, Discretisation | Mapping[str, object]] | None = None,
    surrogate: Surrogate | None = None,
    feedback: Sequence[Edge] | None = None,
    primitives: Sequence[Primitive] = (),
    schedule: Schedule | int | str = AUTO,
    max_delay: float | None = None,
    dtype: DTypeLike | None = None,
    product_dtype: DTypeLike | None = None,
) -> Model:
    """The graph as a runnable, differentiable model.

    Args:
        graph: a `nirjax.NIRGraph`, a path, or a `nir.NIRGraph`.
        dt: the time step, in the file's own unit of time (seconds by convention). It has no default: NIR carries no
            time step, and a wrong one gives wrong results without a word.
        dialect: the discrete semantics: one of `nirjax.dialects`, or its name.
        overrides: name pattern to a Discretisation, or to the fields of one that differ from the dialect's.
        surrogate: derivative of the spikes, one of `nirjax.surrogate`; `fast_sigmoid(25)` by default.
        feedback: edges that carry a register, in place of those that a depth-first search finds.
        primitives: one's own node types, or one's own meaning of existing ones.
        schedule: "auto", the number of time steps in a block, or a `Schedule`.
        max_delay: the longest delay that can be run and learnt, in dt's unit; by default the longest in the file.
        dtype: of parameters, state and signals; float32 by default.
        product_dtype: what weights and inputs of Affine, Linear and convolutions are rounded to for the product, say
            "bfloat16"; sums, membranes and parameters stay in dtype. By default they are not rounded.

    Raises:
        ArgumentError: dt is missing (the message quotes what the parameters hint at) or not positive.
        GraphError, AlgebraicLoopError, ShapeError, ParameterError, UnknownNodeError, UnsupportedByTarget,
            PatternError: see `nirjax.engine.lowering.lower`.
    """
    graph = as_graph(graph)
    dt = checked_dt(dt, graph)
    kind = _checked_dtype(dtype)
    narrow = _checked_product_dtype(product_dtype, kind)
    chosen = surrogate if surrogate is not None else surrogates.fast_sigmoid()
    if not isinstance(chosen, Surrogate):
        raise ArgumentError("not a surrogate", field="surrogate", found=type(chosen).__name__)
    plan, lowered_dialect = lower(
        graph,
        dt=dt,
        dialect=dialect_of(dialect),
        overrides=overrides or {},
        surrogate=chosen,
        feedback=feedback,
        registry=registry_with(primitives),
        max_delay=max_delay,
        dtype=kind,
        product_dtype=narrow,
    )
    if surrogate is not None:
        warn_of_unused_surrogate({n: plan.sites[n].rule for n, p in plan.primitives.items() if p.spiking})
    warn_of_other_semantics(graph, dt, lowered_dialect)
    program = Program(
        graph,
        plan,
        dt,
        lowered_dialect,
        chosen,
        max_delay,
        kind,
        schedule_of(schedule),
        tuple(primitives),
        None if feedback is None else plan.registers,
        narrow,
    )
    params: Params = {}
    for name, field in parameter_names(plan).values():
        params.setdefault(name, {})[field] = jnp.asarray(getattr(plan.sites[name].node, field), kind)
    return Model(params, program)


def _checked_dtype(dtype: DTypeLike | None) -> jnp.dtype:
    kind = jnp.dtype(jnp.float32 if dtype is None else dtype)
    if not jnp.issubdtype(kind, jnp.floating):
        raise ArgumentError("a model computes in a floating-point type", field="dtype", found=str(kind))
    if kind == jnp.float64 and jnp.result_type(float) != kind:
        raise ArgumentError(
            "JAX computes in float32 unless told otherwise",
            field="dtype",
            found="float64",
            hint="Call jax.config.update('jax_enable_x64', True) at the start of the program.",
        )
    return kind


def _checked_product_dtype(given: DTypeLike | None, dtype: jnp.dtype) -> jnp.dtype | None:
    """The type, or None where nothing would be rounded."""
    kind = dtype if given is None else jnp.dtype(given)
    if kind == dtype:
        return None
    digits = jnp.issubdtype(kind, jnp.floating) and jnp.finfo(kind).nmant  # type: ignore[no-untyped-call]
    if not 7 <= digits < jnp.finfo(dtype).nmant:  # type: ignore[no-untyped-call]
        raise ArgumentError(
            "products are rounded to a narrower floating-point type, or not at all",
            field="product_dtype",
            found=str(kind),
            expected=f"'bfloat16', 'float16', 'float32' or None, narrower than {dtype}",
        )
    return kind


def _relowered(model: Model, changes: dict[str, Any]) -> Model:
    program = model.program
    known = {
        "dt": program.dt,
        "dialect": program.dialect,
        "surrogate": None if program.surrogate == surrogates.fast_sigmoid() else program.surrogate,
        "feedback": program.feedback,
        "primitives": program.own,
        "schedule": program.schedule,
        "max_delay": program.max_delay,
        "dtype": program.dtype,
        "product_dtype": program.product_dtype,
        "overrides": None,
    }
    unknown = set(changes) - set(known)
    if unknown:
        raise ArgumentError(
            "a model has no such choice", field=", ".join(sorted(unknown)), expected=f"params, {', '.join(known)}"
        )
    if set(changes) == {"schedule"}:
        schedule = schedule_of(changes["schedule"])
        return dataclasses.replace(model, program=dataclasses.replace(program, schedule=schedule))
    with warnings.catch_warnings():
        if "dt" not in changes and "dialect" not in changes and "overrides" not in changes:
            warnings.simplefilter("ignore")
        other = from_nir(program.graph, **{**known, **changes})
    kind = other.program.dtype
    return Model(jax.tree.map(lambda leaf: jnp.asarray(leaf, kind), model.params), other.program)


def _checked_params(model: Model, params: Any) -> Params:
    if not isinstance(params, Mapping) or not all(isinstance(fields, Mapping) for fields in params.values()):
        raise ParameterError(
            "parameters are a mapping of nodes to mappings of fields", field="params", found=type(params).__name__
        )
    mine = {name: getattr(value, "shape", None) for name, value in _leaves(model.params).items()}
    given = {name: getattr(value, "shape", None) for name, value in _leaves(params).items()}
    for name in {**mine, **given}:
        if mine.get(name) != given.get(name) and None not in (given.get(name, ()),):
            node, _, field = name.rpartition(".")
            raise ParameterError(
                "the parameters are not this model's",
                node=node,
                field=field,
                found=f"shape {given[name]}" if name in given else "nothing",
                expected=f"shape {mine[name]}" if name in mine else "no such parameter",
            )
    return {name: dict(fields) for name, fields in params.items()}


def _leaves(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}.{field}": value for name, fields in params.items() for field, value in fields.items()}
