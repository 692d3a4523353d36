"""What the preprocess stage writes and the later stages read: the splits as uint8 tensors, and their summary."""

import hashlib
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from safetensors.torch import save as encode

from samebits.base import paths
from samebits.base.errors import UserError, reason
from samebits.base.files import read_json, whole, write_json
from samebits.base.schema import Strict, parse
from samebits.datasets.split import Split

SPLITS = ("train", "validation", "test")


def _each(splits: dict[str, Any]) -> dict[str, Any]:
    if tuple(splits) != SPLITS:
        raise ValueError(f"it should hold {', '.join(SPLITS)}")
    return splits


EachSplit = AfterValidator(_each)


class SplitSummary(Strict):
    """Counts of a split, and mean and standard deviation of its pixels on the scale 0..1 (None if it is empty)."""

    images: int
    per_class: list[int]
    pixel_mean: float | None
    pixel_std: float | None


class Summary(Strict):
    """The whole of summary.json: `digest` is the SHA-256 of the three split files' bytes, in SPLITS' order."""

    dataset: str
    title: str
    classes: list[str]
    image: Annotated[list[int], Field(min_length=2, max_length=2)]
    digest: str
    splits: Annotated[dict[str, SplitSummary], EachSplit]


def load_summary(folder: Path) -> Summary:
    """Read data/processed/DATASET/summary.json.

    Raises UserError if it is missing, of another form, or of other splits or another dataset than are beside it.
    """
    path = folder / paths.SUMMARY
    try:
        summary = parse(read_json(path), Summary, path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `dvc repro` writes it in its preprocess stage") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): run `dvc repro` again") from None
    if summary.dataset != folder.name or summary.digest != _digest(folder):
        raise UserError(f"{path} is of other splits than those beside it: run `dvc repro` again")
    return summary


def _digest(folder: Path) -> str:
    """The SHA-256 of the files of all splits, one after the other. Raises UserError if one cannot be read."""
    digest = hashlib.sha256()
    for name in SPLITS:
        path = folder / paths.SPLIT.format(name)
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} cannot be read ({reason(error)}): `dvc repro` writes it") from None
    return digest.hexdigest()


def save(folder: Path, dataset: str, title: str, classes: list[str], splits: dict[str, Split]) -> Summary:
    """Write the splits (one for each of SPLITS) and their summary into `folder`: all of it, or nothing."""
    digest = hashlib.sha256()
    with ExitStack() as renamed_at_the_end:
        for name in SPLITS:
            data = encode({"images": splits[name].images.contiguous(), "labels": splits[name].labels.contiguous()})
            digest.update(data)
            renamed_at_the_end.enter_context(whole(folder / paths.SPLIT.format(name))).write_bytes(data)
        summary = Summary(
            dataset=dataset,
            title=title,
            classes=classes,
            image=list(splits["train"].images.shape[1:]),
            digest=digest.hexdigest(),
            splits={name: summarise(splits[name], len(classes)) for name in SPLITS},
        )
        write_json(folder / paths.SUMMARY, summary.model_dump())
    return summary


def summarise(split: Split, classes: int) -> SplitSummary:
    """Count the images of each class and take the pixels' mean and standard deviation.

    The sums are integers, exact in any order, so the two figures are the same on every machine.
    """
    histogram = torch.bincount(split.images.flatten(), minlength=256).tolist()
    n = sum(histogram)
    total = sum(value * count for value, count in enumerate(histogram))
    squares = sum(value * value * count for value, count in enumerate(histogram))
    return SplitSummary(
        images=len(split.labels),
        per_class=torch.bincount(split.labels, minlength=classes).tolist(),
        pixel_mean=total / (255 * n) if n else None,
        pixel_std=math.sqrt(n * squares - total * total) / (255 * n) if n else None,
    )
