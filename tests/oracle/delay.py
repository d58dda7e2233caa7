"""The Delay node: y(t) = x(t - delay)."""

import numpy as np


class DelayLine:
    """All past inputs of one Delay node, and for each element how many steps to look back.

    delay/dt is split into whole steps n and a rest f: y[t] = (1 - f) x[t - n] + f x[t - n - 1], with x = 0 before t = 0.
    delay/dt within a few ulp of an integer is that integer, ulp being that of the dtype in which the delay is stored (or of
    the arithmetic, if that is coarser): a float32 multiple of dt stays a multiple.
    """

    def __init__(self, delay, dt, shape, dtype):
        stored = np.asarray(delay)
        ulp = max(np.finfo(t).eps for t in (stored.dtype, dtype) if np.issubdtype(t, np.floating))
        steps = np.float64(stored) / np.float64(dt)
        nearest = np.round(steps)
        steps = np.where(np.abs(steps - nearest) <= 4 * ulp * np.maximum(nearest, 1), nearest, steps)
        if np.any(steps < 0):
            raise ValueError("a delay is negative")
        self.whole = np.broadcast_to(np.floor(steps).astype(int), shape)
        self.rest = np.broadcast_to((steps - np.floor(steps)).astype(dtype), shape)
        self.past = []

    def at_least_one_step(self):
        return bool(np.all(self.whole >= 1))

    def output(self, x):
        """The output of the step whose input is x."""
        return (1 - self.rest) * self._look_back(x, self.whole) + self.rest * self._look_back(x, self.whole + 1)

    def push(self, x):
        """Make x the latest past input."""
        self.past.append(x)

    def _look_back(self, x, steps):
        """For each element the input of `steps` steps ago, 0 steps being x itself."""
        result = np.zeros_like(x)
        for n in np.unique(steps):
            if n == 0:
                result = np.where(steps == n, x, result)
            elif n <= len(self.past):
                result = np.where(steps == n, self.past[-n], result)
        return result
