"""Writes the tables of docs/primitives.md from node classes and dialects: `python tools/primitive_tables.py`.

A table stands between `<!-- fields of LIF -->`, `<!-- steps of LIF -->` or `<!-- importers -->` and `<!-- end -->`. The
steps are lines of Python, which tests/test_docs.py runs against the engine.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from nirjax.dialects import Dialect, Discretisation, imports, presets
from nirjax.errors import UnsupportedByTarget
from nirjax.ir.fields import REQUIRED, FullLike, Spec, spec_of
from nirjax.ir.nodes import NODE_TYPES, NIRNode
from nirjax.primitives.registry import REGISTRY

PAGE = Path(__file__).parent.parent / "docs" / "primitives.md"
BLOCK = re.compile(r"(<!-- (?P<table>fields|steps|importers)(?: of (?P<node>\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)

HOME = (
    presets.nir(),
    presets.exact(),
    presets.snntorch(),
    presets.snntorch(reset_delay=False),
    presets.snntorch("zero"),
    presets.snntorch("zero", reset_delay=False),
    presets.norse(),
    presets.sinabs(),
    presets.sinabs(norm_input=False),
    presets.sinabs("SingleSpike", "MembraneReset"),
    presets.rockpool(),
    presets.spyx(),
    presets.spikingjelly(),
    presets.lava(),
    presets.nengo(),
    presets.spinnaker2(),
)
"""The home presets that are shown, those of snnTorch and Sinabs with several arguments."""

SHORT = {
    HOME[2].name: "snntorch()",
    HOME[3].name: "snntorch(reset_delay=False)",
    HOME[4].name: "snntorch('zero')",
    HOME[5].name: "snntorch('zero', reset_delay=False)",
    HOME[6].name: "norse()",
    HOME[7].name: "sinabs()",
    HOME[8].name: "sinabs(norm_input=False)",
    HOME[9].name: "sinabs('SingleSpike', 'MembraneReset')",
    HOME[11].name: "spyx()",
    HOME[13].name: "lava()",
}
"""Names without what a preset does by default."""

MEANING = {
    "weight": "weights",
    "bias": "added to every output",
    "scale": "factor",
    "delay": "in the unit of dt",
    "threshold": "where the output becomes 1",
    "tau": "time constant of the membrane, in the unit of dt",
    "tau_mem": "time constant of the membrane, in the unit of dt",
    "tau_syn": "time constant of the current, in the unit of dt",
    "r": "resistance: what the input is multiplied by",
    "w_in": "what the input of the current is multiplied by",
    "v_leak": "where the membrane leaks to",
    "v_threshold": "where the neuron fires",
    "v_reset": "where a spike leaves the membrane",
    "input_type": "shape of one time step of one sample",
    "output_type": "shape of one time step of one sample",
    "input_shape": "spatial shape; empty where it follows from the graph",
    "stride": "one number, or one an axis",
    "padding": 'zeros on each side: one number, or one an axis; "same" or "valid"',
    "dilation": "one number, or one an axis",
    "groups": "groups of channels that do not mix",
    "kernel_size": "one number, or (height, width)",
    "start_dim": "first axis that is joined, without batch axes; negative from the end",
    "end_dim": "last axis that is joined; negative from the end",
}

SHAPES = {
    ("Affine", "weight"): "`(*axes, out, in)`",
    ("Affine", "bias"): "`(*axes, out)`",
    ("Linear", "weight"): "`(*axes, out, in)`",
    ("Conv1d", "weight"): "`(C_out, C_in / groups, K)`",
    ("Conv1d", "bias"): "`(C_out,)`",
    ("Conv2d", "weight"): "`(C_out, C_in / groups, K_y, K_x)`",
    ("Conv2d", "bias"): "`(C_out,)`",
}


# ------------------------------------------------------------------------------------------------------------ fields


def fields(node: type[NIRNode]) -> list[str]:
    """A row for each field of a node type."""
    lines = ["| field | what it is | shape | values | left out |", "|---|---|---|---|---|"]
    for name in node.field_names():
        spec = spec_of(node, name)
        stored = spec.stored or name
        meaning = MEANING[name]
        if name == "padding" and spec.kind == "index":
            meaning = "zeros on each side: one number, or (height, width)"
        lines.append(f"| `{stored}` | {meaning} | {_shape(node, name)} | {_values(spec)} | {_left_out(spec)} |")
    return lines


def _shape(node: type[NIRNode], name: str) -> str:
    if (node.__name__, name) in SHAPES:
        return SHAPES[node.__name__, name]
    if node.elementwise:
        return "the signal's, or a scalar"
    return ""


def _values(spec: Spec) -> str:
    kinds = {"real": "real", "index": "integers", "padding": "integers or a word", "shape": "integers"}
    bound = " > 0" if spec.positive else "" if spec.negative or spec.kind in ("shape", "padding") else " >= 0"
    return kinds[spec.kind] + bound


def _left_out(spec: Spec) -> str:
    if isinstance(spec.default, FullLike):
        return f"{spec.default.value:g}"
    if spec.optional:
        return "allowed"
    return "an error" if spec.default is REQUIRED else f"{spec.default}"


# ------------------------------------------------------------------------------------------------------------- steps


def steps(node: type[NIRNode]) -> list[str]:
    """A row for each way in which the dialects step a neuron; equal ones share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for dialect in (*HOME, *(preset() for preset in imports.ALL)):
        for where, rule in discretisations(dialect, node):
            key = (*start(rule, node), *lines_of(rule, node))
            rows.setdefault(key, []).append(f"`{SHORT.get(dialect.name, _bare(dialect.name))}`{where}")
    table = ["| dialect | one time step |", "|---|---|"]
    table += [
        f"| {', '.join(names)} | {'<br>'.join(line if line.startswith('starts') else f'`{line}`' for line in key)} |"
        for key, names in rows.items()
    ]
    return table


