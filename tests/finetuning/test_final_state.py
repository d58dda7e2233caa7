"""The state at a recording's own end is the one that the recording alone leaves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import affine, cubalif, graph, lif, linear, on_grid, ports

import nirjax
from nirjax.finetuning.final_state import state_at
from nirjax.ir import nodes as ir

LENGTHS = np.array([1, 4, 7, 7, 2])

GRAPHS = {
    "recurrent": graph(
        {**ports(), "fc": affine(), "lif": cubalif(), "back": linear(seed=3)},
        "in fc lif out",
        "lif back lif",
    ),
    "delay": graph({**ports(), "delay": ir.Delay(np.array([0, 1.5, 3], np.float32)), "lif": lif()}, "in delay lif out"),
    "stateless": graph({**ports(), "fc": affine()}, "in fc out"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_it_is_what_each_recording_alone_leaves(name: str) -> None:
    model = nirjax.from_nir(GRAPHS[name], dt=1)
    x = on_grid((7, 5, 3), 0)
    together = state_at(model, x, jnp.asarray(LENGTHS))
    for k, length in enumerate(LENGTHS):
        _, alone = model(x[:length, k : k + 1])
        for node, variables in alone.items():
            for variable, value in variables.items():
                axis = 1 if variable == "history" else 0
                np.testing.assert_array_equal(np.take(together[node][variable], [k], axis), value)


def test_it_costs_nothing_where_nobody_looks() -> None:
    model = nirjax.from_nir(GRAPHS["recurrent"], dt=1)
    x = on_grid((7, 5, 3), 0)

    def looking(model: nirjax.Model, x: jax.Array) -> tuple[jax.Array, object]:
        return model(x)[0], state_at(model, x, jnp.asarray(LENGTHS))

    def loops(function: object) -> int:
        return jax.jit(function).lower(model, x).compile().as_text().count(" while(")

    assert loops(lambda model, x: looking(model, x)[0]) == loops(lambda model, x: model(x)[0]) < loops(looking)
