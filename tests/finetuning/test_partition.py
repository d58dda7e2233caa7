"""What is chosen, and what that costs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import affine, graph, lif, linear, ports

import nirjax
from nirjax.errors import ParameterError, PatternError
from nirjax.finetuning.partition import combine, partition


def model() -> nirjax.Model:
    nodes = {**ports(), "a.b": affine(seed=1), "lif": lif(), "fc": linear(seed=2), "lif2": lif()}
    return nirjax.from_nir(graph(nodes, "in a.b lif fc lif2 out"), dt=1)


def names(params: Any) -> set[str]:
    return {f"{node}.{field}" for node, fields in params.items() for field in fields}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("*.weight", {"a.b.weight", "fc.weight"}),
        (["*.weight", "*.bias"], {"a.b.weight", "a.b.bias", "fc.weight"}),
        (["a.*"], {"a.b.weight", "a.b.bias"}),
        (["*.weight", "!fc.*"], {"a.b.weight"}),
        (["*.weight", "!fc.*", "fc.weight"], {"a.b.weight", "fc.weight"}),
        (["lif?.tau"], {"lif2.tau"}),
        (["lif.[tr]*"], {"lif.tau", "lif.r"}),
        ([], set()),
    ],
)
def test_patterns_choose_by_whole_name_in_order(patterns: Any, expected: set[str]) -> None:
    whole = model()
    params, rest = partition(whole, patterns)
    assert names(params) == expected
    assert names(rest.params) == set(whole.parameters) - expected
    assert all(type(fields) is dict for fields in params.values())


def test_combine_is_the_inverse() -> None:
    whole = model()
    again = combine(*partition(whole, ["*.weight", "lif.*"]))
    assert again.program is whole.program
    assert jax.tree.structure(again) == jax.tree.structure(whole)
    assert list(again.params) == list(whole.params)
    jax.tree.map(np.testing.assert_array_equal, again, whole)


@pytest.mark.parametrize("patterns", ["weight", ["*.weight", "*.tua"], ["*.weight", "!nothing.*"], "FC.weight"])
def test_a_pattern_that_matches_nothing_lists_the_names(patterns: Any) -> None:
    with pytest.raises(PatternError, match=r"lif2\.tau") as caught:
        partition(model(), patterns)
    assert isinstance(caught.value, KeyError)


def test_only_what_was_chosen_is_differentiated_and_all_else_stays() -> None:
    whole = model()
    x = jnp.ones((5, 2, 3))
    params, rest = partition(whole, ["fc.weight"])

    @jax.jit
    def loss(params: Any, rest: Any) -> Any:
        return combine(params, rest)(x)[0].sum()

    gradient = jax.grad(loss)(params, rest)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)
    everything = jax.grad(lambda m: m(x)[0].sum())(whole)
    np.testing.assert_allclose(gradient["fc"]["weight"], everything.params["fc"]["weight"], rtol=1e-6)
    batched = jax.vmap(lambda p: combine(p, rest)(x)[0].sum())(jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), params))
    assert batched.shape == (3,)


def test_parameters_that_were_not_chosen_or_are_missing_are_refused() -> None:
    params, rest = partition(model(), ["*.weight"])
    with pytest.raises(ParameterError, match="missing") as caught:
        combine({"fc": params["fc"]}, rest)
    assert (caught.value.node, caught.value.field) == ("a.b", "weight")
    with pytest.raises(ParameterError, match="not chosen"):
        combine({**params, "lif": {"tau": jnp.ones(3)}}, rest)
