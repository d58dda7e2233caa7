"""Pictures, drawn with matplotlib (an extra: `pip install 'nirjax[plot]'`).

Every function takes `ax`, the axes to draw into (new ones by default), and returns them; but for `to_dot`, which gives
a graph in Graphviz's language. Importing this package does not import matplotlib.
"""

from nirjax.plot.differences import comparison
from nirjax.plot.dot import to_dot
from nirjax.plot.drawing import graph
from nirjax.plot.spiking import activity, raster, traces
from nirjax.plot.training import training_curves, weights

__all__ = ["activity", "comparison", "graph", "raster", "to_dot", "traces", "training_curves", "weights"]
