"""Draws the pictures of docs/how-a-graph-runs.md from the plan of the graph that they are about.

python tools/draw_schedule.py
"""

from html import escape
from importlib.resources import files
from pathlib import Path

import nirjax
from nirjax.engine.lowering import Plan, Stage

IMAGES = Path(__file__).parent.parent / "docs" / "images"

PORT, WEIGHTS, NEURON, REGISTER, PAPER = "#D9D9D9", "#BFE3D6", "#B3D4EA", "#F8DFA8", "#FFFFFF"
INK, GREY, VERMILION = "#222222", "#6B6B6B", "#D55E00"
COLOURS = {"Input": PORT, "Output": PORT, "Affine": WEIGHTS, "LIF": NEURON, "CubaLIF": NEURON}


# ------------------------------------------------------------------------------------------------------------ pieces


def box(x: float, y: float, width: float, height: float, colour: str, edge: str = GREY, weight: float = 1.0) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4" fill="{colour}" '
        f'stroke="{edge}" stroke-width="{weight:g}"/>'
    )


def text(
    x: float, y: float, words: str, size: float = 13, anchor: str = "start", colour: str = INK, bold: bool = False
) -> str:
    """Words whose middle line is at y."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y + 0.35 * size:g}" font-size="{size:g}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(words)}</text>"
    )


def arrow(points: list[tuple[float, float]], colour: str = GREY, dashed: bool = False, weight: float = 1.4) -> str:
    """A line through points, with a head at its end."""
    path = " ".join(f"{'L' if at else 'M'}{x:g} {y:g}" for at, (x, y) in enumerate(points))
    dash = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{weight:g}"{dash} '
        f'marker-end="url(#{"hot" if colour == VERMILION else "head"})"/>'
    )


def picture(width: int, height: int, title: str, pieces: list[str]) -> str:
    """A whole SVG file."""

    def head(name: str, colour: str) -> str:
        return (
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        )

    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="Helvetica, Arial, sans-serif" role="img"><title>{escape(title)}</title>',
            f"<defs>{head('head', GREY)}{head('hot', VERMILION)}</defs>",
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
            *pieces,
            "</svg>\n",
        ]
    )


# ---------------------------------------------------------------------------------------------------------- pictures


def schedule(model: nirjax.Model, steps: int = 3, blocks: int = 3) -> str:
    """Stages from top to bottom, blocks of time steps from left to right."""
    plan = model.program.plan
    left, top, cell, gap = 176, 74, 40, 28
    across = steps * cell + gap
    right = left + blocks * across - gap
    pieces, y = [], top
    for block in range(blocks):
        x = left + block * across
        pieces.append(text(x + steps * cell / 2, 26, f"block {block + 1}", 14, "middle", bold=True))
        pieces += [
            text(x + (step + 0.5) * cell, 52, f"t={block * steps + step}", 10.5, "middle", GREY)
            for step in range(steps)
        ]
    middles = []
    for number, stage in enumerate(plan.stages, 1):
        height = 30 * len(stage.members)
        middles.append(y + height / 2)
        pieces.append(text(20, y + height / 2, f"{number}", 14, "middle", GREY, bold=True))
        for line, name in enumerate(stage.members):
            kind = type(plan.sites[name].node).__name__
            pieces.append(text(38, y + 15 + 30 * line, name, 13, bold=True))
            pieces.append(text(98, y + 15 + 30 * line, kind, 12, colour=GREY))
        loops = stage.cyclic or plan.primitives[stage.members[0]].stateful
        for block in range(blocks):
            x = left + block * across
            pieces += _cells(plan, stage, x, y, cell, steps) if loops else _one(plan, stage, x, y, cell * steps)
        if loops:
            for at in range(blocks * steps - 1):
                block, step = divmod(at, steps)
                x = left + block * across + (step + 1) * cell - 5
                end = x + 10 if step + 1 < steps else x + gap + 10
                pieces.append(arrow([(x, y + height / 2), (end, y + height / 2)], VERMILION if stage.cyclic else INK))
        pieces.append(text(right + 16, y + height / 2, _words(plan, stage), 12, colour=INK))
        y += height + 22
    for block in range(blocks - 1):
        x = left + (block + 1) * across - gap / 2
        pieces.append(f'<path d="M{x:g} 40 V{y - 14:g}" stroke="#BBBBBB" stroke-dasharray="2 4"/>')
    for block in range(blocks):
        x = left + block * across - 9
        pieces.append(arrow([(x, middles[0]), (x, middles[-1])], GREY, weight=1.0))
    words = "A block goes down through all stages, then the next one. What crosses a dotted line is state."
    pieces.append(text(20, y + 4, words, 12.5, colour=GREY))
    return picture(right + 206, int(y + 26), "Stages and blocks", pieces)


def _one(plan: Plan, stage: Stage, x: float, y: float, width: float) -> list[str]:
    """A stateless stage: one box for the whole block."""
    colour = COLOURS[type(plan.sites[stage.members[0]].node).__name__]
    return [box(x + 3, y + 2, width - 6, 26, colour)]


def _cells(plan: Plan, stage: Stage, x: float, y: float, cell: float, steps: int) -> list[str]:
    """A stage that loops: a box for each step, around all its members."""
    pieces = []
    for step in range(steps):
        for line, name in enumerate(stage.members):
            colour = COLOURS[type(plan.sites[name].node).__name__]
            pieces.append(box(x + step * cell + 6, y + 3 + 30 * line, cell - 12, 24, colour))
        if stage.cyclic:
            height = 30 * len(stage.members)
            pieces.append(box(x + step * cell + 3, y, cell - 6, height, "none", VERMILION, 1.6))
    return pieces


def _words(plan: Plan, stage: Stage) -> str:
    name = stage.members[0]
    if stage.cyclic:
        return "a cycle: one loop over all of it"
    if plan.primitives[name].stateful:
        return "a loop over its own update"
    ports = type(plan.sites[name].node).__name__ in ("Input", "Output")
    return "as it is" if ports else "one product for the whole block"


def cycle(model: nirjax.Model) -> str:
    """The graph's one cycle, unrolled over its first steps."""
    ((weights, neuron),) = model.feedback
    pieces = [text(24, 24, "the graph", 14, bold=True)]
    pieces += [box(40, 70, 92, 40, NEURON), text(86, 90, neuron, 13, "middle", bold=True)]
    pieces += [box(40, 190, 92, 40, WEIGHTS), text(86, 210, weights, 13, "middle", bold=True)]
    pieces += [arrow([(86, 40), (86, 68)]), text(94, 50, "from 0", 11.5, colour=GREY)]
    pieces += [arrow([(116, 112), (116, 188)]), arrow([(132, 90), (166, 90)]), text(141, 76, "to 2", 11.5, colour=GREY)]
    pieces.append(arrow([(56, 190), (56, 112)], VERMILION, dashed=True))
    pieces += [text(48, 152, "−1 step", 11.5, "end", VERMILION)]
    pieces.append('<path d="M196 20 V276" stroke="#DDDDDD"/>')
    left, across, steps = 344, 190, 2
    pieces.append(text(222, 24, "the same over time", 14, bold=True))
    pieces += [box(222, 130, 66, 40, REGISTER, VERMILION), text(255, 150, "register", 12, "middle")]
    for line, words in enumerate(("starts at rest:", "what the edge", "carries when", "nothing spikes")):
        pieces.append(text(222, 184 + 15 * line, words, 11, colour=GREY))
    pieces.append(arrow([(276, 130), (left - 2, 104)], VERMILION))
    for at in range(steps):
        x = left + at * across
        end = x + across
        pieces.append(text(x + 46, 24, f"t = {at}", 12.5, "middle", GREY))
        pieces += [box(x, 70, 92, 40, NEURON), text(x + 46, 90, neuron, 13, "middle", bold=True)]
        pieces += [box(x, 190, 92, 40, WEIGHTS), text(x + 46, 210, weights, 13, "middle", bold=True)]
        pieces += [arrow([(x + 46, 38), (x + 46, 68)]), arrow([(x + 46, 112), (x + 46, 188)])]
        pieces.append(text(x + 52, 52, "from 0, there already", 10.5, colour=GREY))
        pieces += [arrow([(x + 92, 84), (end - 2, 84)], INK), text(x + 141, 74, "v", 12, "middle")]
        pieces += [box(x + 108, 130, 66, 40, REGISTER, VERMILION), text(x + 141, 150, "register", 12, "middle")]
        pieces.append(arrow([(x + 92, 202), (x + 132, 172)], VERMILION))
        pieces.append(arrow([(x + 160, 130), (end - 2, 104)], VERMILION))
    pieces.append(text(left + steps * across + 6, 94, "...", 16))
    words = "In a step, the neuron reads what the register holds, then the weights fill it for the next step."
    pieces.append(text(222, 264, words, 12, colour=GREY))
    return picture(left + steps * across + 36, 284, "A cycle and its register", pieces)


