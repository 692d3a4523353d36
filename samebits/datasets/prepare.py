"""Resizing, parting and holding out, in ways that give the same bytes on every machine."""

import hashlib

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from samebits.base.errors import UserError
from samebits.datasets.split import Split


def resize(images: Tensor, side: int) -> Tensor:
    """Resize uint8 [N, H, W] to [N, side, side], bilinear with antialiasing.

    This is what torchvision's resize does on processors with AVX2: weights in whole numbers, so that no processor
    rounds otherwise. On others torchvision goes through float32 and gets other pixels: hence torch's own function.
    """
    return interpolate(images[:, None], size=(side, side), mode="bilinear", antialias=True)[:, 0].contiguous()


def hold_out(split: Split, size: int, classes: list[str]) -> tuple[Split, Split]:
    """Part a training set into what stays and `size` images for validation, with the same share of each class.

    Raises UserError if that would leave a class without a training image.
    """
    counts = torch.bincount(split.labels, minlength=len(classes)).tolist()
    if size >= len(split.labels):
        raise UserError(
            f"preprocess.validation_size is {size}, but must be less than the {len(split.labels)} training images"
        )
    shares = apportion(size, counts)
    for name, count, share in zip(classes, counts, shares, strict=True):
        if share >= count:
            raise UserError(
                f"preprocess.validation_size is {size}, which takes {share} of the {count} training images of the "
                f"class {name}: at least one must stay"
            )
    held = _drawn(split.labels, shares)
    return Split(split.images[~held], split.labels[~held]), Split(split.images[held], split.labels[held])


def part(labels: Tensor, test_share: float, classes: list[str]) -> tuple[Tensor, Tensor]:
    """Return the positions of what is for training and what for testing, with the same share of each class.

    labels: uint8 [N]. Raises UserError if a class would not be in both.
    """
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    shares = apportion(round(test_share * len(labels)), counts)
    for name, count, share in zip(classes, counts, shares, strict=True):
        if not 0 < share < count:
            raise UserError(
                f"the class {name} has {count} of {len(labels)} examples, and test_share {test_share} puts {share} of "
                "them into the test set: at least one must be in it, and one remain for training"
            )
    held, order = _drawn(labels, shares), shuffled(len(labels))
    return order[~held[order]], order[held[order]]


def shuffled(n: int) -> Tensor:
    """Return the positions 0 ... n - 1 in an order drawn by lot: one's own data often come sorted by class."""
    return torch.tensor(sorted(range(n), key=_lot), dtype=torch.int64)


def apportion(seats: int, counts: list[int]) -> list[int]:
    """Deal out `seats` in proportion to `counts` by the method of largest remainders; a tie goes to the first."""
    total = sum(counts)
    shares = [seats * count // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: -(seats * counts[i] % total))
    for i in by_remainder[: seats - sum(shares)]:
        shares[i] += 1
    return shares


def _drawn(labels: Tensor, shares: list[int]) -> Tensor:
    """Draw so many of each class: bool [N]."""
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label, share in enumerate(shares):
        members = (labels == label).nonzero().flatten().tolist()
        drawn[sorted(members, key=_lot)[:share]] = True
    return drawn


def _lot(position: int) -> bytes:
    """A random-looking key for drawing images that depends on no library's generator."""
    return hashlib.sha256(str(position).encode()).digest()
