"""Small files in the forms of EMNIST, KMNIST, QMNIST, Keras, MedMNIST: declared, fetched, read as stages do."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.commands import declare
from samebits.datasets import catalog, idx
from samebits.datasets.bundled import encode_idx
from stages import download
from tests.conftest import ROOT

OWN = Path("own")
RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (30, 5, 4), np.uint8), "test": RNG.integers(0, 256, (12, 5, 4), np.uint8)}
LABELS = {"train": np.arange(30, dtype=np.uint8) % 3, "test": np.arange(12, dtype=np.uint8) % 3}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DATASET_MIRROR", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    Path("data").mkdir()
    Path("data/catalog.yaml").write_bytes((ROOT / "data/catalog.yaml").read_bytes())
    OWN.mkdir()


def put(name, data):
    Path(OWN, name).parent.mkdir(parents=True, exist_ok=True)
    Path(OWN, name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def integers(labels):
    """IDX of int32 [N, 8], as QMNIST's labels: the class, then writer and the like."""
    columns = np.stack([labels, *(labels + 7 * i + 100 for i in range(7))], 1).astype(">i4")
    return struct.pack(">4B2I", 0, 0, 12, 2, *columns.shape) + columns.tobytes()


def emnist():
    for split in ("train", "test"):
        put(f"emnist-letters-{split}-images-idx3-ubyte.gz", encode_idx(IMAGES[split].transpose(0, 2, 1)))
        put(f"emnist-letters-{split}-labels-idx1-ubyte.gz", encode_idx(LABELS[split] + 1))
        put(f"emnist-digits-{split}-images-idx3-ubyte.gz", encode_idx(IMAGES[split]))
    put("emnist-letters-mapping.txt", b"1 65 97\n2 66 98\n3 67 99\n")
    return OWN / "emnist-letters-train-images-idx3-ubyte.gz"


def kmnist(packing="", folder=""):
    for split, name in (("train", "train"), ("test", "t10k")):
        put(f"{folder}{name}-images-idx3-ubyte{packing}", encode_idx(IMAGES[split]))
        put(f"{folder}{name}-labels-idx1-ubyte{packing}", encode_idx(LABELS[split]))
    return OWN


def torchvision():
    kmnist(folder="KMNIST/raw/")
    kmnist(folder="KMNIST/raw/", packing=".gz")  # it keeps both
    return OWN / "KMNIST"


def dotted():
    kmnist()
    for file in OWN.iterdir():
        file.rename(str(file).replace("-idx", ".idx"))
    return OWN


def qmnist():
    for split in ("train", "test"):
        put(f"qmnist-{split}-images-idx3-ubyte.gz", encode_idx(IMAGES[split]))
        put(f"qmnist-{split}-labels-idx2-int.gz", integers(LABELS[split]))
    return OWN


def kmnist_npz():
    for split in ("train", "test"):
        np.savez_compressed(OWN / f"k49-{split}-imgs.npz", IMAGES[split])
        np.savez_compressed(OWN / f"k49-{split}-labels.npz", LABELS[split])
    return OWN


def keras():
    return archive()


def medmnist():
    arrays: dict[str, Any] = {f"{split}_images": IMAGES[split].astype(float) for split in IMAGES}
    arrays |= {f"{split}_labels": LABELS[split][:, None] for split in LABELS}
    np.savez(OWN / "breast.npz", **arrays, val_images=IMAGES["test"], val_labels=LABELS["test"])
    return OWN / "breast.npz"


NUMBERS = ["0", "1", "2"]
SETS = {  # maker -> classes, whether the files are used where they are
    emnist: (["Aa", "Bb", "Cc"], False),
    kmnist: (NUMBERS, True),
    torchvision: (NUMBERS, True),
    dotted: (NUMBERS, True),
    qmnist: (NUMBERS, False),
    kmnist_npz: (NUMBERS, False),
    keras: (NUMBERS, False),
    medmnist: (NUMBERS, False),
}


@pytest.mark.parametrize("maker", SETS)
def test_a_set_is_declared_and_read(maker):
    path, (classes, in_place) = maker(), SETS[maker]
    before = sorted(Path().rglob("*"))
    declare.main("mine", path)
    assert sorted(Path().rglob("*")) == before, "only --write writes"
    declare.main("mine", path, write=True)
    assert (Path("mine-idx").exists() or Path("own/mine-idx").exists()) is not in_place
    download.main("mine")
    entry = catalog.load(Path("data/catalog.yaml")).entry("mine")
    assert isinstance(entry, catalog.Idx)
    assert entry.classes == classes
    for name in ("train", "test"):
        split = idx.read_split(Path("data/raw/mine"), entry, name)
        assert torch.equal(split.images, torch.from_numpy(IMAGES[name])), "upright"
        assert torch.equal(split.labels, torch.from_numpy(LABELS[name]))


