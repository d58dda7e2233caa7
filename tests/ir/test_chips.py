"""What chips hold of a graph: each limit is met by a graph just within it and not by one just outside."""

import dataclasses
import itertools

import numpy as np
import pytest
from engine.graphs import affine, conv2d, cubalif, filled, graph, if_, lif, linear, ports
from finetuning.chip_networks import DT, GRAPHS, convolutional, layered, recurrent, undelayed

from nirjax import ir, lint
from nirjax.ir.chips import CHIPS
from nirjax.ir.fitting import Cores, _matched


def refused(given, chip, dt=DT):
    return [(one.node, one.field) for one in lint(given, dt=dt, target=chip) if one.severity == "error"]


def ignored(given, chip, dt=DT):
    return {(one.node, one.field) for one in lint(given, dt=dt, target=chip) if one.kind == "ignored"}


def changed(given, name, **fields):
    """The graph with fields of one node changed; a number fills the field's shape."""
    node = given.nodes[name]
    arrays = {
        field: np.full_like(getattr(node, field), value) if isinstance(value, float) else value
        for field, value in fields.items()
    }
    return dataclasses.replace(given, nodes={**given.nodes, name: dataclasses.replace(node, **arrays)})


def swapped(given, name, node):
    return dataclasses.replace(given, nodes={**given.nodes, name: node})


@pytest.mark.parametrize("chip", CHIPS)
def test_a_network_made_for_a_chip_is_held(chip):
    assert refused(GRAPHS[chip](), chip) == []


@pytest.mark.parametrize("chip", CHIPS)
def test_a_node_type_that_a_chip_does_not_hold_is_refused(chip):
    nodes = ports((3,)) | {"fc": linear(3, 3), "n": filled(ir.LI, tau=0.01, r=1, v_leak=0)}
    found = refused(graph(nodes, "in fc n out"), chip)
    assert ("n", None) in found


def test_messages_say_what_to_do():
    (error,) = [one for one in lint(swapped(convolutional(), "if2", lif(4)), target="speck") if one.node == "if2"][:1]
    assert error.message.startswith("speck: it cannot hold a LIF: its neurons do not leak")


# --------------------------------------------------------------------------------------------------------------- Speck


def kernels(size, side=20, channels=(1, 1), **words):
    """Input, one convolution, neurons, output."""
    weight = np.ones((channels[1], channels[0], *(size if isinstance(size, tuple) else (size, size))), np.float32)
    fields = {"input_shape": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1} | words
    conv = ir.Conv2d(weight=weight, bias=np.zeros(channels[1], np.float32), **fields)
    sides = side if isinstance(side, tuple) else (side, side)
    out = conv.gives((channels[0] * fields["groups"], *sides))
    nodes = {"in": ir.Input((channels[0] * fields["groups"], *sides)), "c": conv, "n": if_(out), "out": ir.Output(out)}
    return graph(nodes, "in c n out")


@pytest.mark.parametrize(
    ("within", "outside"),
    [
        (kernels(16), kernels(17)),
        (kernels((3, 3)), kernels((3, 2))),
        (kernels(2, stride=2), kernels(2, stride=3)),
        (kernels(2, 12, padding=7), kernels(2, 12, padding=8)),
        (kernels(2, padding=np.array([0, 1])), kernels(2, padding="same")),
        (kernels(2), kernels(2, dilation=2)),
        (kernels(2, channels=(1, 2)), kernels(2, channels=(1, 2), groups=2)),
        (kernels(4, 128, stride=4), kernels(4, 132, stride=4)),
        (kernels(2, 65), kernels(2, 66)),
        (kernels(1, 4, channels=(1, 1024)), kernels(1, 4, channels=(1, 1025))),
        (kernels(1, 4, channels=(64, 1024)), kernels(1, 4, channels=(65, 1024))),
        (kernels(1, 64, channels=(1, 16)), kernels(1, 64, channels=(1, 17))),
    ],
    ids=["kernel", "square", "stride", "padding", "same", "dilation", "groups", "input", "map", "channels", "weights",
         "neurons"],
)  # fmt: skip
def test_a_core_of_speck_has_its_sizes(within, outside):
    """sinabs 3.1.3, docs/speck/overview.md and sinabs/backend/dynapcnn/{dynapcnn_layer,chips/dynapcnn}.py."""
    assert refused(within, "speck") == []
    assert [name for name, _ in refused(outside, "speck")] == ["c"]


