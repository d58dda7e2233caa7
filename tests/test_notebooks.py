"""Every notebook runs from top to bottom."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "notebook"}
    cells = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    with mpl.rc_context({"figure.max_open_warning": 0}):
        for cell in cells:
            exec(compile("".join(cell).replace("plt.show()", "plt.close('all')"), path.name, "exec"), namespace)
