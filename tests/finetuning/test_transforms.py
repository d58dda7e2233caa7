"""Noise, pruning and ties: what they do to a model, to its gradient, and in the loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nirjax
from finetuning import tasks
from nirjax import mismatch, prune, quantize, tie
from nirjax.errors import ArgumentError, ParameterError, PatternError

ADAM = optax.adam(0.05)


def tuned(transform: Any, **options: Any) -> nirjax.FinetuneResult:
    given = {"optimizer": ADAM, "epochs": 2, "batch_size": 4, "progress": False} | options
    return nirjax.finetune(tasks.model(), tasks.data(), transform=transform, **given)


def of(whole: nirjax.Model, name: str) -> np.ndarray:
    node, field = name.split(".")
    return np.asarray(whole.params[node][field])


# ---------------------------------------------------------------------------------------------------------------- noise


def test_mismatch_has_the_spread_that_was_asked_for() -> None:
    whole = tasks.model(hidden=4000)
    noisy = mismatch(0.1, "fc1.weight")(whole, jax.random.key(0))
    factors = of(noisy, "fc1.weight") / of(whole, "fc1.weight")
    assert abs(factors.mean() - 1) < 0.005
    assert abs(factors.std() - 0.1) < 0.005
    assert abs(np.mean(np.abs(factors - 1) < 0.1) - 0.683) < 0.02
    np.testing.assert_array_equal(of(noisy, "fc2.weight"), of(whole, "fc2.weight"))
    np.testing.assert_array_equal(of(noisy, "lif1.tau"), of(whole, "lif1.tau"))


def test_mismatch_is_of_everything_by_default_and_independent() -> None:
    whole = tasks.model()
    noisy = jax.jit(mismatch(0.1))(whole, jax.random.key(1))
    moved = {name: of(noisy, name) / np.where(of(whole, name), of(whole, name), 1) for name in whole.parameters}
    for name, factors in moved.items():
        assert (factors != 1).any() or not np.any(of(whole, name)), name
    assert moved["lif1.tau"][0] != moved["lif1.tau"][1] != moved["lif1.r"][1]
    np.testing.assert_array_equal(of(noisy, "lif1.v_reset"), 0)
    other = jax.jit(mismatch(0.1))(whole, jax.random.key(2))
    assert (of(other, "fc1.weight") != of(noisy, "fc1.weight")).all()


def test_of_several_patterns_the_last_says_how_much() -> None:
    whole = tasks.model(hidden=1000)
    noisy = mismatch({"*": 0.01, "fc1.*": 0.0, "lif1.tau": 0.3})(whole, jax.random.key(0))
    np.testing.assert_array_equal(of(noisy, "fc1.weight"), of(whole, "fc1.weight"))
    assert abs(np.std(of(noisy, "lif1.tau") / 2) - 0.3) < 0.03
    assert abs(np.std(of(noisy, "lif1.r") / 2) - 0.01) < 0.002


def test_no_sign_flips_and_no_time_constant_vanishes() -> None:
    noisy = mismatch(5.0, "lif1.tau")(tasks.model(hidden=500), jax.random.key(0))
    assert of(noisy, "lif1.tau").min() == np.float32(0.02)


def test_the_gradient_through_a_mismatch_is_its_factor() -> None:
    whole, key = tasks.model(), jax.random.key(3)

    def total(model: nirjax.Model) -> jax.Array:
        return mismatch(0.2)(model, key).params["fc1"]["weight"].sum()

    factors = of(mismatch(0.2)(whole, key), "fc1.weight") / of(whole, "fc1.weight")
    np.testing.assert_allclose(jax.grad(total)(whole).params["fc1"]["weight"], factors, rtol=1e-5)


def test_devices_are_drawn_by_vmap() -> None:
    whole, keys = tasks.model(), jax.random.split(jax.random.key(0), 3)
    devices = jax.vmap(lambda key: mismatch(0.1)(whole, key))(keys)
    single = mismatch(0.1)(whole, keys[1])
    np.testing.assert_array_equal(devices.params["fc1"]["weight"][1], single.params["fc1"]["weight"])


def test_noise_comes_off_the_grid_and_says_so() -> None:
    stored = quantize(bits=8)(tasks.model())
    assert list(mismatch(0.1, "fc1.*")(stored, jax.random.key(0)).grids) == ["fc2"]


@pytest.mark.parametrize("std", [-0.1, float("nan"), True, "much", {"*": -1}])
def test_a_spread_is_a_number_from_zero(std: Any) -> None:
    with pytest.raises(ArgumentError, match="from 0"):
        mismatch(std)


def test_noise_needs_a_key_and_a_parameter() -> None:
    with pytest.raises(ArgumentError, match="needs a key"):
        mismatch(0.1)(tasks.model())
    with pytest.raises(PatternError, match="matches nothing"):
        mismatch(0.1, "fc3.*")(tasks.model(), jax.random.key(0))


# -------------------------------------------------------------------------------------------------------------- pruning


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.8, 1])
def test_the_smallest_are_pruned(share: float) -> None:
    whole = tasks.model()
    pruned = jax.jit(prune(share))(whole)
    for name in ("fc1.weight", "fc2.weight"):
        before, after = of(whole, name), of(pruned, name)
        assert (after == 0).sum() == round(share * before.size)
        kept = after != 0
        np.testing.assert_array_equal(after[kept], before[kept])
        if kept.any() and not kept.all():
            assert np.abs(before[~kept]).max() <= np.abs(before[kept]).min()
    np.testing.assert_array_equal(of(pruned, "fc1.bias"), of(whole, "fc1.bias"))


def test_of_equal_ones_the_first_are_pruned() -> None:
    whole = tasks.model()
    equal = whole.replace(params={**whole.params, "fc2": {"weight": jnp.full((2, 5), -0.5)}})
    found = of(prune(0.3, "fc2.weight")(equal), "fc2.weight")
    np.testing.assert_array_equal(found.ravel(), [0, 0, 0, *[-0.5] * 7])


def test_the_pruned_have_no_gradient() -> None:
    whole = tasks.model()
    x = tasks.data()[0].swapaxes(0, 1)

    def loss(model: nirjax.Model) -> jax.Array:
        return prune(0.5)(model).run(x, record="lif2.v").traces["lif2.v"].sum()

    gradient, pruned = jax.grad(loss)(whole), prune(0.5)(whole)
    np.testing.assert_array_equal(of(gradient, "fc1.weight")[of(pruned, "fc1.weight") == 0], 0)
    assert np.any(of(gradient, "fc1.weight"))


@pytest.mark.parametrize("others", [[], [quantize(bits=8)]], ids=["alone", "quantised"])
def test_what_comes_back_is_pruned_where_the_start_was(others: list[Any]) -> None:
    start = prune(0.5)(tasks.model())
    result = tuned([prune(0.5), *others], optimizer=optax.adamw(0.05, weight_decay=0.1), epochs=4)
    for name in ("fc1.weight", "fc2.weight"):
        zero = of(start, name) == 0
        np.testing.assert_array_equal(of(result.model, name)[zero], 0)
        assert (of(result.model, name)[~zero] != of(start, name)[~zero]).any()
        assert (of(quantize(bits=8)(result.model), name)[zero] == 0).all()


def test_masks_of_one_s_own() -> None:
    whole = tasks.model()
    mask = np.arange(10).reshape(5, 2) % 3 != 0
    pruned = prune({"fc1.weight": mask})(whole)
    np.testing.assert_array_equal(of(pruned, "fc1.weight"), np.where(mask, of(whole, "fc1.weight"), 0))
    assert not np.any(of(tuned(prune({"fc1.weight": mask})).model, "fc1.weight")[~mask])
    with pytest.raises(ParameterError, match=r"fc1.*weight.*\(5, 2\)"):
        prune({"fc1.weight": mask.T})(whole)
    with pytest.raises(ParameterError, match="no such parameter"):
        prune({"fc9.weight": mask})(whole)
    with pytest.raises(ArgumentError, match="bool"):
        prune({"fc1.weight": mask.astype(float)})


def test_pruning_leaves_a_grid_as_it_is() -> None:
    stored = prune(0.5)(quantize(bits=8)(tasks.model()))
    assert stored.grids["fc1"]["weight"].holds(stored.params["fc1"]["weight"])
    assert nirjax.to_nir(stored).nodes["fc1"].metadata["quantization"]["weight"]["highest"] == 127


@pytest.mark.parametrize("what", [-0.1, 1.1, float("nan"), True, "half", None])
def test_a_share_is_a_number_from_zero_to_one(what: Any) -> None:
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        prune(what)


# ----------------------------------------------------------------------------------------------------------------- ties


def test_tied_arrays_are_their_mean_element_by_element() -> None:
    whole = tasks.model()
    params = {**whole.params, "lif2": {**whole.params["lif2"], "tau": jnp.array([3.0, 5.0])}}
    params["lif2"]["r"] = jnp.array([1.0, 2.0])
    tied = jax.jit(tie(["lif2.tau", "lif2.r"]))(whole.replace(params=params))
    np.testing.assert_array_equal(of(tied, "lif2.tau"), [2, 3.5])
    np.testing.assert_array_equal(of(tied, "lif2.r"), [2, 3.5])
    np.testing.assert_array_equal(of(tied, "lif1.tau"), of(whole, "lif1.tau"))


def test_one_number_for_all_that_match() -> None:
    whole = tasks.model()
    tied = tie("fc*.weight", share="number")(whole)
    both = np.concatenate([of(whole, "fc1.weight").ravel(), of(whole, "fc2.weight").ravel()])
    for name in ("fc1.weight", "fc2.weight"):
        assert np.ptp(of(tied, name)) == 0
        np.testing.assert_allclose(of(tied, name), both.mean(), rtol=1e-6)
    again = tie("fc*.weight", share="number")(tied)
    np.testing.assert_array_equal(of(again, "fc1.weight"), of(tied, "fc1.weight"))


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7e10])
def test_what_is_tied_already_stays_bit_for_bit(value: float) -> None:
    whole = tasks.model(hidden=7)
    params = {**whole.params, "fc1": {**whole.params["fc1"], "bias": jnp.full(7, value)}}
    equal = whole.replace(params=params)
    np.testing.assert_array_equal(of(tie("fc1.bias", share="number")(equal), "fc1.bias"), np.float32(value))


def test_tied_parameters_share_their_gradient() -> None:
    whole, weights = tasks.model(), jnp.arange(5.0)

    def total(model: nirjax.Model) -> jax.Array:
        return jnp.vdot(tie("fc1.bias", share="number")(model).params["fc1"]["bias"], weights)

    np.testing.assert_allclose(jax.grad(total)(whole).params["fc1"]["bias"], weights.sum() / 5, rtol=1e-6)


def test_what_is_trained_tied_comes_back_tied() -> None:
    transform = tie("lif1.tau", share="number")
    result = tuned(transform, trainable=["*.weight", "lif1.tau"], optimizer=optax.adam(0.1), epochs=3)
    taus = of(result.model, "lif1.tau")
    assert np.ptp(taus) == 0
    assert taus[0] != 2
    np.testing.assert_array_equal(of(transform(result.model), "lif1.tau"), taus)


def test_ties_that_make_no_sense() -> None:
    with pytest.raises(ParameterError, match=r"fc2.*weight.*\(5, 2\), as fc1.weight.*number"):
        tie("fc*.weight")(tasks.model())
    with pytest.raises(PatternError, match="matches nothing"):
        tie("fc3.*")(tasks.model())
    with pytest.raises(ArgumentError, match="array or number"):
        tie("*", share="all")


# ------------------------------------------------------------------------------------------------------------- together


def test_all_of_them_together_and_the_same_seed_gives_the_same_bits() -> None:
    transforms = [prune(0.3), tie("lif*.v_threshold", share="number"), quantize(bits=6), mismatch(0.05)]
    first, again, other = (tuned(transforms, seed=seed) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, first.model.params, again.model.params)
    assert (of(first.model, "fc1.weight") != of(other.model, "fc1.weight")).any()
    assert (of(first.model, "fc1.weight") == 0).sum() == 3
