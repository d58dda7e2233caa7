"""Import presets: what a framework makes of a file that it imports, with the parameters that it ignores.

A node type that a framework cannot take, or drops without a word, is refused with UnsupportedByTarget, and so is a
recurrent layer whose recurrence it drops. What a dialect cannot see, since it depends on values or on the order of
edges, its docstring says, and `nirjax.lint(graph, target="norse")` finds in a file.

Each was read from the framework's source, and gives, spike for spike, what the framework answered after importing
the files in `tests/data/imports`, which `tools/record_imports.py` made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nirjax.dialects.dialect import Dialect, Rule
from nirjax.dialects.discretisation import Discretisation, check_choice
from nirjax.dialects.presets import CURRENT_FIRST, EULER_STEP, NO_R, NO_R_NO_W, spikingjelly

_UNCOMMON = frozenset({"LI", "I", "CubaLI", "Threshold", "Scale", "Delay"})
_NO_BIAS = Discretisation(assumed=(("bias", 0.0),))


def norse_import(reset_method: str = "value") -> Dialect:
    """Norse's `from_nir(graph, dt=dt)`: r of LIF and IF, and every v_reset, are ignored.

    The current of a CubaLIF leaks towards v_leak and starts there, as its membrane does. Delayed edges start at zero.

    Not checked: NIRTorch's executor runs the nodes depth first, edges in file order, and returns what comes last. This
    is the graph's output where, of a recurrent neuron's edges, the one into the recurrent weights comes first, and
    nothing branches and meets again; a skip is late by a step, and the output may be another node's. One Input and one
    Output are used. Flatten counts the batch axis, so that only a negative start_dim means what NIR means. A
    SumPool2d's padding is taken as 0.

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


def snntorch_import(nested: bool = False) -> Dialect:
    """snnTorch's `import_from_nir(graph)`, whose time step is 1e-4: every reset is to zero, in the same step.

    A recurrent layer that is no subgraph is refused. There snnTorch sends the layer's input through the recurrent
    weights (input -> w_rec -> neuron -> w_rec), or fails, as it does on the files of its own RLeaky and RSynaptic, when
    the nodes before the layer stand behind it in the file. The subgraphs that it finds in a file it runs as they are.

    Not checked: it fails where v_leak is not 0, where a layer's thresholds differ (of a CubaLIF: v_threshold tau_syn /
    w_in), and where r of a CubaLIF is not tau_mem / 1e-4; the thresholds of a LIF are scaled by r dt / tau of one
    neuron, which is right where that is one number; a decay below 0 is taken as 0; v_reset is ignored. Several Inputs
    fail, and branches that do not end in the one Output never return. Flatten counts the batch axis, so that only a
    negative start_dim means what NIR means. A SumPool2d's padding is taken as 0.

    Args:
        nested: the file's recurrent layers are subgraphs: take them as they are.
    """
    rule = Discretisation(order=EULER_STEP, reset="zero")
    return Dialect(
        f"snntorch_import(nested={bool(nested)})",
        rules=(Rule("*", rule, "any" if nested else "chain"),),
        registers="zero",
        refused=_UNCOMMON | {"IF"},
        source="snntorch 1.0.0, snntorch/import_nir.py, with nirtorch 2.6",
    )


def sinabs_import() -> Dialect:
    """Sinabs' `from_nir(graph)`: time constants are taken as steps, r and v_reset are ignored, many spikes a step.

    An IF's membrane is kept above -v_threshold. A recurrent layer is refused: its recurrence would be ignored, since
    every layer runs over the whole sequence before the next one.

    Not checked: it fails where v_leak is not 0, where r of an LI is not 1, and where a LIF has more than one axis. The
    layers run in the order of a depth-first walk, edges in file order, and the last one's output comes back: what
    branches and meets again is added up only in part. One Input and one Output are used. A SumPool2d's padding is taken
    as 0.
    """
    lif = Discretisation(
        order=CURRENT_FIRST,
        decay="exp",
        gain="unit",
        comparison=">=",
        spikes="many",
        spike_gradient="membrane",
        reset="subtract",
        assumed=NO_R,
    )
    iaf = replace(lif, order=("integrate", "fire", "reset", "clamp"), lowest="-v_threshold")
    return Dialect(
        "sinabs_import()",
        rules=(Rule("IF", iaf, "chain"), Rule("*", lif, "chain")),
        registers="zero",
        time_unit="step",
        refused=(_UNCOMMON - {"LI"}) | {"Linear", "CubaLIF", "AvgPool2d"},
        source="sinabs 2.0.3, sinabs/nir.py, with nirtorch 2.6",
    )


