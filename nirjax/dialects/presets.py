"""Home presets: how a model behaved in the framework that exported it.

Each speaks its framework's words, has its constructors' defaults, and says from which version and source file it was
read. What the exporter did not write into the file (a reset's kind, a clamp, a bias) is what their arguments are for.
"""

from __future__ import annotations

from collections.abc import Callable

from nirjax.dialects.dialect import Dialect, Rule
from nirjax.dialects.discretisation import Discretisation, check_choice

EULER_STEP = ("decay", "inject", "integrate", "fire", "reset")
CURRENT_FIRST = ("inject", "decay", "integrate", "fire", "reset")
NO_R = (("r", 1.0),)
NO_R_NO_W = (("r", 1.0), ("w_in", 1.0))


def nir() -> Dialect:
    """NIR's own equations by forward Euler; spike where v > v_threshold; v := v_reset in the same step."""
    return Dialect("nir()", source="the NIR specification")


def exact() -> Dialect:
    """The closed form between steps, the input held over each step: no error but in the times of spikes."""
    rule = Discretisation(order=("evolve", "fire", "reset"), decay="exp", synapse_decay="exp")
    return Dialect("exact()", rules=(Rule("*", rule),), source="closed form of NIR's equations")


def snntorch(reset_mechanism: str = "subtract", reset_delay: bool = True) -> Dialect:
    """snnTorch's Leaky, RLeaky, Synaptic, RSynaptic. Its exporter writes time constants for dt = 1e-4.

    Every class decides at first, from the stored membrane and without gradient, whether the spike of the step before
    resets it. With "subtract" and without delay, a second decision follows the update, and the reset is corrected by
    the difference. Leaky with "zero" and delay is zeroed before its update; RLeaky, Synaptic and RSynaptic after it.

    RSynaptic(reset_delay=False) of version 1.0.0 in fact delays its reset; this preset does what the argument says,
    as the version did with which the NIR paper's recurrent networks were trained.

    Args:
        reset_mechanism: "subtract", "zero" or "none".
        reset_delay: the reset comes in the step after the spike.
    """
    check_choice("reset_mechanism", reset_mechanism, ("subtract", "zero", "none"))
    name = f"snntorch(reset_mechanism={reset_mechanism!r}, reset_delay={bool(reset_delay)})"
    late = ("fire", "decay", "inject", "integrate", "reset", "fire")
    chain_lif: tuple[Rule, ...] = ()
    if reset_mechanism == "none":
        rule = Discretisation(order=("decay", "inject", "integrate", "fire"), reset="none")
    elif reset_delay:
        rule = Discretisation(order=late, reset=reset_mechanism, detached=(0,))
        if reset_mechanism == "zero":
            leaky = Discretisation(order=("fire", "reset", "integrate", "fire"), reset="zero", detached=(0,))
            chain_lif = (Rule("LIF", leaky, "chain"),)
    elif reset_mechanism == "subtract":
        rule = Discretisation(order=(*late, "settle"), reset="subtract", detached=(0,))
    else:
        rule = Discretisation(order=EULER_STEP, reset="zero")
    return Dialect(
        name,
        rules=(*chain_lif, Rule("*", rule)),
        source="snntorch 1.0.0, snntorch/_neurons/{neurons,leaky,rleaky,synaptic,rsynaptic}.py",
    )


def norse(reset_method: str = "value") -> Dialect:
    """Norse's LIFBox, IAF, LIBox and LIF cells. dt is the one that the user had in Norse.

    The exporter writes tau * dt for every time constant, so that a step is dt * dt in the file's unit; it loses
    v_reset. LIFCell (a CubaLIF) adds its input to the current, integrates, and then lets the current decay.

    Args:
        reset_method: "value" or "subtract", of LIFBox.
    """
    check_choice("reset_method", reset_method, ("value", "subtract"))
    reset = "v_reset" if reset_method == "value" else "subtract"
    box = Discretisation(
        order=("integrate", "fire", "reset"), reset=reset, start="v_leak", detached_start=True, assumed=NO_R
    )
    cell = Discretisation(
        order=("inject", "integrate", "decay", "fire", "reset"),
        synapse_gain="unit",
        start="v_leak",
        detached_start=True,
        assumed=NO_R_NO_W,
    )
    iaf = Discretisation(order=("integrate", "fire", "reset"), gain="unit", start="v_reset", assumed=NO_R)
    return Dialect(
        f"norse(reset_method={reset_method!r})",
        rules=(Rule("CubaLIF", cell), Rule("CubaLI", cell), Rule("IF", iaf), Rule("I", iaf), Rule("*", box)),
        time_unit="dt",
        source="norse 1.1.0, norse/torch/functional/{lif_box,lif,iaf,leaky_integrator_box}.py",
    )


