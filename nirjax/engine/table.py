"""`print(model)`: a table of nodes, parameters, variables and delays."""

from __future__ import annotations

from nirjax.engine.program import Program
from nirjax.engine.states import Params


def table(program: Program, params: Params) -> str:
    """A model as text, a row a node in the order of execution."""
    plan = program.plan
    rows = [("node", "type", "input", "output", "parameters", "variables")]
    for stage in plan.stages:
        for name in stage.members:
            site, primitive = plan.sites[name], plan.primitives[name]
            fields = [
                f"{field} {tuple(value.shape)}" if hasattr(value, "shape") else f"{field} -"
                for field, value in params.get(name, {}).items()
            ]
            variables = (*primitive.variables, *(("spikes",) if primitive.spiking else ()))
            loop = " (loop)" if stage.cyclic else ""
            rows.append(
                (
                    f"{name}{loop}",
                    type(site.node).__name__,
                    str(site.input_shape),
                    str(site.output_shape),
                    ", ".join(fields),
                    ", ".join(variables),
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    feedback = ", ".join(f"{a} -> {b}" for a, b in plan.registers) or "none"
    products = f", product_dtype={program.product_dtype}" if program.product_dtype else ""
    head = f"nirjax.Model(dt={program.dt:g}, dialect={program.dialect.name}, dtype={program.dtype}{products})"
    return "\n".join([head, *lines, f"delayed by one step: {feedback}"])
