"""A trained model that answers. Imports torch, numpy and safetensors alone, so that it also runs far from DVC."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.exact import NonFinite
from samebits.learning import device
from samebits.learning.arithmetic import judging
from samebits.learning.description import Description, describe, remedy
from samebits.learning.load import load_described

BATCH = 4096  # images at a time: memory, never the bits


@dataclass(frozen=True)
class Classifier:
    """The network of one seed; `description` says what it was trained on."""

    description: Description
    seed: int
    network: nn.Sequential
    softmax: Callable[[Tensor], Tensor]
    where: torch.device

    @classmethod
    def load(cls, path: Path, seed: int | None = None) -> "Classifier":
        """Read `seed`, by default the first, out of a model.safetensors, onto the device that DEVICE names.

        Raises UserError for a file that is missing, truncated or no model of this project, and for another seed.
        """
        description, where = describe(path), device.chosen()
        try:
            seeds = list(description.seeds)
            seed = seeds[0] if seed is None else seed
            if seed not in seeds:
                raise UserError(f"{path} has no seed {seed}: it was trained with {', '.join(map(str, seeds))}")
            ops = judging(description.arithmetic, where)
            network = load_described(path, description, ops, where)[seeds.index(seed)]
        except (LookupError, RuntimeError, TypeError, ValueError):
            raise UserError(f"{path} does not hold the model that it describes{remedy(path)}") from None
        return cls(description, seed, network, ops.softmax, where)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return each image's probabilities [N, K] for images uint8 [N, H, W], on the CPU.

        With exact arithmetic an image's bits are those of predictions/DATASET/RUN.csv, whatever else is asked
        along with it. Raises ValueError for another shape or type, UserError if the weights are not finite.
        """
        height, width = self.description.image
        if images.dtype != torch.uint8 or images.ndim != 3 or images.shape[1:] != (height, width):
            form = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise ValueError(f"the images are {form}, but the model takes uint8 [N, {height}, {width}]")
        if not len(images):
            return torch.empty(0, len(self.description.classes), dtype=next(self.network.parameters()).dtype)
        try:
            answers = [self.softmax(self.network(X.to(self.where))).cpu() for X in images.split(BATCH)]
        except NonFinite as error:
            raise UserError(f"the model cannot answer: {error}") from None
        return torch.cat(answers)
