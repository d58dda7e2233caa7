"""What is run on one device, on eight, and in two processes, and must give the same."""

from __future__ import annotations

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
    return {f"golden {name}": differing(*load_golden(name)) for name in GOLDEN}


def every_golden(folder: Path) -> Found:
    """The same of all recordings of spikes."""
    from test_golden import CASES

    loaded = {name: load_golden(name) for name in CASES}
    return {
        f"golden {name}": differing(model, recorded)
        for name, (model, recorded) in loaded.items()
        if np.array_equal(recorded["y"], np.round(recorded["y"]))
    }


def differing(model: Any, recorded: Any) -> np.ndarray:
    """In how many places the output of each sample differs from the recording."""
    import nirjax

    x, y = (np.moveaxis(recorded[key], 0, 1) for key in "xy")

    def wrong(run: Any, batch: Any) -> Any:
        return (run.output != batch.y.reshape(run.output.shape)).sum((0, *range(2, run.output.ndim)))

    found: np.ndarray = nirjax.evaluate(model, (x, y), metrics={"wrong": wrong}).per_sample["wrong"]
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


def exact_training(folder: Path) -> Found:
    """An update whose sums are all exact: few steps, derivatives of one, a linear loss, powers of two."""
    import optax

    import nirjax

    model = on_grid().replace(surrogate=nirjax.surrogate.straight_through())
    data = [(x[:3], y) for x, y in ragged(16)]
    linear = lambda run, batch: (run.output.sum((0, 2)) * batch.y).astype(np.float32)  # noqa: E731
    tuned = nirjax.finetune(
        model, data, optimizer=optax.sgd(0.25), loss=linear, metrics={}, steps=1, batch_size=8, progress=False
    ).model
    assert (tuned.params["fc1"]["weight"] != model.params["fc1"]["weight"]).any()
    return {f"grid trained {name}": np.asarray(tuned.params[name]["weight"]) for name in ("fc1", "fc2")}


def events(count: int) -> list[tuple[dict[str, np.ndarray], int]]:
    """Recordings of 1 to 500 events in 8 steps, of a sensor of six pixels."""
    random = np.random.default_rng(3)
    numbers = random.permutation(np.linspace(1, 500, count).astype(int))
    return [
        ({"t": np.sort(random.integers(0, 8, n)), "x": random.integers(0, 6, n)}, k % 3) for k, n in enumerate(numbers)
    ]


def of_events(folder: Path) -> Found:
    """Events, of which the samples of one device have many more than those of another."""
    import optax

    import nirjax

    data = nirjax.data.EventSource(events(13), unit=1, duration=8, reduce="any")
    result = nirjax.evaluate(on_grid(), data, metrics=metrics(), record=["lif1.spikes", "lif2.v"], batch_size=8)
    tuned = nirjax.finetune(on_grid(), data, optimizer=optax.sgd(0.01), epochs=2, batch_size=6, progress=False).model
    found = {f"grid of events {name}": result.per_sample[name] for name in ("count", "membranes", "last")}
    return found | {f"trained by events {name}": np.asarray(tuned.params[name]["weight"]) for name in ("fc1", "fc2")}


SCENARIOS: tuple[Callable[[Path], Found], ...] = (grid, golden, training, exact_training, of_events)


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


def of(scenario: str, found: Found) -> Found:
    """The results of one scenario."""
    return {name.removesuffix(f" ({scenario})"): values for name, values in found.items() if f"({scenario})" in name}


def no_spike_differs(results: Path) -> None:
    """Are the outputs of all golden recordings those of their frameworks?"""
    with np.load(results) as found:
        assert len(found.files) > 50
        for name, wrong in found.items():
            np.testing.assert_array_equal(wrong, 0, err_msg=name)


def load_golden(name: str) -> Any:
    """The model of a golden recording, and the recording."""
    from test_golden import load

    return load(name)


def error_of(case: Callable[[], Any]) -> str:
    """What a call raises."""
    try:
        case()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


class Stream:
    """Recordings without a length."""

    def __init__(self, recordings: list[Any]) -> None:
        self.recordings = recordings

    def __iter__(self) -> Iterator[Any]:
        return iter(self.recordings)


class OnDisk:
    """Recordings that are read, and checked, one by one."""

    def __init__(self, recordings: list[Any]) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index: int) -> Any:
        return self.recordings[index]
