"""Data: one contract for training, evaluation and the command line."""

from nirjax.data.batch import Batch
from nirjax.data.batching import batches
from nirjax.data.sources import Source

__all__ = ["Batch", "Source", "batches"]
