"""Import presets: what a framework makes of a file that it imports, with the parameters that it ignores.

A node type that a framework cannot take, or drops without a word, is refused with UnsupportedByTarget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nirjax.dialects.dialect import Dialect, Rule
from nirjax.dialects.discretisation import Discretisation, check_choice
from nirjax.dialects.presets import CURRENT_FIRST, EULER_STEP, NO_R, NO_R_NO_W, spikingjelly

_UNCOMMON = frozenset({"LI", "I", "CubaLI", "Threshold", "Scale", "Delay"})


def norse_import(reset_method: str = "value") -> Dialect:
    """Norse's `from_nir(graph, dt=dt)`: r of LIF and IF, and every v_reset, are ignored.

    The current of a CubaLIF leaks towards v_leak and starts there, as its membrane does. Delayed edges start at zero.

    Args:
        reset_method: "value" (to zero) or "subtract"; it reaches CubaLIF only.
    """
    check_choice("reset_method", reset_method, ("value", "subtract"))
    box = Discretisation(order=("integrate", "fire", "reset"), reset="zero", start="v_leak", assumed=NO_R)
    iaf = Discretisation(order=("integrate", "fire", "reset"), gain="unit", reset="zero", assumed=NO_R)
    current = Discretisation(
        order=EULER_STEP,
        reset="zero" if reset_method == "value" else "subtract",
        start="v_leak",
        synapse_rest="v_leak",
    )
    return Dialect(
        f"norse_import(reset_method={reset_method!r})",
        rules=(Rule("CubaLIF", current), Rule("IF", iaf), Rule("*", box)),
        registers="zero",
        refused=_UNCOMMON | {"Conv1d", "AvgPool2d"},
        source="norse 1.1.0, norse/torch/utils/import_nir.py, with nirtorch 2.6",
    )


def snntorch_import() -> Dialect:
    """snnTorch's `import_from_nir(graph)`, whose time step is 1e-4: every reset is to zero, in the same step.

    It asks for v_leak = 0 and one threshold a layer, and its recurrent import sends the input of a recurrent layer
    through its weights; what it cannot take is not checked here, but such files give other results there.
    """
    rule = Discretisation(order=EULER_STEP, reset="zero")
    return Dialect(
        "snntorch_import()",
        rules=(Rule("*", rule),),
        registers="zero",
        refused=_UNCOMMON | {"IF"},
        source="snntorch 1.0.0, snntorch/import_nir.py, with nirtorch 2.6",
    )


def sinabs_import() -> Dialect:
    """Sinabs' `from_nir(graph)`: time constants are taken as steps, r and v_reset are ignored, many spikes a step.

    An IF's membrane is kept above -v_threshold.
    """
    lif = Discretisation(
        order=CURRENT_FIRST,
        decay="exp",
        gain="unit",
        comparison=">=",
        spikes="many",
        reset="subtract",
        assumed=NO_R,
    )
    iaf = replace(lif, order=("integrate", "fire", "reset", "clamp"), lowest="-v_threshold")
    return Dialect(
        "sinabs_import()",
        rules=(Rule("IF", iaf), Rule("*", lif)),
        registers="zero",
        time_unit="step",
        refused=(_UNCOMMON - {"LI"}) | {"Linear", "CubaLIF", "AvgPool2d"},
        source="sinabs 2.0.3, sinabs/nir.py",
    )


def rockpool_import() -> Dialect:
    """Rockpool's `from_nir(graph)`, for CubaLIF, Linear and Affine; the time step is its own guess, min tau_mem/(1+r).

    v_leak is taken for a bias that is added in every step; r, w_in and v_reset are ignored.
    """
    rule = Discretisation(
        order=CURRENT_FIRST,
        decay="exp",
        synapse_decay="exp",
        gain="unit",
        synapse_gain="unit",
        leak_gain="unit",
        comparison=">=",
        spikes="many",
        reset="subtract",
        assumed=NO_R_NO_W,
    )
    return Dialect(
        "rockpool_import()",
        rules=(Rule("*", rule),),
        registers="zero",
        time_unit="tau/(1+r)",
        refused=_UNCOMMON | {"LIF", "IF", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"},
        source="rockpool 3.1.0, rockpool/nn/modules/torch/nir.py",
    )


def spyx_import() -> Dialect:
    """Spyx's `from_nir(graph, x, dt=dt)`: its own step; r, w_in, v_leak, v_reset and a recurrent bias are ignored.

    Flatten reads (H, W, C). Only a chain of layers is followed; another topology gives other results there.
    """
    ignored = (*NO_R_NO_W, ("v_leak", 0.0))
    late = Discretisation(order=("fire", "integrate", "reset"), gain="unit", reset="subtract", assumed=ignored)
    current = Discretisation(
        order=("fire", "reset", "decay", "inject", "integrate"),
        gain="unit",
        synapse_gain="unit",
        reset="subtract",
        assumed=ignored,
    )
    no_bias = Discretisation(assumed=(("bias", 0.0),))
    return Dialect(
        "spyx_import()",
        rules=(Rule("Affine", no_bias, "cycle"), Rule("CubaLIF", current), Rule("*", late)),
        flatten="channels_last",
        refused=(_UNCOMMON - {"LI", "Threshold"}) | {"Conv1d", "AvgPool2d"},
        source="spyx 1.0.0, spyx/nir.py",
    )


def spikingjelly_import() -> Dialect:
    """SpikingJelly's `import_from_nir(graph, dt=dt)`: its own step. It asks for uniform parameters; see its source."""
    return replace(
        spikingjelly(),
        name="spikingjelly_import()",
        refused=_UNCOMMON,
        source="spikingjelly 2.0.0, spikingjelly/activation_based/nir_exchange",
    )


ALL: tuple[Callable[..., Dialect], ...] = (
    *(norse_import, snntorch_import, sinabs_import, rockpool_import, spyx_import, spikingjelly_import),
)
