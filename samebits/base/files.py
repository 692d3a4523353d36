"""Files that appear whole or not at all, in bytes that depend on nothing but their content."""

import csv
import errno
import hashlib
import io
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from samebits.base.errors import WriteError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a scratch path beside `path`; on success it becomes `path` in one step, on failure it is removed.

    Raises WriteError if that cannot be.
    """
    if not path.name:
        raise WriteError(errno.EISDIR, "", str(path))
    scratch = beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        # By the name that the user knows; a full disk names no file at all.
        raise WriteError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def beside(path: Path) -> Path:
    """Return a scratch path beside `path` that is nobody else's: containers that share a disk repeat process ids."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with plain newlines on every system."""
    with whole(path) as scratch:
        scratch.write_bytes(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in the order given; a float is written as its shortest exact decimal.

    Raises ValueError for a NaN or an infinity, which JSON cannot hold.
    """
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return what `write_json` writes."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """Read one JSON file. Raises ValueError for what is none: NaN and a key that is there twice are not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {twice[:200]!r} is there twice")
    return values


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON's")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one or more rows under the first row's keys; a float is written as its shortest exact decimal."""
    write_text(path, csv_text(rows))


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return what `write_csv` writes."""
    text, rows = io.StringIO(), list(rows)
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
