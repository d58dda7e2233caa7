"""Values as spikes: rate, latency and delta coding, on the device.

Every encoder is a pure, compiled function of arrays `(*batch, *shape)`, or `(time, *batch, *shape)` where values
change in time; spikes are `(time, *batch, *shape)`, bool, or int8 where they have a sign.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from nirjax.errors import ArgumentError, ShapeError


def rate(key: Array, x: ArrayLike, num_steps: int | None = None) -> Array:
    r"""Rate coding: at every step a spike comes with probability x, independently of all others.

    .. math::
        z_i[t] \sim \text{Bernoulli}(\min(\max(x_i, 0), 1))

    Over T steps a neuron spikes :math:`T x_i` times on average, with variance :math:`T x_i (1 - x_i)`: a Poisson
    process where x is small.

    Args:
        key: a random key, `jax.random.key(seed)`; the same key gives the same spikes.
        x: probabilities of a spike in a step, `(*batch, *shape)`; below 0 and above 1 they are cut.
        num_steps: time steps; None where x has a time axis of its own, `(time, *batch, *shape)`.

    Returns:
        bool `(time, *batch, *shape)`.

    Raises:
        ArgumentError: fewer than one step. ShapeError: no num_steps, and no time axis.
    """
    x = jnp.asarray(x)
    if num_steps is None and x.ndim == 0:
        raise ShapeError(
            "x has no time axis", field="x", found=x.shape, expected="(time, *batch, *shape), or num_steps"
        )
    spikes: Array = _rate(key, x, None if num_steps is None else _checked_steps(num_steps))
    return spikes


@partial(jax.jit, static_argnames="num_steps")
def _rate(key: Array, x: Array, num_steps: int | None) -> Array:
    # NumPy's doubles and integers as what the model computes in
    p = jnp.clip(x.astype(jnp.promote_types(x.dtype, jnp.float32)), 0, 1)
    shape = x.shape if num_steps is None else (num_steps, *x.shape)
    return jax.random.bernoulli(key, p, shape)


def latency(x: ArrayLike, num_steps: int, *, tau: float | None = None, threshold: float = 0.01) -> Array:
    r"""Latency coding: one spike, the earlier the larger the value; none at or below the threshold.

    .. math::
        t_i = (T - 1) (1 - \min(x_i, 1)) \quad \text{without } \tau, \qquad
        t_i = \tau \ln \frac{x_i}{x_i - \theta} \quad \text{with it}

    The second is when an integrator :math:`\tau \dot v = x_i - v` that starts at rest reaches :math:`\theta`. The
    spike comes at the step nearest :math:`t_i` (halves to the even one); what is after the last step does not come.

    Args:
        x: values, `(*batch, *shape)`; without tau between 0 and 1.
        num_steps: time steps T.
        tau: time constant of the integrator, in time steps; None is the linear code.
        threshold: :math:`\theta`, above 0.

    Returns:
        bool `(time, *batch, *shape)`.

    Raises:
        ArgumentError: fewer than one step; a time constant or threshold that is not positive.

    References:
        snnTorch's `spikegen.latency` with `clip`: with tau as there without `normalize`; without tau as there with
        `linear` and `normalize`.
    """
    for name, value in {"tau": tau, "threshold": threshold}.items():
        if value is not None and not 0 < value < float("inf"):
            raise ArgumentError("this is a positive number", field=name, found=value)
    spikes: Array = _latency(jnp.asarray(x), _checked_steps(num_steps), tau, threshold)
    return spikes


@partial(jax.jit, static_argnames=("num_steps",))
def _latency(x: Array, num_steps: int, tau: float | None, threshold: float) -> Array:
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    fires = x > threshold
    if tau is None:
        time = (num_steps - 1) * (1 - jnp.minimum(x, 1))
    else:
        time = -tau * jnp.log1p(-threshold / jnp.where(fires, x, jnp.inf))
    step = jnp.where(fires, jnp.rint(time), -1)
    return jnp.arange(num_steps).reshape(num_steps, *(1,) * x.ndim) == step


def delta(x: ArrayLike, threshold: float = 0.1, *, padding: bool = False, off_spike: bool = False) -> Array:
    r"""Delta coding: a spike where the value has risen by the threshold since the step before.

    .. math::
        z_i[t] = [x_i[t] - x_i[t-1] \ge \theta] \; - \; [x_i[t] - x_i[t-1] \le -\theta]

    without the second term unless there are off spikes. A slow change is never seen: see `send_on_delta`.

    Args:
        x: signals, `(time, *batch, *shape)`.
        threshold: :math:`\theta`, above 0.
        padding: what is before the first step: False is zero, True is the first step itself.
        off_spike: -1 where the value has fallen by the threshold.

    Returns:
        `(time, *batch, *shape)`, bool, or int8 with off spikes.

    Raises:
        ArgumentError: a threshold that is not positive. ShapeError: no time axis.

    References:
        snnTorch's `spikegen.delta`, whose arguments these are.
    """
    spikes: Array = _delta(_signal(x, threshold), threshold, padding, off_spike)
    return spikes


@partial(jax.jit, static_argnames=("padding", "off_spike"))
def _delta(x: Array, threshold: float, padding: bool, off_spike: bool) -> Array:
    before = jnp.concatenate([x[:1] if padding else jnp.zeros_like(x[:1]), x[:-1]])
    on = x - before >= threshold
    return on.astype(jnp.int8) - (x - before <= -threshold).astype(jnp.int8) if off_spike else on


def send_on_delta(x: ArrayLike, threshold: float = 0.1) -> Array:
    r"""Delta modulation: a spike whenever the signal has left its last level by the threshold, which moves the level.

    .. math::
        z_i[t] = \operatorname{sign}(d) \, [|d| \ge \theta], \quad d = x_i[t] - b_i[t-1], \qquad
        b_i[t] = b_i[t-1] + \theta z_i[t], \quad b_i[-1] = x_i[0]

    The level :math:`b = x[0] + \theta \sum_{s \le t} z[s]` is the signal back again: it stays within :math:`\theta` of
    one that changes by no more than :math:`\theta` a step.

    Args:
        x: signals, `(time, *batch, *shape)`.
        threshold: :math:`\theta`, above 0.

    Returns:
        int8 `(time, *batch, *shape)`: 1, 0 or -1.

    Raises:
        ArgumentError: a threshold that is not positive. ShapeError: no time axis.

    References:
        Miskowicz, `Send-On-Delta Concept <https://doi.org/10.3390/s6010049>`_, 2006; the step-forward code of Petro,
        Kasabov and Kiss, `Selection and Optimization of Temporal Spike Encoding Methods
        <https://doi.org/10.1109/TNNLS.2019.2906158>`_, 2020
    """
    spikes: Array = _send_on_delta(_signal(x, threshold), threshold)
    return spikes


@jax.jit
def _send_on_delta(x: Array, threshold: float) -> Array:
    def step(sent: Array, value: Array) -> tuple[Array, Array]:
        # a count of spikes, not a level: adding up thresholds would drift
        off = value - threshold * sent
        spike = jnp.sign(off) * (jnp.abs(off) >= threshold)
        return sent + spike, spike.astype(jnp.int8)

    return lax.scan(step, jnp.zeros_like(x[0]), x - x[0])[1]


def _signal(x: ArrayLike, threshold: float) -> Array:
    signal = jnp.asarray(x)
    if signal.ndim == 0 or signal.shape[0] == 0:
        raise ShapeError("x has no time steps", field="x", found=signal.shape, expected="(time, *batch, *shape)")
    if not 0 < threshold < float("inf"):
        raise ArgumentError("this is a positive number", field="threshold", found=threshold)
    return signal.astype(jnp.promote_types(signal.dtype, jnp.float32))


def _checked_steps(num_steps: int) -> int:
    if isinstance(num_steps, bool) or not hasattr(num_steps, "__index__") or num_steps < 1:
        raise ArgumentError("at least one time step is needed", field="num_steps", found=num_steps)
    return int(num_steps)
