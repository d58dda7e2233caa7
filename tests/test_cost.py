"""What compiling the workloads costs, compared with what it once did: no clock is read.

Flops (the body of a loop counted once), temporary memory, instructions and compiled programs of small versions of the
benchmarks' workloads must not grow by more than a tenth. Where a change is meant to cost more, or costs less for good:

    python tests/test_cost.py --record          measures again and writes tests/data/cost/*.json
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import nirjax
from benchmarks import compiled, engine, workloads
from benchmarks.workloads import FORWARD, SMALL, TRAINING, Workload
from nirjax.data import Batch
from nirjax.finetuning import losses
from nirjax.finetuning.measures import Measures
from nirjax.finetuning.objectives import as_objective
from nirjax.finetuning.scoring import Scoring
from nirjax.finetuning.update import Descent, _graded

RECORDED = Path(__file__).parent / "data" / "cost"
GROWTH = 1.1
SLACK = {"flops": 1000, "temporary_bytes": 4096, "instructions": 10, "programs": 0}
"""What may come on top, so that very small programs do not fail for nothing."""
CASES = [(workload, mode) for workload in SMALL for mode in workload.modes]
WHOLE = nirjax.Schedule(None, recompute=False)


# -------------------------------------------------------------------------------------------------- what it costs


def function_of(model: nirjax.Model, mode: str, folded: bool = False) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What the benchmarks time, and its arguments but the input and the target."""
    if mode == FORWARD:
        return (lambda model, x: model(x)[0]), (model,)
    if not any(name.endswith(".weight") for name in model.parameters):
        return engine.train_input, (model,)
    return (engine.train_folded if folded else engine.train), nirjax.partition(model, ["*.weight", "*.bias"])


def lowered(workload: Workload, mode: str, *, folded: bool = False, schedule: Any = "auto") -> Any:
    """The program of a workload, not yet compiled. Nothing is computed: the input is a shape."""
    model = model_of(workload).replace(schedule=schedule)
    function, arguments = function_of(model, mode, folded)
    x = jax.ShapeDtypeStruct((workload.time, workload.batch, *port(model, "inputs")), jnp.float32)
    target = jax.ShapeDtypeStruct((workload.batch, *port(model, "outputs")), jnp.float32)
    return jax.jit(function).trace(*arguments, x, *([] if mode == FORWARD else [target]))


@functools.cache
def model_of(workload: Workload) -> nirjax.Model:
    try:
        return nirjax.from_nir(workload.graph(), dt=workload.dt)
    except workloads.AbsentError as absent:
        pytest.skip(str(absent))


def port(model: nirjax.Model, side: str) -> tuple[int, ...]:
    (node,) = getattr(model.graph, side).values()
    return tuple(int(n) for n in next(iter(node.input_type.values())))


