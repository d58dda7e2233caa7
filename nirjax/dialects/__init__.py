"""Dialects: the discrete semantics under which a continuous graph is run.

NIR says what a neuron is in continuous time. Every framework runs it differently in steps, and a `.nir` file does not
say how. A `Discretisation` says it for one neuron; a `Dialect` gives every node of a graph its discretisation.

`dialects.snntorch()` and its like are how a model that the framework exported behaved at home;
`dialects.snntorch_import()` and its like are what that framework makes of a file that it imports.
"""

from nirjax.dialects.dialect import Dialect, Rule
from nirjax.dialects.discretisation import PHASES, Discretisation
from nirjax.dialects.imports import (
    norse_import,
    rockpool_import,
    sinabs_import,
    snntorch_import,
    spikingjelly_import,
    spyx_import,
)
from nirjax.dialects.naming import dialect_of, names
from nirjax.dialects.presets import (
    exact,
    lava,
    nengo,
    nir,
    norse,
    rockpool,
    sinabs,
    snntorch,
    spikingjelly,
    spinnaker2,
    spyx,
)

__all__ = [
    "PHASES",
    "Dialect",
    "Discretisation",
    "Rule",
    "dialect_of",
    "exact",
    "lava",
    "names",
    "nengo",
    "nir",
    "norse",
    "norse_import",
    "rockpool",
    "rockpool_import",
    "sinabs",
    "sinabs_import",
    "snntorch",
    "snntorch_import",
    "spikingjelly",
    "spikingjelly_import",
    "spinnaker2",
    "spyx",
    "spyx_import",
]
