"""Quantisation: parameters on the grid of what a chip can store, with the derivative of the identity.

    stored(w) = n scale,  n = round(w / scale) within what the bits hold;   d stored / d w = 1

The derivative is 1 outside the range too: a parameter that was cut off can come back.

A scale is the smallest at which the values fit, to a dozen binary digits or more, so that an integer of eight bits
times it is exact. What already lies on a grid of the same form, one that the model carries or that its file's metadata
tells of, keeps its scale: quantising again is the identity, bit for bit.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from nirjax.engine.model import Grids, Model, Params
from nirjax.errors import ArgumentError, PatternError
from nirjax.exporting import to_nir
from nirjax.finetuning.layers import Layer, gain, layers_of
from nirjax.finetuning.targets import SCALES, Target, check_held, target_of
from nirjax.ir.grids import Format, Grid, grids_of, signed
from nirjax.ir.nodes import Conv1d, Conv2d
from nirjax.ir.patterns import as_patterns, matching

SCALE_DIGITS = 12
"""Binary digits that a scale has at least, in float32 and wider types; in shorter ones a scale is a power of two."""


@jax.custom_jvp
def straight_through(value: Array, stored: Array) -> Array:
    """`stored`, with the derivative of `value`."""
    return stored


@straight_through.defjvp
def _straight_through_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return straight_through(*primals), tangents[0]


@dataclass(frozen=True)
class Quantize:
    """A quantisation: `(model, key) -> model`; see `quantize`.

    Attributes:
        formats: (field, format) pairs: how parameters of that field are stored.
        scale: what shares a scale: "tensor", "channel", "layer" or "neuron".
        power_of_two: scales are powers of two.
        parameters: patterns of what is quantised.
        target: whose formats these are.
    """

    formats: tuple[tuple[str, Format], ...]
    scale: str = "tensor"
    power_of_two: bool = False
    parameters: tuple[str, ...] = ("*",)
    target: Target | None = None

    def __call__(self, model: Model, key: Array | None = None) -> Model:
        """The model with what is stored in place of its parameters; pure, for jit, grad, jvp and vmap. No key is
        needed.

        Raises:
            PatternError: a pattern that matches nothing, or nothing that is to be quantised.
        """
        formats = dict(self.formats)
        names = matching(self.parameters, model.parameters, argument="parameters")
        split = (name.rpartition(".") for name in names)
        chosen = [(node, field) for node, _, field in split if field in formats]
        if not chosen:
            raise PatternError(
                "there is nothing to quantise", field="parameters", found=self.parameters,
                expected=f"parameters called {', '.join(formats)}",
            )  # fmt: skip
        params: Params = {node: dict(fields) for node, fields in model.params.items()}
        grids: Grids = {node: dict(fields) for node, fields in model.grids.items()}

        def store(node: str, field: str, grid: Grid) -> None:
            value = params[node][field]
            nearest = grid.nearest(_wide(jax.lax.stop_gradient(value)))
            params[node][field] = straight_through(value, nearest.astype(value.dtype))
            grids.setdefault(node, {})[field] = grid

        for node, field in chosen:
            before, format = params[node][field], formats[field]
            if format.uniform:
                params[node][field] = _evened(before)
            if format.unit is not None:
                scale = jnp.asarray(format.unit * model.program.plan.sites[node].dt, _wide(before).dtype)
                store(node, field, format.grid(scale))
            if format.moves_r is not None and "r" in params[node]:
                r = params[node]["r"]
                moved = (format.moves_r + r) * (params[node][field] / before - 1)
                params[node]["r"] = straight_through(r, r + jax.lax.stop_gradient(moved))
        scaled = [(node, field) for node, field in chosen if formats[field].unit is None]
        for group in _groups(model, scaled, formats, self.scale):
            for part, grid in zip(group, self._grids(model, params, group), strict=True):
                store(part.node, part.field, grid)
        return Model(params, model.program, grids)

    def begin(self, model: Model) -> tuple[Model, Quantize]:
        """Before training: the same model and quantisation.

        Raises:
            UnsupportedByTarget: the target cannot hold the graph; `nirjax.lint(graph, target=...)` lists why.
        """
        if self.target is not None:
            check_held(to_nir(model), self.target, model.dt)
        return model, self

    def _grids(self, model: Model, params: Params, group: Sequence[_Part]) -> list[Grid]:
        """The grids of parameters that share one scale."""
        values = [jax.lax.stop_gradient(_wide(params[part.node][part.field])) for part in group]
        fed = _gains(model, params, group)
        need = functools.reduce(
            jnp.maximum,
            (part.need(value) * (fed if part.driven else 1) for part, value in zip(group, values, strict=True)),
        )
        digits = min(_digits(model, part) for part in group)
        driven = any(part.driven for part in group)
        unit = _rounded(need / fed if driven else need, digits, self.power_of_two)
        fresh = [unit if part.driven or not driven else unit * fed for part in group]
        known = [_known(model, part) for part in group]
        kept = jnp.asarray(all(grid is not None for grid in known))
        for part, grid in zip(group, known, strict=True):
            kept &= True if grid is None else grid.holds(params[part.node][part.field])
        scales = [part.spread(scale) for part, scale in zip(group, fresh, strict=True)]
        return [
            part.format.grid(scale if old is None else jnp.where(kept, jnp.asarray(old.scale, scale.dtype), scale))
            for part, scale, old in zip(group, scales, known, strict=True)
        ]


def quantize(
    target: Target | str | None = None,
    *,
    bits: int | Mapping[str, int] | None = None,
    scale: str | None = None,
    power_of_two: bool = False,
    parameters: Sequence[str] | str = "*",
) -> Quantize:
    """A function `(model, key) -> model` that puts parameters on the grid that a chip, or a number of bits, can store.

        quantize(targets.speck)                     weights, biases and thresholds as Speck stores them
        quantize(targets.speck, bits=4)             the same with 4 bits for weights
        quantize(bits=8)                            weights, 8 bits each, a scale for each weight array
        quantize(bits={"weight": 4, "v_threshold": 16}, scale="layer")

    It goes into `finetune(transform=...)`, and is applied to what comes back:
    `to_nir(quantize(target)(result.model))` lies on the grid exactly, with the scales in the nodes' metadata.

    Args:
        target: one of `nirjax.targets`, or its name.
        bits: of weights, or by field; two's complement. With a target, in place of the target's own.
        scale: what shares a scale: "tensor", each parameter has one ("tensor" is the default without a target);
            "channel", each output channel of it; "layer", a layer's weights, biases and thresholds have one; "neuron",
            one for each neuron (a convolution: channel) of a layer, for its threshold and what enters it. By "layer"
            and "neuron" thresholds are in units of what a weight adds to the membrane in one step.
        power_of_two: a scale is a power of two.
        parameters: patterns of what is quantised, of what has bits.

    Raises:
        ArgumentError: neither target nor bits; bits that are no number from 2 to 24; no such scale or target.
    """
    if target is None and bits is None:
        raise ArgumentError("what to quantise to is missing", field="target", expected="one of nirjax.targets, or bits")
    chip = None if target is None else target_of(target)
    formats: dict[str, Format] = {} if chip is None else dict(chip.bits)
    if bits is not None:
        wanted = dict(bits) if isinstance(bits, Mapping) else {"weight": bits}
        for field, count in wanted.items():
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 2 <= count <= 24:
                raise ArgumentError("bits are a number from 2 to 24", field="bits", found={field: count})
            formats[field] = formats[field].narrowed(int(count)) if field in formats else signed(int(count))
    shared = scale or ("tensor" if chip is None else chip.scale)
    if shared not in SCALES:
        raise ArgumentError("no such scale", field="scale", found=shared, expected=f"one of {', '.join(SCALES)}")
    patterns = as_patterns(parameters, "parameters")
    return Quantize(tuple(sorted(formats.items())), shared, bool(power_of_two), patterns, chip)


# ------------------------------------------------------------------------------------------------- what shares a scale


@dataclass(frozen=True)
class _Part:
    """One parameter among those that share a scale.

    Attributes:
        node, field: which.
        format: how it is stored.
        shape: its own.
        channels: the axes that have a scale for each place on them; the others share it.
        driven: it reaches the membrane through the neuron's gain, as weights and biases do.
        neurons: behind it, or itself.
    """

    node: str
    field: str
    format: Format
    shape: tuple[int, ...]
    channels: tuple[int, ...]
    driven: bool
    neurons: tuple[str, ...]

    @property
    def width(self) -> tuple[int, ...]:
        """The shape of its scales."""
        return tuple(self.shape[axis] for axis in self.channels)

    def need(self, value: Array) -> Array:
        """The smallest scale, of `width`, at which all values are in range."""
        rest = tuple(axis for axis in range(len(self.shape)) if axis not in self.channels)
        least = jnp.zeros(self.width, value.dtype)
        for side, end in ((value, self.format.highest or 0), (-value, -self.format.lowest)):
            if end > 0:  # times 1 / end: a compiler would make that of a division, and another result
                least = jnp.maximum(least, jnp.max(side, rest, initial=0) * value.dtype.type(1 / end))
        return least

    def spread(self, scale: Array) -> Array:
        """Scales of `width` laid along the parameter's axes."""
        shape = [self.shape[axis] if axis in self.channels else 1 for axis in range(len(self.shape))]
        return scale.reshape(shape if self.channels else ())


