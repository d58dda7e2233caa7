"""A node as its primitive sees it, without an engine."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from nirjax import surrogate
from nirjax.dialects import Discretisation
from nirjax.ir.nodes import NIRNode, Shape
from nirjax.primitives.base import Primitive, Site
from nirjax.primitives.registry import REGISTRY


def site_of(node: NIRNode, shape: Shape, *, dt: float = 1.0, dtype: Any = jnp.float32, **choices: Any) -> Site:
    """The site of a node whose input has `shape`; `rule` may be the fields of a Discretisation."""
    rule = choices.pop("rule", {})
    rule = Discretisation(**rule) if isinstance(rule, dict) else rule
    names = {"name": "n", "input_shape": shape, "output_shape": node.gives(shape), "surrogate": surrogate.atan()}
    return Site(node=node, dt=dt, dtype=dtype, rule=rule, **(names | choices))


def params_of(site: Site) -> dict[str, Array]:
    return {name: jnp.asarray(getattr(site.node, name), site.dtype) for name in type(site.node).parameter_names()}


def primitive_of(site: Site) -> Primitive:
    return REGISTRY[type(site.node)]


def apply(node: NIRNode, x: Any, shape: Shape, **choices: Any) -> Array:
    """A stateless node applied to x (*lead, *shape)."""
    site = site_of(node, shape, **choices)
    function = primitive_of(site).apply
    assert function is not None
    return function(site, params_of(site), jnp.asarray(x, site.dtype))


def run(node: NIRNode, x: Any, **choices: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A stateful node over x (time, *shape), step by step: the outputs, and the state after each step."""
    x = jnp.asarray(x, choices.get("dtype", jnp.float32))
    site = site_of(node, x.shape[1:], **choices)
    primitive, params = primitive_of(site), params_of(site)
    assert primitive.init is not None
    constants = primitive.prepare(site, params)

    def advance(state: Any, x_t: Array) -> Any:
        assert primitive.step is not None
        state, y = primitive.step(site, constants, state, x_t)
        return state, (y, state)

    _, traces = lax.scan(advance, primitive.init(site, params, ()), x)
    return jax.tree.map(np.asarray, traces)
