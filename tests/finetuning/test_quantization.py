"""Quantised parameters: on the grid exactly, the identity when repeated, the identity's derivative."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from engine.graphs import affine, graph, if_, lif, linear, ports
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nirjax
from finetuning import tasks
from finetuning.chip_networks import DT, GRAPHS, currents, layered, network, recurrent
from nirjax import quantize, targets
from nirjax.errors import ArgumentError, NIRWarning, PatternError, UnsupportedByTarget
from nirjax.finetuning.quantization import straight_through
from nirjax.ir import nodes as ir
from nirjax.ir.grids import Grid, grids_of

CHIPS = ("loihi2", "speck", "spinnaker2", "xylo")
PLAIN = {
    "8 bits": {"bits": 8},
    "4 bits a channel": {"bits": 4, "scale": "channel"},
    "2 bits": {"bits": 2, "power_of_two": True},
    "layer": {"bits": {"weight": 8, "bias": 8, "v_threshold": 16}, "scale": "layer"},
    "neuron": {"bits": {"weight": 5, "v_threshold": 12}, "scale": "neuron"},
    "wide": {"bits": {"weight": 16, "tau": 24}},
}


@pytest.fixture
def optimised() -> Iterator[None]:
    """What is compiled here is compiled as for users, unlike in the rest of this folder (conftest.py)."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


def same_bits(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def with_params(whole: nirjax.Model, **changes: Any) -> nirjax.Model:
    """The model with parameters, named "node.field" with a double underscore, in place of its own."""
    params = {node: dict(fields) for node, fields in whole.params.items()}
    for name, value in changes.items():
        node, field = name.split("__")
        params[node][field] = jnp.broadcast_to(jnp.asarray(value, jnp.float32), params[node][field].shape)
    return whole.replace(params=params)


def integers(node: ir.NIRNode, field: str) -> np.ndarray:
    """What the metadata of an exported node makes of a parameter, computed here in float64."""
    entry = node.metadata["quantization"][field]
    value, scale = np.asarray(getattr(node, field), np.float64), np.asarray(entry["scale"], np.float64)
    if entry["form"] == "reciprocal":
        return scale / value
    return np.log2(value / scale) if entry["form"] == "power" else value / scale


@functools.cache
def stored_on(chip: str) -> nirjax.Model:
    """The chip's network as the chip stores it, compiled: a program at a time is quicker than an operation."""
    return jax.jit(quantize(chip))(network(chip))


def check_on_the_grid(exported: nirjax.NIRGraph, formats: dict[str, Any]) -> set[tuple[str, str]]:
    """Every gridded parameter is an integer in range times its scale; which those are."""
    found = set()
    for name, node in exported.nodes.items():
        for field in node.metadata.get("quantization", {}):
            form, numbers = formats[field], integers(node, field)
            nearest = np.round(numbers)
            np.testing.assert_allclose(numbers, nearest, rtol=0 if form.bits and form.bits <= 13 else 1e-6, atol=1e-5)
            assert (nearest % form.step == 0).all()
            assert (nearest >= form.lowest).all()
            assert form.highest is None or (nearest <= form.highest).all()
            found.add((name, field))
    return found


# --------------------------------------------------------------------------------------------------------- on the grid


@pytest.mark.parametrize("chip", CHIPS)
def test_what_a_chip_stores_lies_on_its_grid(chip: str) -> None:
    formats, whole = targets.target_of(chip).bits, network(chip)
    exported = nirjax.to_nir(stored_on(chip))
    wanted = {(n, f) for n, fields in whole.params.items() for f in fields if f in formats}
    assert check_on_the_grid(exported, formats) == wanted
    others = {(one.node, one.field) for one in nirjax.diff(whole.graph, exported) if one.kind == "value"}
    assert others - wanted <= ({("hidden", "r"), ("last", "r")} if chip == "xylo" else set())


@pytest.mark.parametrize("chip", CHIPS)
def test_what_is_stored_is_still_held_and_no_more_is_ignored(chip: str) -> None:
    before, after = (
        {(one.node, one.field) for one in nirjax.lint(graph, dt=DT, target=chip) if one.kind in ("refused", "ignored")}
        for graph in (network(chip).graph, nirjax.to_nir(stored_on(chip)))
    )
    assert after <= before


def test_the_gain_of_a_current_based_neuron_on_loihi_stays_one() -> None:
    whole = nirjax.from_nir(currents(), dt=DT, dialect=targets.loihi2.dialect)
    stored = jax.jit(quantize("loihi2"))(whole)
    exported = nirjax.to_nir(stored)
    assert [one for one in nirjax.lint(exported, dt=DT, target="loihi2") if one.kind == "refused"] == []
    assert (exported.nodes["n"].r != currents().nodes["n"].r).all()
    neuron = exported.nodes["n"]
    gain = np.float64(neuron.w_in) * DT / np.float64(neuron.tau_syn)
    scale = {n: exported.nodes[n].metadata["quantization"] for n in ("fc", "n")}
    np.testing.assert_allclose(scale["fc"]["weight"]["scale"] * gain[0], scale["n"]["v_threshold"]["scale"], rtol=2e-6)
    assert same_bits(jax.jit(quantize("loihi2"))(stored), stored)


WEIGHTS = hnp.arrays(
    np.float32, (3, 4), elements=st.floats(-1, 1, width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5])
)
SIZES = st.sampled_from([1e-20, 1e-3, 1.0, 37.5, 1e20])


