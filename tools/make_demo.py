"""Make the demo model of nirjax: a recurrent spiking classifier of handwritten digits.

The network is trained in snnTorch and written by snnTorch's own exporter, so the
demo runs a file that another framework made, and the package ships what that
framework answered on the test images.

Environment (training): Python 3.11, snntorch 1.0, nir 1.0, nirtorch, torch,
scikit-learn, numpy::

    pip install "snntorch==1.0.0" nir nirtorch torch scikit-learn numpy

Make the files (two to three minutes on one CPU core)::

    python tools/make_demo.py --out nirjax/assets

Verify files that are already there (needs numpy and nir only)::

    python tools/make_demo.py --out nirjax/assets --check

Files written into ``--out``:

``digits.nir``
    the trained network, as ``snntorch.export_nir.export_to_nir`` gives it (but for
    the order of its edges, which are sorted)
``digits.npz``
    images, labels, train_index, test_index; home_prediction, home_counts and
    home_accuracy, which are what snnTorch itself answered on the test images; and the
    encoding constants steps_per_row, silent_steps
``README.md``
    where data and network come from

The run is deterministic for a given ``--seed`` on one machine and one set of package
versions; another CPU or version of torch may round differently and so train another
network of the same kind.
"""

import argparse
import importlib.metadata
import pathlib
import time

import numpy as np

DT = 1e-4  # what snnTorch's exporter takes for one step, in seconds

STEPS_PER_ROW = 4
SILENT_STEPS = 8
TEST_SIZE = 500
HIDDEN = 96
# Time constants in steps. Powers of two, so that dt / tau, r and w_in are exact in
# float32 whatever way a reader of the file computes them.
TAU_HIDDEN = (4.0, 8.0, 16.0, 32.0)  # cycled over the hidden neurons
TAU_SYN_OUT, TAU_MEM_OUT = 4.0, 8.0
# Weights are rounded to multiples of 1 / GRID, biases to the same grid or half-way
# between. Input and hidden activity is 0 or 1, so every weighted sum is exact in
# float32, in any order of summation (the weights also fit bfloat16's eight bits up to
# an absolute value of 4). What remains to round is the leak alone.
GRID = 64


def encode(images, steps_per_row=4, silent_steps=8):
    """Turn images into spike recordings, read row by row from the top.

    Each row of an image is shown for `steps_per_row` steps, its columns being the
    channels. In step k of a row a channel spikes where the pixel (0..16) exceeds
    16 * (k + 0.5) / steps_per_row: the brighter the pixel, the more spikes (with four
    steps the thresholds are 2, 6, 10, 14). `silent_steps` steps without input follow.

    images: (..., rows, columns), values 0..16
    returns: float32 0/1, (..., rows * steps_per_row + silent_steps, columns)
    """
    images = np.asarray(images)
    *lead, rows, columns = images.shape
    thresholds = 16 * (np.arange(steps_per_row) + 0.5) / steps_per_row
    spikes = images[..., :, None, :] > thresholds[:, None]
    spikes = spikes.reshape(*lead, rows * steps_per_row, columns)
    silence = np.zeros((*lead, silent_steps, columns), bool)
    return np.concatenate([spikes, silence], axis=-2).astype(np.float32)


def add_spikes(recordings, probability, seed):
    """Let every silent entry spike with the given probability."""
    extra = np.random.default_rng(seed).random(recordings.shape) < probability
    return np.maximum(recordings, extra.astype(recordings.dtype))


# --- independent check: the file alone, in numpy ------------------------------------