def sinabs(
    spike_fn: str = "MultiSpike",
    reset_fn: str = "MembraneSubtract",
    min_v_mem: float | None = None,
    norm_input: bool = True,
) -> Dialect:
    """Sinabs' IAF, LIF and ExpLeak. Their files count time in steps: dt = 1.

    Args:
        spike_fn: "MultiSpike" or "SingleSpike".
        reset_fn: "MembraneSubtract" or "MembraneReset" (to zero, its default value).
        min_v_mem: lower bound of the membrane of IAF and LIF.
        norm_input: the input of LIF is scaled by 1 - exp(-1/tau). (ExpLeak does not scale, by its own default.)
    """
    check_choice("spike_fn", spike_fn, ("MultiSpike", "SingleSpike"))
    check_choice("reset_fn", reset_fn, ("MembraneSubtract", "MembraneReset"))
    spiking = Discretisation(
        order=(*CURRENT_FIRST, "clamp"),
        decay="exp",
        synapse_decay="exp",
        gain="native" if norm_input else "unit",
        synapse_gain="unit",
        comparison=">=",
        spikes="many" if spike_fn == "MultiSpike" else "one",
        reset="subtract" if reset_fn == "MembraneSubtract" else "zero",
        lowest=min_v_mem,
        detached=() if reset_fn == "MembraneSubtract" else (4,),
        assumed=NO_R_NO_W,
    )
    iaf = Discretisation(
        order=("integrate", "fire", "reset", "clamp"),
        gain="unit",
        comparison=">=",
        spikes=spiking.spikes,
        reset=spiking.reset,
        lowest=min_v_mem,
        detached=() if reset_fn == "MembraneSubtract" else (2,),
        assumed=NO_R,
    )
    leak = Discretisation(order=("integrate",), decay="exp", gain="unit", assumed=NO_R)
    arguments = f"spike_fn={spike_fn!r}, reset_fn={reset_fn!r}, min_v_mem={min_v_mem!r}, norm_input={bool(norm_input)}"
    return Dialect(
        f"sinabs({arguments})",
        rules=(Rule("IF", iaf), Rule("I", iaf), Rule("LI", leak), Rule("*", spiking)),
        registers="zero",
        source="sinabs 2.0.3, sinabs/layers/functional/lif.py, sinabs/activation/{spike_generation,reset_mechanism}.py",
    )


def rockpool(decay: str = "exp") -> Dialect:
    """Rockpool's LIFTorch (a CubaLIF), LIFNeuronTorch (a LIF) and ExpSynTorch (an LI).

    Its exporter loses the membrane's bias and the recurrent weights. A bias b is a leak towards
    v_leak = b / (1 - exp(-dt / tau_mem)).

    Args:
        decay: "exp", or "bitshift" as LIFBitshiftTorch and Xylo have it: a state loses 2^-n of itself in a step, which
            is dt/tau where a time constant is dt 2^n (`quantize(targets.xylo)` makes it so).
    """
    check_choice("decay", decay, ("exp", "bitshift"))
    kind = "exp" if decay == "exp" else "euler"
    neuron = Discretisation(
        order=CURRENT_FIRST,
        decay=kind,
        synapse_decay=kind,
        gain="unit",
        synapse_gain="unit",
        comparison=">=",
        spikes="many",
        reset="subtract",
        assumed=NO_R_NO_W,
    )
    synapse = Discretisation(order=("integrate",), decay="exp", gain="euler")
    return Dialect(
        f"rockpool(decay={decay!r})",
        rules=(Rule("LI", synapse), Rule("*", neuron)),
        registers="zero",
        source="rockpool 3.1.0, rockpool/nn/modules/torch/{lif,lif_bitshift,lif_neuron,exp_syn}_torch.py",
    )