@pytest.mark.parametrize("words", PLAIN, ids=list(PLAIN))
def test_any_weights_are_integers_in_range_times_a_scale_and_stay(words: str) -> None:
    quantization = quantize(**PLAIN[words])
    whole = nirjax.from_nir(
        graph(ports((4,)) | {"fc": affine(3, 4), "lif": lif(3), "out": ir.Output((3,))}, "in fc lif out"), dt=1
    )
    compiled = jax.jit(quantization)

    @settings(max_examples=40, deadline=None)
    @given(WEIGHTS, SIZES, st.floats(2.0**-10, 1000, width=32))
    def check(weight: np.ndarray, size: float, threshold: float) -> None:
        changed = with_params(whole, fc__weight=weight * np.float32(size), lif__v_threshold=threshold * size)
        once = compiled(changed)
        check_on_the_grid(nirjax.to_nir(once), dict(quantization.formats))
        assert same_bits(compiled(once), once)
        found = once.params["fc"]["weight"]
        grid = once.grids["fc"]["weight"]
        error = np.abs(np.float64(found) - changed.params["fc"]["weight"])
        if dict(quantization.formats).keys() == {"weight"}:
            assert (error <= np.float64(grid.scale) * 0.52).all()

    check()


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.usefixtures("optimised")
def test_quantising_again_is_the_identity_compiled_or_not_and_from_a_file(chip: str, tmp_path: Any) -> None:
    quantization = quantize(chip)
    once = quantization(network(chip))
    assert same_bits(quantization(once), once)
    assert same_bits(jax.jit(quantization)(network(chip)), once)
    assert same_bits(jax.jit(quantization)(once), once)
    nirjax.write(tmp_path / "stored.nir", nirjax.to_nir(once))
    read = nirjax.from_nir(tmp_path / "stored.nir", dt=DT, dialect=targets.target_of(chip).dialect)
    assert same_bits(read.params, once.params)
    assert same_bits(quantization(read), once)
    assert nirjax.diff(nirjax.to_nir(quantization(read)), tmp_path / "stored.nir") == []


def test_an_ensemble_is_quantised_as_its_members_are() -> None:
    whole, quantization = network("speck"), quantize("speck")
    other = jax.tree.map(lambda leaf: leaf * 1.37, whole)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), whole, other)
    stored = jax.jit(jax.vmap(quantization))(both)
    for place, member in enumerate((whole, other)):
        single = jax.jit(quantization)(member)
        assert same_bits(jax.tree.map(lambda leaf, at=place: leaf[at], stored.params), single.params)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.usefixtures("optimised")
def test_short_types_get_powers_of_two_which_they_hold(dtype: str) -> None:
    whole = network("speck", dtype=dtype)
    once = jax.jit(quantize("speck"))(whole)
    assert once.params["fc"]["weight"].dtype == dtype
    for node in ("conv", "fc"):
        scale = np.float64(once.grids[node]["weight"].scale)
        assert np.log2(scale) % 1 == 0
        numbers = np.float64(once.params[node]["weight"]) / scale
        assert (numbers == np.round(numbers)).all()
        assert 63 < np.abs(numbers).max() <= 128
    assert same_bits(jax.jit(quantize("speck"))(once), once)


