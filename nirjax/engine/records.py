"""Names of parameters and of traces."""

from __future__ import annotations

from nirjax.engine.lowering import Plan


def trace_names(plan: Plan) -> dict[str, tuple[str, str]]:
    """Every trace that can be recorded: its name `<node>.<variable>` to (node, variable)."""
    names = {}
    for name, primitive in plan.primitives.items():
        spikes = ("spikes",) if primitive.spiking else ()
        for variable in (*primitive.variables, *spikes, "output"):
            names[f"{name}.{variable}"] = (name, variable)
    return names


def parameter_names(plan: Plan) -> dict[str, tuple[str, str]]:
    """Every parameter: its name `<node>.<field>` to (node, field)."""
    sites = plan.sites.items()
    return {f"{name}.{one}": (name, one) for name, site in sites for one in type(site.node).parameter_names()}
