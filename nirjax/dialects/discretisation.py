"""One time step of one neuron, as data: the order of its phases, and the kind of each.

What a phase does is in `nirjax.primitives.phases`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nirjax.errors import ArgumentError

PHASES = ("decay", "inject", "integrate", "evolve", "fire", "reset", "settle", "clamp")


@dataclass(frozen=True)
class Discretisation:
    """One time step of one neuron: an order of phases and the kind of each.

    A neuron drops the phases that it lacks: LIF has no current to decay or inject into, LI does not fire or reset.

    Attributes:
        order: names of `PHASES`. The neuron's output is what its last `fire` gives (a spikeless neuron's: v).
        decay: how the membrane leaks in a step, a factor on v - v_leak: "euler" 1 - dt/tau, "exp" exp(-dt/tau).
        synapse_decay: the same for the current.
        gain: what multiplies r I in the membrane: "native" 1 - decay factor (IF, I: dt), "euler" dt/tau (IF, I: dt),
            "unit" 1.
        synapse_gain: what multiplies w_in S in the current: the same words.
        comparison: a neuron fires where v > v_threshold (">") or v >= v_threshold (">=").
        spikes: "one", or "many": trunc(v / v_threshold) at once.
        most_spikes: of "many", the most in one step; None for no bound.
        spike_gradient: the derivative of the spikes z, with the surrogate g: "crossing" g at the nearest multiple of
            v_threshold, towards v and v_threshold; "membrane" g at v_threshold, towards v alone; "linear" that of
            v / v_threshold from half a unit below v_threshold on, without a surrogate.
        refractory: time steps after a spike in which v stays as it is and nothing fires.
        reset: "v_reset" v := v_reset; "zero" v := 0; "subtract" v := v - spikes v_threshold; "none".
        start: where v starts: "zero", "v_leak" or "v_reset" (zero for neurons without that field).
        detached_start: the start passes no gradient to the field that it is taken from.
        lowest: `clamp` keeps v at or above this number, or above "-v_threshold"; None for no bound.
        leak_gain: what multiplies v_leak in a step: "native" 1 - decay factor, "unit" 1 (a bias).
        synapse_rest: where the current decays to and starts from: "zero" or "v_leak".
        detached: places in `order` of a fire whose spikes, or of a reset whose effect, pass no gradient.
        assumed: (field, value) pairs: fields of the file that are not used, and what stands in their place.
    """

    order: tuple[str, ...] = ("decay", "inject", "integrate", "fire", "reset")
    decay: str = "euler"
    synapse_decay: str = "euler"
    gain: str = "native"
    synapse_gain: str = "native"
    comparison: str = ">"
    spikes: str = "one"
    most_spikes: int | None = None
    spike_gradient: str = "crossing"
    refractory: int = 0
    reset: str = "v_reset"
    start: str = "zero"
    detached_start: bool = False
    lowest: float | str | None = None
    leak_gain: str = "native"
    synapse_rest: str = "zero"
    detached: tuple[int, ...] = ()
    assumed: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(self.order))
        for phase in self.order:
            check_choice("order", phase, PHASES)
        for name, allowed in _KINDS.items():
            check_choice(name, getattr(self, name), allowed)
        if isinstance(self.lowest, str):
            check_choice("lowest", self.lowest, ("-v_threshold",))
        check_count("refractory", self.refractory, 0)
        if self.most_spikes is not None:
            check_count("most_spikes", self.most_spikes, 1)

    @property
    def fires_first(self) -> bool:
        """Does the output come from the membrane as it was before this step's input?"""
        fires = [at for at, phase in enumerate(self.order) if phase == "fire"]
        moves = [at for at, phase in enumerate(self.order) if phase in ("integrate", "evolve")]
        return bool(fires) and bool(moves) and fires[-1] < moves[0]


_KINDS: dict[str, tuple[str, ...]] = {
    "decay": ("euler", "exp"),
    "synapse_decay": ("euler", "exp"),
    "gain": ("native", "euler", "unit"),
    "synapse_gain": ("native", "euler", "unit"),
    "comparison": (">", ">="),
    "spikes": ("one", "many"),
    "spike_gradient": ("crossing", "membrane", "linear"),
    "reset": ("v_reset", "zero", "subtract", "none"),
    "start": ("zero", "v_leak", "v_reset"),
    "leak_gain": ("native", "unit"),
    "synapse_rest": ("zero", "v_leak"),
}


def check_choice(field: str, found: object, allowed: tuple[str, ...]) -> None:
    """Raise ArgumentError, listing what is allowed, where `found` is not."""
    if found not in allowed:
        raise ArgumentError("no such choice", field=field, found=found, expected=f"one of {', '.join(allowed)}")


def check_count(field: str, found: object, least: int) -> None:
    """Raise ArgumentError where `found` is no whole number from `least` on."""
    if isinstance(found, bool) or not isinstance(found, int) or found < least:
        raise ArgumentError(f"this is a whole number from {least}", field=field, found=found)
