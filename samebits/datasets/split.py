"""One split of a dataset as tensors, read from the file that the preprocess stage writes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from samebits.base import paths
from samebits.base.errors import UserError


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, H, W] and their labels uint8 [N]; N may be 0."""

    images: Tensor
    labels: Tensor


def load_split(folder: Path, name: str, device: torch.device | str = "cpu") -> Split:
    """Read split `name` from data/processed/DATASET onto `device`. Raises UserError if it is not to be read."""
    path = folder / paths.SPLIT.format(name)
    try:
        split = Split(**load_file(path, device=str(device)))
        if (split.images.dtype, split.labels.dtype) != (torch.uint8, torch.uint8):
            raise TypeError("they are not uint8")
        if split.images.ndim != 3 or split.labels.shape != split.images.shape[:1]:
            raise TypeError(f"their shapes are {list(split.images.shape)} and {list(split.labels.shape)}")
        return split
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `dvc repro` writes it in its preprocess stage") from None
    except (SafetensorError, TypeError) as error:
        raise UserError(f"{path} does not hold images and labels ({error}): run `dvc repro` again") from None
