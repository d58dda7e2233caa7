"""Gradients that snnTorch and Norse computed by autograd on their own golden networks, to 1e-5 of the largest."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nirjax
from nirjax import dialects, surrogate

FOLDER = Path(__file__).parent / "data" / "golden"
SURROGATES = {"atan_2": surrogate.atan(2), "fast_sigmoid_25": surrogate.fast_sigmoid(25)}
CASES = sorted(path.stem for path in (FOLDER / "gradients").glob("*.npz"))


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    framework, case, *rest = name.split("__")
    meta = json.loads((FOLDER / framework / case / "meta.json").read_text())
    graph = nirjax.read(FOLDER / framework / case / "graph.nir", trusted=True)
    if framework == "snntorch":
        dialect = dialects.snntorch("zero" if "zero" in case else "subtract", reset_delay="nodelay" not in case)
        chosen = SURROGATES[rest[0]]
    else:
        dialect = dialects.norse()
        chosen = surrogate.fast_sigmoid(1)
    model = nirjax.from_nir(graph, dt=meta["dt"], dialect=dialect, surrogate=chosen)
    recorded = np.load(FOLDER / "gradients" / f"{name}.npz")
    x = jnp.asarray(np.load(FOLDER / framework / case / "io.npz")["x"], jnp.float32)

    def loss(model, x):
        counts = model(x)[0].sum(axis=0)
        return optax.softmax_cross_entropy_with_integer_labels(counts, jnp.asarray(recorded["labels"])).mean()

    value, (gradients, by_input) = jax.value_and_grad(loss, argnums=(0, 1))(model, x)
    assert abs(value - recorded["loss"]) <= 1e-5 * abs(recorded["loss"])
    for key in set(recorded.files) - {"labels", "loss"}:
        node, _, field = key.rpartition(".")
        if key == "x":
            found = np.asarray(by_input)
        else:
            found = np.asarray(gradients.params[node]["tau" if field == "tau_mem_inv" else field])
        if field == "tau_mem_inv":
            # The file's tau is dt / tau_mem_inv.
            found = found * -(np.asarray(model.params[node]["tau"]) ** 2) / meta["dt"]
        scale = np.abs(recorded[key]).max()
        np.testing.assert_allclose(found, recorded[key], rtol=0, atol=1e-5 * scale + 1e-7, err_msg=key)
