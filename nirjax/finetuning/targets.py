"""Chips: how each stores weights, thresholds and decays, what it holds of a graph, and the dialect nearest to it.

    nirjax.targets.speck, .loihi2, .spinnaker2, .xylo (XyloAudio 3), .xylo_audio2, .xylo_imu

Each figure has a public source, named beside it here or in `nirjax.ir.chips`; a figure without one is left out. No JAX
is imported for these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from nirjax import dialects
from nirjax.dialects import Dialect
from nirjax.errors import ArgumentError, quoted
from nirjax.ir.chips import CHIPS, Limits
from nirjax.ir.fields import FrozenDict
from nirjax.ir.grids import Format, signed

SCALES = ("tensor", "channel", "layer", "neuron")
"""What may share a scale; see `nirjax.quantize`."""


@dataclass(frozen=True)
class Target:
    """A chip.

    Attributes:
        name: as `nirjax.lint(target=...)` and the command line take it.
        dialect: how its tools run a graph, as far as a dialect can say it.
        bits: field of a node to how the chip stores it; other fields stay as they are.
        limits: what it holds of a graph: plain data, of `nirjax.ir.chips`.
        source: where this was read.
        scale: what shares a scale on it: "tensor", "channel", "layer" or "neuron".
    """

    name: str
    dialect: Dialect
    bits: Mapping[str, Format]
    limits: Limits
    source: str
    scale: str = "layer"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ArgumentError(
                "no such scale", field="scale", found=self.scale, expected=f"one of {', '.join(SCALES)}"
            )
        object.__setattr__(self, "bits", FrozenDict(self.bits))
        object.__setattr__(self, "limits", tuple(self.limits))

    def __hash__(self) -> int:
        return hash((self.name, self.dialect, self.scale, *sorted(self.bits)))

    def __repr__(self) -> str:
        stored = ", ".join(f"{field}: {_words(format)}" for field, format in self.bits.items())
        return f"Target({self.name}: {stored}; a scale for each {self.scale}; {self.dialect.name}; {self.source})"


speck = Target(
    "speck",
    dialect=dialects.sinabs_import(),
    bits={"weight": signed(8), "bias": signed(8), "v_threshold": dataclasses.replace(signed(16), uniform=True)},
    limits=CHIPS["speck"],
    source="sinabs 3.1.3, sinabs/backend/dynapcnn/discretize.py and docs/speck/overview.md",
)
"""SynSense Speck 2e and 2f: nine convolution cores of integrate-and-fire neurons, without a clock.

Weights and biases are 8 bits, the membrane and the one threshold of a layer 16, all of a layer at one scale
(`discretize_conv_spike`; `DYNAPCNN_WEIGHT_PRECISION_BITS`, `DYNAPCNN_STATE_PRECISION_BITS`). On what this quantisation
gives, sinabs' own finds the same integers.

The dialect cannot say: the chip has no time steps, and neurons fire between the spikes of what is one step here (many
spikes in a step come nearest, docs/speck/dangers.md); biases act at the ticks of a slow clock; the membrane saturates
at 16 bits.
"""

xylo = Target(
    "xylo",
    dialect=dialects.rockpool(decay="bitshift"),
    bits={
        "weight": signed(8, symmetric=True),
        "bias": Format(0, 0),
        "v_threshold": signed(16),
        "tau_mem": Format(1, None, form="power", unit=1),
        "tau_syn": Format(1, None, form="power", unit=1),
    },
    limits=CHIPS["xylo"],
    source="rockpool 3.0.3, rockpool/transform/quantize_methods.py and docs/devices/xylo-overview.ipynb",
    scale="neuron",
)
"""SynSense XyloAudio 3 (SYNS65302): a recurrent layer and a readout of leaky neurons with synaptic currents.

Weights are 8 bits and thresholds 16, those of a neuron at one scale, as Rockpool's `channel_quantize` has it (which
uses -127 to 127). Decays are bit shifts: a state loses 2^-n of itself in a step, tau = dt 2^n, and Rockpool refuses tau
<= dt. Biases of weights are not transferred (xylo_mapper.py, `weight_nodes_have_no_biases`): they are stored as 0.

