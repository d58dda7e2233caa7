"""What is the same at home and in every fine-tuning. Plain numbers: every environment has them."""

from __future__ import annotations

DT = 1e-4
"""What snnTorch's exporter takes for one step."""
SLOPE = 5.0
"""Of the surrogate, a fast sigmoid."""
BATCH = 64
CLIP = 1.0
"""The largest norm of a gradient."""
LEARNING_RATE = 5e-3
"""Adam's, at the start; it falls to zero along half a cosine."""
EPOCHS = 60
"""At home, and under another dialect, from there or from scratch."""
ROUNDED_EPOCHS = 20
"""With rounded weights, from there."""
