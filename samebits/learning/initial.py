"""Where learning starts: the first weights, the same for every arithmetic, device and library version."""

from collections.abc import Sequence
from itertools import pairwise

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


def order(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order, int64 [images], in which `epoch` (from 1) visits the training images."""
    return permutation(images, seed, f"epoch{epoch}.order")
