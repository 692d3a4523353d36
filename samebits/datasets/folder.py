"""A folder of pictures, a sub-folder for each class, read into grey images."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from samebits.base.errors import UserError
from samebits.datasets import catalog, local
from samebits.datasets.pictures import decode
from samebits.datasets.prepare import part, shuffled
from samebits.datasets.split import Split


class OtherSizeError(UserError):
    """A picture that is not of the size which the catalog says."""


def read_splits(folder: Path, entry: catalog.Folder) -> tuple[Split, Split]:
    """Read the pictures of training and test set, both in an order drawn by lot.

    Raises UserError naming the file that is no picture or of another size, and the class that is missing or unknown.
    """
    if entry.test_share is None:
        train, test = (_read(folder / name, Path(entry.path) / name, entry) for name in ("train", "test"))
        return _taken(train, shuffled(len(train.labels))), _taken(test, shuffled(len(test.labels)))
    everything = _read(folder, Path(entry.path), entry)
    for_training, for_testing = part(everything.labels, entry.test_share, entry.classes)
    return _taken(everything, for_training), _taken(everything, for_testing)


def _taken(split: Split, positions: Tensor) -> Split:
    return Split(split.images[positions], split.labels[positions])


def _read(folder: Path, shown: Path, entry: catalog.Folder) -> Split:
    """Read CLASS/PICTURE in `folder`, which messages call `shown`: class by class, each by name."""
    names = local.files(folder)
    for name in names:
        if len(name.parts) != 2:
            raise UserError(f"{shown / name} is not directly in the folder of a class: {shown}/CLASS/PICTURE is wanted")
        if name.parts[0] not in entry.classes:
            raise UserError(f"{shown / name}: {name.parts[0]} is none of the classes in the catalog")
    if empty := [name for name in entry.classes if not any(file.parts[0] == name for file in names)]:
        raise UserError(f"{shown / empty[0]} holds no picture: each class must have some")
    ordered = sorted(names, key=lambda name: entry.classes.index(name.parts[0]))  # stable: by name in a class
    height, width = entry.image
    images = np.empty((len(ordered), height, width), np.uint8)
    for place, name in enumerate(tqdm(ordered, desc=f"reading {shown}", unit="picture", disable=None)):
        picture = decode((folder / name).read_bytes(), str(shown / name))
        if picture.size != (width, height):
            raise OtherSizeError(
                f"{shown / name} is {picture.height} pixels high and {picture.width} wide, but the catalog says "
                f"image: {entry.image}; all pictures must have that size"
            )
        images[place] = np.asarray(picture)
    labels = [entry.classes.index(name.parts[0]) for name in ordered]
    return Split(torch.from_numpy(images), torch.tensor(labels, dtype=torch.uint8))
