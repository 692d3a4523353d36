"""Declare data of one's own: look at a CSV file or a folder of pictures and say what data/catalog.yaml needs of it."""

import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import sha256, whole, write_text
from samebits.base.schema import NAMED, parse
from samebits.datasets import catalog, folder, foreign, layout, local, spreadsheet, suspects, table
from samebits.datasets.catalog import MOST_CLASSES, Catalog
from samebits.datasets.pictures import decode
from samebits.datasets.table import few

TEST_SHARE = 0.2


def main(
    name: Annotated[str, typer.Argument(help="What the dataset is to be called: a-z, 0-9 and _.")],
    path: Annotated[Path, typer.Argument(help="A CSV file, or a folder CLASS/PICTURE or {train,test}/CLASS/PICTURE.")],
    label: Annotated[str | None, typer.Option(help="Of a table: the column that holds the class.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Of a table: a column to leave out, such as id.")] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Of a table: a column that seems to number the rows, and yet is data.")
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(help=f"The test set's share of each class; {TEST_SHARE} unless given.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Append the entry to data/catalog.yaml.")] = False,
) -> None:
    """Print the entry of PATH for data/catalog.yaml, after reading all of it as the pipeline will."""
    pattern, wanted = NAMED
    if not re.fullmatch(pattern, name):
        raise UserError(f"NAME is '{name}', but it should be {wanted}")
    known = catalog.load(paths.CATALOG)
    if name in known.root:
        raise UserError(f"{paths.CATALOG} has an entry {name} already: take it out, or choose another name")
    made: dict[Path, bytes] = {}  # files in a form that the pipeline reads, to be written beside PATH
    if path.is_file():
        share = TEST_SHARE if test_share is None else test_share
        with _as_csv(path, made) as (file, shown):
            entry = _table(name, file, shown, label, ignore or [], keep or [], share)
    elif path.is_dir():
        if label is not None or ignore or keep:
            raise UserError(f"{path} is a folder: --label, --ignore and --keep are for tables")
        entry = _folder(name, path, test_share)
    else:
        local.refuse_broken_link(path)
        raise UserError(f"there is no file or folder {path}")
    text = _yaml({name: entry})
    print(text, end="")
    if write:
        before = paths.CATALOG.read_text(encoding="utf-8").rstrip("\n")
        after = f"{before}\n\n{text}"
        parse(YAML(typ="safe", pure=True).load(after), Catalog, paths.CATALOG)
        _write(made)
        write_text(paths.CATALOG, after)
        print(f"# written to {paths.CATALOG}; now put {name} into `datasets` of params.yaml and run `dvc repro`")


def _write(made: dict[Path, bytes]) -> None:
    """Write files that are not there. Raises UserError, before any is written, if one is there with other content."""
    if other := [path for path, data in made.items() if path.exists() and path.read_bytes() != data]:
        raise UserError(f"{other[0]} is there already and holds something else: move it, for it is to be written anew")
    for path, data in made.items():
        with whole(path) as scratch:
            scratch.write_bytes(data)
        print(f"# written: {path}")


@contextmanager
def _as_csv(path: Path, made: dict[Path, bytes]) -> Iterator[tuple[Path, Path]]:
    """Give a table's file and what it is to be called; one in another form than CSV is put among `made`."""
    text = spreadsheet.as_csv(path)
    if text is None:
        yield path, path
        return
    with tempfile.TemporaryDirectory() as folder:
        file, shown = Path(folder, "table.csv"), path.with_suffix(".csv")
        made[shown] = text.encode()
        file.write_bytes(made[shown])
        yield file, shown


def _table(
    name: str, file: Path, path: Path, label: str | None, ignore: list[str], keep: list[str], test_share: float
) -> dict[str, Any]:
    """Read the table in `file`, which is, or will be, called `path`."""
    with file.open("rb") as stream:
        foreign.refuse(stream, str(path))
        if label is None:
            raise UserError(f"{path} is a table: say which column holds the class, by --label COLUMN")
        read = table.read(stream, str(path), label, ignore)
    classes = _classes(read.classes, path)
    _ask(path, read, keep)
    more = {"label": label, "ignore": ignore} if ignore else {"label": label}
    entry = _entry(name, "table", path, classes, [1, len(read.columns)], sha256(file))
    entry |= {**more, "test_share": test_share}
    table.read_splits(file, _checked(name, entry))
    return entry


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


def _folder(name: str, path: Path, test_share: float | None) -> dict[str, Any]:
    files, parted = local.files(path), layout.is_parted(path)
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
    return entry


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


def _yaml(value: dict[str, Any]) -> str:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = None, False  # type: ignore[assignment]
    yaml.width, yaml.allow_unicode = 110, True
    yaml.dump(value, text)
    return text.getvalue()
