"""Stage download: bring the files of one dataset, verified, into data/raw/DATASET."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from samebits.base import paths
from samebits.base.command_line import run_stage
from samebits.base.files import whole
from samebits.datasets import catalog, local, sources
from samebits.datasets.catalog import Catalog, Idx, IdxFile
from samebits.datasets.transfer import FailedError


def main(dataset: Annotated[str, typer.Argument(help="a name in data/catalog.yaml")]) -> None:
    """Download and verify one dataset, unless it is there. DATASET_MIRROR names a folder or URL to try first."""
    datasets, mirror = catalog.load(paths.CATALOG), sources.mirror()
    entry = datasets.entry(dataset)
    if isinstance(entry, Idx):
        _fetch(dataset, entry, mirror, datasets)
    else:
        local.obtain(dataset, entry, mirror, paths.raw(dataset))


def _fetch(dataset: str, entry: Idx, mirror: str | None, datasets: Catalog) -> None:
    missing = [file for file in entry.idx_files() if not _is_there(paths.raw(dataset) / file.name, file, datasets)]
    if not missing:
        print(f"{dataset}: already there and verified")
        return
    places = sources.sources_of(dataset, entry, mirror, paths.DOWNLOADS / dataset)
    found = sources.obtain(dataset, missing, places, datasets)
    with ExitStack() as renamed_at_the_end:
        for name, data in found.items():
            renamed_at_the_end.enter_context(whole(paths.raw(dataset) / name)).write_bytes(data)


def _is_there(path: Path, file: IdxFile, datasets: Catalog) -> bool:
    try:
        sources.read_archive(path, file, datasets)
    except FailedError:
        return False
    return True


if __name__ == "__main__":
    run_stage(main)
