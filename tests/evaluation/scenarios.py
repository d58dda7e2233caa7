"""What is run on one device, on eight, and in two processes, and must give the same.

    python scenarios.py RESULTS.npz [PORT INDEX COUNT]

runs all of it here, as one of several processes where these are given, and writes what it found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    from test_golden import load

    import nirjax

    found = {}
    for name in GOLDEN:
        model, recorded = load(name)
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


def same(found: Found, expected: Found) -> None:
    """Are two sets of results the same?"""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if name.startswith(EXACT):
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def main() -> None:
    results, *joined = sys.argv[1:]
    if joined:
        import jax

        port, index, count = map(int, joined)
        jax.distributed.initialize(f"127.0.0.1:{port}", count, index, heartbeat_timeout_seconds=10)
    np.savez(results, **everything(Path(results).parent))


if __name__ == "__main__":
    main()
