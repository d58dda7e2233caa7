"""Where the networks go: the tasks, and for each the frameworks that its network is carried to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nirjax
from benchmarks.environments import PEERS, ROCKPOOL, SPYX, Environment
from benchmarks.transfer import graphs, recipe

Form = Callable[[nirjax.NIRGraph], nirjax.NIRGraph]


def as_it_is(graph: nirjax.NIRGraph) -> nirjax.NIRGraph:
    return graph


def in_steps(graph: nirjax.NIRGraph) -> nirjax.NIRGraph:
    return graphs.in_steps(graph, recipe.DT)


@dataclass(frozen=True)
class Destination:
    """A framework, or the dialect of none.

    Attributes:
        name: its row in the table.
        dialect: what nirjax runs and trains under.
        importer: the function of `importers` that imports and runs a file; None where there is nothing to run.
        environment: what it runs in.
        form: how the file is written for it.
        rounded: does the table have its rows with rounded weights?
    """

    name: str
    dialect: str
    importer: str | None = None
    environment: Environment = PEERS
    form: Form = as_it_is
    rounded: bool = False


HOME = Destination("snnTorch at home", "snntorch()", "at_home", rounded=True)
SNNTORCH = Destination("snnTorch's importer", "snntorch_import()", "snntorch")
SNNTORCH_NESTED = Destination(SNNTORCH.name, "snntorch_import(nested=True)", "snntorch", form=graphs.nested)
NORSE = Destination("Norse", "norse_import()", "norse", rounded=True)
SPYX_IMPORTER = Destination("Spyx", "spyx_import()", "spyx", SPYX, rounded=True)
ROCKPOOL_NESTED = Destination("Rockpool", "rockpool_import(nested=True)", "rockpool", ROCKPOOL, graphs.nested)
SPIKINGJELLY = Destination("SpikingJelly", "spikingjelly_import()", "spikingjelly")
SINABS = Destination("Sinabs, times in steps", "sinabs_import()", "sinabs", form=in_steps, rounded=True)
SINABS_AS_IT_IS = Destination("Sinabs, file as it is", "sinabs_import()", "sinabs")
CLOSED_FORM = Destination("closed form", "exact()")


@dataclass(frozen=True)
class Task:
    """Data, the network that is trained on it at home, and where that goes."""

    name: str
    title: str
    network: str
    destinations: tuple[Destination, ...]


TASKS = (
    Task(
        "digits",
        "Handwritten digits read row by row, a recurrent network (96 Synaptic neurons)",
        "recurrent",
        (HOME, SNNTORCH_NESTED, NORSE, SPYX_IMPORTER, ROCKPOOL_NESTED, CLOSED_FORM),
    ),
    Task(
        "vowels",
        "Japanese vowels, nine speakers, a feed-forward network (96 Leaky neurons)",
        "feedforward",
        (HOME, SNNTORCH, NORSE, SPYX_IMPORTER, SINABS, SINABS_AS_IT_IS, SPIKINGJELLY, CLOSED_FORM),
    ),
)
