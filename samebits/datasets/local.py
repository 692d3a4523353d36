"""Data of one's own, copied from where the catalog says. Only what was declared gets out of here."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from samebits.base.errors import UserError
from samebits.base.files import beside, sha256
from samebits.datasets import foreign
from samebits.datasets.catalog import Folder, Own, Table

TABLE = "table.csv"  # what a table is called in data/raw/DATASET


def obtain(dataset: str, entry: Own, mirror: str | None, to: Path) -> None:
    """Bring the table or the folder that `entry` declares into the folder `to`: all of it, or nothing.

    It comes from the entry's path or, where there is none, from DATASET of the folder `mirror`. Raises UserError
    if it is in neither, or if its content is not what was declared.
    """
    if to.is_dir() and _digest_of_copy(to, entry) == entry.sha256:
        print(f"{dataset}: already there and verified")
        return
    source = find(dataset, entry, mirror)
    with _whole_folder(to) as scratch:
        _copy(source, scratch, entry)
        found = _digest_of_copy(scratch, entry)
        if found != entry.sha256:
            for name in files(scratch):
                with (scratch / name).open("rb") as stream:
                    foreign.refuse(stream, str(source / name if isinstance(entry, Folder) else source))
            raise UserError(
                f"{dataset}: the SHA-256 of {source} is {found}, but data/catalog.yaml declares {entry.sha256}: if the "
                f"data are meant to have changed, write `sha256: {found}` there under {dataset} "
                "(and have a look at its classes, or declare it anew by `samebits declare`)"
            )
    print(f"{dataset}: copied from {source}")


def find(dataset: str, entry: Own, mirror: str | None) -> Path:
    """Return the entry's path, or that of a copy in `mirror`. Raises UserError if there is neither."""
    path = Path(os.environ.get("DVC_ROOT") or "") / entry.path  # an experiment of DVC may run in a copy of the project
    copy = Path(mirror or "") / dataset / (TABLE if isinstance(entry, Table) else "")
    kind, is_there = ("file", Path.is_file) if isinstance(entry, Table) else ("folder", Path.is_dir)
    if is_there(path):
        return path
    if mirror and is_there(copy):
        return copy
    refuse_broken_link(path)
    elsewhere = f", nor is {copy} of DATASET_MIRROR" if mirror else ""
    raise UserError(
        f"{dataset}: there is no {kind} {entry.path}{elsewhere}; `path` in data/catalog.yaml is relative to the folder "
        "that holds dvc.yaml"
    )


def files(folder: Path) -> list[Path]:
    """Return the files in `folder` at any depth, relative to it, in the order of their names' bytes.

    Links are followed. Hidden ones, which systems leave in folders on their own, do not count. Raises UserError for
    whatever else cannot be read as a file: what is passed over would be missing among the data.
    """
    names = (path.relative_to(folder) for path in _within(folder))
    return sorted(names, key=lambda name: name.as_posix().encode(errors="surrogateescape"))


def _within(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        raise UserError(f"{folder} is a link to {real}, a folder that it lies in itself: remove the link")
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from _within(path, above | {real})
        else:
            refuse_broken_link(path)
            raise UserError(f"{path} is neither a file nor a folder: remove it")


def refuse_broken_link(path: Path) -> None:
    """Raise UserError if `path`, or a folder that it is in, is a link that leads to nothing."""
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            raise UserError(
                f"{link} is a link to {link.readlink()}, where nothing is: mount or bring what it leads to (with "
                "git-annex, by `git annex get`), or remove the link"
            )


def digest(folder: Path) -> str:
    """Return the SHA-256 of a folder's content: of what `sha256sum` prints of its files, in the order of `files`."""
    names = tqdm(files(folder), desc=f"hashing {folder}", unit="file", disable=None)
    lines = (f"{sha256(folder / name)}  {name.as_posix()}\n" for name in names)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _digest_of_copy(copy: Path, entry: Own) -> str:
    if isinstance(entry, Folder):
        with suppress(UserError):  # links into DVC's cache may be broken: then it is no copy, and a new one is made
            return digest(copy)
        return ""
    return sha256(copy / TABLE) if (copy / TABLE).is_file() else ""


def _copy(source: Path, to: Path, entry: Own) -> None:
    pairs = [(source / name, to / name) for name in files(source)] if isinstance(entry, Folder) else []
    for original, copy in pairs or [(source, to / TABLE)]:
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(original, os.R_OK):
            raise UserError(f"{original} cannot be read: permission denied")
        shutil.copyfile(original, copy)


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Give a scratch folder beside `path`; on success it takes the place of `path`, on failure it is removed."""
    scratch = beside(path)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        shutil.rmtree(path, ignore_errors=True)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
