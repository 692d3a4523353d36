"""Images and labels as others pack them: MNIST's kin in IDX files or numpy's archives, torchvision's folders of them.

They become what the pipeline reads: four IDX files of bytes, images upright, labels from 0 without a gap.
"""

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.datasets.catalog import MOST_CLASSES

# Set, split, content and form, as in emnist-letters-train-images-idx3-ubyte.gz and kmnist-test-imgs.npz
FILE = re.compile(r"(.*?)(train|test|t10k)[-_](images|imgs|labels)[-.](idx\d-[a-z]+|npz)(\.gz)?", re.IGNORECASE)
KEY = re.compile(
    r"(?:(x|y)_)?(train|test)(?:_(x|y|images|imgs|labels))?", re.IGNORECASE
)  # in Keras' archives and others
TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # of IDX, by its third byte
ROLES = ["train_images", "train_labels", "test_images", "test_labels"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Packed:
    """Images uint8 [N, H, W] and labels uint8 [N] by role; `files` that hold just these, if there are such."""

    classes: list[str]
    arrays: dict[str, npt.NDArray[np.uint8]]
    files: dict[str, Path]
    turned: bool  # EMNIST's images lie on their side


def read(path: Path) -> Packed | None:
    """Read the set that `path` is a file of, or holds (in raw/, where torchvision has it, too); None if there is none.

    Raises UserError for a set that is not whole, or not as it should be.
    """
    if path.is_file() and path.suffix == ".npz" and not FILE.fullmatch(path.name):
        return _packed(path, _by_role(_archive(path)), {})
    files = _files(path)
    return _packed(path, {role: _load(file) for role, file in files.items()}, files) if files else None


def _files(path: Path) -> dict[str, Path]:
    """The files of one set by role. Raises UserError if there are several sets."""
    folders = [path.parent] if FILE.fullmatch(path.name) else [path, path / "raw"]
    found = next((files for folder in folders if (files := sorted(folder.glob("[!.]*-*"))) and _parsed(files)), [])
    sets: dict[str, dict[str, Path]] = {}
    for file, match in _parsed(found):
        sets.setdefault(match[1], {}).setdefault(_role(match[2], match[3]), file)  # of FILE and FILE.gz the first
    if named := FILE.fullmatch(path.name):
        return sets.get(named[1], {})
    if len(sets) > 1:
        one = next(file for files in sets.values() for file in files.values())
        raise UserError(f"{path} holds the sets {', '.join(sets)}: name a file of the one that you mean, such as {one}")
    return next(iter(sets.values()), {})


def _parsed(files: list[Path]) -> list[tuple[Path, re.Match[str]]]:
    return [(file, match) for file in files if (match := FILE.fullmatch(file.name)) and file.is_file()]


def _role(split: str, content: str) -> str:
    return f"{'train' if split.lower() == 'train' else 'test'}_{'images' if content[0] in 'xXiI' else 'labels'}"


def _by_role(arrays: dict[str, Array]) -> dict[str, Array]:
    matches = {name: match for name in arrays if (match := KEY.fullmatch(name)) and (match[1] or match[3])}
    return {_role(match[2], match[1] or match[3]): arrays[name] for name, match in matches.items()}


def _archive(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib and numpy have each their own for a damaged file
        raise UserError(f"{path} cannot be read as an archive of numpy's ({error})") from None


def _load(file: Path) -> Array:
    """Read one file: an archive of one array, or IDX of any type, packed by gzip or not."""
    if file.suffix == ".npz":
        arrays = list(_archive(file).values())
        if len(arrays) != 1:
            raise UserError(f"{file} holds {len(arrays)} arrays, where one is wanted")
        return arrays[0]
    try:
        data = file.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        shape = np.frombuffer(data, ">u4", data[3], 4).tolist()
        return np.frombuffer(data, TYPES[data[2]], offset=4 + 4 * data[3]).reshape(shape)
    except (EOFError, IndexError, KeyError, ValueError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{file} is not a whole IDX file") from None


def _packed(path: Path, arrays: dict[str, Array], files: dict[str, Path]) -> Packed:
    if lacking := [role for role in ROLES if role not in arrays]:
        raise UserError(f"{path} lacks {', '.join(lacking)}: images and labels for training and test are wanted")
    names = {role: str(files.get(role, f"{path}, {role}")) for role in ROLES}
    turned = any(file.name.lower().startswith("emnist") for file in files.values())
    found = {}
    for split in ("train", "test"):
        images, labels = f"{split}_images", f"{split}_labels"
        found[images] = _images(arrays[images], names[images], turned)
        found[labels] = _labels(arrays[labels], names[labels])
        if len(found[images]) != len(found[labels]):
            raise UserError(f"{names[images]}: {len(found[images])} images, but {len(found[labels])} labels")
    if found["train_images"].shape[1:] != found["test_images"].shape[1:]:
        raise UserError(f"{path}: the images for training and test differ in size")
    known = np.unique(found["train_labels"])
    if not np.array_equal(known, np.unique(found["test_labels"])) or not 2 <= len(known) <= MOST_CLASSES:
        raise UserError(f"{path}: training and test are to have the same classes, 2 to {MOST_CLASSES} of them")
    for labels in ("train_labels", "test_labels"):
        found[labels] = np.searchsorted(known, found[labels]).astype(np.uint8)
    classes = [_mapping(files).get(str(label), str(label)) for label in known.tolist()]
    return Packed(classes, found, files if _are(files, arrays, found) else {}, turned)


def _images(array: Array, name: str, turned: bool) -> Array:
    """Images as uint8 [N, H, W]."""
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array.squeeze(1 if array.shape[1] == 1 else 3)
    if array.ndim != 3 or not array.size:
        raise UserError(f"{name} has the shape {list(array.shape)}, where grey images [N, H, W] are wanted")
    if array.dtype != np.uint8:
        if array.dtype.kind not in "iuf" or not ((array >= 0) & (array <= 255) & (array == np.rint(array))).all():
            raise UserError(f"{name} holds {array.dtype}, where whole numbers from 0 to 255 are wanted")
        array = array.astype(np.uint8)
    return array.transpose(0, 2, 1) if turned else array  # a view: EMNIST's largest set has 640 MB


def _labels(array: Array, name: str) -> Array:
    """Labels [N], whole numbers or texts; of QMNIST's eight columns the first is the class."""
    if array.ndim == 2 and (array.shape[1] == 1 or "idx2-int" in name):
        array = array[:, 0]
    whole = array.dtype.kind in "iuU" or (array.dtype.kind == "f" and bool((array == np.rint(array)).all()))
    if array.ndim != 1 or not whole:
        raise UserError(f"{name} holds {array.dtype} {list(array.shape)}, where labels [N] are wanted")
    return array.astype(np.int64) if array.dtype.kind == "f" else array


def _mapping(files: dict[str, Path]) -> dict[str, str]:
    """Names of EMNIST's labels: each line of its mapping is a label and the codes of its characters."""
    for file in files.values():
        match = FILE.fullmatch(file.name)
        if match and (path := file.with_name(f"{match[1]}mapping.txt")).is_file():
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            return {label: "".join(chr(int(code)) for code in codes) for label, *codes in lines}
    return {}


def _are(files: dict[str, Path], arrays: dict[str, Array], found: dict[str, Array]) -> bool:
    """Whether files are IDX of just these arrays."""
    return all(
        file.suffix != ".npz" and arrays[role].dtype == np.uint8 and np.array_equal(arrays[role], found[role])
        for role, file in files.items()
    )