@pytest.mark.usefixtures("x64")
def test_a_float64_model_lies_on_the_grid_in_a_float32_file() -> None:
    exported = nirjax.to_nir(jax.jit(quantize("speck"))(network("speck", dtype="float64")))
    assert exported.nodes["fc"].weight.dtype == np.float32
    check_on_the_grid(exported, targets.speck.bits)


def test_a_scale_is_as_small_as_it_can_be() -> None:
    for words in PLAIN.values():
        if words["bits"] in (8, 4):
            stored = quantize(**words)(network("speck"))
            highest = 2 ** (words["bits"] - 1)
            for node in ("conv", "fc"):
                numbers = np.asarray(stored.grids[node]["weight"].numbers(stored.params[node]["weight"]))
                assert np.abs(numbers).max() in (highest, highest - 1)


# ------------------------------------------------------------------------------------------------- what shares a scale


def scales(stored: nirjax.Model) -> dict[str, np.ndarray]:
    return {f"{n}.{f}": np.asarray(g.scale) for n, fields in stored.grids.items() for f, g in fields.items()}


def test_a_layer_on_speck_has_one_scale() -> None:
    found = scales(stored_on("speck"))
    assert found["conv.weight"] == found["conv.bias"] == found["if1.v_threshold"]
    assert found["fc.weight"] == found["fc.bias"] == found["if2.v_threshold"] != found["conv.weight"]