def _bare(name: str) -> str:
    return f"{name.partition('(')[0]}()" if "_import" in name else name


def discretisations(dialect: Dialect, node: type[NIRNode]) -> Iterator[tuple[str, Discretisation]]:
    """(where it holds, discretisation) of a node type; none where the dialect refuses it."""
    found = {}
    for place, on_cycle in (("on no cycle", False), ("on a cycle", True)):
        try:
            found[place] = dialect.of("", node.__name__, on_cycle)
        except UnsupportedByTarget:
            continue
    if len(found) == 2 and len(set(found.values())) == 1:
        yield "", next(iter(found.values()))
        return
    for place, rule in found.items():
        yield f" {place}", rule


def start(rule: Discretisation, node: type[NIRNode]) -> tuple[str, ...]:
    """Where the state starts, said only where it is not at zero."""
    names = node.parameter_names()
    places = [f"`v = {rule.start}`"] if rule.start in names else []
    if "tau_syn" in names and rule.synapse_rest == "v_leak":
        places.append("`i = v_leak`")
    return (f"starts at {', '.join(places)}",) if places else ()


def lines_of(rule: Discretisation, node: type[NIRNode]) -> list[str]:
    """One time step as lines of Python, on numbers: v, i, x, dt and the node's fields in; v, i and the spikes z out."""
    names, lines = set(node.parameter_names()), []
    fires = [at for at, phase in enumerate(rule.order) if phase == "fire"]
    phases = [(at, phase) for at, phase in enumerate(rule.order) if _has(phase, names)]
    skip = False
    for (at, phase), (_, following) in zip(phases, [*phases[1:], (-1, "")], strict=True):
        if skip:
            skip = False
            continue
        if phase == "decay" and following == "inject" and rule.synapse_decay == "euler" and rule.synapse_gain != "unit":
            lines.append(f"i = i + dt/tau_syn * ({_rest(rule, ' + ')}{_drive('w_in', 'x', rule)} - i)")
            skip = True
        elif phase == "fire":
            spikes = "z" if at == fires[-1] else "z_before"
            lines.append(f"{spikes} = {_spikes(rule)}{'  # no gradient' if at in rule.detached else ''}")
        elif phase == "reset":
            spikes = "z_before" if at < fires[-1] else "z"
            lines.append(_reset(rule, spikes) + ("  # no gradient through z" if at in rule.detached else ""))
        else:
            lines += _PHASES[phase](rule, names)
    return [line for line in lines if line]


def _has(phase: str, names: set[str]) -> bool:
    if phase in ("decay", "inject"):
        return "tau_syn" in names
    return phase not in ("fire", "reset", "settle", "clamp") or "v_threshold" in names


def _assumed(rule: Discretisation, name: str) -> float | None:
    return dict(rule.assumed).get(name)


def _drive(factor: str, signal: str, rule: Discretisation) -> str:
    return signal if _assumed(rule, factor) == 1 else f"{factor} * {signal}"


def _rest(rule: Discretisation, behind: str = "") -> str:
    return f"v_leak{behind}" if rule.synapse_rest == "v_leak" else ""


def _decay(rule: Discretisation, names: set[str]) -> list[str]:
    rest, keep = _rest(rule), "exp(-dt/tau_syn)"
    if rule.synapse_decay == "euler":
        return [f"i = i + dt/tau_syn * ({rest} - i)" if rest else "i = i - dt/tau_syn * i"]
    return [f"i = {rest} + {keep} * (i - {rest})" if rest else f"i = {keep} * i"]


