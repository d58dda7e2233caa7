"""Programs are equal where a compiled function may be shared, and nowhere else."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

import nirjax
from engine.graphs import affine, graph, lif, linear, ports
from nirjax.ir.graph import NIRGraph
from nirjax.primitives.base import Primitive


def build(seed: int = 0, metadata: dict[str, Any] | None = None, bias_type: Any = np.float32) -> NIRGraph:
    fc = affine(seed=seed)
    fc = dataclasses.replace(fc, bias=fc.bias.astype(bias_type))
    return dataclasses.replace(graph({**ports(), "fc": fc, "lif": lif()}, "in fc lif lif out"), metadata=metadata or {})


def test_the_same_content_under_the_same_choices_is_the_same_program() -> None:
    one, other = nirjax.from_nir(build(), dt=1).program, nirjax.from_nir(build(), dt=1.0, dialect="nir()").program
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)


def test_the_order_of_the_nodes_is_part_of_a_program() -> None:
    made = build()
    turned = dataclasses.replace(made, nodes=dict(reversed(made.nodes.items())))
    assert nirjax.from_nir(made, dt=1).program != nirjax.from_nir(turned, dt=1).program


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"metadata": {"author": "x"}}, {"bias_type": np.float64}],
    ids=lambda other: next(iter(other)),
)
def test_another_source_is_another_program(other: dict[str, Any]) -> None:
    assert nirjax.from_nir(build(), dt=1).program != nirjax.from_nir(build(**other), dt=1).program


def own(site: Any, params: Any, x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    "choice",
    [
        {"dt": 0.5},
        {"dialect": "exact"},
        {"overrides": {"lif": {"reset": "zero"}}},
        {"surrogate": nirjax.surrogate.atan()},
        {"feedback": [("lif", "lif"), ("fc", "lif")]},
        {"primitives": [Primitive(type(linear()), apply=own)]},
        {"schedule": 4},
        {"max_delay": 7},
        {"dtype": "bfloat16"},
        {"product_dtype": "bfloat16"},
    ],
    ids=lambda choice: next(iter(choice)),
)
def test_another_choice_is_another_program(choice: dict[str, Any]) -> None:
    made = build()
    if "feedback" in choice:
        made = graph({**ports(), "fc": linear(), "lif": lif(), "b": lif()}, "in fc lif b out", "b lif")
        choice = {"feedback": [("lif", "b")]}
    assert nirjax.from_nir(made, dt=1).program != nirjax.from_nir(made, **{"dt": 1, **choice}).program


def test_two_models_of_equal_shapes_through_one_training_function_keep_their_own_files() -> None:
    """The compiled function is keyed by everything that the program holds: a model that comes out is the one that went
    in, with its own originals, also where it was not changed."""
    traced = []

    @jax.jit
    def train(model: nirjax.Model, x: Any) -> nirjax.Model:
        traced.append(1)
        gradient = jax.grad(lambda m: m(x)[0].sum())(model)
        params = {**model.params, "fc": {**model.params["fc"]}}
        params["fc"]["weight"] = params["fc"]["weight"] - 0.125 * gradient.params["fc"]["weight"] - 1
        return model.replace(params=params)

    sources = [build(0, {"name": "first"}), build(0, {"name": "second"}, np.float64), build(7, {"name": "third"})]
    tuned = [train(nirjax.from_nir(source, dt=1), np.ones((5, 3), np.float32)) for source in sources]
    assert len(traced) == 3
    for source, model in zip(sources, tuned, strict=True):
        exported = nirjax.to_nir(model)
        assert exported.metadata["name"] == source.metadata["name"]
        assert exported.nodes["lif"] is source.nodes["lif"]
        before, after = source.nodes["fc"], exported.nodes["fc"]
        assert after.bias is before.bias
        assert np.all(after.weight != before.weight)
    again = train(nirjax.from_nir(build(0, {"name": "first"}), dt=1), np.zeros((5, 3), np.float32))
    assert len(traced) == 3
    assert again.graph.metadata["name"] == "first"
