"""What a primitive is: the meaning of one node type, as pure functions of arrays.

A stateless primitive is one function over any leading axes; the engine folds time into them. A stateful one is
`init` and `step`; the engine makes the loop. Shapes below write `*batch` for any number of batch axes, none included,
and `*shape` for one time step of one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from nirjax.dialects import Discretisation
from nirjax.ir.nodes import NIRNode, Shape
from nirjax.primitives import channels_last
from nirjax.surrogate import Surrogate, spike, spike_count

Parameters = Mapping[str, Array]
Constants = Mapping[str, Array]
State = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Site:
    """One node of one model, as its primitive sees it. Everything here is static.

    Attributes:
        name: the node's dotted path.
        node: the node, for its strides, shapes and other fields that are not trained.
        input_shape, output_shape: one time step of one sample.
        dt: the time step, in the unit of the node's time constants.
        dtype: of parameters, state and signals.
        rule: the node's discretisation.
        surrogate: the derivative of its spikes.
        flatten: the dialect's order of axes for Flatten.
        max_delay: capacity of a Delay, in time steps; None for the largest delay of the node itself.
        waits: the output of a Delay is kept from depending on the present input.
        product_dtype: what the factors of a product or convolution are rounded to; None: they stay as they are.
        multiply: (x, W, precision=...) -> x W, of rows (*lead, in) with a matrix (in, out).
        convolve: the same for convolutions, as `channels_last.convolve`.
    """

    name: str
    node: NIRNode
    input_shape: Shape
    output_shape: Shape
    dt: float
    dtype: DTypeLike
    rule: Discretisation
    surrogate: Surrogate
    flatten: str = "channels_first"
    max_delay: int | None = None
    waits: bool = False
    product_dtype: DTypeLike | None = None
    multiply: Callable[..., Array] = jnp.matmul
    convolve: Callable[..., Array] = channels_last.convolve

    def taken(self, params: Parameters) -> Parameters:
        """The parameters, with what the dialect puts in the place of those that it does not use."""
        assumed = {name: value for name, value in self.rule.assumed if name in params}
        return {**params, **{name: jnp.full_like(params[name], value) for name, value in assumed.items()}}

    def factor(self, x: Array) -> Array:
        """A factor of a product, rounded to `product_dtype`. (A cast there and back the compiler may leave out.)"""
        if self.product_dtype is None:
            return x
        kind = jnp.finfo(self.product_dtype)  # type: ignore[no-untyped-call]
        return lax.reduce_precision(x, kind.nexp, kind.nmant)

    @property
    def precision(self) -> lax.Precision | None:
        """Of products: the dtype's own, where an accelerator would round factors without a word (to TF32, bfloat16).

        None, which leaves it to JAX, where they have been rounded, or where `jax.default_matmul_precision` is set.
        """
        chosen = getattr(jax.config, "jax_default_matmul_precision", None)
        left = self.product_dtype is not None or chosen is not None
        return None if left else lax.Precision.HIGHEST

    def spike(self, u: Array, threshold: Array) -> Array:
        """Spikes of a membrane u, one or many a step as the discretisation says, with the surrogate's derivative."""
        rule = self.rule
        if rule.spikes == "one":
            return spike(u, threshold, self.surrogate, rule.comparison, rule.spike_gradient)
        return spike_count(u, threshold, self.surrogate, rule.comparison, rule.spike_gradient, rule.most_spikes)


def _unchanged(site: Site, params: Parameters) -> Constants:
    return params


@dataclass(frozen=True)
class Primitive:
    """The meaning of a node type.

    A stateless primitive has `apply`; a stateful one has `init` and `step`.

    Attributes:
        node: the class of node it gives a meaning to.
        apply: (site, params, x) -> y; x (*lead, *input_shape) to y (*lead, *output_shape), any leading axes.
        channels_last: as `apply`, with the channels of x and y as their last axis instead of the first of the shape.
        init: (site, params, batch_shape) -> state, a dict of float arrays.
        step: (site, constants, state, x) -> (state, y); x (*batch, *input_shape).
        prepare: (site, params) -> constants: what `step` needs and no step changes; by default the parameters.
        variables: names of the state's entries that can be recorded.
        spiking: the output is spikes, recorded as `spikes` too.
        late_bias: `apply` adds the parameter `bias` to what it gives, or nothing if there is none.
        elementwise: `step` treats every element of a stateful node alike, so that it may be given its axes as one.
        block: (site, constants, state, xs) -> (state, ys) over a block of time steps, xs (time, *batch, *input_shape);
            equal to the scan of `step`, for a primitive that can do better.
        holds: site -> bool: can this node break a cycle, that is, does it hold a state between steps?
        waits: site -> bool: is the output independent of the present input?
    """

    node: type[NIRNode]
    apply: Callable[[Site, Parameters, Array], Array] | None = None
    channels_last: Callable[[Site, Parameters, Array], Array] | None = None
    init: Callable[[Site, Parameters, Shape], State] | None = None
    step: Callable[[Site, Constants, State, Array], tuple[State, Array]] | None = None
    prepare: Callable[[Site, Parameters], Constants] = _unchanged
    variables: tuple[str, ...] = ()
    spiking: bool = False
    late_bias: bool = False
    elementwise: bool = False
    block: Callable[[Site, Constants, State, Array], tuple[State, Array]] | None = None
    holds: Callable[[Site], bool] = lambda site: True
    waits: Callable[[Site], bool] = lambda site: False

    @property
    def stateful(self) -> bool:
        """Does it carry something from step to step?"""
        return self.step is not None