def _inject(rule: Discretisation, names: set[str]) -> list[str]:
    factor = {
        "unit": "",
        "euler": "dt/tau_syn * ",
        "native": "dt/tau_syn * " if rule.synapse_decay == "euler" else "(1 - exp(-dt/tau_syn)) * ",
    }
    return [f"i = i + {factor[rule.synapse_gain]}{_drive('w_in', 'x', rule)}"]


def _integrate(rule: Discretisation, names: set[str]) -> list[str]:
    driven = _drive("r", "i" if "tau_syn" in names else "x", rule)
    tau = "tau_mem" if "tau_mem" in names else "tau"
    if tau not in names:
        return [f"v = v + {driven}" if rule.gain == "unit" else f"v = v + dt * {driven}"]
    leak = "" if _assumed(rule, "v_leak") == 0 else "v_leak"
    ratio, keep = f"dt/{tau}", f"exp(-dt/{tau})"
    if rule.leak_gain == "unit":
        decayed = f"v - {ratio} * v" if rule.decay == "euler" else f"{keep} * v"
        return [f"v = {decayed} + {leak} + {_gain(rule, ratio, keep)}{driven}"]
    if rule.decay == "euler" and rule.gain != "unit":
        return [f"v = v + {ratio} * ({leak or '0'} - v + {driven})"]
    if rule.decay == "euler":
        return [f"v = v + {ratio} * ({leak} - v) + {driven}" if leak else f"v = v - {ratio} * v + {driven}"]
    if rule.gain == "native":
        return [f"v = {keep} * v + (1 - {keep}) * ({leak or '0'} + {driven})"]
    return [f"v = {leak} + {keep} * (v - {leak}) + {_gain(rule, ratio, keep)}{driven}"]


def _gain(rule: Discretisation, ratio: str, keep: str) -> str:
    if rule.gain == "unit":
        return ""
    return f"{ratio} * " if "euler" in (rule.gain, rule.decay) else f"(1 - {keep}) * "


def _evolve(rule: Discretisation, names: set[str]) -> list[str]:
    if "tau_syn" not in names:
        return _integrate(rule, names)
    return [
        "s = w_in * x",
        "c = tau_syn/(tau_syn - tau_mem) * (exp(-dt/tau_syn) - exp(-dt/tau_mem))",
        "v = v_leak + r * s + exp(-dt/tau_mem) * (v - v_leak - r * s) + c * r * (i - s)",
        "i = s + exp(-dt/tau_syn) * (i - s)",
    ]


def _spikes(rule: Discretisation) -> str:
    if rule.spikes == "one":
        return f"v {rule.comparison} v_threshold"
    count = "trunc(v / v_threshold)" if rule.comparison == ">=" else "ceil(v / v_threshold) - 1"
    count = f"max({count}, 0)"
    return count if rule.most_spikes is None else f"min({count}, {rule.most_spikes})"


def _reset(rule: Discretisation, spikes: str) -> str:
    kinds = {
        "v_reset": f"v = v_reset if {spikes} else v",
        "zero": f"v = 0 if {spikes} else v",
        "subtract": f"v = v - {spikes} * v_threshold",
        "none": "",
    }
    return kinds[rule.reset]


def _settle(rule: Discretisation, names: set[str]) -> list[str]:
    return ["v = v - (z - z_before) * v_threshold"]


def _clamp(rule: Discretisation, names: set[str]) -> list[str]:
    return [] if rule.lowest is None else [f"v = max(v, {rule.lowest})"]


_PHASES = {
    "decay": _decay,
    "inject": _inject,
    "integrate": _integrate,
    "evolve": _evolve,
    "settle": _settle,
    "clamp": _clamp,
}


# --------------------------------------------------------------------------------------------------------- importers


def importers() -> list[str]:
    """Which framework can import which node type, by its import preset."""
    dialects = [preset() for preset in imports.ALL]
    table = ["| node type | " + " | ".join(d.name.partition("_import")[0] for d in dialects) + " |"]
    table.append("|---|" + "---|" * len(dialects))
    for node in NODE_TYPES.values():
        if node.__name__ in ("Input", "Output"):
            continue
        table.append(f"| {node.__name__} | " + " | ".join(_taken(dialect, node) for dialect in dialects) + " |")
    return table


def _taken(dialect: Dialect, node: type[NIRNode]) -> str:
    if node.__name__ in dialect.refused:
        return "no"
    if REGISTRY[node].stateful and all(where == " on no cycle" for where, _ in discretisations(dialect, node)):
        return "on no cycle"
    return "yes"


# -------------------------------------------------------------------------------------------------------------- page


def text() -> str:
    """The page with its tables renewed."""

    def renewed(block: re.Match) -> str:
        node = NODE_TYPES[block["node"]] if block["node"] else None
        lines = {"fields": fields, "steps": steps}[block["table"]](node) if node else importers()
        return block[1] + "\n" + "\n".join(lines) + "\n\n" + block[4]

    return BLOCK.sub(renewed, PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(text())
