"""What one device gives, to be held against what several give."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation import scenarios
from evaluation.launching import RUNNING, launch


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> scenarios.Found:
    """The results of all scenarios on one device."""
    results = tmp_path_factory.mktemp("one") / "results.npz"
    (ended,) = launch([[RUNNING, "everything+uninterrupted", str(results)]])
    assert ended.code == 0, ended.errors
    with np.load(results) as found:
        return dict(found)