The dialect cannot say: states are integers, what a shift leaves over is lost, and a small state goes down by 1 in a
step; 31 spikes at most in a step, 15 on an input channel, and one from an output neuron.
"""

xylo_audio2 = dataclasses.replace(xylo, name="xylo_audio2", limits=CHIPS["xylo_audio2"])
"""SynSense XyloAudio 2 (SYNS61201): as `xylo`, with other sizes."""

xylo_imu = dataclasses.replace(xylo, name="xylo_imu", limits=CHIPS["xylo_imu"])
"""SynSense XyloIMU (SYNS63300): as `xylo`, with other sizes."""

_LAVA_DECAY = Format(1, 4095, form="reciprocal", unit=4096, uniform=True)

loihi2 = Target(
    "loihi2",
    dialect=dialects.lava(),
    bits={
        "weight": Format(-256, 254, step=2),
        "bias": Format(-4096, 4095),
        "v_threshold": Format(0, 131_071, uniform=True),
        "tau": _LAVA_DECAY,
        "tau_mem": _LAVA_DECAY,
        "tau_syn": dataclasses.replace(_LAVA_DECAY, highest=4096),
        "delay": Format(0, 63, unit=1),
    },
    limits=CHIPS["loihi2"],
    source="lava-nc 0.10.0, src/lava/proc/lif/models.py and src/lava/proc/dense/models.py",
)
"""Intel Loihi 2, as Lava's fixed-point LIF and Dense processes, which are bit-accurate, have it.

Weights of both signs are the even integers from -256 to 254 (8 bits, shifted by one: `truncate_weights`,
SignMode.MIXED), thresholds 17 bits (`vth`), biases the 13 bits of `bias_mant` with `bias_exp` = 6, all of a layer at
one scale; the weight exponent is 0. Decays are 12 bits of one: dt/tau_mem = dv/4096, dt/tau_syn = (du + 1)/4096
(`ds_offset`), one for a layer. Delays are 6 bits of steps.

A LIF's input has the gain dt/tau, which Lava's Dense has to hold within its weights: an integer here stands for the
weight times that gain, on the scale of the threshold.

The dialect cannot say: current and membrane are integers of 24 bits, a decay drops what it leaves over, and each Dense
is a step of delay. (On the NIR paper's recording of a neuron on Loihi the membrane differs by less than 0.01.)
"""

spinnaker2 = Target(
    "spinnaker2",
    dialect=dialects.spinnaker2(),
    bits={"weight": signed(8, symmetric=True)},
    limits=CHIPS["spinnaker2"],
    source="py-spinnaker2, src/spinnaker2/s2_nir.py; arXiv:2504.06748",
)
"""SpiNNaker2, as py-spinnaker2 reads NIR: weights of 8 bits, -127 to 127, those that enter a layer at one scale.

Thresholds, decays and offsets are floating-point numbers there (the cores have a floating-point unit: SpiNNaker2
datasheet 0.03), so they stay as they are. Its `scale_weights` finds the scale again, 127 over the largest weight, but
cuts the weights of a convolution off towards 0 (`astype(np.int8)`): hand it integers, that is, the weights and
thresholds over the scale in the metadata, with `scale_weights=False`.

The dialect has its Euler integrator and its reset to zero (ConversionConfig.integrator, .reset), as in the NIR paper;
the defaults are the exponential integrator and subtraction.
"""

TARGETS: dict[str, Target] = {one.name: one for one in (loihi2, speck, spinnaker2, xylo, xylo_audio2, xylo_imu)}


def names() -> tuple[str, ...]:
    """The chips' names."""
    return tuple(TARGETS)


def target_of(target: Target | str) -> Target:
    """A target from its name, or itself.

    Raises:
        ArgumentError: there is no such target.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, str) and target in TARGETS:
        return TARGETS[target]
    raise ArgumentError(
        "no such target", field="target", found=quoted(target), expected=f"one of {', '.join(TARGETS)}, or a Target"
    )


def _words(format: Format) -> str:
    """A format in a word or two."""
    if format.form == "power":
        return f"dt 2^n, n from {format.lowest}"
    if format.form == "reciprocal":
        return f"{format.unit:g} dt / n, n to {format.highest}"
    return "0" if not format.bits else f"{format.bits} bits"
