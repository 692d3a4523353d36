from pathlib import Path

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.datasets.bundled import encode_idx
from samebits.datasets.catalog import Idx
from samebits.datasets.idx import read, read_split

ENTRY = Idx.model_validate(
    {
        "title": "toy",
        "classes": ["cat", "dog", "owl"],
        "image": [2, 3],
        "licence": "",
        "citation": "",
        "files": {
            f"{split}_{kind}": {"name": f"{split}-{kind}.gz", "images": 4, "sha256": "0" * 64}
            for split in ("train", "test")
            for kind in ("images", "labels")
        },
    }
)
IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3) * 10
LABELS = np.array([2, 0, 1, 0], np.uint8)


def read_toy(folder: Path, images: bytes | None = None, labels: bytes | None = None):
    (folder / "train-images").write_bytes(encode_idx(IMAGES) if images is None else images)
    (folder / "train-labels").write_bytes(encode_idx(LABELS) if labels is None else labels)
    return read_split(folder, ENTRY, "train")


def test_images_and_labels(tmp_path):
    split = read_toy(tmp_path)
    assert split.images.dtype == split.labels.dtype == torch.uint8
    assert split.images.tolist() == IMAGES.tolist()
    assert split.labels.tolist() == LABELS.tolist()


WHOLE = encode_idx(IMAGES)
BAD_IMAGES = {
    "another type": (b"\0\0\x0d\x03" + WHOLE[4:], "begins with 00000d03, but must with 00000803"),
    "labels for images": (
        encode_idx(LABELS),
        "not an IDX file of bytes with 3 dimensions: it begins with 00000801",
    ),
    "empty": (b"", "begins with nothing"),
    "half a header": (WHOLE[:10], "damaged: its header says"),
    "short": (WHOLE[:-1], r"damaged: its header says a shape of \[4, 2, 3\], its size is 39 bytes"),
    "long": (WHOLE + b"\0", r"damaged: its header says a shape of \[4, 2, 3\], its size is 41 bytes"),
    "no image": (encode_idx(IMAGES[:0]), r"damaged: its header says a shape of \[0, 2, 3\]"),
    "fewer images": (encode_idx(IMAGES[:3]), "train-images holds 3 images, but train-labels 4 labels"),
    "turned": (encode_idx(IMAGES.transpose(0, 2, 1)), r"the shape \[4, 3, 2\], but the catalog says \[4, 2, 3\]"),
}


@pytest.mark.parametrize("fault", BAD_IMAGES)
def test_bad_images(tmp_path, fault):
    images, message = BAD_IMAGES[fault]
    with pytest.raises(UserError, match=message):
        read_toy(tmp_path, images=images)


BAD_LABELS = {
    "no such class": ([2, 0, 3, 1], "label 3 at position 2 has no class: 3 classes have the labels 0 to 2"),
    "no dog": ([2, 0, 0, 0], "has no label of the class dog"),
    "fewer": ([2, 1, 0], "holds 4 images, but train-labels 3 labels"),
}


@pytest.mark.parametrize("fault", BAD_LABELS)
def test_bad_labels(tmp_path, fault):
    labels, message = BAD_LABELS[fault]
    with pytest.raises(UserError, match=message):
        read_toy(tmp_path, labels=encode_idx(np.array(labels, np.uint8)))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="nothing is missing: `dvc repro` writes it in its download stage"):
        read(tmp_path / "nothing", 1)
