"""The fused loop over time on a GPU: does it equal the scan, and how fast is it?

    python -m benchmarks.kernels                       everything, about two minutes
    python -m benchmarks.kernels --only agreement      equality alone
    python -m benchmarks.kernels --ahead 4,8,16        other distances of reading ahead

*Agreement*: one layer of neurons under every dialect, outputs, states and gradients of the kernel against those of the
scan. *Speed*: one LIF layer of several sizes, forward and with the gradient of its input, in multiples of what one
read and one write of the arrays take at the bandwidth of a large copy. Writes benchmarks/results/kernels.json and
benchmarks/KERNELS.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import nirjax
from benchmarks.workloads import DT, chain, cubalif, lif
from nirjax import dialects, ir
from nirjax.kernels import gpu

HERE = Path(__file__).parent
SIZES = ((1000, 1, 512), (1000, 16, 64), (100, 128, 512), (10_000, 4, 64), (100, 1, 1_000_000), (250, 128, 4096))
"""Steps, samples, neurons."""

FUSED, SCAN = nirjax.Schedule(None, recompute=False), nirjax.Schedule(None, recompute=False, fused="never")


def layer(node: ir.NIRNode, size: int, dialect: Any, **choices: Any) -> nirjax.Model:
    graph = chain({"input": ir.Input((size,)), "neuron": node, "output": ir.Output((size,))})
    return nirjax.from_nir(graph, dt=DT, dialect=dialect, **choices)


# ----------------------------------------------------------------------------------------------------- agreement


def agreement() -> Iterator[dict[str, Any]]:
    """Kernel and scan under every dialect, for a current-based neuron and one without a current."""
    for name in dialects.names():
        for make in (lif, cubalif):
            try:
                yield {"dialect": name, "neuron": make.__name__, **_differences(make(200), name)}
            except nirjax.NIRError as refused:
                yield {"dialect": name, "neuron": make.__name__, "refused": str(refused).splitlines()[0]}


def _differences(node: ir.NIRNode, dialect: str) -> dict[str, Any]:
    random = np.random.default_rng(0)
    x = jnp.asarray(random.random((61, 3, 200), np.float32) * 0.3)
    weights = jnp.asarray(random.random((61, 3, 200), np.float32))
    found = []
    for schedule in (FUSED, SCAN):
        model = layer(node, 200, dialect, schedule=schedule)

        def loss(model: nirjax.Model, x: Array) -> tuple[Array, Array]:
            run = model.run(x, record="neuron.v")
            return (run.output * weights).sum() + (run.traces["neuron.v"] * weights**2).sum(), run.output

        (_, output), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(model, x)
        found.append((output, jax.tree.leaves((gradients[0].params, gradients[1]))))
    (y, mine), (wanted, theirs) = found
    errors = [
        float(jnp.abs(a - b).max() / jnp.maximum(jnp.abs(b).max(), 1e-6)) for a, b in zip(mine, theirs, strict=True)
    ]
    return {"rate": float(wanted.mean()), "spikes differ": int((y != wanted).sum()), "gradients": max(errors)}


# --------------------------------------------------------------------------------------------------------- speed


def bandwidth() -> float:
    """Bytes a second of a large copy, read and written."""
    x = jnp.ones(2**28, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    return 2 * x.nbytes / seconds(copy, x)


def seconds(function: Callable[..., Any], *arguments: Any, turns: int = 5) -> float:
    """The median time of a call, from turns of as many calls as take a few milliseconds, waited for together."""
    jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    calls = max(1, min(100, int(0.02 / (time.perf_counter() - start))))
    found = []
    for _ in range(turns):
        start = time.perf_counter()
        for _ in range(calls):
            result = function(*arguments)
        jax.block_until_ready(result)
        found.append((time.perf_counter() - start) / calls)
    return statistics.median(found)


def speed(rate: float, ahead: list[int]) -> Iterator[dict[str, Any]]:
    """One LIF layer of each size, as scan and as kernel."""
    for steps, samples, size in SIZES:
        x = jnp.asarray(np.random.default_rng(0).random((steps, samples, size), np.float32) * 0.3)
        row: dict[str, Any] = {"steps": steps, "samples": samples, "neurons": size}
        floor = 2 * x.nbytes / rate
        for label, schedule, distance in [("scan", SCAN, 0), *((f"kernel, {n} ahead", FUSED, n) for n in ahead)]:
            gpu.AHEAD = distance or gpu.AHEAD
            model = layer(lif(size), size, "nir", schedule=schedule)
            jax.clear_caches()

            def forward(x: Array, model: nirjax.Model = model) -> Array:
                return model(x)[0]

            def training(x: Array, model: nirjax.Model = model) -> Array:
                return jax.grad(lambda x: (model(x)[0] * x).sum())(x)

            for mode, function in (("forward", forward), ("training", training)):
                row[f"{label}: {mode}"] = seconds(jax.jit(function), x)
        row["floor"] = floor
        yield row


# -------------------------------------------------------------------------------------------------------- report


def as_markdown(found: dict[str, Any], command: str) -> str:
    lines = ["# The fused loop over time", "", f"    {command}", "", f"{found['device']}, jax {jax.__version__}. "]
    lines[-1] += f"A large copy moves {found['bandwidth'] / 1e12:.2f} TB/s, bytes read and bytes written."
    rows = found.get("speed", [])
    if rows:
        labels = [label for label in rows[0] if ": " in label]
        lines += [
            "",
            "Microseconds of one LIF layer; in brackets multiples of one read and one write of its arrays.",
            "",
        ]
        lines += ["| steps | samples | neurons | " + " | ".join(labels) + " |", "|---" * (3 + len(labels)) + "|"]
        for row in rows:
            cells = [f"{1e6 * row[label]:.0f} ({row[label] / row['floor']:.1f})" for label in labels]
            lines.append(f"| {row['steps']} | {row['samples']} | {row['neurons']} | " + " | ".join(cells) + " |")
    rows = found.get("agreement", [])
    if rows:
        lines += ["", "Kernel against scan, 61 steps of 3 x 200 neurons.", ""]
        lines += [
            "| dialect | neuron | spikes a step | spikes that differ | gradients, relative |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            what = row.get("refused") or (f"{row['rate']:.2f} | {row['spikes differ']} | {row['gradients']:.1e}")
            lines.append(f"| {row['dialect']} | {row['neuron']} | {what} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("agreement", "speed"))
    parser.add_argument("--ahead", default=str(gpu.AHEAD), help="steps to read ahead, by comma (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for KERNELS.md and results/ (%(default)s)")
    arguments = parser.parse_args()
    device = jax.devices()[0]
    found: dict[str, Any] = {"device": device.device_kind, "jax": jax.__version__, "bandwidth": bandwidth()}
    if arguments.only != "agreement":
        found["speed"] = []
        for row in speed(found["bandwidth"], [int(n) for n in arguments.ahead.split(",")]):
            found["speed"].append(row)
            print(row, flush=True)
    if arguments.only != "speed":
        found["agreement"] = []
        for row in agreement():
            found["agreement"].append(row)
            print(row, flush=True)
    (arguments.out / "results").mkdir(parents=True, exist_ok=True)
    (arguments.out / "results" / "kernels.json").write_text(json.dumps(found, indent=1) + "\n")
    text = as_markdown(found, "python -m benchmarks.kernels")
    (arguments.out / "KERNELS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