def test_the_example_of_the_documentation_does_not_fit():
    """sinabs 3.1.3, docs/speck/overview.md: 32 channels at 64 by 64 take 128 Ki neurons, more than any core has."""
    given = kernels(3, 64, channels=(16, 32), padding=1)
    (error,) = [one for one in lint(given, target="speck") if one.severity == "error"]
    assert f"{16 * 32 * 16:,} words of kernel memory and {128 * 1024:,} of neuron memory" in error.message


def test_weights_that_read_a_map_are_a_kernel_of_its_size():
    assert refused(convolutional(), "speck") == []
    nodes = {"in": ir.Input((1, 2, 3)), "flat": ir.Flatten(None, 0, -1), "out": ir.Output((2,)), "n": if_(2)}
    oblong = nodes | {"fc": ir.Affine(np.ones((2, 6), np.float32), np.zeros(2, np.float32))}
    assert refused(graph(oblong, "in flat fc n out"), "speck") == [("fc", "weight")]


def chain(layers, size=4):
    nodes = {"in": ir.Input((size,)), "out": ir.Output((size,))}
    names = ["in"]
    for i in range(layers):
        nodes |= {f"w{i}": ir.Affine(np.eye(size, dtype=np.float32), np.zeros(size, np.float32)), f"n{i}": if_(size)}
        names += [f"w{i}", f"n{i}"]
    return graph(nodes, " ".join([*names, "out"]))


def test_speck_has_nine_cores_of_unequal_memories():
    assert refused(chain(9), "speck") == []
    assert refused(chain(10), "speck") == [("", "nodes")]
    large = [kernels(1, 1, channels=(64, 1024)).nodes["c"] for _ in range(3)]  # each takes one of the two largest

    def of(count):
        nodes, names = {"in": ir.Input((64, 1, 1)), "out": ir.Output((1024, 1, 1))}, []
        for i in range(count):
            nodes |= {f"c{i}": large[i], f"n{i}": if_((1024, 1, 1))}
            names += [f"in c{i} n{i} out"]
        return graph(nodes, *names)

    assert refused(of(2), "speck") == []
    assert refused(of(3), "speck") == [("", "nodes")]


def test_cores_are_matched_as_by_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(200):
        layers = [sorted(rng.choice(4, rng.integers(1, 4), replace=False).tolist()) for _ in range(rng.integers(1, 5))]
        wanted = any(len(set(chosen)) == len(chosen) for chosen in itertools.product(*layers))
        assert _matched(layers) == wanted


def test_memory_is_counted_as_sinabs_counts_it():
    """c 2^(ceil log2(k_x k_y) + ceil log2 f) and f 2^(ceil log2 n_x + ceil log2 n_y), in dynapcnn_layer.py."""
    given = kernels(3, 9, channels=(2, 5))  # 2 * 2^(4 + 3) = 256 words of weights, 5 * 2^(3 + 3) = 320 neurons
    for kernel, neurons, fits in ((256, 320, True), (255, 320, False), (256, 319, False)):
        cores = Cores(((kernel, neurons, 9),), largest_input=99, largest_map=99, most_channels=99, largest_kernel=9)
        target = type("T", (), {"name": "t", "limits": (cores,)})()
        assert (refused(given, target) == []) == fits


def test_speck_s_wiring():
    nodes = dict(convolutional().nodes)
    assert refused(graph(ports((3,)) | {"n": if_(3)}, "in n out"), "speck") == [("n", "edges")]
    square = ir.Affine(np.eye(12, dtype=np.float32), np.zeros(12, np.float32))
    twice = graph(nodes | {"fc0": square}, "in conv if1 pool flat fc0 fc if2 out")
    assert refused(twice, "speck") == [("fc", "edges")]
    bare = graph(nodes | {"if1": if_((3, 2, 2))}, "in conv pool if1 flat fc if2 out")
    assert sorted(refused(bare, "speck")) == [("if1", "edges"), ("pool", "edges")]
    (text,) = [one.message for one in lint(bare, target="speck") if one.kind == "refused" and one.node == "pool"]
    assert "a Conv2d cannot lead to a SumPool2d, 'conv' to 'pool': a core is weights, then neurons" in text