def rockpool_import(nested: bool = False) -> Dialect:
    """Rockpool's `from_nir(graph)`, for CubaLIF, Linear and Affine; the time step is its own guess, min tau_mem/(1+r).

    v_leak is taken for a bias that is added in every step; r (but for the guess), w_in and v_reset are ignored. An LI
    is refused, although Rockpool takes it: its time constant is cut to an integer, which is 0.

    A recurrent layer that is no subgraph is refused: its recurrence would be ignored. A subgraph of four nodes, with a
    CubaLIF and its recurrent weights, runs, without the bias of the weights, and however it is wired inside.

    Not checked: the order of layers, as in `sinabs_import`.

    Args:
        nested: the file's recurrent layers are such subgraphs.
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
        spike_gradient="linear",
        reset="subtract",
        assumed=NO_R_NO_W,
    )
    looped = (Rule("Affine", _NO_BIAS, "cycle"), Rule("*", rule, "cycle")) if nested else ()
    return Dialect(
        f"rockpool_import(nested={bool(nested)})",
        rules=(*looped, Rule("*", rule, "chain")),
        registers="zero",
        time_unit="tau/(1+r)",
        refused=_UNCOMMON | {"LIF", "IF", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten"},
        source="rockpool 3.1.0, rockpool/nn/modules/torch/nir.py, with nirtorch 2.6",
    )


def spyx_import() -> Dialect:
    """Spyx's `from_nir(graph, x, dt=dt)`: its own step; r, w_in, v_leak, v_reset and a recurrent bias are ignored.

    Flatten reads (H, W, C).

    Not checked: the ports have to be called "input" and "output", and of each node the first edge is followed; what
    does not lie on that chain is dropped. A recurrent LIF or CubaLIF is taken as a layer if its edge into the recurrent
    weights comes first, and a recurrent IF only as a subgraph (else the import never returns). A subgraph of a neuron
    and its weights runs however it is wired inside: rewire one whose input goes into the weights. An LI is taken only
    with a Threshold behind it, a Threshold only behind an LI. Conv2d's dilation is ignored; a SumPool2d's padding means
    "same".
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
    return Dialect(
        "spyx_import()",
        rules=(Rule("Affine", _NO_BIAS, "cycle"), Rule("CubaLIF", current), Rule("*", late)),
        flatten="channels_last",
        refused=(_UNCOMMON - {"LI", "Threshold"}) | {"Conv1d", "AvgPool2d"},
        source="spyx 1.0.0, spyx/nir.py",
    )


def spikingjelly_import() -> Dialect:
    """SpikingJelly's `import_from_nir(graph, dt=dt)`: its own step.

    Not checked: it fails where the parameters of a layer differ from neuron to neuron; where r of an IF is not 1/dt,
    of a LIF neither 1 nor tau/dt, of a CubaLIF not tau_mem/dt; where w_in is not tau_syn/dt; where v_leak of a LIF is
    not v_reset, of a CubaLIF not 0; where tau of a LIF is not above dt. Several Inputs fail, and branches that do not
    end in the one Output never return. A SumPool2d's padding is taken as 0.
    """
    return replace(
        spikingjelly(),
        name="spikingjelly_import()",
        refused=_UNCOMMON,
        source="spikingjelly 2.0.0, spikingjelly/activation_based/nir_exchange/from_nir.py, with nirtorch 2.6",
    )


ALL: tuple[Callable[..., Dialect], ...] = (
    *(norse_import, snntorch_import, sinabs_import, rockpool_import, spyx_import, spikingjelly_import),
)
