"""Events as a sensor gives them, and frames of them counted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

# as tonic has them: microseconds, and a sensor_size of (W, H, P)
TONIC = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
SENSOR = (7, 5, 2)
SHAPE = SENSOR[::-1]


def recording(seed: int = 0, count: int = 200, last: int = 20_000) -> np.ndarray:
    """Events of `last` microseconds, in order of time."""
    random = np.random.default_rng(seed)
    events = np.zeros(count, TONIC)
    events["t"] = np.sort(random.integers(0, last, count))
    for name, size in zip("xyp", SENSOR, strict=True):
        events[name] = random.integers(0, size, count)
    return events


def counted(events: Any, microseconds: int, steps: int) -> np.ndarray:
    """Frames (time, P, H, W), event by event, in whole numbers."""
    frames = np.zeros((steps, *SHAPE), int)
    for event in events:
        step = int(event["t"]) // microseconds
        if step < steps:
            frames[step, int(event["p"]), int(event["y"]), int(event["x"])] += 1
    return frames
