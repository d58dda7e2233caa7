"""What chips hold of a graph: node types, wiring, sizes, values of fields. Plain data, each figure with its source.

A figure without a public source is left out: a graph that passes here may still not fit.

Sources, by the names that the comments use:

    sinabs     sinabs 3.1.3, https://github.com/synsense/sinabs
    rockpool   rockpool 3.0.3, https://github.com/synsense/rockpool
    lava       lava-nc 0.10.0, https://github.com/lava-nc/lava
    nir        the NIR paper's scripts, https://github.com/neuromorphs/NIR, paper/nir_to_lava.py at commit 7232ada
    brief      Intel, "Taking Neuromorphic Computing to the Next Level with Loihi 2", technology brief, 2021, and
               https://open-neuromorphic.org/neuromorphic-computing/hardware/loihi-2-intel/
    spinnaker  py-spinnaker2, https://gitlab.com/spinnaker2/py-spinnaker2, src/spinnaker2/s2_nir.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nirjax.ir.findings import close
from nirjax.ir.fitting import Acyclic, Check, Cores, Fan, Most, Types, Wiring
from nirjax.ir.importers import Limit

Limits = tuple[Limit | Check, ...]


def _each(fields: str, test: Callable[[Any, float], bool], what: str, *, refuses: bool = True) -> tuple[Limit, ...]:
    """A Limit for each "<node type>.<field>": `test(value, dt)` is what the chip takes."""

    def taken(field: str) -> Callable[[Any, float], bool]:
        return lambda node, dt: bool(test(getattr(node, field), dt))

    pairs = [word.split(".") for word in fields.split()]
    return tuple(Limit(kind, field, taken(field), what, refuses) for kind, field in pairs)


def _is(value: float) -> Callable[[Any, float], bool]:
    return lambda found, dt: close(found, value)


def _among(*values: int) -> Callable[[Any, float], bool]:
    return lambda found, dt: not isinstance(found, str) and bool(np.isin(found, values).all())


def _uniform(found: Any, dt: float) -> bool:
    return not np.size(found) or not np.ptp(found)


def _numbers(found: Any, dt: float) -> bool:
    return not isinstance(found, str)


_NOT_USED = "it is not used"

# --------------------------------------------------------------------------------------------------------------- Speck

_CORES = (
    *((16, 64, 1),) * 3,  # sinabs: sinabs/backend/dynapcnn/chips/dynapcnn.py, get_constraints, in units of 1024 words
    *((32, 32, 1),) * 2,
    *((64, 16, 1),) * 2,
    *((16, 16, 1),) * 2,
)

SPECK: Limits = (
    # sinabs: sinabs/nir.py; sinabs/backend/dynapcnn/connectivity_specs.py, dynapcnn_layer.py ("Only `IAFSqueeze`")
    Types(
        ("Input", "Output", "Conv2d", "Affine", "SumPool2d", "Flatten", "IF"),
        (
            ("LIF", "its neurons do not leak; an IF, and a negative bias, come near"),
            ("Linear", "sinabs reads an Affine with a bias of 0"),
            ("AvgPool2d", "sinabs reads a SumPool2d, the weights behind it divided by the size of its kernel"),
        ),
    ),
    # sinabs: connectivity_specs.py; docs/speck/faqs/available_network_arch.md, "Conv --> IAF --> pool"
    Wiring(
        (
            ("Input", ("Conv2d", "Affine", "SumPool2d", "Flatten")),
            ("Conv2d", ("IF",)),
            ("Affine", ("IF",)),
            ("IF", ("SumPool2d", "Conv2d", "Affine", "Flatten", "Output")),
            ("SumPool2d", ("SumPool2d", "Conv2d", "Affine", "Flatten", "Output")),
            ("Flatten", ("Affine", "Output")),
            ("Output", ()),
        ),
        "a core is weights, then neurons, then pooling",
    ),
    # sinabs: docs/speck/faqs/available_network_arch.md, "it can result in deadlock on the chip"
    Acyclic("recurrence is not supported: the chip can come to a deadlock"),
    # sinabs: docs/speck/overview.md, "Fanout: 2"
    Fan(2, ("Conv2d", "Affine"), ("SumPool2d", "Flatten")),
    # sinabs: docs/speck/overview.md, "Key Features"; dynapcnn_layer.py, memory_summary
    Cores(
        tuple((kernel * 1024, neurons * 1024, biases * 1024) for kernel, neurons, biases in _CORES),
        largest_input=128,
        largest_map=64,
        most_channels=1024,
        largest_kernel=16,
    ),
    # sinabs: docs/speck/overview.md, "Stride step:1,2,4,8", "Padding: [0,1,2,3,4,5,6,7]", "Sumpooling: 1x1, 2x2, 4x4"
    *_each("Conv2d.stride", _among(1, 2, 4, 8), "a stride is 1, 2, 4 or 8"),
    *_each("Conv2d.padding", _among(*range(8)), "a padding is a number from 0 to 7"),
    *_each("SumPool2d.kernel_size", _among(1, 2, 4), "a pooling is 1 by 1, 2 by 2 or 4 by 4"),
    *_each("SumPool2d.kernel_size", _uniform, "a pooling is square"),
    *_each("SumPool2d.padding", _is(0), "it is taken as 0", refuses=False),
    # sinabs: sinabs/backend/dynapcnn/dynapcnn_layer_utils.py, extract_pooling_from_module
    Limit(
        "SumPool2d",
        "stride",
        lambda node, dt: bool(np.all(node.stride == node.kernel_size)),
        "the stride of a pooling is its kernel",
        refuses=True,
    ),
    # sinabs: sinabs/backend/dynapcnn/chips/dynapcnn.py writes neither into a core
    *_each("Conv2d.groups Conv2d.dilation", _is(1), "it has to be 1"),
    # nir: paper/02_cnn/speck_accuracy.py, "Speck does not support individual parameters per neuron"
    *_each("IF.v_threshold", _uniform, "one threshold for all neurons of a layer is asked for"),
    # sinabs: sinabs/nir.py
    *_each("IF.r", _is(1), "it is not used: the input enters with gain one", refuses=False),
    *_each("IF.v_reset", _is(0), "it is not used: the threshold is subtracted", refuses=False),
    # sinabs: docs/speck/notebooks/leak_neuron.ipynb
    *_each("Conv2d.bias Affine.bias", _is(0), "it acts at each tick of the leak clock, not each step", refuses=False),
)

# ---------------------------------------------------------------------------------------------------------------- Xylo

_XYLO: Limits = (
    # rockpool: rockpool/devices/xylo/syns61201/xylo_graph_modules.py, Xylo2Neurons; rockpool/nn/modules/torch/nir.py
    Types(
        ("Input", "Output", "Affine", "Linear", "CubaLIF"),
        (("LIF", "its neurons have a synaptic current; write a CubaLIF"),),
    ),
    # rockpool: rockpool/devices/xylo/syns61201/xylo_mapper.py, the list xylo_drc
    Wiring(
        (
            ("Input", ("Affine", "Linear")),
            ("Affine", ("CubaLIF",)),
            ("Linear", ("CubaLIF",)),
            ("CubaLIF", ("Affine", "Linear", "Output")),
            ("Output", ()),
        ),
        "weights stand before each layer of neurons, and none follow weights or lead to the output",
    ),
    Acyclic("output neurons may not be recurrent", outer_only=True),
    *_each("Affine.bias", _is(0), "the bias of weights is not transferred", refuses=False),
    # rockpool: xylo_graph_modules.py, "time constants <= `dt`, which therefore cannot be converted"
    *_each(
        "CubaLIF.tau_mem CubaLIF.tau_syn",
        lambda tau, dt: bool(np.all(tau > dt)),
        "a time constant above the time step is asked for",
    ),
    # rockpool: rockpool/nn/modules/torch/nir.py
    Limit(
        "CubaLIF", "w_in", lambda node, dt: close(node.w_in, 1) or close(node.w_in, node.tau_syn / dt),
        "it is not used: the input enters with gain one",
    ),
    *_each("CubaLIF.v_reset", _is(0), "it is not used: the threshold is subtracted", refuses=False),
    *_each("CubaLIF.v_leak", _is(0), "it is added to the membrane in every step", refuses=False),
)  # fmt: skip

# rockpool: docs/devices/xylo-overview.ipynb, "Xylo family members"; xylo_mapper.py of each device
XYLO_AUDIO_3: Limits = (
    *_XYLO,
    Most(inputs=16, hidden=992, outputs=32, entered=128, leaving=128, fan_out=1024, layers=2),
)
XYLO_AUDIO_2: Limits = (*_XYLO, Most(inputs=16, hidden=1000, outputs=8, fan_out=64, layers=2))
# rockpool: docs/devices/xylo-imu/xylo-imu-intro.ipynb
XYLO_IMU: Limits = (
    *_XYLO,
    Most(inputs=16, hidden=496, outputs=16, entered=128, leaving=128, fan_out=512, recurrent=31_744, layers=2),
)

# -------------------------------------------------------------------------------------------------------------- Loihi 2

LOIHI_2: Limits = (
    # nir: import_from_nir_to_lava, import_from_nir_to_lava_dl; lava: src/lava/proc/dense/process.py, DelayDense
    Types(("Input", "Output", "Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "Delay", "LIF", "CubaLIF", "IF")),
    # lava: src/lava/proc/{dense,conv}/models.py send to, and src/lava/proc/lif/models.py receive from, a dendrite
    Wiring(
        (
            ("Affine", ("LIF", "CubaLIF", "IF")),
            ("Linear", ("LIF", "CubaLIF", "IF")),
            ("Conv2d", ("LIF", "CubaLIF", "IF")),
            ("Input", ("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "Delay")),
            ("LIF", ("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "Delay", "Output")),
            ("CubaLIF", ("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "Delay", "Output")),
            ("IF", ("Affine", "Linear", "Conv2d", "SumPool2d", "Flatten", "Delay", "Output")),
            ("Delay", ("Affine", "Linear", "Conv2d", "Flatten")),
            ("Output", ()),
        ),
        "synapses lie between neurons, and a delay is one of theirs",
    ),
    # lava: src/lava/proc/dense/models.py, PyDelayDenseModelBitAcc, "Loihi 2 has a maximum of 6 bits for delays"
    *_each("Delay.delay", lambda delay, dt: bool(np.all(delay / dt < 63.5)), "a delay is 63 steps at most"),
    # lava: src/lava/proc/lif/process.py, "only a single decay can be set for the entire population", threshold likewise
    *_each(
        "LIF.tau CubaLIF.tau_mem CubaLIF.tau_syn LIF.v_threshold CubaLIF.v_threshold IF.v_threshold",
        *(_uniform, "one value for all neurons of a layer is asked for"),
    ),
    # lava: src/lava/proc/lif/models.py: the decay is 12 bits of 1
    *_each(
        "LIF.tau CubaLIF.tau_mem CubaLIF.tau_syn",
        lambda tau, dt: bool(np.all(tau >= dt * (1 - 1e-6))),
        "a time constant from the time step on is asked for",
    ),
    # nir: _nir_node_to_lava, _nir_node_to_lava_dl
    *_each("LIF.r", _is(1), _NOT_USED + ": it is taken as 1", refuses=False),
    *_each("CubaLIF.v_leak", _is(0), "it has to be 0"),
    *_each("LIF.v_leak", _is(0), _NOT_USED, refuses=False),
    Limit("CubaLIF", "r", lambda node, dt: close(node.r, node.tau_mem / dt), "tau_mem / dt is asked for", refuses=True),
    *_each("LIF.v_reset CubaLIF.v_reset IF.v_reset", _is(0), _NOT_USED + ": the reset is to zero", refuses=False),
    *_each("Conv2d.padding", _numbers, "the padding in numbers is asked for"),
    # brief: "1 million" neurons, "120 million" synapses a chip
    Most(neurons=1_000_000, synapses=120_000_000),
)

# ----------------------------------------------------------------------------------------------------------- SpiNNaker2

SPINNAKER_2: Limits = (
    # spinnaker: create_populations, create_projections
    Types(
        ("Input", "Output", "Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "LIF", "IF", "CubaLIF")
    ),
    Wiring(
        (
            ("Input", ("Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d")),
            ("LIF", ("Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Output")),
            ("IF", ("Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Output")),
            ("CubaLIF", ("Affine", "Linear", "Conv2d", "SumPool2d", "AvgPool2d", "Output")),
            ("Affine", ("LIF", "IF", "CubaLIF")),
            ("Linear", ("LIF", "IF", "CubaLIF")),
            ("Conv2d", ("LIF", "IF")),
            ("SumPool2d", ("Conv2d", "Flatten", "LIF", "IF", "CubaLIF")),
            ("AvgPool2d", ("Conv2d", "Flatten", "LIF", "IF", "CubaLIF")),
            ("Flatten", ("Affine",)),
            ("Output", ()),
        ),
        "its converter knows no such projection",
    ),
    # spinnaker: get_conv2d_params
    *_each("Conv2d.groups Conv2d.dilation", _is(1), _NOT_USED + ": it is taken as 1", refuses=False),
    *_each("Conv2d.padding", _numbers, "the padding in numbers is asked for"),
    # spinnaker: ConversionConfig.reset
    *_each("LIF.v_reset IF.v_reset CubaLIF.v_reset", _is(0), _NOT_USED + ": the reset is to zero", refuses=False),
)

CHIPS: dict[str, Limits] = {
    "loihi2": LOIHI_2,
    "speck": SPECK,
    "spinnaker2": SPINNAKER_2,
    "xylo": XYLO_AUDIO_3,
    "xylo_audio2": XYLO_AUDIO_2,
    "xylo_imu": XYLO_IMU,
}
"""The limits by the names of `nirjax.targets`."""
