import re
from pathlib import Path

import pytest
from torchvision.datasets import MNIST, FashionMNIST

from samebits.base.errors import UserError
from samebits.datasets.catalog import Idx, load

PATH = Path("data/catalog.yaml")


def published(dataset: str) -> Idx:
    entry = load(PATH).entry(dataset)
    assert isinstance(entry, Idx)
    return entry


@pytest.mark.parametrize(("dataset", "reference"), [("mnist", MNIST), ("fashion_mnist", FashionMNIST)])
def test_the_archives_are_those_that_torchvision_lists(dataset, reference):
    entry = published(dataset)
    files = [entry.files.train_images, entry.files.train_labels, entry.files.test_images, entry.files.test_labels]
    assert {(file.name, file.md5) for file in files} == set(reference.resources)
    assert set(reference.mirrors) <= set(entry.mirrors)
    assert len(entry.classes) == len(reference.classes) == 10


def test_fashion_mnist_has_the_class_names_of_its_authors():
    assert load(PATH).entry("fashion_mnist").classes == FashionMNIST.classes


def test_no_two_files_have_the_same_content():
    hashes = [file.sha256 for dataset in load(PATH).root for file in published(dataset).idx_files()]
    assert len(set(hashes)) == len(hashes) == 12


def test_an_unknown_dataset_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="unknown dataset 'mnits': the catalog has fashion_mnist, mnist, digits"):
        load(PATH).entry("mnits")


OTTO = """
otto:
  title: Otto
  format: table
  path: otto.csv
  sha256: e68be3c53d8f65d63bf24863e2ae2fb7c66bdbe72499a27e9bd1978a2bfb6977
  classes: [Class_1, Class_2]
  image: [1, 93]
  ignore: [id]
  label: target
  test_share: 0.2
"""
FAULTS = {
    "misspelt key": (
        "  licence: MIT",
        "  license: MIT",
        "fashion_mnist.license is an unknown key; allowed here: title",
    ),
    "missing key": ("  title: MNIST\n", "", "mnist.title is missing"),
    "unknown key of a file": (
        "      md5: 8d4fb",
        "      sha1: 8d4fb",
        "fashion_mnist.files.train_images.sha1 is an unknown key; allowed here: name, images, sha256, md5",
    ),
    "missing file": (
        "    test_labels:\n",
        "    labels:\n",
        "files.labels is an unknown key; allowed here: train_images,",
    ),
    "short hash": ("sha256: c59f468a", "sha256: c59f", "train_images.sha256 is 'c59f2f67"),
    "text for a number": (
        "images: 60000",
        "images: many",
        "train_images.images is 'many', but it should be a valid",
    ),
    "one dimension": ("image: [28, 28]", "image: [28]", r"image is \[28\], but it should have at least 2 items"),
    "a path": (
        "name: train-images",
        "name: ../train-images",
        "name is '../train-images-idx3-ubyte.gz', but it should",
    ),
    "a mirror without scheme": ("    - http://fash", "    - fash", "fashion_mnist.mirrors.1 is 'fashion-mnist.s3"),
    "another library": (
        "bundled: sklearn",
        "bundled: keras",
        "digits.bundled is 'keras', but it should be 'sklearn'",
    ),
    "another format": (
        "mnist:\n  title: MNIST\n",
        "mnist:\n  title: MNIST\n  format: tabel\n",
        "mnist.format is 'tabel', but it should be one of 'idx', 'table', 'folder'",
    ),
    "a table's missing key": ("  ignore: [id]\n  label: target\n", "", "otto.label is missing"),
    "a table's misspelt key": (
        "  ignore: [id]",
        "  ignored: [id]",
        "otto.ignored is an unknown key; allowed here: title, .*, path, sha256, label, ignore, test_share",
    ),
    "a table's impossible share": (
        "test_share: 0.2",
        "test_share: 1.5",
        "otto.test_share is 1.5, but it should be less",
    ),
    "a table's key of files": (
        "  ignore: [id]",
        "  mirrors: []",
        "otto.mirrors is an unknown key; allowed here: title",
    ),
    "a control character": (
        "classes: [Class_1, ",
        'classes: ["a\\x1b", ',
        r"otto.classes.0 is 'a\\x1b', but it should be without control characters",
    ),
    "half a character": ("title: Otto", 'title: "a\\ud800"', r"otto.title is 'a\\ud800', but it should be without"),
    "a hyphen in a name": ("\nmnist:", "\nm-nist:", "m-nist: as a name it should be made of a-z, 0-9 and _"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(tmp_path, fault):
    before, after, message = FAULTS[fault]
    path = tmp_path / "catalog.yaml"
    text = PATH.read_text() + OTTO
    path.write_text(text)
    load(path)
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(UserError, match=message) as caught:
        load(path)
    assert re.match(rf"{path}: ", str(caught.value))
