"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit arithmetic for one test."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def paper() -> Path:
    """The NIR paper's own files, which are read in place and never committed."""
    folder = Path(__file__).parents[2] / "shared" / "paper"
    if not folder.is_dir():
        pytest.skip(f"the NIR paper's files are not at {folder}")
    return folder