def test_torchvisions_folder_is_a_mirror(tmp_path, monkeypatch):
    declare.main("my_mnist", kmnist(), write=True)
    (tmp_path / "cache/MyMNIST").mkdir(parents=True)
    OWN.rename("cache/MyMNIST/raw")
    monkeypatch.setenv("DATASET_MIRROR", "cache")
    download.main("my_mnist")
    assert len(list(Path("data/raw/my_mnist").iterdir())) == 4


def test_an_experiment_in_a_copy_finds_them(tmp_path, monkeypatch):
    declare.main("mine", kmnist(), write=True)
    (tmp_path / "copy/data").mkdir(parents=True)
    (tmp_path / "copy/data/catalog.yaml").write_bytes(Path("data/catalog.yaml").read_bytes())
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir("copy")
    download.main("mine")


def two_sets():
    emnist()
    return OWN


def no_labels():
    kmnist()
    (OWN / "t10k-labels-idx1-ubyte").unlink()
    return OWN


def cut():
    kmnist()
    put("train-images-idx3-ubyte", encode_idx(IMAGES["train"])[:-1])
    return OWN


def cut_gz():
    kmnist(packing=".gz")
    put("train-labels-idx1-ubyte", gzip.compress(encode_idx(LABELS["train"]))[:-9])
    return OWN


def fewer():
    kmnist()
    put("train-labels-idx1-ubyte", encode_idx(LABELS["train"][:-1]))
    return OWN


def other_classes():
    kmnist()
    put("t10k-labels-idx1-ubyte", encode_idx(LABELS["test"] + 1))
    return OWN


def archive(**changes):
    arrays: dict[str, Any] = {
        "x_train": IMAGES["train"],
        "y_train": LABELS["train"],
        "x_test": IMAGES["test"],
        "y_test": LABELS["test"],
    }
    np.savez(OWN / "my.npz", **arrays | changes)
    return OWN / "my.npz"


def colours():
    return archive(x_train=np.zeros((30, 5, 4, 3), np.uint8))


def shares():
    return archive(x_train=IMAGES["train"] / 255)


def one_hot():
    return archive(y_train=np.eye(3)[LABELS["train"]])


def of_objects():
    return archive(y_train=LABELS["train"].astype(object))


def other_names():
    np.savez(OWN / "my.npz", a=IMAGES["train"], b=LABELS["train"])
    return OWN / "my.npz"


def damaged():
    archive()
    put("my.npz", (OWN / "my.npz").read_bytes()[:500])
    return OWN / "my.npz"


FAULTS = {
    two_sets: "own holds the sets emnist-digits-, emnist-letters-: name a file of the one that you mean, such as own/",
    no_labels: "own lacks test_labels: images and labels for training and test are wanted",
    cut: "own/train-images-idx3-ubyte is not a whole IDX file",
    cut_gz: "own/train-labels-idx1-ubyte is not a whole IDX file",
    fewer: "own/train-images-idx3-ubyte: 30 images, but 29 labels",
    other_classes: "own: training and test are to have the same classes, 2 to 256 of them",
    colours: "own/my.npz, train_images has the shape [30, 5, 4, 3], where grey images [N, H, W] are wanted",
    shares: "own/my.npz, train_images holds float64, where whole numbers from 0 to 255 are wanted",
    one_hot: "own/my.npz, train_labels holds float64 [30, 3], where labels [N] are wanted",
    of_objects: "own/my.npz cannot be read as an archive of numpy's (",
    other_names: "own/my.npz lacks train_images, train_labels, test_images, test_labels",
    damaged: "own/my.npz cannot be read as an archive of numpy's (",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    with pytest.raises(UserError) as refusal:
        declare.main("mine", fault())
    assert str(refusal.value).startswith(FAULTS[fault])


def test_options_of_tables_do_not_apply():
    with pytest.raises(
        UserError, match="own holds images for training and test: --label, --ignore, --keep and --test-share"
    ):
        declare.main("mine", kmnist(), test_share=0.5)