def blocks(stages: int = 3, steps: int = 8) -> str:
    """The order in which stages and steps are computed, for three lengths of block."""
    pieces, cell, height, across = [], 22, 32, 244
    cases = (
        (1, "block = 1", "step by step: small products,", "a state kept for every step"),
        (4, "block = 4", "states kept at the start of", "blocks, the rest computed again"),
        (steps, "block = T", "layer by layer: large products,", "everything kept"),
    )
    for place, (block, title, *words) in enumerate(cases):
        left, top, number = 70 + place * across, 66, 0
        pieces.append(text(left, 24, title, 14, bold=True))
        for start in range(0, steps, block):
            for stage in range(stages):
                number += 1
                x, y = left + start * cell, top + stage * (height + 6)
                pieces.append(box(x + 1.5, y, block * cell - 3, height, WEIGHTS if stage % 2 == 0 else NEURON))
                pieces.append(text(x + block * cell / 2, y + height / 2, f"{number}", 11, "middle"))
        if place == 0:
            pieces += [
                text(left - 8, top + stage * (height + 6) + height / 2, f"stage {stage + 1}", 11, "end", GREY)
                for stage in range(stages)
            ]
        pieces.append(arrow([(left, 54), (left + steps * cell, 54)], GREY, weight=1.0))
        pieces.append(text(left + steps * cell + 5, 54, "time", 11, colour=GREY))
        for line, word in enumerate(words):
            pieces.append(text(left, top + stages * (height + 6) + 14 + 17 * line, word, 12, colour=GREY))
    return picture(70 + len(cases) * across - 24, 226, "Three lengths of block", pieces)


def pictures() -> dict[Path, str]:
    """Every file and what is in it."""
    model = nirjax.from_nir(files("nirjax") / "assets" / "digits.nir", dt=1e-4)
    return {
        IMAGES / "schedule.svg": schedule(model),
        IMAGES / "cycle.svg": cycle(model),
        IMAGES / "blocks.svg": blocks(),
    }


if __name__ == "__main__":
    for path, content in pictures().items():
        path.write_text(content)