def simulate(graph, recordings, dtype=np.float32):
    """Run the exported graph by the equations of its nodes (forward Euler, step DT).

    recordings: (n, T, channels). Returns the output's spike counts, (n, classes).
    The recurrent Affine sees the hidden spikes of the step before (none at first, its
    bias acts nonetheless).
    """
    nodes = {
        name: {key: np.asarray(value, dtype) for key, value in vars(node).items() if isinstance(value, np.ndarray)}
        for name, node in graph.nodes.items()
    }
    dt = dtype(DT)

    def affine(name, x):
        return x @ nodes[name]["weight"].T + nodes[name]["bias"]

    def membrane(p, tau, v, current):
        v = v + dt / tau * (p["v_leak"] - v + p["r"] * current)
        z = v > p["v_threshold"]
        return np.where(z, p["v_reset"], v), z.astype(dtype)

    hidden, out = nodes["1.lif"], nodes["3"]
    n, n_hidden, n_out = len(recordings), len(hidden["tau"]), len(out["tau_mem"])
    v1 = np.zeros((n, n_hidden), dtype)
    z1 = np.zeros((n, n_hidden), dtype)
    i2 = np.zeros((n, n_out), dtype)
    v2 = np.zeros((n, n_out), dtype)
    counts = np.zeros((n, n_out), int)
    for x in np.moveaxis(recordings, 1, 0).astype(dtype):
        current = affine("0", x) + affine("1.w_rec", z1)
        v1, z1 = membrane(hidden, hidden["tau"], v1, current)
        i2 = i2 + dt / out["tau_syn"] * (out["w_in"] * affine("2", z1) - i2)
        v2, z2 = membrane(out, out["tau_mem"], v2, i2)
        counts += z2.astype(int)
    return counts


def check(out):
    """Compare the file, run by `simulate`, with what snnTorch answered."""
    import nir

    graph = nir.read(str(out / "digits.nir"))
    for name, node in graph.nodes.items():
        print(f"  node {name!r}: {type(node).__name__}")
    print("  edges:", sorted(graph.edges))
    channels = tuple(np.ravel(graph.nodes["input"].input_type["input"]).tolist())
    assert channels == (8,), f"Input has shape {channels}, expected (8,)"
    data = np.load(out / "digits.npz")
    test = data["test_index"]
    recordings = encode(data["images"][test], int(data["steps_per_row"]), int(data["silent_steps"]))
    accuracy = (data["home_prediction"] == data["labels"][test]).mean()
    assert accuracy == data["home_accuracy"]
    for dtype in (np.float32, np.float64):
        counts = simulate(graph, recordings, dtype)
        different = (counts != data["home_counts"]).sum()
        decisions = (counts.argmax(1) != data["home_prediction"]).sum()
        print(
            f"  numpy {dtype.__name__} against snnTorch on {len(test)} recordings: "
            f"{different} of {counts.size} counts and {decisions} decisions differ"
        )
        if different or decisions:
            raise SystemExit("the file does not reproduce snnTorch: try another --seed")
    print(f"  home accuracy {accuracy:.3f}")


# --- training in snnTorch -----------------------------------------------------------


