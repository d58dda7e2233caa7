"""What only several devices can do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scenarios import GOLDEN, Found, error_of, load_golden, metrics, on_grid, ragged


def meshes(folder: Path) -> Found:
    """The same recordings over devices that were chosen in several ways."""
    import jax
    from jax.sharding import Mesh

    import nirjax

    devices = np.array(jax.devices())
    chosen = {
        "two axes": Mesh(devices.reshape(2, 4), ("data", "model")),
        "explicit": jax.make_mesh((4, 2), ("a", "b")),
        "some": Mesh(devices[[5, 1]], ("x",)),
        "three": 3,
        "sizes": {"batch": 2, "more": 2},
    }
    found = {name: nirjax.evaluate(on_grid(), ragged(5), mesh=mesh) for name, mesh in chosen.items()}
    return {name: result.per_sample["spike_rate"] for name, result in found.items()}


def misfits(folder: Path) -> Found:
    """Devices and batches that do not fit."""
    import jax
    import optax
    from jax.sharding import Mesh

    import nirjax

    sgd = {"optimizer": optax.sgd(0.1), "steps": 1, "progress": False}
    cases: dict[str, Callable[[], Any]] = {
        "batch": lambda: nirjax.evaluate(on_grid(), ragged(40), mesh=8, batch_size=30),
        "small batch": lambda: nirjax.evaluate(on_grid(), ragged(40), mesh=8, batch_size=3),
        "training batch": lambda: nirjax.finetune(on_grid(), ragged(40), mesh=8, batch_size=30, **sgd),
        "axes": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh={"data": 4, "model": 4}),
        "devices": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh=9),
        "no devices": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh=Mesh(np.empty((0, 2), object), ("a", "b"))),
        "twice": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh=Mesh(np.array(jax.devices()[:1] * 2), ("a",))),
        "filled up": lambda: nirjax.evaluate(on_grid(), ragged(40), batch_size=30),
    }
    return {name: np.array(error_of(case)) for name, case in cases.items()}


def traffic(folder: Path) -> Found:
    """Which operations of the compiled programs send something between devices."""
    import jax
    import optax

    from nirjax.data.placement import placement_of
    from nirjax.data.sources import open_source
    from nirjax.evaluation.measuring import Wanted, scorer
    from nirjax.finetuning.measures import Measures
    from nirjax.finetuning.objectives import OfOutput
    from nirjax.finetuning.partition import partition
    from nirjax.finetuning.scoring import Scoring
    from nirjax.finetuning.update import Descent, update_function

    placement = placement_of(None)
    assert placement is not None
    conv, recorded = load_golden(GOLDEN[1])
    x, _ = (np.moveaxis(recorded[key], 0, 1) for key in "xy")
    batch = placement.placed(next(open_source((x, np.zeros(len(x), int))).batches(4)))
    wanted = Wanted.of(None, (), kept=False, model=conv)
    evaluation = jax.jit(scorer(wanted, placement)).lower(placement.replicated(conv), batch)
    params, rest = placement.replicated(partition(conv, "*.weight"))
    optimizer = optax.sgd(0.1)
    loss = OfOutput(metrics()["cross_entropy"])
    descent = Descent(Scoring(Measures.of(None).and_loss(loss)), placement=placement)
    update = update_function(descent, optimizer, jax.tree_util.Partial(lambda params: params))

    def step(params: Any, state: Any, rest: Any) -> Any:
        updated = update(params, state, rest, batch, jax.random.key(0))
        return updated.params, updated.graded

    training = jax.jit(step).lower(params, optimizer.init(params), rest)
    programs = {"evaluation": evaluation, "training": training}
    return {name: np.array(sent(program.compile().as_text())) for name, program in programs.items()}


def sent(program: str) -> list[str]:
    """The kinds of collective operations in a compiled program."""
    kinds = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
    return [kind for kind in kinds if f" {kind}(" in program or f" {kind}-start(" in program]


def spread(folder: Path) -> Found:
    """What only several devices can do."""
    found = {}
    for scenario in (meshes, misfits, traffic):
        found |= {f"{name} ({scenario.__name__})": values for name, values in scenario(folder).items()}
    return found