def test_speck_has_two_destinations_and_no_recurrence():
    nodes = ports((3,)) | {"w": ir.Affine(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)), "n": if_(3)}
    heads = {f"w{i}": nodes["w"] for i in range(3)} | {f"n{i}": if_(3) for i in range(3)}
    paths = ["in w n", *(f"n w{i} n{i} out" for i in range(3))]
    assert refused(graph(nodes | heads, *paths[:3]), "speck") == []
    assert refused(graph(nodes | heads, *paths), "speck") == [("n", "edges")]
    looped = graph(nodes | {"rec": nodes["w"]}, "in w n out", "n rec n")
    assert refused(looped, "speck") == [("n", "edges")]


@pytest.mark.parametrize(
    ("kernel", "stride", "fits"), [(1, 1, True), (2, 2, True), (4, 4, True), (3, 3, False), (2, 1, False)]
)
def test_speck_pools_by_one_two_or_four(kernel, stride, fits):
    pool = ir.SumPool2d(np.array([kernel] * 2), np.array([stride] * 2), np.array([0, 0]))
    shape = pool.gives((1, 12, 12))
    base = kernels(1, 12).nodes
    given = graph({**base, "pool": pool, "out": ir.Output(shape)}, "in c n pool out")
    assert (refused(given, "speck") == []) == fits


def test_what_speck_drops():
    thresholds = changed(convolutional(), "if2", v_threshold=np.float32([1, 1, 1, 2]))
    assert refused(thresholds, "speck") == [("if2", "v_threshold")]
    assert ("fc", "bias") in ignored(convolutional(), "speck")
    assert ("if1", "r") in ignored(changed(convolutional(), "if1", r=2.0), "speck")
    assert ("if1", "v_reset") in ignored(changed(convolutional(), "if1", v_reset=0.5), "speck")


# ---------------------------------------------------------------------------------------------------------------- Xylo


def wide(inputs=3, hidden=5, outputs=2, rec=None):
    """in -> hidden (-> hidden) -> out, dense."""
    nodes = {
        "in": ir.Input((inputs,)),
        "fc": ir.Linear(np.ones((hidden, inputs), np.float32)),
        "n": cubalif(hidden, r=1, w_in=1, tau_mem=0.01, tau_syn=0.01),
        "read": ir.Linear(np.ones((outputs, hidden), np.float32)),
        "last": cubalif(outputs, r=1, w_in=1, tau_mem=0.01, tau_syn=0.01),
        "out": ir.Output((outputs,)),
    }
    if rec is None:
        return graph(nodes, "in fc n read last out")
    return graph(nodes | {"rec": ir.Linear(rec)}, "in fc n read last out", "n rec n")


@pytest.mark.parametrize(
    ("chip", "within", "outside"),
    [
        ("xylo", {"inputs": 16}, {"inputs": 17}),
        ("xylo", {"outputs": 32}, {"outputs": 33}),
        ("xylo_audio2", {"outputs": 8}, {"outputs": 9}),
        ("xylo_imu", {"outputs": 16}, {"outputs": 17}),
        ("xylo_audio2", {"hidden": 1000, "inputs": 1, "outputs": 1}, {"hidden": 1001, "inputs": 1, "outputs": 1}),
        ("xylo", {"hidden": 128}, {"hidden": 129}),
        ("xylo_imu", {"hidden": 128}, {"hidden": 129}),
    ],
)
def test_xylo_s_counts(chip, within, outside):
    """rockpool 3.0.3, docs/devices/xylo-overview.ipynb."""
    assert refused(wide(**within), chip) == []
    assert set(refused(wide(**outside), chip)) == {("", "nodes")}