def sinabs_numbers(weight: np.ndarray, bias: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    """What sinabs 3.1.3 (backend/dynapcnn/discretize.py) makes of a layer."""

    def scaling(values: np.ndarray, bits: int) -> float:
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        if not np.any(values):
            return np.inf
        if abs(values.min()) <= abs(values.max()) * abs(low / high):
            return abs(high / values.max())
        return abs(low / values.min())

    bounds = np.array([-threshold, threshold])
    common = min(scaling(weight, 8), scaling(bias, 8), scaling(bounds, 16))
    return tuple(np.round(values * common) for values in (weight, bias, bounds[1:]))


@pytest.mark.parametrize(("neuron", "weights"), [("if1", "conv"), ("if2", "fc")])
def test_sinabs_finds_the_same_integers(neuron: str, weights: str) -> None:
    exported = nirjax.to_nir(stored_on("speck")).nodes
    given = [np.float64(getattr(exported[weights], f)) for f in ("weight", "bias")]
    found = sinabs_numbers(*given, np.float64(exported[neuron].v_threshold).flat[0])
    for numbers, (node, field) in zip(
        found, [(weights, "weight"), (weights, "bias"), (neuron, "v_threshold")], strict=True
    ):
        np.testing.assert_array_equal(numbers.flat[0], integers(exported[node], field).flat[0])
        if field != "v_threshold":
            np.testing.assert_array_equal(numbers, integers(exported[node], field))


def test_a_neuron_on_xylo_has_a_scale_of_its_own_as_rockpool_has_it() -> None:
    whole, stored = network("xylo"), stored_on("xylo")
    exported = nirjax.to_nir(stored).nodes
    for model, most in ((whole, 1), (stored, 0)):  # what comes in, to a tie; what goes out, which it leaves as it is
        params = jax.tree.map(np.float64, model.params)
        entering = np.concatenate([params["fc"]["weight"], params["rec"]["weight"]], axis=1)
        scaling = 127 / np.abs(entering).max(1)  # rockpool 3.0.3, transform/quantize_methods.py, channel_quantize
        for name in ("fc", "rec"):
            wanted = np.round(params[name]["weight"] * scaling[:, None])
            assert np.abs(integers(exported[name], "weight") - wanted).sum() <= most
        wanted = np.round(params["hidden"]["v_threshold"] * scaling)
        np.testing.assert_array_equal(np.round(integers(exported["hidden"], "v_threshold")), wanted)
    taus = np.float64(whole.params["hidden"]["tau_mem"])
    np.testing.assert_array_equal(integers(exported["hidden"], "tau_mem"), np.round(np.log2(taus / DT)))


def test_a_time_constant_on_xylo_decays_by_a_shift_of_one_at_least() -> None:
    whole = with_params(network("xylo"), last__tau_mem=1.1 * DT)
    np.testing.assert_allclose(quantize("xylo")(whole).params["last"]["tau_mem"], 2 * DT)


def test_biases_of_weights_are_not_stored_on_xylo() -> None:
    whole = nirjax.from_nir(recurrent(bias=True), dt=DT, dialect=targets.xylo.dialect)
    assert not np.any(quantize("xylo")(whole).params["fc"]["bias"])


def test_on_loihi_a_weight_times_its_gain_is_on_the_scale_of_the_threshold() -> None:
    exported = nirjax.to_nir(stored_on("loihi2")).nodes
    for weights, neuron in (("fc", "lif"), ("fc2", "lif2")):
        gain = DT / np.float64(exported[neuron].tau)
        np.testing.assert_allclose(gain * 4096, np.round(gain * 4096), rtol=1e-6)
        entry = {field: exported[weights].metadata["quantization"][field]["scale"] for field in ("weight",)}
        threshold = exported[neuron].metadata["quantization"]["v_threshold"]["scale"]
        np.testing.assert_allclose(entry["weight"] * gain[0], threshold, rtol=1e-6)
    assert np.ptp(integers(exported["fc"], "weight") % 2) == 0
    np.testing.assert_allclose(exported["wait"].delay, 3 * DT)


def test_integers_on_loihi_drive_a_neuron_as_the_model_is_driven() -> None:
    """Lava's float process, fed the integers: u = W s, v = (1 - dv/4096) v + u, a spike where v > vth."""
    whole = nirjax.from_nir(GRAPHS["spinnaker2"](), dt=DT, dialect=targets.loihi2.dialect)
    stored = jax.jit(quantize("loihi2"))(whole)
    exported = nirjax.to_nir(stored).nodes
    x = (np.random.default_rng(5).random((60, 3)) < 0.6).astype(np.float32)
    weight, bias = integers(exported["fc"], "weight"), integers(exported["fc"], "bias")
    decay, threshold = integers(exported["lif"], "tau")[0], integers(exported["lif"], "v_threshold")[0]
    v, wanted = np.zeros(5), []
    for step in x:
        v = v * (1 - decay / 4096) + weight @ step + bias
        wanted.append(v > threshold)
        v[v > threshold] = 0
    np.testing.assert_array_equal(stored.run(x, record="lif.spikes").traces["lif.spikes"], wanted)
    assert 20 < np.sum(wanted) < 280


def test_one_number_for_a_layer_is_the_mean() -> None:
    whole = with_params(network("loihi2"), lif__tau=jnp.linspace(0.008, 0.012, 5))
    found = np.asarray(quantize("loihi2")(whole).params["lif"]["tau"])
    assert np.ptp(found) == 0
    np.testing.assert_allclose(found, 4096 * DT / 410, rtol=1e-6)


def test_weights_without_a_neuron_and_neurons_without_weights_have_scales_of_their_own() -> None:
    nodes = ports((3,)) | {"if": if_(3, v_threshold=0.3), "fc": linear(3, 3)}
    whole = nirjax.from_nir(graph(nodes, "in if fc out"), dt=1)
    found = scales(quantize(bits={"weight": 8, "v_threshold": 8}, scale="layer")(whole))
    np.testing.assert_allclose(found["if.v_threshold"], 0.3 / 127, rtol=1e-3)
    np.testing.assert_allclose(found["fc.weight"], np.abs(nodes["fc"].weight).max() / 127, rtol=1e-2)


def test_what_a_neuron_cannot_have_alone_its_layer_shares() -> None:
    """A pooling lies between the weights and the neurons, so that no weight belongs to one neuron."""
    shape = {"input_shape": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    conv = ir.Conv2d(weight=np.ones((1, 1, 2, 2), np.float32), bias=np.zeros(1, np.float32), **shape)
    pool = ir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    nodes = {"in": ir.Input((1, 5, 5)), "conv": conv, "pool": pool, "if": if_((1, 2, 2)), "out": ir.Output((1, 2, 2))}
    whole = nirjax.from_nir(graph(nodes, "in conv pool if out"), dt=1)
    found = scales(quantize(bits={"weight": 8, "v_threshold": 16}, scale="neuron")(whole))
    assert found["conv.weight"] == found["if.v_threshold"]
    assert found["if.v_threshold"].shape == ()


def test_a_convolution_has_a_scale_for_each_channel() -> None:
    found = scales(quantize(bits={"weight": 8, "v_threshold": 16}, scale="neuron")(network("speck")))
    assert found["conv.weight"].shape == (3, 1, 1, 1)
    assert found["if1.v_threshold"].shape == (3, 1, 1)
    np.testing.assert_array_equal(found["conv.weight"].ravel(), found["if1.v_threshold"].ravel())
    assert len(set(found["conv.weight"].ravel().tolist())) == 3


# ----------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("chip", CHIPS)
def test_the_derivative_is_the_identity_s_inside_the_range_and_outside(chip: str) -> None:
    target, whole = targets.target_of(chip), network(chip)
    outside = {
        "loihi2": {"fc__bias": 100.0, "lif2__tau": 5.0, "wait__delay": 0.2},
        "xylo": {"last__tau_mem": 1.01 * DT},
    }
    whole = with_params(whole, **outside.get(chip, {}))
    tangent = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape), whole)
    moved = jax.jit(lambda m, t: jax.jvp(lambda model: quantize(target)(model).params, (m,), (t,))[1])(whole, tangent)

    def total(model: nirjax.Model) -> jax.Array:
        pairs = zip(jax.tree.leaves(quantize(target)(model).params), jax.tree.leaves(tangent), strict=True)
        return sum(jnp.vdot(value, weight) for value, weight in pairs)

    gradient = jax.jit(jax.grad(total))(whole)
    for node, fields in whole.params.items():
        for field in fields:
            wanted = np.asarray(tangent.params[node][field])
            if field in target.bits and target.bits[field].uniform:
                wanted = np.full_like(wanted, wanted.mean())
            np.testing.assert_allclose(moved[node][field], wanted, rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(gradient.params[node][field], wanted, rtol=1e-6, atol=1e-7)


def test_derivatives_of_derivatives_pass_straight_through_too() -> None:
    def f(value: jax.Array) -> jax.Array:
        return straight_through(value, jnp.round(value)) ** 2

    assert jax.grad(f)(jnp.float32(1.7)) == 4
    assert jax.grad(jax.grad(f))(jnp.float32(1.7)) == 2
    assert jax.hessian(f)(jnp.float32(1.7)) == 2


def test_the_gradient_of_a_run_is_that_at_the_stored_parameters() -> None:
    whole, quantization = network("loihi2"), quantize("loihi2")
    x = (np.random.default_rng(0).random((20, 3)) < 0.5).astype(np.float32)

    def loss(model: nirjax.Model) -> jax.Array:
        return model.run(x, record="lif2.v").traces["lif2.v"].sum()

    through = jax.jit(jax.grad(lambda model: loss(quantization(model))))(whole)
    there = jax.jit(jax.grad(lambda params: loss(whole.replace(params=params))))(stored_on("loihi2").params)
    np.testing.assert_allclose(through.params["fc"]["weight"], there["fc"]["weight"], rtol=1e-5)
    np.testing.assert_allclose(through.params["lif"]["tau"], np.mean(there["lif"]["tau"]), rtol=1e-4)
    assert np.any(through.params["fc"]["weight"])


# --------------------------------------------------------------------------------------------- in the loop, in files


def test_fine_tuning_gives_back_what_is_stored_as() -> None:
    quantization = quantize(bits=4)
    result = nirjax.finetune(
        tasks.model(), tasks.data(32), tasks.data(16, 1), optimizer=optax.adam(0.05), epochs=6, batch_size=8,
        transform=quantization, monitor="accuracy", progress=False,
    )  # fmt: skip
    stored = quantization(result.model)
    assert result.model.grids == {}
    assert not stored.grids["fc1"]["weight"].holds(result.model.params["fc1"]["weight"])
    assert stored.grids["fc1"]["weight"].holds(stored.params["fc1"]["weight"])
    accuracy = nirjax.evaluate(stored, tasks.data(16, 1)).metrics["accuracy"]
    assert accuracy == result.metrics["valid_accuracy"] > 0.8
    check_on_the_grid(nirjax.to_nir(stored), dict(quantization.formats))


def test_a_graph_that_the_target_cannot_hold_is_refused_before_data_is_looked_at() -> None:
    with pytest.raises(UnsupportedByTarget, match="speck: it cannot hold a LIF") as caught:
        nirjax.finetune(
            network("loihi2"), object(), optimizer=optax.sgd(1), epochs=1, transform=[quantize(targets.speck)]
        )
    assert caught.value.node == "lif"
    assert "lint" in str(caught.value)


def test_the_grid_is_in_the_metadata_and_what_else_was_there_stays() -> None:
    source = layered()
    node = dataclasses.replace(source.nodes["fc"], metadata={"author": "someone"})
    whole = nirjax.from_nir(dataclasses.replace(source, nodes={**source.nodes, "fc": node}), dt=DT)
    exported = nirjax.to_nir(quantize(bits=8)(whole)).nodes["fc"]
    assert exported.metadata["author"] == "someone"
    entry = exported.metadata["quantization"]["weight"]
    assert (entry["form"], entry["lowest"], entry["highest"], entry["step"]) == ("multiple", -128, 127, 1)
    assert "quantization" not in nirjax.to_nir(whole).nodes["fc"].metadata
    assert isinstance(grids_of(exported)["weight"], Grid)


def test_a_grid_that_a_parameter_has_left_is_no_longer_told_of() -> None:
    first = nirjax.to_nir(quantize(bits={"weight": 8, "bias": 8})(network("loihi2")))
    read = nirjax.from_nir(first, dt=DT)
    assert set(nirjax.to_nir(read).nodes["fc"].metadata["quantization"]) == {"weight", "bias"}
    halved = with_params(read, fc__weight=read.params["fc"]["weight"] / 2 + 1e-5)
    assert set(nirjax.to_nir(halved).nodes["fc"].metadata["quantization"]) == {"bias"}
    both = with_params(halved, fc__bias=0.12345)
    assert "quantization" not in nirjax.to_nir(both).nodes["fc"].metadata
    kept = with_params(read, fc__weight=jnp.where(jnp.arange(3) == 1, 0, read.params["fc"]["weight"]))
    assert set(nirjax.to_nir(kept).nodes["fc"].metadata["quantization"]) == {"weight", "bias"}


@pytest.mark.parametrize("source", ["float16", "float64", "int64"])
def test_the_file_s_own_types_hold_the_grid(source: str) -> None:
    nodes = ports((3,)) | {"w": ir.Linear(np.array([[1, -2, 3], [5, 0, 7], [-4, 9, 8]], source))}
    whole = nirjax.from_nir(graph(nodes, "in w out"), dt=1)
    if source == "int64":
        with pytest.warns(NIRWarning, match="float32"):
            exported = nirjax.to_nir(quantize(bits=4)(whole))
    else:
        exported = nirjax.to_nir(quantize(bits=4)(whole))
    assert exported.nodes["w"].weight.dtype == ("float32" if source == "int64" else source)
    check_on_the_grid(exported, dict(quantize(bits=4).formats))


def test_other_parameters_have_no_grids() -> None:
    stored = quantize(bits=8)(network("loihi2"))
    assert stored.replace(params=stored.params).grids == {}
    assert stored.replace(schedule=4).grids == stored.grids
    params, rest = nirjax.partition(stored, "*.weight")
    assert nirjax.combine(params, rest).grids == {}


# ----------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({}, "what to quantise to is missing"),
        ({"bits": 1}, "from 2 to 24"),
        ({"bits": True}, "from 2 to 24"),
        ({"bits": {"weight": 2.5}}, "from 2 to 24"),
        ({"bits": 8, "scale": "row"}, "no such scale"),
        ({"target": "spek"}, "no such target.*speck"),
        ({"target": 8}, "no such target"),
    ],
)
def test_arguments_that_make_no_sense(words: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        quantize(**words)


def test_patterns_choose_what_is_quantised() -> None:
    stored = quantize(bits=8, parameters=["*", "!fc2.*"])(network("loihi2"))
    assert list(stored.grids) == ["fc"]
    with pytest.raises(PatternError, match="matches nothing"):
        quantize(bits=8, parameters="fc3.*")(network("loihi2"))
    with pytest.raises(PatternError, match="nothing to quantise"):
        quantize(bits=8, parameters="lif.tau")(network("loihi2"))


def test_fewer_bits_than_the_target_s() -> None:
    stored = quantize(targets.speck, bits=4)(network("speck"))
    assert (stored.grids["fc"]["weight"].lowest, stored.grids["fc"]["weight"].highest) == (-8, 7)
    assert stored.grids["if2"]["v_threshold"].highest == 2**15 - 1
    assert quantize("xylo", bits=4)(network("xylo")).grids["fc"]["weight"].lowest == -7
    assert quantize("loihi2", bits=4)(network("loihi2")).grids["fc"]["weight"].lowest == -16


def test_equal_quantisations_are_equal() -> None:
    assert quantize("speck") == quantize(targets.speck)
    assert hash(quantize(bits=8)) == hash(quantize(bits=8))
    assert quantize(bits=8) != quantize(bits=4)
