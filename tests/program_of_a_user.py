"""What a user might write, for the type checker alone: `make check` holds mypy, strict, against it."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

import nirjax
from nirjax import dialects, ir
from nirjax.primitives.base import Site


def full(value: float) -> np.ndarray:
    return np.full(4, value, np.float32)


def build() -> nirjax.NIRGraph:
    nodes = {
        "input": ir.Input((6,)),
        "fc": ir.Affine(np.ones((4, 6), np.float32), full(0.0)),
        "lif": ir.LIF(tau=full(0.01), r=full(1.0), v_leak=full(0.0), v_threshold=full(0.1)),
        "output": ir.Output((4,)),
    }
    return nirjax.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])


def run(path: str) -> float:
    graph = nirjax.read(path, repair=True)
    for finding in nirjax.lint(graph, dt=1e-3):
        print(finding.severity, finding.node, finding.message)
    home = dialects.snntorch(reset_delay=False)
    model = nirjax.from_nir(graph, dt=1e-3, dialect=home, surrogate=nirjax.surrogate.atan(2), schedule=16)
    x = jnp.ones((30, 2, 6))
    spikes, state = model(x)
    print(spikes.shape, model.run(x).output.sum())
    _, state = model.step(x[0], state)
    trace: jax.Array = model.run(x, state, record=["lif.v"]).traces["lif.v"]
    counts, _ = model.fold(x, lambda counts, block: counts + block.sum(0), jnp.zeros((2, 4)))
    same = nirjax.compare(model, model.replace(schedule=nirjax.Schedule(None, recompute=False)), x)
    return float(trace.sum() + counts.sum()) if same.equal else 0.0


def train(model: nirjax.Model, x: np.ndarray, y: np.ndarray) -> nirjax.NIRGraph:
    params, rest = nirjax.partition(model, ["*.weight"])

    def loss(params: Mapping[str, Mapping[str, jax.Array]]) -> jax.Array:
        spikes, _ = nirjax.combine(params, rest)(np.swapaxes(x, 0, 1))
        return nirjax.losses.spike_count_cross_entropy(spikes, y).mean()

    print(jax.grad(loss)(params))
    try:
        tuned = nirjax.finetune(model, (x, y), optimizer=optax.adam(1e-3), trainable="*.weight", steps=2)
    except nirjax.TrainingError as error:
        raise SystemExit(f"{error.node}: {error.hint}") from error
    print(nirjax.evaluate(tuned.model, (x, y)).metrics["accuracy"], tuned.history["loss"].mean())
    nirjax.plot.raster(np.asarray(tuned.model.run(np.swapaxes(x, 0, 1), record="*.spikes").traces["lif.spikes"]))
    return nirjax.to_nir(tuned.model)


@dataclass(frozen=True, eq=False)
class Leak(ir.NIRNode):
    """A node type of the user's own."""

    tau: np.ndarray

    def accepts(self) -> tuple[int, ...]:
        return self.tau.shape


def init(site: Site, params: Mapping[str, jax.Array], batch: tuple[int, ...]) -> dict[str, jax.Array]:
    return {"v": jnp.zeros((*batch, *site.input_shape), site.dtype)}


def step(
    site: Site, params: Mapping[str, jax.Array], state: dict[str, jax.Array], x: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array]:
    v = state["v"] + site.dt / params["tau"] * (x - state["v"])
    return {"v": v}, v


LEAK = nirjax.Primitive(Leak, init=init, step=step, variables=("v",))
