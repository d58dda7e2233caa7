"""Evaluation: a model on data of any length, over any number of devices and processes, every sample exactly once."""

from nirjax.evaluation.loop import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
