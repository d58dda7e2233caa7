"""Every Python block of the documentation runs, those of a page in order and in one namespace."""

import importlib.util
import re
from pathlib import Path

import pytest

PAGES = ("dialects.md", "fine-tuning.md", "index.md", "own-node-type.md", "scale.md")
DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "docs"}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)


def test_table_of_dialects_is_that_of_the_presets():
    tool = importlib.util.spec_from_file_location("dialect_table", DOCS.parent / "tools" / "dialect_table.py")
    module = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(module)
    assert module.PAGE.read_text() == module.text(), "run python tools/dialect_table.py"