def spyx(flatten: str = "channels_first") -> Dialect:
    """Spyx's IF, LIF, CuBaLIF, their recurrent forms, and PSU_LIF.

    A neuron's spikes come from the membrane before the update, so each layer's output is one step late. Its exporter
    writes r = beta, which is not used, and wires the input of a recurrent layer into w_rec, where it does not belong.

    Args:
        flatten: Spyx flattens (H, W, C) and exports the weights behind a Flatten in that order. "channels_last" runs
            such a file as it is; "channels_first" is for one whose weights have been put into NIR's order.
    """
    late = Discretisation(order=("fire", "integrate", "reset"), gain="unit", reset="subtract", assumed=NO_R)
    current = Discretisation(
        order=("fire", "reset", "decay", "inject", "integrate"),
        gain="unit",
        synapse_gain="unit",
        reset="subtract",
        assumed=NO_R_NO_W,
    )
    return Dialect(
        f"spyx(flatten={flatten!r})",
        rules=(Rule("CubaLIF", current), Rule("CubaLI", current), Rule("*", late)),
        flatten=flatten,
        source="spyx 1.0.0, spyx/nn.py",
    )


def spikingjelly() -> Dialect:
    """SpikingJelly's IFNode, LIFNode, ParametricLIFNode and CUBALIFNode, with a hard reset."""
    rule = Discretisation(order=EULER_STEP, comparison=">=", start="v_reset")
    return Dialect(
        "spikingjelly()",
        rules=(Rule("*", rule),),
        registers="zero",
        source="spikingjelly 2.0.0, spikingjelly/activation_based/functional/neuron.py",
    )


def lava() -> Dialect:
    """Lava's floating-point LIF process, as the NIR paper's script builds it: gain dt/tau, reset to zero.

    A CubaLIF has the gain r dt/tau_mem, which the script asks to be 1; an IF adds its input in every step.

    Shown on the paper's single neuron only. Every Dense process adds a step of delay, which is not part of this
    dialect: Lava's own trace is one step later. Its fixed-point processes cannot be matched.
    """
    rule = Discretisation(order=EULER_STEP, reset="zero", assumed=NO_R)
    current = Discretisation(order=EULER_STEP, reset="zero")
    sums = Discretisation(order=("integrate", "fire", "reset"), gain="unit", reset="zero", assumed=NO_R)
    return Dialect(
        "lava()",
        rules=(Rule("CubaLIF", current), Rule("CubaLI", current), Rule("IF", sums), Rule("*", rule)),
        registers="zero",
        source="lava-nc, lava/proc/lif/models.py, and the NIR paper's nir_to_lava.py",
    )


def nengo() -> Dialect:
    """Nengo's LIF without refractory time: exponential decay, no negative membrane, reset to zero.

    Shown on the paper's single neuron only. The synapse of a CubaLIF is filtered after the neuron, so that the
    membrane sees the current of the step before.
    """
    order = ("integrate", "fire", "clamp", "reset", "decay", "inject")
    rule = Discretisation(order=order, decay="exp", reset="zero", lowest=0.0)
    plain = Discretisation(order=("integrate", "fire", "reset"), gain="unit", reset="zero", assumed=NO_R)
    return Dialect(
        "nengo()",
        rules=(Rule("IF", plain), Rule("*", rule)),
        registers="zero",
        source="nengo 4.1.0, nengo/neurons.py, and the NIR paper's nir_to_nengo.py",
    )


def spinnaker2() -> Dialect:
    """SpiNNaker2's LIF: Euler, gain dt/tau, reset to zero. Shown on the paper's single neuron only."""
    rule = Discretisation(order=EULER_STEP, reset="zero")
    return Dialect("spinnaker2()", rules=(Rule("*", rule),), registers="zero", source="the NIR paper's recording")


ALL: tuple[Callable[..., Dialect], ...] = (
    *(nir, exact, snntorch, norse, sinabs, rockpool, spyx, spikingjelly, lava, nengo, spinnaker2),
)
