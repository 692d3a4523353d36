"""data/catalog.yaml as typed values: what each dataset is, where it may come from, and how to know it.

An entry is of one of three kinds, told apart by its key `format`: four IDX files (where `format` may be left out),
or data of one's own, a table or a folder of pictures.
"""

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, RootModel, Tag

from samebits.base.errors import UserError
from samebits.base.schema import NAMED, Distinct, Strict, matching, parse
from samebits.base.yaml import read_yaml


def _printable(text: str) -> str:
    """Refuse what XML and HTML cannot hold, halves of characters among it, and what breaks a line."""
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\ufffe\uffff" for c in text):
        raise ValueError("it should be without control characters, which no page or picture can show")
    return text


Name = Annotated[str, matching(*NAMED)]
FileName = Annotated[str, matching(r"[A-Za-z0-9_][A-Za-z0-9._-]*", "the name of a file: letters, digits, _, . and -")]
Url = Annotated[str, matching(r"https?://\S+", "a URL that begins with http:// or https://")]
Sha256 = Annotated[str, matching(r"[0-9a-f]{64}", "64 digits of 0-9 and a-f")]
Md5 = Annotated[str, matching(r"[0-9a-f]{32}", "32 digits of 0-9 and a-f")]
Text = Annotated[str, AfterValidator(_printable)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
MOST_CLASSES = 256  # labels are bytes


class File(Strict):
    """One file of a dataset: `sha256` is that of its decoded bytes, `md5` that of upstream's archive."""

    name: FileName
    images: Count
    sha256: Sha256
    md5: Md5 | None = None


class Files(Strict):
    """The four files of a dataset in IDX format."""

    train_images: File
    train_labels: File
    test_images: File
    test_labels: File


@dataclass(frozen=True)
class IdxFile:
    """A file to fetch and read: upstream's name, shape of the array inside (all uint8), SHA-256 when decoded."""

    archive: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def name(self) -> str:
        """Name of the decoded file."""
        return self.archive.removesuffix(".gz")

    @property
    def size(self) -> int:
        """Bytes of the decoded file: a magic number, a number for each dimension, the values."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


class Entry(Strict):
    """What every dataset of the catalog says of itself."""

    title: Text
    classes: Annotated[list[Text], Field(min_length=2, max_length=MOST_CLASSES), Distinct]
    image: Annotated[list[Count], Field(min_length=2, max_length=2)]
    licence: str = ""
    citation: str = ""


class Idx(Entry):
    """A published dataset: four IDX files, fetched from wherever they are to be had."""

    format: Literal["idx"] = "idx"
    files: Files
    mirrors: list[Url] = Field(default_factory=list)
    installed: str | None = None
    bundled: Literal["sklearn"] | None = None
    licence: str
    citation: str

    def images(self, split: Literal["train", "test"]) -> IdxFile:
        """The images of a split: uint8 [N, H, W]."""
        file: File = getattr(self.files, f"{split}_images")
        return IdxFile(file.name, (file.images, *self.image), file.sha256)

    def labels(self, split: Literal["train", "test"]) -> IdxFile:
        """The labels of a split: uint8 [N]."""
        file: File = getattr(self.files, f"{split}_labels")
        return IdxFile(file.name, (file.images,), file.sha256)

    def idx_files(self) -> list[IdxFile]:
        """All four, the training set first."""
        return [self.images("train"), self.labels("train"), self.images("test"), self.labels("test")]


class Table(Entry):
    """A CSV file: the column `label` holds the class, all others but those to `ignore` hold numbers."""

    format: Literal["table"]
    path: str
    sha256: Sha256
    label: str
    ignore: list[str] = Field(default_factory=list)
    test_share: Share


class Folder(Entry):
    """A folder CLASS/PICTURE; without `test_share` one train/CLASS/PICTURE and test/CLASS/PICTURE."""

    format: Literal["folder"]
    path: str
    sha256: Sha256
    test_share: Share | None = None


def _format(values: Any) -> str:
    return str(values.get("format", "idx")) if isinstance(values, dict) else "idx"


Own = Table | Folder
AnyEntry = Annotated[
    Annotated[Idx, Tag("idx")] | Annotated[Table, Tag("table")] | Annotated[Folder, Tag("folder")],
    Discriminator(_format),
]


class Catalog(RootModel[dict[Name, AnyEntry]]):
    """The whole of catalog.yaml."""

    def entry(self, dataset: str) -> Idx | Own:
        """Return one dataset. Raises UserError, naming those there are, if it is unknown."""
        if dataset not in self.root:
            raise UserError(f"unknown dataset '{dataset}': the catalog has {', '.join(self.root) or 'none'}")
        return self.root[dataset]

    def owners(self, sha256: str) -> Iterator[str]:
        """Say whose file has these decoded bytes, as in "mnist's train-labels-idx1-ubyte"."""
        for dataset, entry in self.root.items():
            for file in entry.idx_files() if isinstance(entry, Idx) else []:
                if file.sha256 == sha256:
                    yield f"{dataset}'s {file.name}"


def load(path: Path) -> Catalog:
    """Read and check a catalog. Raises UserError naming each wrong key, its value and what is allowed."""
    return parse(read_yaml(path), Catalog, path)
