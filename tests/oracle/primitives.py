"""The nodes without state: what each does to one step's input of shape (*batch, *sample shape).

Conventions of axes, padding, dilation and groups are PyTorch's.
"""

from itertools import product

import numpy as np


def affine(node, x):
    """y_m = sum_n W_mn x_n + b_m; further leading axes of W are axes of the sample, each with a matrix of its own."""
    return linear(node, x) + node["bias"]


def linear(node, x):
    """y_m = sum_n W_mn x_n; x is (*batch, *leading axes of W, N), y is (*batch, *leading axes of W, M)."""
    return np.einsum("...mn,...n->...m", node["weight"], x)


def scale(node, x):
    """y = s x, element by element."""
    return node["scale"] * x


def threshold(node, x):
    """y = 1 where x > threshold, else 0."""
    return (x > node["threshold"]).astype(x.dtype)


def flatten(node, x, batch_ndim):
    """Merge the sample's axes start_dim .. end_dim, both included, into one; batch axes do not count."""
    batch, sample = x.shape[:batch_ndim], x.shape[batch_ndim:]
    first, last = int(node["start_dim"]) % len(sample), int(node["end_dim"]) % len(sample)
    merged = int(np.prod(sample[first : last + 1]))
    return x.reshape(batch + sample[:first] + (merged,) + sample[last + 1 :])


def conv(node, x, spatial_ndim):
    """y[o, p] = b[o] + sum over c and the kernel's offsets k of W[o, c, k] x_padded[c, stride p + dilation k].

    With groups g, output channels are split into g equal blocks and so are input channels; block i sees only block i.
    """
    weight, groups = node["weight"], int(node["groups"])
    stride, dilation = _per_axis(node["stride"], spatial_ndim), _per_axis(node["dilation"], spatial_ndim)
    kernel = weight.shape[2:]
    x = _pad(x, _conv_padding(node["padding"], kernel, dilation))
    x_groups = np.split(x, groups, axis=-1 - spatial_ndim)
    weight_groups = np.split(weight, groups, axis=0)
    y = np.concatenate(
        [_convolve(xg, wg, stride, dilation) for xg, wg in zip(x_groups, weight_groups, strict=True)],
        axis=-1 - spatial_ndim,
    )
    bias = np.asarray(node.get("bias", 0), dtype=x.dtype)
    return y + bias.reshape(bias.shape + (1,) * spatial_ndim)


def _convolve(x, weight, stride, dilation):
    """One group: a sum over kernel offsets of a matrix product over channels at every position."""
    spatial = "hw"[: len(stride)]
    y = 0
    for offset in product(*(range(k) for k in weight.shape[2:])):
        y = y + np.einsum(
            f"oc,...c{spatial}->...o{spatial}",
            weight[(..., *offset)],
            _window(x, offset, weight.shape[2:], stride, dilation),
        )
    return y


def _window(x, offset, kernel, stride, dilation):
    """x[..., stride p + dilation offset] for every output position p; the trailing axes of x are the spatial ones."""
    slices = []
    for k, size, s, d, length in zip(offset, kernel, stride, dilation, x.shape[x.ndim - len(kernel) :], strict=True):
        count = (length - d * (size - 1) - 1) // s + 1
        slices.append(slice(d * k, d * k + s * (count - 1) + 1, s))
    return x[(..., *tuple(slices))]


def _conv_padding(padding, kernel, dilation):
    """[(before, after)] an axis. "same" adds d (k - 1) in total, the smaller half before, whatever the stride."""
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(p, p) for p in _per_axis(padding, len(kernel))]


def _pad(x, padding):
    """Zeros around the trailing axes."""
    return np.pad(x, [(0, 0)] * (x.ndim - len(padding)) + list(padding))


def sum_pool_2d(node, x):
    """y[c, p] = sum over the kernel's offsets k of x_padded[c, stride p + k]."""
    kernel, stride, padding = (_per_axis(node[key], 2) for key in ("kernel_size", "stride", "padding"))
    x = _pad(x, [(p, p) for p in padding])
    return sum(_window(x, offset, kernel, stride, (1, 1)) for offset in product(*(range(k) for k in kernel)))


def avg_pool_2d(node, x):
    """The sum divided by the size of the kernel, padding included (PyTorch's count_include_pad)."""
    return sum_pool_2d(node, x) / x.dtype.type(np.prod(_per_axis(node["kernel_size"], 2)))


def _per_axis(value, ndim):
    """A number, or one number an axis, as a tuple of one int an axis."""
    return tuple(int(v) for v in np.broadcast_to(np.asarray(value), (ndim,)))


def apply(node, x, batch_ndim):
    """The output of a stateless node."""
    functions = {
        "Input": lambda: x,
        "Output": lambda: x,
        "Affine": lambda: affine(node, x),
        "Linear": lambda: linear(node, x),
        "Scale": lambda: scale(node, x),
        "Threshold": lambda: threshold(node, x),
        "Flatten": lambda: flatten(node, x, batch_ndim),
        "Conv1d": lambda: conv(node, x, 1),
        "Conv2d": lambda: conv(node, x, 2),
        "SumPool2d": lambda: sum_pool_2d(node, x),
        "AvgPool2d": lambda: avg_pool_2d(node, x),
    }
    if node["type"] not in functions:
        raise ValueError(f"unknown node type {node['type']!r}")
    return functions[node["type"]]()
