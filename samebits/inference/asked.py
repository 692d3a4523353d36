"""What a model is asked about: files and folders, read into images."""

import io
import sys
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.datasets.pictures import SUFFIXES
from samebits.datasets.scale import SCALE, Scale
from samebits.datasets.table import read as read_table
from samebits.inference.classifier import Classifier
from samebits.inference.pictures import NPY, Picture, read

TAKEN = (*SUFFIXES, ".npy")  # of a folder
LARGEST_FILE = 256 * 2**20  # bytes
MOST_REASONS = 5  # of files that are refused


def files(names: list[str]) -> tuple[list[str], list[str]]:
    """Replace each folder by the files of TAKEN in it, sorted by name; and say, folder by folder, what was passed over.

    Hidden files, which systems leave in folders on their own, do not count. Raises UserError for a folder without any.
    """
    found, passed_over = [], []
    for name in names:
        if not Path(name).is_dir():
            found.append(name)
            continue
        seen = sorted(path for path in Path(name).iterdir() if not path.name.startswith("."))
        taken = [str(path) for path in seen if path.suffix.lower() in TAKEN and not path.is_dir()]
        words = _passed_over([path for path in seen if str(path) not in set(taken)])
        if not taken:
            raise UserError(f"{_shown(name)} is a folder without {', '.join(TAKEN)} files" + (words and f": {words}"))
        found += taken
        passed_over += [f"{_shown(name)}: {words}"] if words else []
    return found, passed_over


def _passed_over(left: list[Path]) -> str:
    """Say how many files and folders were passed over, and why."""
    folders = sum(path.is_dir() for path in left)
    kinds = Counter(path.suffix.lower() or "no ending" for path in left if not path.is_dir())
    listed = ", ".join(f"{count:,} {_shown(kind)}" for kind, count in kinds.most_common(MOST_REASONS))
    parts = [f"{number(kinds.total(), 'file')} of other kinds ({listed})"] if kinds else []
    parts += [f"{number(folders, 'folder')} (ask for {'it' if folders == 1 else 'them'} by name)"] if folders else []
    return f"passed over {' and '.join(parts)}" if parts else ""


def number(count: int, noun: str) -> str:
    """Return `1 file`, or `2 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _shown(name: str) -> str:
    """A name as it can be printed, whatever its bytes."""
    return name.encode(errors="backslashreplace").decode()


def pictures(files: list[str], classifier: Classifier, invert: bool | None) -> dict[str, Picture]:
    """Read all files; one of several images gives NAME[0], NAME[1] ... Raises UserError that names those refused."""
    found: dict[str, Picture] = {}
    reasons = []
    for file in files:
        name = "standard input" if file == "-" else _shown(file)
        try:
            images = _images(_bytes(file, name), name, classifier, invert)
        except UserError as error:
            reasons.append(str(error))
            continue
        found |= {f"{name}[{i}]" if len(images) > 1 else name: image for i, image in enumerate(images)}
    if reasons:
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        raise UserError("; ".join(reasons[:MOST_REASONS] + more))
    return found


def _images(data: bytes, name: str, classifier: Classifier, invert: bool | None) -> list[Picture]:
    """Read pictures or, where the model was trained on a table, the rows of a CSV file that has its columns."""
    dataset, (height, width) = classifier.description.dataset, classifier.description.image
    if height > 1 or data.startswith(NPY):
        return read(data, name, dataset, (height, width), invert)
    columns = classifier.description.columns  # which files of earlier versions do not have
    scale = Scale.of(columns) if columns else Scale.read(paths.processed(dataset) / SCALE)
    if len(scale.columns) != width:
        raise UserError(
            f"{paths.processed(dataset)} has {len(scale.columns)} columns, but the model {width}: run `dvc repro`"
        )
    rows = scale.pixels(read_table(io.BytesIO(data), name, columns=scale.columns).values)
    return [Picture(row, inverted=False) for row in rows]


def _bytes(file: str, name: str) -> bytes:
    if file == "-":
        return _limited(sys.stdin.buffer, name)
    try:
        with Path(file).open("rb") as stream:
            return _limited(stream, name)
    except FileNotFoundError:
        raise UserError(f"{name} is missing") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from None


def _limited(stream: BinaryIO, name: str) -> bytes:
    data = stream.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise UserError(f"{name} is larger than {LARGEST_FILE // 2**20} MiB, too large to be a picture")
    return data
