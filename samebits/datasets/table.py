"""A table of numbers, one example a row, read from CSV and made images of one row of pixels."""

import csv
import io
import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.base.schema import cut
from samebits.datasets import catalog, foreign
from samebits.datasets.prepare import part
from samebits.datasets.scale import Scale, Values
from samebits.datasets.split import Split

SHOWN, LENGTH = 5, 80  # names in a message, and characters of each


@dataclass(frozen=True)
class Table:
    """Rows of numbers, values float64 [N, F] under the names in `columns`; `classes` [N], if they were asked for.

    `rows` are the rows' numbers as a spreadsheet has them: the header is 1.
    """

    columns: list[str]
    values: Values
    classes: list[str]
    rows: list[int]


def read_splits(path: Path, entry: catalog.Table) -> tuple[Split, Split, Scale]:
    """Read the table in `path` and part it into training and test set, both in an order drawn by lot.

    The scale is that of the whole training set, of which a part may be held out for validation later. Raises UserError
    naming row and column of whatever is not as it should be.
    """
    with path.open("rb") as stream:
        table = read(stream, entry.path, entry.label, entry.ignore)
    if [1, len(table.columns)] != entry.image:
        raise UserError(
            f"{entry.path} has {len(table.columns)} columns of numbers ({few(table.columns)}), which makes images of "
            f"[1, {len(table.columns)}], but the catalog says image: {entry.image}"
        )
    labels = _labels(table, entry)
    train, test = part(labels, entry.test_share, entry.classes)
    least, greatest = table.values[train].min(0), table.values[train].max(0)
    for name, a, b in zip(table.columns, least, greatest, strict=True):
        if math.isinf(float(b) - float(a)):
            raise UserError(f"{entry.path}: column {quoted(name)} runs from {a} to {b}, which is too far")
    scale = Scale(table.columns, least, greatest)
    pixels = torch.from_numpy(scale.pixels(table.values))
    return Split(pixels[train], labels[train]), Split(pixels[test], labels[test]), scale


def read(
    stream: BinaryIO,
    name: str,
    label: str | None = None,
    ignore: list[str] | None = None,
    columns: list[str] | None = None,
) -> Table:
    """Read a CSV file in UTF-8: the numbers in `columns`, or else in all but `label` and `ignore`.

    Raises UserError naming row and column of what is missing, is no number, or is more or less than the header says.
    """
    foreign.refuse(stream, name)
    lines = _lines(csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True), name)
    _, header = next(lines, (1, []))
    _check_header(header, name)
    asked = [*([label] if label is not None else []), *(ignore or []), *(columns or [])]
    if absent := [column for column in asked if column not in header]:
        raise UserError(f"{name} has no column {few(absent)}: its columns are {few(header)}{foreign.hint(header)}")
    columns = [column for column in header if column not in asked] if columns is None else columns
    if not columns:
        raise UserError(f"{name} has no column of numbers beside {few(header)}")
    places = [header.index(column) for column in columns]
    values, classes, rows = array("d"), list[str](), list[int]()
    for row, cells in lines:
        if len(cells) != len(header):
            raise UserError(f"{name}, row {row}: it has {len(cells)} cells, but the header has {len(header)}")
        for place in places:
            values.append(_number(cells[place], name, row, header[place]))
        if label is not None:
            if not (text := cells[header.index(label)]):
                raise UserError(f"{name}, row {row}, column {quoted(label)}: the class is missing")
            classes.append(text)
        rows.append(row)
    if not rows:
        raise UserError(f"{name} has no rows below its header")
    return Table(columns, np.array(values, np.float64).reshape(len(rows), len(columns)), classes, rows)


def _lines(reader: Iterator[list[str]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Number the rows as a spreadsheet does, and pass over blank ones."""
    row = 0
    try:
        for row, cells in enumerate(reader, start=1):
            if cells:
                yield row, cells
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not a CSV file in UTF-8 ({error}): save it as CSV UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{name}, row {row + 1}: it is not valid CSV ({error})") from None


def _check_header(header: list[str], name: str) -> None:
    if not header:
        raise UserError(f"{name} is empty: a header with the names of the columns is wanted, and rows below it")
    for place, column in enumerate(header, start=1):
        if not column.strip():
            numbering = "; pandas' to_csv(..., index=False) leaves its row numbers out" if place == 1 else ""
            raise UserError(f"{name}, row 1: column {place} has no name{numbering}")
    if twice := [column for column, count in Counter(header).items() if count > 1]:
        raise UserError(f"{name}, row 1: several columns are called {few(twice)}")


def _number(cell: str, name: str, row: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and "_" not in cell:  # Python reads 1_000 as a number
        return value
    fault = f"{quoted(cell)} is not a finite number" if cell.strip() else "the number is missing"
    raise UserError(f"{name}, row {row}, column {quoted(column)}: {fault}")


def _labels(table: Table, entry: catalog.Table) -> Tensor:
    known = {name: label for label, name in enumerate(entry.classes)}
    for row, name in zip(table.rows, table.classes, strict=True):
        if name not in known:
            raise UserError(
                f"{entry.path}, row {row}, column {quoted(entry.label)}: {quoted(name)} is none of the classes "
                f"in the catalog, {few(entry.classes)}"
            )
    return torch.tensor([known[name] for name in table.classes], dtype=torch.uint8)


def few(names: list[str]) -> str:
    """Name some in a message: the first of them."""
    shown = ", ".join(map(quoted, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def quoted(text: str) -> str:
    """Show a name or a cell in a message, a long one by its beginning."""
    return f"'{cut(text, LENGTH)}'"
