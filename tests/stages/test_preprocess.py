import errno
import os
import re
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from samebits.base.errors import UserError
from samebits.datasets import bundled
from samebits.datasets.arrays import load_summary
from samebits.datasets.split import load_split
from stages import preprocess
from tests.conftest import ROOT

FOLDER = Path("data/processed/digits")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with the digits as the download stage leaves them; returns what sets the parameters."""
    monkeypatch.chdir(tmp_path)
    raw = Path("data/raw/digits")
    raw.mkdir(parents=True)
    for name, data in bundled.digits().items():
        (raw / name).write_bytes(data)
    Path("data/catalog.yaml").write_bytes((ROOT / "data/catalog.yaml").read_bytes())

    def choose(resize="null", validation_size=0):
        text = re.sub(r"resize: \w+", f"resize: {resize}", (ROOT / "params.yaml").read_text())
        Path("params.yaml").write_text(re.sub(r"validation_size: \w+", f"validation_size: {validation_size}", text))

    choose()
    return choose


def test_digits(place):
    preprocess.main("digits")
    bunch = load_digits()
    train, test = load_split(FOLDER, "train"), load_split(FOLDER, "test")
    assert torch.cat([train.labels, test.labels]).tolist() == bunch.target.tolist()
    pixels = torch.cat([train.images, test.images]).double() / 255
    assert (pixels - torch.from_numpy(bunch.images) / 16).abs().max() <= 0.5 / 255 + 1e-12
    assert len(load_split(FOLDER, "validation").labels) == 0
    summary = load_summary(FOLDER)
    assert (summary.dataset, summary.image, len(summary.classes)) == ("digits", [8, 8], 10)
    assert {name: split.images for name, split in summary.splits.items()} == {
        "train": 1437,
        "validation": 0,
        "test": 360,
    }


GOLDEN = {
    ("null", 0): "081dd2dd54f7557a10076031f0e3f51cf7a75fab4f06a72a0f070403ce848f8b",
    ("14", 200): "834e5d402e6fe2db929b8107a3dfe06a9313dffab0865a84db5f99cb4be8475f",
}


@pytest.mark.parametrize(("resize", "validation_size"), GOLDEN)
def test_every_machine_writes_these_bytes(place, resize, validation_size):
    place(resize, validation_size)
    preprocess.main("digits")
    assert load_summary(FOLDER).digest == GOLDEN[resize, validation_size]


def test_validation_and_resize(place):
    preprocess.main("digits")
    untouched = load_summary(FOLDER).splits
    place(16, 200)
    preprocess.main("digits")
    summary = load_summary(FOLDER)
    assert summary.image == [16, 16]
    for name, n in (("train", 1237), ("validation", 200), ("test", 360)):
        split = load_split(FOLDER, name)
        assert split.images.shape == (n, 16, 16)
        assert summary.splits[name].images == n
    assert summary.splits["test"].per_class == untouched["test"].per_class
    for class_share, count in zip(summary.splits["validation"].per_class, untouched["train"].per_class, strict=True):
        assert abs(class_share - count * 200 / 1437) < 1


def test_a_validation_set_as_large_as_the_training_set(place):
    place(validation_size=1437)
    with pytest.raises(UserError, match=r"preprocess.validation_size is 1437, but must be less than the 1437"):
        preprocess.main("digits")


def test_bad_raw_data_leave_the_previous_outputs(place):
    preprocess.main("digits")
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    path = Path("data/raw/digits/t10k-labels-idx1-ubyte")
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte: label 10 at position 359 has no class"):
        preprocess.main("digits")
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["train.safetensors", "test.safetensors", "summary.json"])
def test_a_full_disk_leaves_what_was_there(place, name, monkeypatch):
    preprocess.main("digits")
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    place(validation_size=100)
    monkeypatch.setattr("secrets.token_hex", str)
    (FOLDER / f".{name}.4.part").symlink_to("/dev/full")  # where `whole` writes first
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        preprocess.main("digits")
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def test_an_unknown_dataset(place):
    with pytest.raises(UserError, match="unknown dataset 'letters': the catalog has fashion_mnist, mnist, digits"):
        preprocess.main("letters")