def _groups(
    model: Model, chosen: Sequence[tuple[str, str]], formats: Mapping[str, Format], scale: str
) -> list[list[_Part]]:
    """The chosen parameters, those together that share a scale."""
    plan = model.program.plan
    groups: list[list[_Part]] = []
    for layer in layers_of(plan):
        members = [(node, field) for node, field in chosen if node in (*layer.neurons, *layer.weights)]
        by_channel = scale in ("channel", "neuron")
        parts = [_part(model, node, field, formats[field], layer, by_channel) for node, field in members]
        if scale == "neuron" and not _fits(model, layer, parts):
            parts = [dataclasses.replace(part, channels=()) for part in parts]
        if scale in ("layer", "neuron"):
            groups += [parts] if parts else []
        else:
            groups += [[dataclasses.replace(part, driven=False)] for part in parts]
    placed = {(part.node, part.field) for group in groups for part in group}
    alone = Layer((), ())
    return groups + [[_part(model, *one, formats[one[1]], alone, False)] for one in chosen if one not in placed]


def _part(model: Model, node: str, field: str, format: Format, layer: Layer, by_channel: bool) -> _Part:
    shape, driven = model.params[node][field].shape, node in layer.weights
    maps = [model.program.plan.sites[name].node for name in ((node,) if driven else layer.weights)]
    convolved = any(isinstance(one, Conv1d | Conv2d) for one in maps)
    axes = min(len(shape), 1) if convolved else len(shape) - (field == "weight")
    return _Part(node, field, format, shape, tuple(range(axes)) if by_channel else (), driven, layer.neurons)


