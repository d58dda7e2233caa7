"""Data: one contract for training, evaluation and the command line; NIR's own data format; events; spike encoders."""

from nirjax.data.batch import Batch
from nirjax.data.batching import batches
from nirjax.data.binning import bin_events
from nirjax.data.encoding import delta, latency, rate, send_on_delta
from nirjax.data.event_source import EventSource
from nirjax.data.events import Events
from nirjax.data.nir_data import NIRGraphData, NIRNodeData
from nirjax.data.nir_files import read, write
from nirjax.data.observables import EventData, TimeGriddedData, ValuedEventData
from nirjax.data.prefetching import prefetch
from nirjax.data.recording import from_nir_data, to_nir_data
from nirjax.data.sources import Source

__all__ = [
    "Batch",
    "EventData",
    "EventSource",
    "Events",
    "NIRGraphData",
    "NIRNodeData",
    "Source",
    "TimeGriddedData",
    "ValuedEventData",
    "batches",
    "bin_events",
    "delta",
    "from_nir_data",
    "latency",
    "prefetch",
    "rate",
    "read",
    "send_on_delta",
    "to_nir_data",
    "write",
]