@pytest.mark.parametrize(
    ("chip", "hidden", "most"), [("xylo", 992, 1024), ("xylo_audio2", 1000, 64), ("xylo_imu", 496, 512)]
)
def test_xylo_s_hidden_neurons_and_their_fan_out(chip, hidden, most):
    def sparse(count, fan):
        given = wide(inputs=1, hidden=count, outputs=1, rec=np.zeros((count, count), np.float32))
        few = {name: given.nodes[name].weight.copy() for name in ("fc", "read", "rec")}
        few["fc"][100:], few["read"][:, 100:], few["rec"][:fan, 0] = 0, 0, 1
        for name, weight in few.items():
            given = swapped(given, name, ir.Linear(weight))
        return given

    assert refused(sparse(hidden, min(most, hidden)), chip) == []
    assert refused(sparse(hidden + 1, 10), chip) == [("", "nodes")]
    if most < hidden:
        assert refused(sparse(hidden, most + 1), chip) == [("", "nodes")]


def test_xylo_imu_s_recurrent_weights():
    rec = np.zeros((200, 200), np.float32)
    rec.ravel()[:31_744] = 1
    given = wide(hidden=200, rec=rec)
    for name, weight in (("fc", np.ones((200, 3))), ("read", np.ones((2, 200)))):
        weight = weight.astype(np.float32)
        weight[(slice(100, None),) if name == "fc" else (slice(None), slice(100, None))] = 0
        given = swapped(given, name, ir.Linear(weight))
    assert refused(given, "xylo_imu") == []
    rec.ravel()[31_744] = 1
    assert refused(swapped(given, "rec", ir.Linear(rec)), "xylo_imu") == [("", "nodes")]


def test_xylo_s_design_rules():
    """rockpool 3.0.3, rockpool/devices/xylo/syns61201/xylo_mapper.py."""
    assert refused(recurrent(), "xylo") == []
    nodes = dict(recurrent().nodes)
    one = graph({k: nodes[k] for k in ("in", "fc", "hidden")} | {"out": ir.Output((5,))}, "in fc hidden out")
    assert refused(one, "xylo") == [("", "nodes")]
    loose = graph(
        nodes | {"back": ir.Linear(np.eye(2, dtype=np.float32))}, "in fc hidden read last out", "last back last"
    )
    assert refused(loose, "xylo") == [("last", "edges")]
    weighted = graph(nodes | {"end": ir.Linear(np.eye(2, dtype=np.float32))}, "in fc hidden read last end out")
    assert ("out", "edges") in refused(weighted, "xylo")
    twice = graph(nodes | {"end": ir.Linear(np.eye(5, dtype=np.float32))}, "in fc end hidden read last out")
    assert refused(twice, "xylo") == [("end", "edges")]
    quick = changed(recurrent(), "last", tau_syn=float(DT))
    assert refused(quick, "xylo") == [("last", "tau_syn")]
    assert refused(quick, "xylo", dt=DT / 2) == []
    assert ("fc", "bias") in ignored(recurrent(bias=True), "xylo")
    assert ignored(recurrent(), "xylo") == set()
    assert ("last", "r") in ignored(changed(recurrent(), "last", r=1.0), "xylo")
    assert ("last", "w_in") in ignored(changed(recurrent(), "last", w_in=2.0), "xylo")


# -------------------------------------------------------------------------------------------------------------- Loihi 2


def test_loihi_has_one_decay_and_one_threshold_for_a_layer():
    for field in ("tau", "v_threshold"):
        given = changed(layered(), "lif2", **{field: np.float32([0.02, 0.03])})
        assert refused(given, "loihi2") == [("lif2", field)]
    assert refused(changed(layered(), "lif2", tau=0.5 * DT), "loihi2") == [("lif2", "tau")]
    assert refused(changed(layered(), "wait", delay=63 * DT), "loihi2") == []
    assert refused(changed(layered(), "wait", delay=64 * DT), "loihi2") == [("wait", "delay")]
    assert {("lif", "r"), ("lif", "v_reset"), ("lif", "v_leak")} <= ignored(
        changed(layered(), "lif", r=2.0, v_reset=0.05, v_leak=0.01), "loihi2"
    )


