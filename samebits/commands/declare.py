"""Declare data of one's own: look at a table, pictures or arrays and say what data/catalog.yaml needs of them."""

import io
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from samebits.base import paths
from samebits.base.command_line import require_named
from samebits.base.errors import UserError
from samebits.base.files import whole, write_text
from samebits.base.schema import parse
from samebits.datasets import catalog
from samebits.datasets.catalog import Catalog
from samebits.datasets.declaring import TEST_SHARE, declare


def main(
    name: Annotated[str, typer.Argument(help="What the dataset is to be called: a-z, 0-9 and _.")],
    path: Annotated[
        Path,
        typer.Argument(help="A table; a folder CLASS/PICTURE or {train,test}/CLASS/PICTURE; IDX files, or .npz."),
    ],
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
    require_named("NAME", name)
    known = catalog.load(paths.CATALOG)
    if name in known.root:
        raise UserError(f"{paths.CATALOG} has an entry {name} already: take it out, or choose another name")
    declared = declare(name, path, label, ignore or [], keep or [], test_share)
    text = _yaml({name: declared.entry})
    print(text, end="")
    if write:
        before = paths.CATALOG.read_text(encoding="utf-8").rstrip("\n")
        after = f"{before}\n\n{text}"
        parse(YAML(typ="safe", pure=True).load(after), Catalog, paths.CATALOG)
        _write(declared.made)
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


def _yaml(value: dict[str, Any]) -> str:
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = None, False  # type: ignore[assignment]
    yaml.width, yaml.allow_unicode = 160, True
    yaml.dump(value, text)
    return text.getvalue()
