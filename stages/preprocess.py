"""Stage preprocess: make the files in data/raw/DATASET the arrays in data/processed/DATASET."""

from pathlib import Path
from typing import Annotated

import typer

from stages import params
from stages.command import command
from stages.datasets import arrays, catalog, idx, prepare
from stages.datasets.split import Split

CATALOG = Path("data/catalog.yaml")
RAW = Path("data/raw")
PROCESSED = Path("data/processed")


def main(dataset: Annotated[str, typer.Argument(help="a name in data/catalog.yaml")]) -> None:
    """Check one dataset's files, resize and split as params.yaml says, and write the splits and their summary."""
    chosen = params.load().preprocess
    entry = catalog.load(CATALOG).entry(dataset)
    train, validation = prepare.hold_out(
        idx.read_split(RAW / dataset, entry, "train"), chosen.validation_size, entry.classes
    )
    splits = {"train": train, "validation": validation, "test": idx.read_split(RAW / dataset, entry, "test")}
    if chosen.resize:
        splits = {
            name: Split(prepare.resize(split.images, chosen.resize), split.labels) for name, split in splits.items()
        }
    summary = arrays.save(PROCESSED / dataset, dataset, entry.title, entry.classes, splits)
    counts = ", ".join(f"{split.images} {name}" for name, split in summary.splits.items())
    print(f"{dataset}: {counts} images of {summary.image[0]} x {summary.image[1]}")


if __name__ == "__main__":
    command(main)
