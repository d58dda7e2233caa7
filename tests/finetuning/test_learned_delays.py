"""Delays that made a recording are found again by training, from a wrong start."""

import numpy as np
import optax

import nirjax
from nirjax import ir

DT = 1e-3


def _graph(delay):
    return nirjax.NIRGraph(
        {
            "input": ir.Input((3,)),
            "delay": ir.Delay(np.asarray(delay, np.float32)),
            "li": ir.LI(*(np.full(3, value, np.float32) for value in (5e-3, 1.0, 0.0))),
            "output": ir.Output((3,)),
        },
        [("input", "delay"), ("delay", "li"), ("li", "output")],
    )


def test_delays_are_found_again():
    random = np.random.default_rng(0)
    times = np.arange(80)[:, None, None]
    phases = random.uniform(0, 2 * np.pi, (1, 16, 3))
    x = np.sin(2 * np.pi * times / 40 + phases).astype(np.float32)
    true = np.array([2.5, 6.0, 9.25]) * DT
    y = np.asarray(nirjax.from_nir(_graph(true), dt=DT, max_delay=12 * DT)(x)[0])
    model = nirjax.from_nir(_graph([5 * DT] * 3), dt=DT, max_delay=12 * DT)

    tuned = nirjax.finetune(
        model,
        [(x[:, sample], y[:, sample]) for sample in range(16)],
        optimizer=optax.adam(optax.cosine_decay_schedule(0.5 * DT, 150)),
        loss=nirjax.losses.membrane_mse,
        trainable="delay.delay",
        steps=150,
        batch_size=16,
        progress=False,
    )
    found = np.asarray(tuned.model.params["delay"]["delay"])
    np.testing.assert_allclose(found, true, atol=0.05 * DT)
    assert {(d.node, d.field) for d in nirjax.diff(model.graph, nirjax.to_nir(tuned.model))} == {("delay", "delay")}
