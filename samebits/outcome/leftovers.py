"""Outputs of datasets and networks that params.yaml no longer names."""

import shutil
from collections.abc import Iterable
from pathlib import Path


def prune(folders: Iterable[Path], known: Iterable[str], wanted: Iterable[str]) -> None:
    """Remove what is left in `folders` of datasets that are known but no longer wanted.

    DVC leaves the outputs of a dataset that was taken out of params.yaml where they are; as part of the folders
    that the report depends on they would make dvc.lock depend on what was run here before. Only folders named as
    a known dataset go, never a link or what it points to, and DVC has a copy of every output in its cache.
    """
    places = [folder for folder in folders if not folder.is_symlink()]
    for name in sorted(set(known) - set(wanted)):
        left = [place / name for place in places if (place / name).is_dir() and not (place / name).is_symlink()]
        for folder in left:
            shutil.rmtree(folder)
        if left:
            print(
                f"removed {', '.join(map(str, left))}: {name} is not among the datasets of params.yaml; "
                f"once it is again, `dvc checkout` brings them back from DVC's cache"
            )


def prune_runs(folder: Path, outputs: Iterable[str], wanted: Iterable[str]) -> None:
    """Remove what is left in `folder`, models/DATASET, of networks that are no longer wanted, as `prune` does.

    Only a folder that holds a training's `outputs` and nothing else is one; never a link.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    for left in sorted(set(folder.iterdir()) - {folder / name for name in wanted}):
        if left.is_symlink() or not left.is_dir() or {file.name for file in left.iterdir()} != set(outputs):
            continue
        shutil.rmtree(left)
        print(
            f"removed {left}: {left.name} is not among the networks of params.yaml; "
            f"once it is again, `dvc repro` brings it back from DVC's cache"
        )
