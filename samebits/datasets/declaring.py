"""What data/catalog.yaml needs to know of data of one's own, found out by reading all of them as the pipeline will."""

import hashlib
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.base.schema import parse
from samebits.datasets import folder, foreign, layout, local, packed, spreadsheet, suspects, table
from samebits.datasets.bundled import encode_idx
from samebits.datasets.catalog import MOST_CLASSES, Catalog
from samebits.datasets.pictures import decode
from samebits.datasets.table import few

TEST_SHARE = 0.2
IDX = {  # what files are called that are made of other ones, as MNIST's are
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class Declared:
    """An entry for the catalog, and the files that it is of and that are not there yet, because others are."""

    entry: dict[str, Any]
    made: dict[Path, bytes] = field(default_factory=dict)


def declare(
    name: str, path: Path, label: str | None, ignore: list[str], keep: list[str], test_share: float | None
) -> Declared:
    """Find out what `path` is, and describe it. Raises UserError for whatever the pipeline could not read."""
    of_table = label is not None or ignore or keep
    if found := packed.read(path):
        if of_table or test_share is not None:
            raise UserError(
                f"{path} holds images for training and test: --label, --ignore, --keep and --test-share are not for it"
            )
        return _packed(name, path, found)
    if path.is_file():
        return _table(name, path, label, ignore, keep, TEST_SHARE if test_share is None else test_share)
    if path.is_dir():
        if of_table:
            raise UserError(f"{path} is a folder: --label, --ignore and --keep are for tables")
        return _folder(name, path, test_share)
    local.refuse_broken_link(path)
    raise UserError(f"there is no file or folder {path}")


def _table(name: str, path: Path, label: str | None, ignore: list[str], keep: list[str], test_share: float) -> Declared:
    with _as_csv(path) as (file, called, made):
        with file.open("rb") as stream:
            foreign.refuse(stream, str(called))
            if label is None:
                raise UserError(f"{path} is a table: say which column holds the class, by --label COLUMN")
            read = table.read(stream, str(called), label, ignore)
        classes = _classes(read.classes, called)
        _ask(path, read, keep)
        more = {"label": label, "ignore": ignore} if ignore else {"label": label}
        entry = _entry(name, "table", called, classes, [1, len(read.columns)], sha256(file))
        entry |= {**more, "test_share": test_share}
        table.read_splits(file, _checked(name, entry))
    return Declared(entry, made)


@contextmanager
def _as_csv(path: Path) -> Iterator[tuple[Path, Path, dict[Path, bytes]]]:
    """Give a table's file, what it is called or will be, and what is to be written so that it is there."""
    text = spreadsheet.as_csv(path)
    if text is None:
        yield path, path, {}
        return
    with tempfile.TemporaryDirectory() as scratch:
        file, called = Path(scratch, "table.csv"), path.with_suffix(".csv")
        file.write_bytes(text.encode())
        yield file, called, {called: text.encode()}


def _ask(path: Path, read: table.Table, keep: list[str]) -> None:
    """Raise UserError for columns that number the rows, unless `keep` says that they are data."""
    if unknown := [column for column in keep if column not in read.columns]:
        raise UserError(f"{path} has no column {few(unknown)} to keep: its columns of numbers are {few(read.columns)}")
    if found := [column for column in suspects.numbering(read.columns, read.values) if column not in keep]:
        ways = [" ".join(f"--{way} {shlex.quote(column)}" for column in found) for way in ("ignore", "keep")]
        raise UserError(
            f"{path}: {few(found)} seems to number the rows, so that models would learn their order: leave it out by "
            f"{ways[0]} or, if it is a measurement, say {ways[1]}"
        )


def _folder(name: str, path: Path, test_share: float | None) -> Declared:
    files = [name for name in local.files(path) if len(name.parts) > 1]
    parted = layout.is_parted(path)
    if parted and test_share is not None:
        raise UserError(f"{path} is parted into train and test already: leave --test-share out")
    classes = _classes(layout.folders(path / "train" if parted else path), path)
    if not files:
        raise UserError(f"{path} holds no pictures")
    picture = decode((path / files[0]).read_bytes(), str(path / files[0]))
    entry = _entry(name, "folder", path, classes, [picture.height, picture.width], local.digest(path))
    entry |= {} if parted else {"test_share": TEST_SHARE if test_share is None else test_share}
    try:
        folder.read_splits(path, _checked(name, entry))
    except folder.OtherSizeError:
        raise UserError(layout.odd_size(path, files)) from None
    return Declared(entry)


def _packed(name: str, path: Path, found: packed.Packed) -> Declared:
    """Files that hold what the pipeline reads stay where they are; others are made anew, beside them."""
    if found.turned:
        print("# EMNIST's images lie on their side: turned upright")
    _warn(found.classes, path)
    places = found.files or {role: path.parent / f"{name}-idx" / file for role, file in IDX.items()}
    data = {role: encode_idx(array) for role, array in found.arrays.items()}
    files = {
        role: {
            "name": places[role].name,
            "images": len(array),
            "sha256": hashlib.sha256(data[role]).hexdigest(),
        }
        for role, array in found.arrays.items()
    }
    image = list(found.arrays["train_images"].shape[1:])
    where = places["train_images"].parent.as_posix()
    entry = {"title": name, "classes": found.classes, "image": image, "files": files, "installed": where}
    entry |= {"licence": "", "citation": ""}
    _checked(name, entry)
    return Declared(entry, {} if found.files else {places[role]: data[role] for role in data})


def _classes(found: list[str], path: Path) -> list[str]:
    classes = sorted(set(found))
    if len(classes) < 2:
        held = f"only the class {classes[0]}" if classes else "no class"
        raise UserError(f"{path} has {held}: two are wanted, or more")
    if len(classes) > MOST_CLASSES:
        raise UserError(
            f"{path} has {len(classes):,} classes: labels are bytes, so at most {MOST_CLASSES} are possible"
        )
    _warn(classes, path)
    return classes


def _warn(classes: list[str], path: Path) -> None:
    """Name the classes that may be one class in several spellings, or none at all."""
    doubts = [f"{' and '.join(map(repr, group))} may be one class" for group in suspects.spellings(classes)]
    doubts += [f"{name!r} may stand for a class that is missing" for name in suspects.missing(classes)]
    if doubts:
        print(f"warning: {path}: {'; '.join(doubts)}", file=sys.stderr)


def _entry(name: str, kind: str, path: Path, classes: list[str], image: list[int], digest: str) -> dict[str, Any]:
    return {
        "title": name,
        "format": kind,
        "path": path.as_posix(),
        "sha256": digest,
        "classes": classes,
        "image": image,
    }


def _checked(name: str, entry: dict[str, Any]) -> Any:
    return parse({name: entry}, Catalog, f"the entry for {paths.CATALOG}").entry(name)
