"""Hashes of each operation over a million inputs made from integers, and the values they must have."""

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from samebits import exact
from samebits.exact.random import draws

MILLION = 10**6


def fractions(count: int, tag: str) -> Tensor:
    """Multiples of 2^-53 in [0, 1)."""
    return torch.from_numpy((draws(count, 1, tag) >> 11).astype("int64")).double() * 2.0**-53


def spread(count: int, tag: str) -> Tensor:
    """Positive numbers of every magnitude: 64-bit patterns with the sign cleared and no NaN or infinity."""
    bits = torch.from_numpy((draws(count, 1, tag) >> 1).astype("int64"))
    return torch.where(bits >= 2047 << 52, bits & (2**52 - 1), bits).view(torch.float64)


def digest(x: Tensor) -> str:
    """Its first 16 hex digits are plenty here; written without the package's own digest."""
    raw = (x + 0).contiguous().numpy()
    return hashlib.sha256(raw.astype(raw.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]


def inputs() -> Tensor:
    """Float32 numbers [1000, 1000] of very different sizes, rows of either sign and rows without one below 0."""
    x = (fractions(MILLION, "x").view(1000, 1000) - 0.5) * exact.exp2(fractions(1000, "e") * 40 - 20)[:, None]
    x[::3] = x[::3].abs()
    return x.to(exact.dtype)


def through(layer: nn.Module, device: str = "cpu") -> Tensor:
    """What a layer makes of pictures [1000, 10, 10, 10], samples of very different sizes; and the gradients, of the
    pictures and of the layer's parameters, for an upstream gradient that is the output.
    """
    dtype = next((p.dtype for p in layer.parameters()), exact.dtype)
    x = inputs().view(1000, 10, 10, 10).to(device, dtype).requires_grad_()
    y = layer.to(device)(x)
    made = torch.autograd.grad(y, [x, *layer.parameters()], y.detach())
    return torch.cat([each.detach().flatten() for each in (y, *made)]).cpu()


def learned(optimizer: type[exact.Adam | exact.SGD], **rates: Any) -> Tensor:
    """What a million parameters are after three steps, with gradients of very different sizes."""
    w = nn.Parameter(inputs())
    steps = optimizer([w], **rates)
    for step in range(3):
        w.grad = inputs().roll(step, -1)
        steps.step()
    return w.detach()


COMPUTE: dict[str, Callable[[], Tensor]] = {
    "exp2": lambda: exact.exp2(fractions(MILLION, "t") * 128 - 100),
    "exp2 wide": lambda: exact.exp2(fractions(MILLION, "t") * 2300 - 1150),
    "log": lambda: exact.log(spread(MILLION, "x")),
    "log near 1": lambda: exact.log(fractions(MILLION, "x") * 0.5 + 0.75),
    "softmax": lambda: exact.softmax(fractions(MILLION, "z").view(-1, 10) * 40 - 20),
    "softmax of near logits": lambda: exact.softmax(fractions(MILLION, "z").view(-1, 10)),
    "log_softmax": lambda: exact.log_softmax(fractions(MILLION, "z").view(-1, 10) * 40 - 20),
    "permutation": lambda: exact.permutation(MILLION, 3, "order"),
    "uniform": lambda: exact.uniform((1000, 1000), 3, "weight", 784),
    "normal": lambda: exact.normal((1000, 1000), 0.01, 3, "weight"),
    "linear on integers": lambda: exact.linear(inputs(), inputs()[::2]),
    "weight gradient on integers": lambda: exact.weight_gradient(inputs()[:, :600], inputs()),
    "bias gradient on integers": lambda: exact.bias_gradient(inputs()),
    "SGD": lambda: learned(exact.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "SGD with nesterov": lambda: learned(exact.SGD, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda: learned(exact.Adam, weight_decay=0.01),
    "AdamW": lambda: learned(exact.AdamW, amsgrad=True),
}
# Layers refuse a machine that is not exact, where the operations above are hashed on any.
LAYERS: dict[str, Callable[[], Tensor]] = {
    "Conv2d": lambda: through(exact.Conv2d(10, 8, 3, padding=1, groups=2, seed=3)),
    "wide Conv2d": lambda: through(exact.Conv2d(10, 4, (3, 2), 2, 1, seed=3, dtype=exact.loss_dtype)),
    "MaxPool2d": lambda: through(exact.MaxPool2d(3, 2, 1)),
    "AvgPool2d": lambda: through(exact.AvgPool2d(3, 2, 1)),
    "BatchNorm2d": lambda: through(exact.BatchNorm2d(10)),
    "LayerNorm": lambda: through(exact.LayerNorm((10, 10, 10))),
    "Dropout": lambda: through(exact.Dropout(0.3, seed=3)),
}
HASHES = {
    "exp2": "b6c98fff492c0e0d",
    "exp2 wide": "e80edc34f02490db",
    "log": "25e3e78c23efb05e",
    "log near 1": "22ae2f11e59964a4",
    "softmax": "7d3dd0aeea579918",
    "softmax of near logits": "cda22187bc3e3585",
    "log_softmax": "2b86969a95b7fb5e",
    "permutation": "7e98367be74801ca",
    "uniform": "4535044c86af6730",
    "normal": "83601267f38d39e7",
    "linear on integers": "bb57e506e996b2de",
    "weight gradient on integers": "a4595fdbd89cd4f8",
    "bias gradient on integers": "ca1301bae4e8d886",
    "SGD": "bf201920171662c0",
    "SGD with nesterov": "db31df3166b80ded",
    "Adam": "6a366c90424202c3",
    "AdamW": "8a8a1180471b9704",
    "Conv2d": "4d1d8f093925ac70",
    "wide Conv2d": "3ccdac74402f0f83",
    "MaxPool2d": "845ac9dadd6e5edb",
    "AvgPool2d": "27fad3d5071b2a8a",
    "BatchNorm2d": "3f0c8ffe6361e5b3",
    "LayerNorm": "09ef5fdc016a2ac7",
    "Dropout": "c77bae974f0f4614",
}


def check(name: str) -> None:
    """Compare one operation, or layer, with its hash."""
    assert digest({**COMPUTE, **LAYERS}[name]()) == HASHES[name], name
