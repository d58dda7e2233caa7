"""The NIR paper's own networks against what the frameworks recorded for them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nirjax
from engine.graphs import spikes


def test_braille_spikes_are_snntorch_s(paper: Path) -> None:
    model = nirjax.from_nir(paper / "braille_noDelay_bias_zero.nir", dt=1e-4)
    run = model.run(np.load(paper / "braille_input.npy"), record="lif1.lif.spikes")
    recorded = np.load(paper / "snntorch_activity_noDelay_bias_zero.npy")
    assert recorded.size == 9728
    assert 0.01 <= recorded.mean() <= 0.6
    assert np.count_nonzero(run.traces["lif1.lif.spikes"] != recorded) == 0


@pytest.mark.parametrize(("framework", "scale"), [("norse", 1), ("snntorch", 25)])
def test_the_paper_s_lif_neuron_as_norse_and_snntorch_ran_it(paper: Path, framework: str, scale: float) -> None:
    """Both step by Euler with gain dt/tau and reset to zero in the step of the spike: the default dialect, so nothing
    differs. snnTorch's voltages are in units in which the input's gain is one: 25 times the file's."""
    x, v, z = np.loadtxt(paper / f"lif_{framework}.csv", delimiter=",", unpack=True)
    run = nirjax.from_nir(paper / "lif_norse.nir", dt=1e-4).run(x[:, None], record="1.v")
    assert z.sum() == 4
    np.testing.assert_array_equal(run.output[:, 0], z)
    np.testing.assert_allclose(run.traces["1.v"][:, 0], v / scale, atol=1e-7)


def test_the_paper_s_lif_neuron_against_the_closed_form(paper: Path) -> None:
    """`lif_exact.csv` is analytic, with reset by subtraction. The default dialect fires in the same steps, although its
    membrane differs: by Euler's error, and by what subtraction leaves of a membrane above its threshold."""
    x, v, z = np.loadtxt(paper / "lif_exact.csv", delimiter=",", unpack=True)
    model = nirjax.from_nir(paper / "lif_norse.nir", dt=1e-4)
    run = model.run(x[:, None], record="1.v")
    np.testing.assert_array_equal(run.output[:, 0], z)
    assert 1e-3 < np.abs(run.traces["1.v"][:, 0] - v).max() < 1e-2
    run = model.replace(dialect="exact", overrides={"1": {"reset": "subtract"}}).run(x[:, None], record="1.v")
    np.testing.assert_array_equal(run.output[:, 0], z)
    np.testing.assert_allclose(run.traces["1.v"][:, 0], v, atol=7e-4)  # it spikes between steps


def test_the_convolutional_network_runs_forward_and_backward(paper: Path) -> None:
    model = nirjax.from_nir(paper / "cnn_sinabs.nir", dt=1)
    x = spikes(20, 1, 2, 34, 34, rate=0.3)

    def loss(model: nirjax.Model) -> jax.Array:
        return jnp.mean(model(x)[0])

    rate, gradient = jax.value_and_grad(loss)(model)
    assert 0.01 <= rate <= 0.6
    for name in ("0", "2", "5", "9", "11"):
        weight = gradient.params[name]["weight"]
        assert np.isfinite(weight).all()
        assert np.count_nonzero(weight) > 0
