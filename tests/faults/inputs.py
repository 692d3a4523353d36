"""Mutated inputs, thousands of each kind: whatever is wrong with a file is a sentence, within seconds."""

import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from samebits.base.errors import UserError
from samebits.base.params import Params, load
from samebits.base.yaml import read_yaml
from samebits.datasets import catalog, idx, table
from samebits.datasets.pictures import decode
from samebits.inference.pictures import read
from samebits.learning.arithmetic import arithmetic
from samebits.learning.course import Standing
from samebits.learning.description import describe
from samebits.learning.load import load_models
from samebits.outcome.reader import read_dataset
from samebits.report import page, tables
from samebits.seeds import codec
from tests.conftest import ROOT
from tests.faults.figures import Figures
from tests.made import trained
from tests.made.mutations import mutated
from tests.seeds.test_resume import course

LONG = 10.0  # seconds: what takes more hangs

Reader = Callable[[Path], object]


def inputs(count: int) -> list[Figures]:
    """Read so many mutations of each kind of file that people bring or damage."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.chdir(shutil.copytree(trained.digits(), f"{scratch}/project")),
    ):
        return [read_all(name, data, reader, count) for name, (data, reader) in kinds().items()]


def kinds() -> dict[str, tuple[bytes, Reader]]:
    """What is read, and by whom."""
    params = load()
    found: dict[str, tuple[bytes, Reader]] = {
        "params.yaml": (Path("params.yaml").read_bytes(), load),
        "data/catalog.yaml": (Path("data/catalog.yaml").read_bytes(), catalog.load),
        "dvc.lock": ((ROOT / "dvc.lock").read_bytes()[:4000], read_yaml),
        "a picture, PNG": (drawn("PNG"), lambda path: decode(path.read_bytes(), "x")),
        "a picture, JPEG": (drawn("JPEG"), lambda path: decode(path.read_bytes(), "x")),
        "images, .npy": (array(), lambda path: read(path.read_bytes(), "x", "mnist", (28, 28))),
        "a table, CSV": (rows(), lambda path: table.read(io.BytesIO(path.read_bytes()), "x", label="class")),
        "an IDX file": (b"\0\0\x08\x01\0\0\0\x40" + bytes(range(64)), lambda path: idx.read(path, 1)),
        "a model's file": (Path("models/digits/mlp/model.safetensors").read_bytes(), model),
        "an entry of the seed store": (entry(), seed),
    }
    for path in sorted(Path().glob("metrics/*/*")) + sorted(Path().glob("predictions/*/*")):
        found[str(path)] = (path.read_bytes(), outcome(path, params))
    for name in ("data/processed/digits/summary.json", "models/digits/mlp/history.csv", "models/digits/mlp/chain.csv"):
        found[name] = (Path(name).read_bytes(), outcome(Path(name), params))
    return found


def read_all(name: str, data: bytes, reader: Reader, count: int) -> Figures:
    """Read so many mutations of `data`."""
    figures, slowest = Figures(f"{count} mutations of {name}: read, or a sentence"), 0.0
    path = Path("mutated")
    path.write_bytes(data)
    reader(path)  # which would prove nothing if it refused all
    for number in range(count):
        path.write_bytes(mutated(data, number))
        started, fault = time.perf_counter(), ""
        try:
            reader(path)
        except UserError as error:
            fault = f"a sentence of {len(str(error))} characters" if len(str(error)) > 5000 else ""
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:200]}"
        seconds = time.perf_counter() - started
        slowest = max(slowest, seconds)
        figures.count(
            f"mutation {number}: {fault}" if fault else f"mutation {number} takes {seconds:.0f} s" * (seconds > LONG)
        )
    figures.measured = f"{slowest:.2f} s the slowest"
    print(f"{figures.name}: {figures.good} of {figures.tries}", flush=True)
    return figures


def outcome(place: Path, params: Params) -> Reader:
    """What reads all outputs of a dataset for the report, one of which is mutated; it is put right again."""
    right = place.read_bytes()

    def read_one(path: Path) -> object:
        place.write_bytes(path.read_bytes())
        try:
            found = [read_dataset("digits", params)]
            return page.markdown(found, params), [table(found) for table in tables.ALL]
        finally:
            place.write_bytes(right)

    return read_one


def model(path: Path) -> object:
    """Read a model's file as `predict` does."""
    described = describe(path)
    return load_models(path, arithmetic("float32"), "cpu"), described


def seed(path: Path) -> object:
    """Read an entry as the store does."""
    try:
        return codec.decode(path.read_bytes())
    except codec.DamagedError as error:
        raise UserError(str(error)) from None


def entry() -> bytes:
    """An entry of the seed store."""
    it = course(seeds=[3])
    [group] = it.groups([Standing(3)])
    return codec.encode(next(it.follow(group)).standings(), {"name": "x"})


def drawn(kind: str) -> bytes:
    """A picture of a gradient."""
    data = io.BytesIO()
    pixels = np.add.outer(np.arange(40), np.arange(30)).astype(np.uint8)
    Image.fromarray(pixels).save(data, kind, **({"progressive": True} if kind == "JPEG" else {}))
    return data.getvalue()


def array() -> bytes:
    """Two images as NumPy saves them."""
    data = io.BytesIO()
    np.save(data, np.zeros((2, 28, 28), np.uint8))
    return data.getvalue()


def rows() -> bytes:
    """A table of numbers and classes."""
    return b"a,b,class\n" + b"".join(f"{i},{i / 7},{'xy'[i % 2]}\n".encode() for i in range(50))
