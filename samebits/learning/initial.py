"""Where learning starts: the first weights, the same for every arithmetic, device and library version."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from samebits.exact import normal, permutation, uniform

Layer = tuple[Tensor, Tensor]  # weight [S, out, in], bias [S, out]


def first_layers(
    widths: Sequence[int], init_std: float | None, seeds: Sequence[int], device: torch.device | str = "cpu"
) -> list[Layer]:
    """Return weights [S, out, in] and biases [S, out], float64, for the layer between each two of `widths`.

    Each of the S seeds has numbers of its own. With `init_std` the weights are N(0, init_std) and the biases zero, as
    the book has them; without it both are uniform within 1 / sqrt(in), PyTorch's default. Either is on a grid that
    float32 holds exactly or rounds to.
    """
    layers = []
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        starts = [_layer(fan_in, fan_out, init_std, seed, f"layer{index}") for seed in seeds]
        weight, bias = (torch.stack(tensors).to(device) for tensors in zip(*starts, strict=True))
        layers.append((weight, bias))
    return layers


def _layer(fan_in: int, fan_out: int, init_std: float | None, seed: int, tag: str) -> Layer:
    if init_std is None:
        weight = uniform((fan_out, fan_in), seed, f"{tag}.weight", fan_in)
        return weight, uniform((fan_out,), seed, f"{tag}.bias", fan_in)
    weight = normal((fan_out, fan_in), init_std, seed, f"{tag}.weight")
    return weight, weight.new_zeros(fan_out)


def draw_(layer: Any, name: str, init_std: float | None, seed: int) -> None:
    """Draw a layer's weight and bias in place, under NAME.weight and NAME.bias, as `first_layers` draws them."""
    fan_in = layer.weight[0].numel()
    if init_std is None:
        layer.weight.copy_(uniform(tuple(layer.weight.shape), seed, f"{name}.weight", fan_in))
    else:
        layer.weight.copy_(normal(tuple(layer.weight.shape), init_std, seed, f"{name}.weight"))
    if layer.bias is not None:
        first = uniform(tuple(layer.bias.shape), seed, f"{name}.bias", fan_in) if init_std is None else 0.0 * layer.bias
        layer.bias.copy_(first)


def order(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order, int64 [images], in which `epoch` (from 1) visits the training images."""
    return permutation(images, seed, f"epoch{epoch}.order")
