"""Where the files of a dataset come from: folders, the web, a library. Only verified data gets out of here.

A source that does not have the right file, for whatever reason, has failed, and the next one is tried.
"""

import gzip
import hashlib
import math
import os
import sys
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from samebits.base.address import shown
from samebits.base.alone import alone
from samebits.base.errors import UserError
from samebits.datasets import bundled
from samebits.datasets.catalog import Catalog, Idx, IdxFile
from samebits.datasets.transfer import FailedError, MissingError, UnreachableError, download


class Source(Protocol):
    """A place to ask for files. Its text names it in messages."""

    def get(self, name: str, file: IdxFile, catalog: Catalog) -> bytes:
        """Return the decoded, verified bytes of `file`, stored under `name`. Raises FailedError."""


def obtain(dataset: str, files: Iterable[IdxFile], sources: Iterable[Source], catalog: Catalog) -> dict[str, bytes]:
    """Get each file, decoded and verified, from the first source that has it. Returns them by name.

    Raises UserError listing each source with its reason if a file is to be had from none.
    """
    wanted, found = list(files), dict[str, bytes]()
    failures: list[tuple[Source, str, IdxFile]] = []
    for source in sources:
        for file in [file for file in wanted if file.name not in found]:
            try:
                found[file.name] = _first(source, file, catalog)
                print(f"{dataset}: {file.name} from {source}")
            except FailedError as failure:
                failures.append((source, str(failure), file))
                if not isinstance(failure, MissingError):
                    print(f"{dataset}: {file.name} not from {source}: {failure}", file=sys.stderr)
                if isinstance(failure, UnreachableError):
                    break
    missing = [file.name for file in wanted if file.name not in found]
    if missing:
        reasons = dict.fromkeys(f"{source}: {reason}" for source, reason, file in failures if file.name in missing)
        raise UserError(
            f"{dataset}: no source gave {', '.join(missing)}:\n"
            + "".join(f"  - {reason}\n" for reason in reasons)
            + f"Put the files (.gz or plain) into FOLDER/{dataset} and set DATASET_MIRROR=FOLDER (or a URL "
            "that serves such a folder); `make demo` runs on data that need no download."
        )
    return found


def _first(source: Source, file: IdxFile, catalog: Catalog) -> bytes:
    """The file as upstream packs it or, where there is no such thing, plain."""
    try:
        return source.get(file.archive, file, catalog)
    except MissingError:
        if file.name == file.archive:
            raise
        return source.get(file.name, file, catalog)


def sources_of(dataset: str, entry: Idx, mirror: str | None, downloads: Path) -> list[Source]:
    """List the sources of a dataset in the order they are tried; `mirror` is DATASET_MIRROR.

    What comes from the web is kept in the folder `downloads`. Raises UserError if `mirror` is of an unknown kind.
    """
    if entry.bundled:
        return [Library()]
    sources: list[Source] = [Folder("earlier downloads", downloads)] if downloads.is_dir() else []
    if mirror:
        sources.append(_mirror(mirror, dataset, downloads))
    sources += [Web(url, url, downloads) for url in entry.mirrors]
    if entry.installed:
        here = Path(os.environ.get("DVC_ROOT") or "")  # an experiment of DVC may run in a copy of the project
        sources.append(Folder("installed copy", here / entry.installed))
    return sources


def mirror() -> str:
    """Return DATASET_MIRROR, if it is set; a relative folder is the project's: DVC may let a stage work in a copy."""
    said = os.environ.get("DATASET_MIRROR") or ""
    return said if "://" in said or not said else str(Path(os.environ.get("DVC_ROOT") or "") / said)


def _mirror(mirror: str, dataset: str, downloads: Path) -> Source:
    scheme = urlsplit(mirror).scheme if "://" in mirror else ""
    if scheme in ("http", "https"):
        return Web(f"DATASET_MIRROR {shown(mirror)}", f"{mirror.rstrip('/')}/{dataset}", downloads)
    if scheme not in ("", "file"):
        raise UserError(f"DATASET_MIRROR is '{shown(mirror)}': it must be a folder or a URL with http, https or file")
    folder = Path(url2pathname(urlsplit(mirror).path) if scheme else mirror)
    return Folder("DATASET_MIRROR", _inside(folder, dataset))


