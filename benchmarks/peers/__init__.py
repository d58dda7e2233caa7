"""The peers: the same graphs, built with each framework's own layers or read by its own importer.

A peer runs in an environment of its own, which has no nirjax. `build` raises UnsupportedError for a graph that it
cannot run.
"""


class UnsupportedError(Exception):
    """The peer cannot run this graph; the message says why."""
