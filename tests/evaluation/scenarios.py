"""What is run on one device, on eight, and in two processes, and must give the same.

    python scenarios.py everything+spread|together|dying RESULTS.npz [PORT INDEX COUNT]

runs it here, as one of several processes where these are given, and writes what it found.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Found = dict[str, np.ndarray]

GOLDEN = ("snntorch/rsynaptic_subtract_delay", "spikingjelly/conv_if")
EXACT = ("grid", "golden", "count")
"""Results whose names start so are equal bit by bit; the others to rounding."""


def on_grid() -> Any:
    """A network whose sums are all exact: fan-in 6, weights of a quarter, membranes that halve."""
    from engine.graphs import affine, graph, lif, linear

    import nirjax
    from nirjax.ir import nodes as ir

    nodes = {"in": ir.Input((6,)), "fc1": affine(5, 6, 1), "lif1": lif(5), "fc2": linear(3, 5, 2), "lif2": lif(3)}
    nodes["out"] = ir.Output((3,))
    return nirjax.from_nir(graph(nodes, "in fc1 lif1 fc2 lif2 out"), dt=1)


def ragged(count: int, seed: int = 0) -> list[tuple[np.ndarray, int]]:
    """Recordings of 3 to 12 steps."""
    random = np.random.default_rng(seed)
    return [((random.random((3 + k % 10, 6)) < 0.5).astype(np.uint8), k % 3) for k in range(count)]


def metrics() -> dict[str, Any]:
    """A count, a sum of membranes, and the membrane that the last step leaves."""
    from nirjax.finetuning import losses

    return {
        "count": lambda run, batch: (run.traces["lif1.spikes"] * batch.where[..., None]).sum((0, 2)),
        "membranes": lambda run, batch: (run.traces["lif2.v"] * batch.where[..., None]).sum((0, 2)),
        "last": lambda run, batch: run.state["lif2"]["v"].sum(-1),
        "cross_entropy": losses.spike_count_cross_entropy,
    }


def grid(folder: Path) -> Found:
    """Ragged recordings through exact sums, with metrics, traces and a folder."""
    import nirjax

    record = ["lif1.spikes", "lif2.v"]
    result = nirjax.evaluate(
        on_grid(), ragged(21), metrics=metrics(), record=record, batch_size=8, output=folder / "grid"
    )
    again = nirjax.evaluate(on_grid(), ragged(21), metrics=metrics(), record=record, output=folder / "grid")
    found = {f"grid {name}": values for name, values in result.per_sample.items() if name != "cross_entropy"}
    found |= {f"grid again {name}": values for name, values in again.per_sample.items() if name != "cross_entropy"}
    return found | {"cross entropy": result.per_sample["cross_entropy"], "count": np.array(result.samples)}


def golden(folder: Path) -> Found:
    """Recordings of other frameworks: in how many places do the spikes differ?"""
    import nirjax

    found = {}
    for name in GOLDEN:
        model, recorded = load_golden(name)
        x, y = (np.moveaxis(recorded[key], 0, 1) for key in "xy")
        wrong = {"wrong": lambda run, batch: (run.output != batch.y).sum((0, 2))}
        found[f"golden {name}"] = nirjax.evaluate(model, (x, y), metrics=wrong).per_sample["wrong"]
    return found


def training(folder: Path) -> Found:
    """Two passes over ragged recordings that no batch divides, with validation data that no process divides."""
    import optax

    import nirjax

    result = nirjax.finetune(
        on_grid(), ragged(13, 1), ragged(5, 2), optimizer=optax.adam(0.01), epochs=2, batch_size=6, progress=False,
        checkpoints=folder / "checkpoints",
    )  # fmt: skip
    found = {f"trained {name}": np.asarray(result.model.params[name]["weight"]) for name in ("fc1", "fc2")}
    return found | {f"history {name}": values for name, values in result.history.items()}


SCENARIOS: tuple[Callable[[Path], Found], ...] = (grid, golden, training)


def everything(folder: Path) -> Found:
    """What all scenarios find."""
    return {name: values for scenario in SCENARIOS for name, values in scenario(folder).items()}


def plain(found: Found) -> Found:
    """The results of those scenarios that one device can run."""
    return {name: values for name, values in found.items() if "(" not in name}


def same(found: Found, expected: Found) -> None:
    """Are two sets of results the same?"""
    assert plain(found).keys() == plain(expected).keys() != set()
    for name, values in plain(expected).items():
        if name.startswith(EXACT):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


# ------------------------------------------------------------------------------------------------ several devices


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
    import optax

    import nirjax

    sgd = {"optimizer": optax.sgd(0.1), "steps": 1, "progress": False}
    cases: dict[str, Callable[[], Any]] = {
        "batch": lambda: nirjax.evaluate(on_grid(), ragged(40), mesh=8, batch_size=30),
        "small batch": lambda: nirjax.evaluate(on_grid(), ragged(40), mesh=8, batch_size=3),
        "training batch": lambda: nirjax.finetune(on_grid(), ragged(40), mesh=8, batch_size=30, **sgd),
        "axes": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh={"data": 4, "model": 4}),
        "devices": lambda: nirjax.evaluate(on_grid(), ragged(5), mesh=9),
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


def load_golden(name: str) -> Any:
    """The model of a golden recording, and the recording."""
    from test_golden import load

    return load(name)


def spread(folder: Path) -> Found:
    """What only several devices can do."""
    found = {}
    for scenario in (meshes, misfits, traffic):
        found |= {f"{name} ({scenario.__name__})": values for name, values in scenario(folder).items()}
    return found


# ---------------------------------------------------------------------------------------------- several processes


class StoppedError(Exception):
    """What a signal does here."""


def parts(folder: Path) -> Found:
    """Each process has its own part of the data: 7 recordings and 4, and, to train, streams of these."""
    import jax
    import optax

    import nirjax
    from nirjax.data import Source

    mine = ragged(11)[:7] if jax.process_index() == 0 else ragged(11)[7:]
    result = nirjax.evaluate(on_grid(), Source(mine, per_process=True), batch_size=4, output=folder / "parts")
    tuned = nirjax.finetune(
        on_grid(), Source(Stream(mine), per_process=True), Source(mine, per_process=True), optimizer=optax.sgd(0.01),
        steps=3, batch_size=4, progress=False,
    )  # fmt: skip
    weights = {f"trained {name}": np.asarray(tuned.model.params[name]["weight"]) for name in ("fc1", "fc2")}
    return {"grid rate": result.per_sample["spike_rate"], "prediction": result.per_sample["prediction"], **weights}


class Stream:
    """Recordings without a length."""

    def __init__(self, recordings: list[Any]) -> None:
        self.recordings = recordings

    def __iter__(self) -> Iterator[Any]:
        return iter(self.recordings)


def training_with_checkpoints(folder: Path, resume: bool = False, callbacks: Any = ()) -> Any:
    """Four steps, saved in a folder."""
    import optax

    import nirjax

    return nirjax.finetune(
        on_grid(), ragged(13, 1), optimizer=optax.adam(0.01), steps=4, batch_size=6, progress=False,
        checkpoints=folder / "interrupted", resume=resume, callbacks=callbacks,
    )  # fmt: skip


def uninterrupted(folder: Path) -> Found:
    """The weights after these four steps."""
    return {"(uninterrupted)": np.asarray(training_with_checkpoints(folder).model.params["fc1"]["weight"])}


def interrupted(folder: Path) -> Found:
    """One process gets a signal: both save and stop after the same step, and go on from there."""
    import jax

    def stop(number: int, frame: Any) -> None:
        raise StoppedError

    def struck(moment: Any) -> None:
        if moment.step == 2 and jax.process_index() == 1:
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        training_with_checkpoints(folder, callbacks=[struck])
    except StoppedError:
        saved = sorted(path.name for path in (folder / "interrupted").glob("*.json"))
    finally:
        signal.signal(signal.SIGTERM, before)
    result = training_with_checkpoints(folder, resume=True)
    return {"saved": np.array(saved), "trained fc1": np.asarray(result.model.params["fc1"]["weight"])}


def refused(folder: Path) -> Found:
    """What processes must not do, and what each is told."""
    import jax

    import nirjax
    from nirjax.data import Source

    index = jax.process_index()
    broken = ragged(8)
    if index == 1:
        broken[6] = (broken[6][0][:, :2], 0)
    cases: dict[str, Callable[[], Any]] = {
        "different": lambda: nirjax.evaluate(on_grid(), ragged(8, index)),
        "same": lambda: nirjax.evaluate(on_grid(), Source(ragged(8), per_process=True)),
        "stream": lambda: nirjax.evaluate(on_grid(), iter(ragged(8))),
        "broken": lambda: nirjax.evaluate(on_grid(), OnDisk(broken), batch_size=2),
        "mesh": lambda: nirjax.evaluate(on_grid(), ragged(8), mesh=1),
        "unshared": lambda: nirjax.evaluate(on_grid(), ragged(8), output=folder / f"unshared{index}"),
    }
    return {name: np.array(error_of(case)) for name, case in cases.items()}


class OnDisk:
    """Recordings that are read, and checked, one by one."""

    def __init__(self, recordings: list[Any]) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> Any:
        return self.recordings[index]


def error_of(case: Callable[[], Any]) -> str:
    """What a call raises."""
    try:
        case()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def together(folder: Path) -> Found:
    """What only several processes can do."""
    found = {}
    for scenario in (parts, interrupted, refused):
        found |= {f"{name} ({scenario.__name__})": values for name, values in scenario(folder).items()}
    return found


def dying(folder: Path) -> Found:
    """The second process dies once it has written two shards."""
    import jax

    import nirjax
    from nirjax.evaluation import folder as folders

    folders.SHARD_SAMPLES = 1
    write, written = folders.Folder.write, []

    def writing(self: Any, parts: Any) -> None:
        write(self, parts)
        written.append(parts)
        if len(written) == 2 and jax.process_index() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    folders.Folder.write = writing
    nirjax.evaluate(on_grid(), ragged(21), metrics=metrics(), record=["lif*"], batch_size=4, output=folder / "dying")
    return {}


def main() -> None:
    mode, results, *joined = sys.argv[1:]
    if joined:
        import jax

        port, index, count = map(int, joined)
        jax.distributed.initialize(f"127.0.0.1:{port}", count, index, heartbeat_timeout_seconds=10)
    found = {}
    for run in (everything, uninterrupted, spread, together, dying):
        if run.__name__ in mode.split("+"):
            found |= run(Path(results).parent)
    np.savez(results, **found)


if __name__ == "__main__":
    main()
