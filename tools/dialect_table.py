"""Writes the table of docs/dialects.md from the presets themselves: `python tools/dialect_table.py`."""

import dataclasses
from pathlib import Path

from nirjax.dialects import Discretisation, imports, presets

PAGE = Path(__file__).parent.parent / "docs" / "dialects.md"
MARK = "<!-- the tables below are written by tools/dialect_table.py -->\n"
FIELDS = [field.name for field in dataclasses.fields(Discretisation)][1:]


def row(name: str, rule: object, fields: list[str]) -> str:
    """One discretisation: a dot where it is as the default one."""
    default, found = Discretisation(), rule.discretisation
    place = {"any": "", "cycle": " on a cycle", "chain": " on no cycle"}[rule.place]
    node = "every node" if rule.node_type == "*" else rule.node_type
    values = [(getattr(found, field), getattr(default, field)) for field in fields]
    cells = ["·" if value == usual else _words(value) for value, usual in values]
    return f"| {name} | {node}{place} | {' '.join(found.order)} | {' | '.join(cells)} |"


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{item[0]}={item[1]:g}" if isinstance(item, tuple) else str(item) for item in value)
    return f"`{value}`"


def _is_kind(field: str) -> bool:
    return isinstance(getattr(Discretisation(), field), str)


def table(functions: tuple) -> list[str]:
    """A row for each rule of each preset with its default arguments; a column for each choice that one makes."""
    default = Discretisation()
    found = [rule.discretisation for function in functions for rule in function().rules]
    fields = [name for name in FIELDS if any(getattr(one, name) != getattr(default, name) for one in found)]
    titles = [f"{name} (`{getattr(default, name)}`)" if _is_kind(name) else name for name in fields]
    lines = [f"| preset | node | order of phases | {' | '.join(titles)} |", "|---" * (len(fields) + 3) + "|"]
    for function in functions:
        lines += [row(f"`{function.__name__}()`", rule, fields) for rule in function().rules]
    lines += ["", "| preset | registers start | unit of time constants | Flatten | refuses | read from |"]
    lines += ["|---|---|---|---|---|---|"]
    for function in functions:
        d = function()
        refused = ", ".join(sorted(d.refused)) or "nothing"
        lines.append(
            f"| `{function.__name__}()` | at {d.registers} | {d.time_unit} | {d.flatten} | {refused} | {d.source} |"
        )
    return lines


def text() -> str:
    """The page with its tables renewed."""
    head = PAGE.read_text().partition(MARK)[0]
    home = ["", "## Home presets", "", *table(presets.ALL)]
    away = ["", "## Import presets", "", *table(imports.ALL)]
    return head + MARK + "\n".join([*home, *away]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
