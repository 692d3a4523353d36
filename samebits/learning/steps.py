"""What a network of one's own computes: its layers one after the other, or as they are wired."""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from samebits import exact


class Add(nn.Module):
    """The sum of two outputs of one shape, as of a residual connection (He et al. 2016)."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a + b. Raises ValueError for different shapes: a broadcast's gradient would be a sum in any order."""
        if a.shape != b.shape:
            raise ValueError(f"{list(a.shape)} and {list(b.shape)} cannot be added: they should be of one shape")
        return a + b


class Cat(nn.Module):
    """Outputs side by side, along the channels unless another axis is said."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *outputs: Tensor) -> Tensor:
        """Return the outputs as one."""
        return torch.cat(outputs, self.dim)


class Network(nn.Sequential):
    """Layers, of images [N, H, W], which go in as [N, 1, H, W]: each gets what the one before gives, or what `inputs`
    names, "" for the images.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], pixels: bool, inputs: dict[str, list[str]]) -> None:
        super().__init__(layers)
        self._pixels = pixels  # whether the images may stay 8-bit integers
        self._inputs = inputs

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [N, K] of images uint8 [N, H, W]."""
        return [Z for _, _, Z in self.steps(images)][-1]

    def steps(self, images: Tensor) -> Iterator[tuple[str, nn.Module, Tensor]]:
        """Yield each layer's name, the layer and what it gives."""
        before, given = "", {"": self.entrance(images)}
        for name, layer in self.named_children():
            given[name] = layer(*(given[each] for each in self._inputs.get(name, [before])))
            yield name, layer, given[name]
            if not self._inputs:
                del given[before]
            before = name

    def entrance(self, images: Tensor) -> Tensor:
        """Return what the first layer gets: pixels [N, 1, H, W], or their shares of 255 where it takes no integers."""
        X = images.unsqueeze(-3)
        return X if self._pixels else exact.divide(X.double(), 255).to(next(self.parameters()).dtype)
