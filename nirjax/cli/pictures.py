"""Pictures into files, without a display."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirjax.cli.data_files import check_place
from nirjax.errors import FileError
from nirjax.ir.atomic import replace_file
from nirjax.plot.canvas import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches that no window shows.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def check_picture(path: str | Path) -> None:
    """Can a picture of this name be written? Asked before the work is done.

    Raises:
        MissingExtraError: matplotlib is not installed.
        FileError: a format that is not known; a place that cannot be written to.
    """
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    ending = Path(path).suffix[1:].lower()
    if ending not in FigureCanvasBase.get_supported_filetypes():
        raise FileError(
            "not a kind of picture", file=path, found=ending or "no ending", expected="a name in .png, .svg or .pdf"
        )
    check_place(str(path))


def save(picture: Axes | Figure, path: str | Path, *, dpi: int = 140) -> None:
    """Write a picture; the name's ending says the format.

    Raises:
        FileError: as `check_picture`, or the disk is full.
    """
    check_picture(path)
    whole: Any = (
        picture.get_figure(root=True) if hasattr(picture, "get_figure") and hasattr(picture, "plot") else picture
    )
    drawn = io.BytesIO()
    whole.savefig(drawn, dpi=dpi, format=Path(path).suffix[1:].lower())
    replace_file(path, drawn.getvalue())
