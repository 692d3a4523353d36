"""IDX files read into tensors, after checks that tell in a sentence what is wrong with a file."""

import math
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from samebits.base.errors import UserError
from samebits.datasets.catalog import Idx, IdxFile
from samebits.datasets.split import Split


def read_split(folder: Path, entry: Idx, split: Literal["train", "test"]) -> Split:
    """Read the images and labels of one split of a dataset from `folder`.

    Raises UserError if a file is missing or damaged, if images and labels differ in number, if a shape is not the
    catalog's, if a label has no class, or if a class has no image.
    """
    images_file, labels_file = entry.images(split), entry.labels(split)
    images, labels = read(folder / images_file.name, 3), read(folder / labels_file.name, 1)
    if len(images) != len(labels):
        raise UserError(
            f"{folder}: {images_file.name} holds {len(images)} images, but {labels_file.name} {len(labels)} labels"
        )
    _check_shape(folder, images_file, images)
    _check_shape(folder, labels_file, labels)
    _check_classes(folder / labels_file.name, labels, entry.classes)
    return Split(images, labels)


def read(path: Path, dimensions: int) -> Tensor:
    """Read an IDX file of uint8 with so many dimensions. Raises UserError if it is anything else."""
    try:
        with path.open("rb") as file:
            header = file.read(4 + 4 * dimensions)
        size = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `dvc repro` writes it in its download stage") from None
    magic = 0x0800 + dimensions  # 08 is uint8
    if header[:4] != magic.to_bytes(4, "big"):
        raise UserError(
            f"{path} is not an IDX file of bytes with {dimensions} dimensions: it begins with "
            f"{header[:4].hex() or 'nothing'}, but must with {magic:08x}"
        )
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4)]
    if size != 4 + 4 * dimensions + math.prod(shape) or 0 in shape:
        raise UserError(f"{path} is damaged: its header says a shape of {shape}, its size is {size:,} bytes")
    tensor: Tensor = read_sn3_pascalvincent_tensor(str(path))
    return tensor


def _check_shape(folder: Path, file: IdxFile, tensor: Tensor) -> None:
    if tensor.shape != file.shape:
        raise UserError(
            f"{folder / file.name} has the shape {list(tensor.shape)}, but the catalog says {list(file.shape)}"
        )


def _check_classes(path: Path, labels: Tensor, classes: list[str]) -> None:
    if labels.max() >= len(classes):
        raise UserError(
            f"{path}: label {labels.max()} at position {labels.argmax()} has no class: "
            f"{len(classes)} classes have the labels 0 to {len(classes) - 1}"
        )
    absent = [
        name for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)), strict=True) if not count
    ]
    if absent:
        raise UserError(f"{path} has no label of the class {', '.join(absent)}")
