"""Pictures into files, without a display."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def save(picture: Axes | Figure, path: str | Path, *, dpi: int = 140) -> None:
    """Write a picture; the name's ending says the format.

    Raises:
        FileError: the folder is missing, or the format is not known.
    """
    whole: Any = (
        picture.get_figure(root=True) if hasattr(picture, "get_figure") and hasattr(picture, "plot") else picture
    )
    drawn = io.BytesIO()
    try:
        whole.savefig(drawn, dpi=dpi, format=Path(path).suffix[1:] or None)
    except (OSError, ValueError) as error:
        raise FileError("the picture cannot be written", file=path, found=str(error)) from None
    replace_file(path, drawn.getvalue())