def instructions(program: Any) -> int:
    """Instructions of a compiled program, in all its computations."""
    return len(re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = ", program.as_text(), re.MULTILINE))


def equations(jaxpr: Any, name: str | None = None) -> int:
    """Equations of a program, those of inner programs too; only those of one primitive where it is named."""
    count = 0
    for equation in jaxpr.eqns:
        count += name is None or equation.primitive.name == name
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    count += equations(inner, name)
    return count


def programs(workload: Workload, mode: str) -> int:
    """Programs that two calls with inputs of one shape compile."""
    function, arguments = function_of(model_of(workload), mode)
    given = (*arguments, workload.input(), *([] if mode == FORWARD else [workload.target()]))
    traced: list[int] = []

    def counted(*given: Any) -> Any:
        traced.append(1)
        return function(*given)

    call = jax.jit(counted)
    jax.block_until_ready(call(*given))
    again = list(given)
    again[-1] = np.zeros_like(given[-1])
    jax.block_until_ready(call(*again))
    return len(traced)


def cost(workload: Workload, mode: str) -> dict[str, float]:
    program = lowered(workload, mode).lower().compile()
    return {**compiled.facts(program), "instructions": instructions(program)}


def path_of(workload: Workload, mode: str) -> Path:
    return RECORDED / f"{workload.name}_{mode}.json"


def record() -> Iterator[str]:
    """Measure everything and write it down, beside what other versions of JAX gave."""
    RECORDED.mkdir(exist_ok=True)
    for workload, mode in CASES:
        path = path_of(workload, mode)
        known = json.loads(path.read_text()) if path.exists() else {}
        known[jax.__version__] = cost(workload, mode)
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        yield f"{workload.name:10} {mode:9} {known[jax.__version__]}"


# ----------------------------------------------------------------------------------------------------- the guard


def identity(case: Any) -> str:
    return case if isinstance(case, str) else case.name


@pytest.mark.parametrize(("workload", "mode"), CASES, ids=identity)
def test_no_workload_costs_more_than_recorded(workload: Workload, mode: str) -> None:
    recorded = json.loads(path_of(workload, mode).read_text()).get(jax.__version__)
    if recorded is None:
        pytest.skip(f"nothing is recorded for jax {jax.__version__}: python tests/test_cost.py --record")
    found = cost(workload, mode)
    grown = {
        name: f"{found[name]:g} against {before:g}"
        for name, before in recorded.items()
        if found[name] > GROWTH * before + SLACK[name]
    }
    assert not grown, f"{grown}. If this is meant: python tests/test_cost.py --record"


@pytest.mark.parametrize("mode", [FORWARD, TRAINING])
def test_a_second_call_of_one_shape_is_not_traced_again(mode: str) -> None:
    (workload,) = workloads.named(["small"], SMALL)
    assert programs(workload, mode) == 1


# ---------------------------------------------------------------------------------------------------- long runs


def long(time: int) -> Workload:
    return Workload("long", small_network, time, 4, modes=(TRAINING,))


@functools.cache
def small_network() -> nirjax.NIRGraph:
    return workloads.feedforward(64, 64, 64)


def temporary(time: int, *, folded: bool = True, schedule: Any = "auto") -> float:
    program = lowered(long(time), TRAINING, folded=folded, schedule=schedule).lower().compile()
    return compiled.facts(program)["temporary_bytes"]


def test_training_on_a_folded_loss_takes_the_square_root_of_the_length_in_memory() -> None:
    ten_thousand = temporary(10_000)
    assert ten_thousand <= 4 * temporary(1_000)
    assert ten_thousand <= temporary(10_000, schedule=WHOLE) / 10


def test_stacked_outputs_cost_themselves_and_their_cotangents_beyond_a_folded_loss() -> None:
    outputs = 10_000 * 4 * 64 * 4
    assert temporary(10_000, folded=False) <= temporary(10_000) + 3 * outputs


def finetuning(time: int, metrics: Any = None, **options: Any) -> float:
    """Bytes that the gradient of one of `finetune`'s steps takes beside its arguments and results."""
    measures = Measures.of(metrics).and_loss(as_objective(losses.spike_count_cross_entropy, "loss"))
    descent = Descent(Scoring(measures, ("*.spikes",)), **options)
    params, rest = nirjax.partition(model_of(long(time)), ["*.weight", "*.bias"])
    x, y = jax.ShapeDtypeStruct((time, 4, 64), jnp.uint8), jax.ShapeDtypeStruct((4,), jnp.int32)
    batch = Batch(x, y, y, jax.ShapeDtypeStruct((4,), bool))
    program = jax.jit(functools.partial(_graded, descent)).lower(params, rest, batch, jax.random.key(0))
    return compiled.facts(program.compile())["temporary_bytes"]


def test_finetune_takes_the_square_root_of_the_length_in_memory() -> None:
    ten_thousand = finetuning(10_000)
    assert ten_thousand <= 4 * finetuning(1_000)
    assert ten_thousand <= finetuning(10_000, {"spikes": lambda run, batch: run.output.sum((0, 2))}) / 2
    assert finetuning(10_000, truncation=100) <= 1.1 * ten_thousand


@pytest.mark.parametrize("mode", [FORWARD, TRAINING])
def test_the_program_does_not_grow_with_the_number_of_steps(mode: str) -> None:
    short, longer = lowered(long(8_000), mode), lowered(long(64_000), mode)
    assert equations(longer.jaxpr) <= equations(short.jaxpr)
    assert instructions(longer.lower().compile()) <= GROWTH * instructions(short.lower().compile())


@pytest.mark.parametrize("time", [1, 2, 31, 997, 1_000, 4_001])
def test_a_program_holds_at_most_two_copies_of_a_stage(time: int) -> None:
    assert 2 <= products(time) <= 4


@pytest.mark.parametrize("time", [1_000, 1_024, 10_000])
def test_a_length_with_divisors_needs_one_copy(time: int) -> None:
    assert products(time) == 2


def products(time: int) -> int:
    """How many products the program of two layers says, forward."""
    program = lowered(long(time), FORWARD)
    return sum(equations(program.jaxpr, name) for name in ("dot_general", "event_product"))


def main() -> None:
    if sys.argv[1:] != ["--record"]:
        sys.exit(__doc__)
    for line in record():
        print(line, flush=True)


if __name__ == "__main__":
    main()
