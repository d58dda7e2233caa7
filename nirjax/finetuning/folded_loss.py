"""A loss in pieces, for recordings whose output is too long to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from nirjax.finetuning.time_folds import TimeFold, as_float, mask, over_time


@dataclass(frozen=True)
class FoldedLoss:
    """A loss in pieces, to be folded over blocks of time without keeping the output.

        loss = losses.folded(losses.spike_count_cross_entropy)
        carry, state = model.fold(x, loss.update, loss.init((batch, classes)))
        value = loss.finish(carry, labels)                    # what the whole loss gives, whatever the blocks

    It is a loss too: `finetune` takes one's own where it takes those of `nirjax.losses`.

    Args:
        statistic: what is accumulated over time.
        compare: the statistic and the target to the loss of each sample.
    """

    statistic: TimeFold
    compare: Callable[..., Array]

    def init(self, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Any:
        """The carry before the first step, for outputs `(*batch, classes)` of this dtype."""
        return self.statistic.init(tuple(shape), jnp.dtype(dtype))

    def update(self, carry: Any, output: Array, where: ArrayLike | None = None) -> Any:
        """The carry after a block `(time, *batch, classes)`."""
        output = as_float(output)
        return self.statistic.update(carry, output, mask(output, where))

    def finish(self, carry: Any, target: ArrayLike) -> Array:
        """The loss of each sample, `(*batch,)`."""
        return self.compare(self.statistic.finish(carry), target)

    def __call__(self, output: Array, target: ArrayLike, *, where: ArrayLike | None = None) -> Array:
        """The loss of each sample of a whole output."""
        return self.compare(over_time(self.statistic, output, where), target)
