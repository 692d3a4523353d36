"""Where entries lie, each named by its key: in a folder, or at whatever address fsspec knows."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.files import whole

FOLDER, SUFFIX = Path(".dvc/seeds"), ".seed"
OFF = "off"
KEY = re.compile(r"[0-9a-f]{64}")
# Where a file appears whole or not at all; elsewhere it is written under another name first.
OBJECTS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss", "memory"}


@dataclass(frozen=True)
class Found:
    """An entry: its key and its size in bytes."""

    key: str
    size: int


class Place(Protocol):
    """Entries by key. Whatever goes wrong is the error of the file system's own library."""

    def read(self, key: str) -> bytes | None:
        """Return an entry, or None if there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Write an entry, whole or not at all."""

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there."""

    def entries(self) -> Iterator[Found]:
        """Name all entries."""


class Folder:
    """Entries in a folder, perhaps of a disk that machines share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes | None:
        """Return an entry, or None."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """Write an entry, whole or not at all."""
        with whole(self._path(key)) as scratch:
            scratch.write_bytes(data)

    def remove(self, key: str) -> None:
        """Remove an entry."""
        self._path(key).unlink(missing_ok=True)

    def entries(self) -> Iterator[Found]:
        """Name all entries."""
        for path in sorted(self.root.glob(f"*/*{SUFFIX}")):
            if KEY.fullmatch(path.stem):
                yield Found(path.stem, path.stat().st_size)

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}{SUFFIX}"


class Remote:
    """Entries at an address that fsspec knows, as s3://bucket/folder. Raises what fsspec does if it knows no such."""

    def __init__(self, address: str) -> None:
        import fsspec  # here, for few need it

        self.files, root = fsspec.url_to_fs(address)
        self.root = root.rstrip("/")

    def read(self, key: str) -> bytes | None:
        """Return an entry, or None."""
        try:
            data: bytes = self.files.cat_file(self._path(key))
        except FileNotFoundError:
            return None
        return data

    def write(self, key: str, data: bytes) -> None:
        """Write an entry, whole or not at all."""
        path = self._path(key)
        self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
        if OBJECTS.intersection([self.files.protocol] if isinstance(self.files.protocol, str) else self.files.protocol):
            self.files.pipe_file(path, data)
        else:
            scratch = f"{path}.{os.urandom(8).hex()}.part"
            self.files.pipe_file(scratch, data)
            self.files.mv(scratch, path)

    def remove(self, key: str) -> None:
        """Remove an entry."""
        if self.files.exists(self._path(key)):
            self.files.rm_file(self._path(key))

    def entries(self) -> Iterator[Found]:
        """Name all entries."""
        found: dict[str, Any] = self.files.find(self.root, detail=True)
        for path, about in sorted(found.items()):
            name = path.rpartition("/")[2]
            if name.endswith(SUFFIX) and KEY.fullmatch(name.removesuffix(SUFFIX)):
                yield Found(name.removesuffix(SUFFIX), about["size"])

    def _path(self, key: str) -> str:
        return f"{self.root}/{key[:2]}/{key}{SUFFIX}"


def named() -> str:
    """Return SEED_STORE, or else the project's own folder: it may hold a password, print it by `base.address.shown`."""
    return os.environ.get("SEED_STORE") or str(paths.root() / FOLDER)


def keeps_all() -> bool:
    """Whether SEED_STORE_KEEP wants each epoch of a seed kept, not the last alone. Raises UserError."""
    text = os.environ.get("SEED_STORE_KEEP") or "last"
    if text not in ("last", "all"):
        raise UserError(f"SEED_STORE_KEEP={text[:100]} is neither last, of a seed's epochs, nor all")
    return text == "all"


def place() -> Place | None:
    """Return where entries are kept; None if SEED_STORE is off. Raises what fsspec does for what it cannot use."""
    address = named()
    if address == OFF:
        return None
    return Remote(address) if "://" in address else Folder(paths.root() / address)
