"""An independent NumPy interpreter of NIR graphs: what the engine is tested against.

It shares no code with the engine. It walks the graph step by step in a plain Python loop over time, in float64 unless told
otherwise, and prefers being easy to see to be right over being fast.

    outputs, traces = oracle.run("graph.nir", x, dt=1e-4, record=True)
"""

from .graph import load, save
from .neurons import DEFAULT_RULES
from .run import run

__all__ = ["DEFAULT_RULES", "load", "run", "save"]