def build():
    """Linear -> RLeaky -> Linear -> Synaptic, both resetting to zero at once.

    `reset_delay=False` is given to each layer: the default is a reset in the next step.
    The hidden layer is RLeaky because RSynaptic has no working `reset_delay=False` in
    snnTorch 1.0. All neuron parameters are given per neuron, so that the exporter
    writes them in full.
    """
    import snntorch as snn
    import torch
    from snntorch import surrogate

    options = {
        "spike_grad": surrogate.fast_sigmoid(slope=3),
        "init_hidden": True,
        "reset_mechanism": "zero",
        "reset_delay": False,
    }
    tau = torch.tensor(TAU_HIDDEN).repeat(HIDDEN // len(TAU_HIDDEN))
    net = torch.nn.Sequential(
        torch.nn.Linear(8, HIDDEN),
        snn.RLeaky(
            beta=1 - 1 / tau,
            all_to_all=True,
            linear_features=HIDDEN,
            threshold=torch.ones(HIDDEN),
            **options,
        ),
        torch.nn.Linear(HIDDEN, 10),
        snn.Synaptic(
            alpha=torch.full((10,), 1 - 1 / TAU_SYN_OUT),
            beta=torch.full((10,), 1 - 1 / TAU_MEM_OUT),
            threshold=torch.ones(10),
            **options,
        ),
    )
    with torch.no_grad():
        scales = (0.35, 0.5 / HIDDEN**0.5, 0.6 / HIDDEN**0.5)
        for layer, scale in zip(linears(net), scales, strict=True):
            layer.weight.normal_(0, scale)
            layer.bias.zero_()
    return net


def linears(net):
    return net[0], net[1].recurrent, net[2]


def run(net, recordings):
    """Output spike counts (n, 10) of recordings (n, T, channels), from rest."""
    import torch

    net[1].reset_mem()
    net[3].reset_mem()
    counts = 0
    for x in torch.from_numpy(np.moveaxis(recordings, 1, 0).copy()):
        spikes = net(x)
        counts = counts + spikes
        # Same-step reset: whoever has just spiked is at zero already.
        assert not net[1].mem[net[1].spk > 0].any()
        assert not net[3].mem[spikes > 0].any()
    return counts


def home(net, recordings):
    """What snnTorch answers: counts (n, 10) and decisions (ties: the lowest class)."""
    import torch

    with torch.no_grad():
        counts = run(net, recordings).numpy().astype(np.uint8)
    return counts, counts.argmax(1).astype(np.uint8)


def shift(images, rng):
    """Move each image by up to one pixel."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    dy, dx = rng.choice([0, 1, 2], (2, len(images)), p=[0.2, 0.6, 0.2])
    rows = dy[:, None, None] + np.arange(8)[:, None]
    columns = dx[:, None, None] + np.arange(8)
    return padded[np.arange(len(images))[:, None, None], rows, columns]


def train(net, images, labels, epochs, rng):
    """Cross-entropy on the spike counts, on shifted images and noisy recordings."""
    import torch

    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    labels = labels.astype(np.int64)
    start = time.time()
    for epoch in range(epochs):
        losses = []
        order = rng.permutation(len(images))
        for batch in np.array_split(order, round(len(order) / 64)):
            x = encode(shift(images[batch], rng), STEPS_PER_ROW, SILENT_STEPS)
            # Each recording has up to 10 % of its entries flipped.
            rate = rng.uniform(0, 0.1, (len(batch), 1, 1))
            x = np.abs(x - (rng.random(x.shape) < rate)).astype(np.float32)
            counts = run(net, x)
            target = torch.from_numpy(labels[batch])
            loss = torch.nn.functional.cross_entropy(0.3 * counts, target)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        if epoch % 10 == 9:
            seconds = time.time() - start
            print(f"  epoch {epoch + 1}: loss {np.mean(losses):.3f}, {seconds:.0f} s")


def round_weights(net):
    """Round weights to multiples of 1 / GRID.

    The biases of the two feed-forward layers go half-way between, so that no weighted
    sum falls exactly on the threshold.
    """
    import torch

    with torch.no_grad():
        for layer in linears(net):
            layer.weight.copy_((layer.weight * GRID).round() / GRID)
            half = 0.0 if layer is net[1].recurrent else 0.5
            layer.bias.copy_(((layer.bias * GRID - half).round() + half) / GRID)


def export(net, path):
    """snnTorch's own exporter; ignore_dims drops the sample axis of the Input."""
    import nir
    import torch
    from snntorch.export_nir import export_to_nir

    net[1].reset_mem()
    net[3].reset_mem()
    graph = export_to_nir(net, torch.zeros(1, 8), ignore_dims=[0])
    graph.edges.sort()  # their order is arbitrary; sorted, the file is reproducible
    nir.write(str(path), graph)


README = """\
# The demo model

`digits.npz`: the 1797 images (8 x 8 pixels, values 0..16) and labels of handwritten
digits that scikit-learn ships (`sklearn.datasets.load_digits`). They are the test part
of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). Unchanged but for the type (uint8). With
them: a stratified split (`train_index`, `test_index`), the encoding constants, and what
snnTorch answered on the {test} test images (`home_counts`: output spikes per class;
`home_prediction`: the class with most of them, the lowest where tied; `home_accuracy`).

`digits.nir`: a recurrent spiking network trained on the other {train} images in snnTorch
and written by snnTorch's exporter. {channels} input channels (the columns of an image),
{steps} steps (rows from the top, {per_row} steps each, then {silent} silent ones).

    input -> 0 Affine -> 1.lif LIF ({hidden}) -> 2 Affine -> 3 CubaLIF (10) -> output
                         1.lif <-> 1.w_rec Affine

One step is dt = 1e-4 s. Reset to zero in the step of the spike in both layers (the file
does not say so; snnTorch's exporter has no place for it). Weights are multiples of
1/{grid}.

Accuracy of snnTorch on the test images:

| test images | accuracy |
|---|---|
{table}

("Extra spikes": every silent entry of a recording spikes with that probability; mean of
five draws. Training used shifts by a pixel and up to 10 % flipped entries.)

Made with {versions}
by

    python tools/make_demo.py --out nirjax/assets{seed}
"""


def make(out, seed, epochs):
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    train_index, test_index = train_test_split(
        np.arange(len(images)), test_size=TEST_SIZE, stratify=labels, random_state=0
    )
    train_index, test_index = np.sort(train_index), np.sort(test_index)

    print("training")
    net = build()
    train(net, images[train_index], labels[train_index], epochs, rng)
    round_weights(net)

    test_images, test_labels = images[test_index], labels[test_index]
    recordings = encode(test_images, STEPS_PER_ROW, SILENT_STEPS)
    counts, prediction = home(net, recordings)

    out.mkdir(parents=True, exist_ok=True)
    export(net, out / "digits.nir")
    np.savez_compressed(
        out / "digits.npz",
        images=images,
        labels=labels,
        train_index=train_index.astype(np.uint16),
        test_index=test_index.astype(np.uint16),
        home_prediction=prediction,
        home_counts=counts,
        home_accuracy=np.float64((prediction == test_labels).mean()),
        steps_per_row=np.int64(STEPS_PER_ROW),
        silent_steps=np.int64(SILENT_STEPS),
    )

    def accuracy(x):
        return (home(net, x)[1] == test_labels).mean()

    def rotated(quarters):
        turned = np.rot90(test_images, quarters, axes=(1, 2))
        return accuracy(encode(turned, STEPS_PER_ROW, SILENT_STEPS))

    def noisy(p):
        return np.mean([accuracy(add_spikes(recordings, p, s)) for s in range(5)])

    results = {
        "as they are": accuracy(recordings),
        "rotated by 90 degrees": rotated(1),
        "rotated by 180 degrees": rotated(2),
        "5 % extra spikes": noisy(0.05),
        "10 % extra spikes": noisy(0.10),
    }
    train_recordings = encode(images[train_index], STEPS_PER_ROW, SILENT_STEPS)
    fit = (home(net, train_recordings)[1] == labels[train_index]).mean()
    print(f"accuracy on the training images {fit:.3f}; on the test images")
    for name, value in results.items():
        print(f"  {name}: {value:.3f}")
    packages = ("snntorch", "nir", "nirtorch", "torch", "scikit-learn", "numpy")
    text = README.format(
        test=len(test_index),
        train=len(train_index),
        channels=recordings.shape[2],
        steps=recordings.shape[1],
        per_row=STEPS_PER_ROW,
        silent=SILENT_STEPS,
        hidden=HIDDEN,
        grid=GRID,
        table="\n".join(f"| {k} | {100 * v:.1f} % |" for k, v in results.items()),
        versions=", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages),
        seed="" if seed == 0 else f" --seed {seed}",
    )
    (out / "README.md").write_text(text)


def main():
    parser = argparse.ArgumentParser(description="make the demo model of nirjax")
    root = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--out", type=pathlib.Path, default=root / "nirjax" / "assets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--check", action="store_true", help="only verify the files")
    args = parser.parse_args()
    if not args.check:
        make(args.out, args.seed, args.epochs)
    print("check")
    check(args.out)


if __name__ == "__main__":
    main()
