"""Stage preprocess: make the files in data/raw/DATASET the arrays in data/processed/DATASET."""

from pathlib import Path
from typing import Annotated

import typer

from samebits.base import params, paths
from samebits.base.command_line import run_stage
from samebits.base.errors import UserError
from samebits.datasets import arrays, catalog, folder, idx, local, prepare, table
from samebits.datasets.scale import SCALE, Scale
from samebits.datasets.split import Split


def main(dataset: Annotated[str, typer.Argument(help="a name in data/catalog.yaml")]) -> None:
    """Check one dataset's files, resize and split as params.yaml says, and write the splits and their summary."""
    chosen = params.load().preprocess
    entry = catalog.load(paths.CATALOG).entry(dataset)
    train, test, scale = _read(paths.raw(dataset), entry)
    train, validation = prepare.hold_out(train, chosen.validation_size, entry.classes)
    splits = {"train": train, "validation": validation, "test": test}
    if chosen.resize and scale:
        raise UserError(f"preprocess.resize is {chosen.resize}, but {dataset} is a table: rows have no sides; say null")
    if chosen.resize:
        splits = {
            name: Split(prepare.resize(split.images, chosen.resize), split.labels) for name, split in splits.items()
        }
    summary = arrays.save(paths.processed(dataset), dataset, entry.title, entry.classes, splits)
    if scale:
        scale.write(paths.processed(dataset) / SCALE)
    counts = ", ".join(f"{split.images} {name}" for name, split in summary.splits.items())
    print(f"{dataset}: {counts} images of {summary.image[0]} x {summary.image[1]}")


def _read(raw: Path, entry: catalog.Idx | catalog.Own) -> tuple[Split, Split, Scale | None]:
    """Read training and test set, and a table's scale."""
    match entry:
        case catalog.Table():
            return table.read_splits(raw / local.TABLE, entry)
        case catalog.Folder():
            return *folder.read_splits(raw, entry), None
    return idx.read_split(raw, entry, "train"), idx.read_split(raw, entry, "test"), None


if __name__ == "__main__":
    run_stage(main)
