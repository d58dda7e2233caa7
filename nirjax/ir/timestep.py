"""What a graph's parameters hint at about the time step that its exporter ran with.

NIR carries no time step, and nirjax never guesses one: these are hints for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nirjax.errors import ArgumentError
from nirjax.ir.inline import inline
from nirjax.ir.nodes import IF, LIF, CubaLI, CubaLIF, NIRNode

_SAME = 1e-3


@dataclass(frozen=True)
class Hint:
    """One hint.

    Attributes:
        dt: the time step that it speaks for, in the file's unit; None where it only warns.
        nodes: the nodes that it was read off.
        why: the reason, in words.
    """

    dt: float | None
    nodes: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        shown = ", ".join(repr(name) for name in self.nodes[:3]) + (", ..." if len(self.nodes) > 3 else "")
        return f"{f'dt = {self.dt:.6g}' if self.dt else 'dt unknown'} by {shown}: {self.why}"


def suggest_dt(graph: Any) -> list[Hint]:
    """Hints at the time step, the strongest first; empty where the parameters tell nothing.

    Read off: exporters that make the input's gain one (snnTorch, SpikingJelly write r = tau/dt and w_in = tau_syn/dt);
    Rockpool's r = tau exp(-dt/tau)/dt; SpikingJelly's IF with r = 1/dt; IF with r = 1, which counts inputs per step
    (Sinabs, Norse, Spyx); time constants above 0.5 (steps or milliseconds) or below 2e-4 (Norse writes tau * dt).

    Args:
        graph: a path, a `nirjax.NIRGraph`, or a `nir.NIRGraph`.
    """
    from nirjax.ir.reference import as_graph

    nodes = inline(as_graph(graph)).nodes
    hints = [*_gain_of_one(nodes), *_rockpool(nodes), *_counting(nodes), *_unit(nodes)]
    return sorted(hints, key=lambda hint: (hint.dt is None, -len(hint.nodes)))


def _grouped(found: dict[str, float], why: str) -> list[Hint]:
    """One hint for each time step that nodes agree on."""
    groups: list[tuple[float, list[str]]] = []
    for name, dt in found.items():
        group = next((names for value, names in groups if abs(value - dt) <= _SAME * value), None)
        if group is None:
            groups.append((dt, [name]))
        else:
            group.append(name)
    return [Hint(float(f"{dt:.4g}"), tuple(names), why) for dt, names in groups]


def _ratio(above: np.ndarray, below: np.ndarray) -> float | None:
    """above / below where it is one positive number for all elements and not trivially above itself."""
    if np.any(below <= 0):
        return None
    values = np.asarray(above, np.float64) / np.asarray(below, np.float64)
    value = float(values.flat[0])
    return value if value > 0 and np.allclose(values, value, rtol=_SAME, atol=0) else None


def _gain_of_one(nodes: dict[str, NIRNode]) -> list[Hint]:
    found: dict[str, float] = {}
    for name, node in nodes.items():
        if isinstance(node, CubaLIF | CubaLI):
            by_synapse, by_membrane = _ratio(node.tau_syn, node.w_in), _ratio(node.tau_mem, node.r)
            if by_synapse and not np.all(node.w_in == 1):
                found[name] = by_synapse
            elif by_membrane and not np.all(node.r == 1) and not _rockpool_dt(node.tau_mem, node.r):
                found[name] = by_membrane
        elif isinstance(node, LIF) and not np.all(node.r == 1):
            dt = _ratio(node.tau, node.r)
            if dt and ((node.tau.size > 1 and np.ptp(node.tau) > 0) or not _rockpool_dt(node.tau, node.r)):
                found[name] = dt
    return _grouped(found, "with it the input enters with gain one (r = tau/dt, w_in = tau_syn/dt)")


def _rockpool_dt(tau: np.ndarray, r: np.ndarray) -> float | None:
    """The dt of r = tau exp(-dt/tau)/dt, if it is a round number and one for all neurons."""
    tau, r = np.asarray(tau, np.float64), np.asarray(r, np.float64)
    if np.any(r <= 0):
        return None
    x = np.full(np.broadcast(tau, r).shape, 1.0) / (1 + r)
    for _ in range(50):
        x = x - (np.exp(-x) - r * x) / (-np.exp(-x) - r)
    values = np.ravel(x * tau)
    value = float(values[0])
    digits = value / 10 ** np.floor(np.log10(value))
    round_number = abs(digits - round(digits)) < _SAME
    return value if round_number and np.allclose(values, value, rtol=_SAME) else None


def _rockpool(nodes: dict[str, NIRNode]) -> list[Hint]:
    found = {}
    for name, node in nodes.items():
        if isinstance(node, LIF | CubaLIF) and not np.all(node.r == 1):
            dt = _rockpool_dt(node.tau if isinstance(node, LIF) else node.tau_mem, node.r)
            if dt:
                found[name] = dt
    return _grouped(found, "Rockpool writes r = tau exp(-dt/tau)/dt")


def _counting(nodes: dict[str, NIRNode]) -> list[Hint]:
    neurons = {name: node for name, node in nodes.items() if isinstance(node, IF)}
    ones = tuple(name for name, node in neurons.items() if np.all(node.r == 1))
    hints = [Hint(1.0, ones, "an IF with r = 1 adds its input once a step (Sinabs, Norse, Spyx)")] if ones else []
    rates = {name: 1 / float(np.ravel(node.r)[0]) for name, node in neurons.items() if _constant_above_one(node.r)}
    return hints + _grouped(rates, "SpikingJelly writes r = 1/dt for an IF")


def _constant_above_one(r: np.ndarray) -> bool:
    return bool(np.all(r == np.ravel(r)[0]) and np.ravel(r)[0] > 1)


def _unit(nodes: dict[str, NIRNode]) -> list[Hint]:
    fields = ("tau", "tau_mem", "tau_syn")
    constants = {
        name: np.concatenate([np.ravel(getattr(node, field)) for field in fields if hasattr(node, field)])
        for name, node in nodes.items()
        if any(hasattr(node, field) for field in fields)
    }
    if constants and all(values.min() > 0.5 for values in constants.values()):
        return [
            Hint(
                1.0,
                tuple(constants),
                "all time constants are above 0.5: they may be in steps (Sinabs, dt = 1) or in milliseconds",
            )
        ]
    if constants and all(values.max() < 2e-4 for values in constants.values()):
        return [
            Hint(
                None,
                tuple(constants),
                "the time constants are very short: Norse writes tau * dt, which the dialect 'norse' knows",
            )
        ]
    return []


def checked_dt(dt: float | None, graph: Any) -> float:
    """The time step as a number.

    Raises:
        ArgumentError: it is missing, or no positive number.
    """
    if dt is None:
        hints = "; ".join(str(hint) for hint in suggest_dt(graph))
        raise ArgumentError(
            "the time step is missing, and a NIR file does not carry one",
            field="dt",
            hint=f"What the parameters hint at: {hints}." if hints else "Give the step that the exporter ran with.",
        )
    if isinstance(dt, bool) or not isinstance(dt, int | float | np.floating | np.integer) or not 0 < dt < float("inf"):
        raise ArgumentError("the time step is a positive number", field="dt", found=dt)
    return float(dt)