def test_loihi_s_current_based_neurons():
    neuron = {"tau_mem": 0.01, "tau_syn": 0.005, "r": 10, "w_in": 5}
    nodes = ports((3,)) | {"fc": linear(3, 3)}
    assert refused(graph(nodes | {"n": cubalif(3, **neuron)}, "in fc n out"), "loihi2") == []
    assert refused(graph(nodes | {"n": cubalif(3, **neuron | {"r": 9})}, "in fc n out"), "loihi2") == [("n", "r")]
    biased = ports((3,)) | {"fc": affine(3, 3), "n": cubalif(3, **neuron)}
    assert ("fc", "bias") in ignored(graph(biased, "in fc n out"), "loihi2")
    assert refused(graph(nodes | {"n": cubalif(3, **neuron, v_leak=0.1)}, "in fc n out"), "loihi2") == [("n", "v_leak")]


def test_loihi_s_wiring_and_size():
    nodes = ports((3,)) | {"fc": linear(3, 3), "fc2": linear(3, 3), "n": lif(3, tau=0.01, r=1)}
    assert refused(graph(nodes, "in fc fc2 n out"), "loihi2") == [("fc2", "edges")]
    many = kernels(1, 1000, channels=(1, 1))
    assert refused(many, "loihi2") == []
    assert refused(kernels(1, 1001), "loihi2") == [("", "nodes")]
    assert refused(kernels(11, 1000, channels=(1, 1)), "loihi2") == []
    assert refused(kernels(12, 1000, channels=(1, 1)), "loihi2") == [("", "nodes")]


# ----------------------------------------------------------------------------------------------------------- SpiNNaker2


def test_spinnaker2_s_projections():
    """py-spinnaker2, src/spinnaker2/s2_nir.py."""
    assert refused(layered(), "spinnaker2") == [("wait", None)]
    nodes = dict(undelayed().nodes) | {"fc0": linear(3, 3)}
    assert refused(graph(nodes, "in fc0 fc lif fc2 lif2 out"), "spinnaker2") == [("fc", "edges")]
    shape = (2, 4, 4)
    conv = {"in": ir.Input(shape), "c": conv2d(padding=np.array([0, 0])), "out": ir.Output((2, 3, 3))}
    assert refused(graph(conv | {"n": if_((2, 3, 3))}, "in c n out"), "spinnaker2") == []
    assert refused(graph(conv | {"n": cubalif((2, 3, 3))}, "in c n out"), "spinnaker2") == [("n", "edges")]
    flat = {"in": ir.Input((3,)), "n": lif(3), "f": ir.Flatten(None, 0, -1), "out": ir.Output((3,))}
    assert refused(graph(flat | {"fc": linear(3, 3)}, "in fc n f out"), "spinnaker2") == [
        ("f", "edges"),
        ("out", "edges"),
    ]
    assert ("c", "dilation") in ignored(kernels(2, dilation=2), "spinnaker2")


# --------------------------------------------------------------------------------------------------------- in general


def test_ports_of_subgraphs_are_looked_through():
    inner = graph(ports((5,)) | {"hidden": recurrent().nodes["hidden"], "rec": recurrent().nodes["rec"]},
                  "in hidden out", "hidden rec hidden")  # fmt: skip
    nodes = {name: node for name, node in recurrent().nodes.items() if name not in ("hidden", "rec")}
    nested = graph(nodes | {"sub": inner}, "in fc sub read last out")
    assert refused(nested, "xylo") == []
    scaled = {**inner.nodes, "s": ir.Scale(np.float32(2))}
    inside = graph(scaled, "in s hidden out", "hidden rec hidden")
    assert refused(swapped(nested, "sub", inside), "xylo") == [("sub.s", None)]


def test_shapes_that_nobody_knows_are_not_counted():
    assert refused(graph({"n": lif((), tau=0.01, r=1), "out": ir.Output((3,))}, "n out"), "loihi2") == []


def test_a_long_chain_is_looked_at_quickly():
    given = chain(1500, 2)
    assert refused(given, "speck") == [("", "nodes")]
    assert refused(given, "loihi2") == []