def _inside(folder: Path, dataset: str) -> Path:
    """The folder of a dataset: DATASET or, as torchvision has it, FashionMNIST/raw."""
    cached = (each / "raw" for each in folder.glob("*") if each.name.lower() == dataset.replace("_", ""))
    if (folder / dataset).is_dir():
        return folder / dataset
    return next(filter(Path.is_dir, cached), folder / dataset)


def verified(data: bytes, file: IdxFile, catalog: Catalog) -> bytes:
    """Return `data` if they are the decoded bytes of `file`. Raises FailedError saying what they are instead."""
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 == file.sha256:
        return data
    if data[:256].lstrip().startswith(b"<"):
        raise FailedError("an HTML page instead of data")
    for owner in catalog.owners(sha256):
        raise FailedError(f"it is {owner}, the wrong file")
    if len(data) > file.size:
        raise FailedError(f"it holds more than the {file.size:,} bytes of {file.name}")
    if len(data) < file.size:
        raise FailedError(f"it holds {len(data):,} of the {file.size:,} bytes of {file.name}")
    raise FailedError(f"it is corrupt (SHA-256 {sha256[:12]}..., not {file.sha256[:12]}...)")


def read_archive(path: Path, file: IdxFile, catalog: Catalog) -> bytes:
    """Read `file` from a gz or plain file and verify it. Raises FailedError.

    At most one byte more than the right size is decoded, whatever the archive expands to.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            data = (gzip.GzipFile(fileobj=raw) if packed else raw).read(file.size + 1)
    except EOFError:
        raise FailedError("the archive is truncated") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FailedError(f"the archive is corrupt ({error})") from None
    except OSError as error:
        raise FailedError(f"cannot read {path}: {error.strerror}") from None
    return verified(data, file, catalog)


@dataclass(frozen=True)
class Folder:
    """A folder of this machine that holds the files, packed or plain."""

    title: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.title} ({self.folder})"

    def get(self, name: str, file: IdxFile, catalog: Catalog) -> bytes:
        """Read `name` in the folder."""
        if not self.folder.is_dir():
            raise UnreachableError("there is no such folder")
        if not (self.folder / name).exists():
            raise MissingError("it is not there")
        return read_archive(self.folder / name, file, catalog)


@dataclass(frozen=True)
class Library:
    """scikit-learn, which contains the digits."""

    def __str__(self) -> str:
        return "scikit-learn"

    def get(self, name: str, file: IdxFile, catalog: Catalog) -> bytes:
        """Write `name` from the library's data."""
        return verified(bundled.digits().get(name, b""), file, catalog)


@dataclass(frozen=True)
class Web:
    """A folder on the web. Verified archives stay in `downloads`, and parts of them until they are whole."""

    title: str
    url: str
    downloads: Path

    def __str__(self) -> str:
        return self.title

    def get(self, name: str, file: IdxFile, catalog: Catalog) -> bytes:
        """Download `name`, going on where an earlier try broke off, and verify it. One process at a time does."""
        with alone(self.downloads / ".lock", f"{self.downloads}", patience=math.inf):
            if (self.downloads / name).exists():  # another one brought it meanwhile, or it is wrong
                with suppress(FailedError):
                    return read_archive(self.downloads / name, file, catalog)
            return self._get(name, file, catalog)

    def _get(self, name: str, file: IdxFile, catalog: Catalog) -> bytes:
        part = self.downloads / f"{name}.part"
        resumed = part.exists()
        download(f"{self.url.rstrip('/')}/{name}", part, limit=file.size + file.size // 100 + 4096)
        try:
            data = read_archive(part, file, catalog)
        except FailedError:
            part.unlink()
            if not resumed:
                raise
            return self._get(name, file, catalog)  # perhaps the earlier part was at fault: once more from the start
        part.replace(self.downloads / name)
        return data