def _fits(model: Model, layer: Layer, parts: Sequence[_Part]) -> bool:
    """Does a scale for each neuron have a place in every parameter?"""
    sites = model.program.plan.sites
    outputs = {sites[name].output_shape for name in (*layer.neurons, *layer.weights)}
    return len(outputs) == 1 and len({part.width for part in parts}) == 1


def _gains(model: Model, params: Params, group: Sequence[_Part]) -> Array:
    """What the neurons behind the group make of their input: one number, or one for each channel."""
    sites, width = model.program.plan.sites, group[0].width
    if not any(part.driven for part in group) or all(part.driven for part in group):
        return jnp.ones((), jnp.float32)
    found = []
    for name in group[0].neurons:
        each = jax.lax.stop_gradient(_wide(gain(sites[name], params[name])))
        if width:
            each = jnp.broadcast_to(each, sites[name].output_shape)
        rest = tuple(range(len(width), each.ndim))
        least = each.min(rest)  # what is one number stays so, bit for bit
        found.append(least + (each - jnp.expand_dims(least, rest)).mean(rest))
    return sum(found[1:], found[0]) / len(found) if found else jnp.ones((), jnp.float32)


# -------------------------------------------------------------------------------------------------------------- scales


def _rounded(need: Array, digits: int, power_of_two: bool) -> Array:
    """A scale near `need`, of few binary digits: a power of two not below it, or the nearest number with that many."""
    exponent = jnp.finfo(need.dtype).nexp  # type: ignore[no-untyped-call]
    scale = jax.lax.reduce_precision(need, exponent, 0 if power_of_two or digits < 2 else digits - 1)
    if power_of_two or digits < 2:
        scale = jnp.where(scale < need, 2 * scale, scale)
    return jnp.where(scale >= jnp.finfo(need.dtype).tiny, scale, 1)  # type: ignore[no-untyped-call]


def _digits(model: Model, part: _Part) -> int:
    """How many digits a scale may have, so that the product with an integer is exact in the model and in the file."""
    source = getattr(model.program.plan.sites[part.node].node, part.field).dtype
    types = [np.dtype(np.float32), np.dtype(model.program.dtype), *([source] if source.kind == "f" else [])]
    held = min(int(jnp.finfo(kind).nmant) + 1 for kind in types)  # type: ignore[no-untyped-call]
    if held < 24:
        return 1
    largest = max(abs(part.format.lowest), abs(part.format.highest or 0)) // part.format.step
    return max(held - math.ceil(math.log2(largest + 1)), SCALE_DIGITS)


def _known(model: Model, part: _Part) -> Grid | None:
    """The grid of this form that a parameter is said to lie on: by the model, or by its file."""
    source = grids_of(model.program.plan.sites[part.node].node)
    grid = model.grids.get(part.node, {}).get(part.field, source.get(part.field))
    return grid if grid is not None and grid.alike(part.format.grid(grid.scale)) else None


def _evened(value: Array) -> Array:
    """Every element the mean; what is one number already stays so, bit for bit."""
    first = value.reshape(-1)[0]
    return jnp.broadcast_to(first + (value - first).mean(), value.shape)


def _wide(value: Array) -> Array:
    """At least float32."""
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))
