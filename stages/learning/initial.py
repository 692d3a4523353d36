"""Where learning starts: the first weights, the same for every arithmetic, device and library version."""

from itertools import pairwise

from torch import Tensor

from stages.exact import normal, permutation, uniform

Layer = tuple[Tensor, Tensor]  # weight [out, in], bias [out]


def weights(widths: list[int], init_std: float | None, seed: int) -> list[Layer]:
    """Return a weight [out, in] and a bias [out], float64, for the layer between each two of `widths`.

    With `init_std` the weights are N(0, init_std) and the biases zero, as the book has them; without it both are
    uniform within 1 / sqrt(in), PyTorch's default. Either is on a grid that float32 holds exactly or rounds to.
    """
    layers = enumerate(pairwise(widths))
    return [_layer(fan_in, fan_out, init_std, seed, index) for index, (fan_in, fan_out) in layers]


def _layer(fan_in: int, fan_out: int, init_std: float | None, seed: int, index: int) -> Layer:
    tag = f"layer{index}"
    if init_std is None:
        weight = uniform((fan_out, fan_in), seed, f"{tag}.weight", fan_in)
        return weight, uniform((fan_out,), seed, f"{tag}.bias", fan_in)
    weight = normal((fan_out, fan_in), init_std, seed, f"{tag}.weight")
    return weight, weight.new_zeros(fan_out)


def order(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order, int64 [images], in which `epoch` (from 1) visits the training images."""
    return permutation(images, seed, f"epoch{epoch}.order")
