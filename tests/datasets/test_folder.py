import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from samebits.base.errors import UserError
from samebits.datasets import catalog, folder, local
from tests.made.own import CLASSES, write_pictures


def entry(**changes):
    about = {"title": "T", "format": "folder", "path": "my/shapes", "sha256": "0" * 64, "test_share": 0.25}
    return catalog.Folder(**{**about, "classes": CLASSES, "image": [12, 12], **changes})


@pytest.fixture
def shapes(tmp_path):
    write_pictures(tmp_path / "shapes")
    return tmp_path / "shapes"


def as_a_set(split):
    return {(image.numpy().tobytes(), int(label)) for image, label in zip(split.images, split.labels, strict=True)}


def test_each_picture_is_in_one_split_with_the_class_of_its_folder(shapes):
    train, test = folder.read_splits(shapes, entry())
    assert torch.bincount(train.labels).tolist() == [15] * 3
    assert torch.bincount(test.labels).tolist() == [5] * 3
    pictures = {
        (np.asarray(Image.open(path)).tobytes(), CLASSES.index(path.parent.name)) for path in shapes.rglob("*.png")
    }
    assert len(pictures) == 60
    assert as_a_set(train) | as_a_set(test) == pictures
    assert test.labels[:10].unique().numel() == 3, "not class by class"


def test_a_folder_that_is_parted_already_stays_so(tmp_path):
    for name, each in (("train", 4), ("test", 2)):
        write_pictures(tmp_path / name, each)
    train, test = folder.read_splits(tmp_path, entry(test_share=None))
    assert (torch.bincount(train.labels).tolist(), torch.bincount(test.labels).tolist()) == ([4] * 3, [2] * 3)
    assert as_a_set(folder._read(tmp_path / "test", tmp_path, entry())) == as_a_set(test)
    shutil.rmtree(tmp_path / "test/bar")
    with pytest.raises(UserError, match=r"^my/shapes/test/bar holds no picture"):
        folder.read_splits(tmp_path, entry(test_share=None))


def test_colours_become_grey_and_a_jpeg_is_a_picture(shapes):
    Image.new("RGB", (12, 12), (255, 0, 0)).save(shapes / "bar/red.png")
    Image.new("L", (12, 12), 200).save(shapes / "bar/grey.JPG", "JPEG")
    flat = {image.unique().item() for split in folder.read_splits(shapes, entry()) for image in split.images
            if image.unique().numel() == 1}  # fmt: skip
    assert flat == {76, 200}


def test_hidden_files_do_not_count(shapes):
    before = local.digest(shapes)
    (shapes / ".DS_Store").write_text("x")
    (shapes / "bar/.thumbs").write_text("x")
    assert local.digest(shapes) == before
    assert len(folder.read_splits(shapes, entry())[0].labels) == 45


def test_the_digest_is_what_sha256sum_says_and_sees_names_and_bytes(shapes):
    (shapes / "bar/B 1.png").write_bytes((shapes / "bar/0.png").read_bytes())
    (shapes / "cross").rename(shapes.parent / "elsewhere")
    (shapes / "cross").symlink_to("../elsewhere")
    line = "find -L * -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    said = subprocess.run(line, shell=True, cwd=shapes, capture_output=True, text=True, check=True).stdout
    before = local.digest(shapes)
    assert before == said.split()[0]
    (shapes / "bar/B 1.png").rename(shapes / "cross/B.png")
    moved = local.digest(shapes)
    (shapes / "cross/B.png").write_bytes(b"")
    assert len({before, moved, local.digest(shapes)}) == 3


def unreadable(shapes):
    (shapes / "cross/notes.txt").write_text("hello")


def truncated(shapes):
    (shapes / "cross/3.png").write_bytes((shapes / "cross/3.png").read_bytes()[:-40])


def larger(shapes):
    Image.new("L", (12, 13)).save(shapes / "cross/3.png")


def unknown(shapes):
    (shapes / "bar").rename(shapes / "bars")


def without_class(shapes):
    shutil.copy(shapes / "bar/0.png", shapes / "0.png")


def too_deep(shapes):
    (shapes / "bar/more").mkdir()
    shutil.copy(shapes / "bar/0.png", shapes / "bar/more/0.png")


def empty(shapes):
    shutil.rmtree(shapes / "bar")


def dangling(shapes):
    (shapes / "bar/0.png").unlink()
    (shapes / "bar/0.png").symlink_to("../.git/annex/objects/0.png")


def dangling_class(shapes):
    shutil.rmtree(shapes / "bar")
    (shapes / "bar").symlink_to("/mnt/gone")


def itself(shapes):
    (shapes / "bar/more").symlink_to("more")


def endless(shapes):
    (shapes / "bar/more").symlink_to("..")


def pipe(shapes):
    os.mkfifo(shapes / "bar/pipe")


LINKS = {
    dangling: "shapes/bar/0.png is a link to ../.git/annex/objects/0.png, where nothing is: mount or bring what it",
    dangling_class: "shapes/bar is a link to /mnt/gone, where nothing is",
    itself: "shapes/bar/more is a link to more, where nothing is",
    endless: "is a link to .*/shapes, a folder that it lies in itself: remove the link",
    pipe: "shapes/bar/pipe is neither a file nor a folder",
}


@pytest.mark.parametrize("fault", LINKS)
def test_what_cannot_be_read_is_not_passed_over(shapes, fault):
    fault(shapes)
    with pytest.raises(UserError, match=LINKS[fault]):
        folder.read_splits(shapes, entry())


@pytest.mark.parametrize("one", ["bar", "bar/0.png"])
def test_links_are_followed(shapes, one):
    before, split = local.digest(shapes), folder.read_splits(shapes, entry())[0]
    (shapes / one).rename(shapes.parent / "elsewhere")
    (shapes / one).symlink_to(shapes.parent / "elsewhere")
    assert local.digest(shapes) == before
    assert torch.equal(folder.read_splits(shapes, entry())[0].images, split.images)


FAULTS = {
    unreadable: "my/shapes/cross/notes.txt is neither a PNG nor a JPEG",
    truncated: "my/shapes/cross/3.png is a broken picture",
    larger: "my/shapes/cross/3.png is 13 pixels high and 12 wide, but the catalog says image: [12, 12]",
    unknown: "my/shapes/bars/0.png: bars is none of the classes in the catalog",
    without_class: "my/shapes/0.png is not directly in the folder of a class",
    too_deep: "my/shapes/bar/more/0.png is not directly in the folder of a class",
    empty: "my/shapes/bar holds no picture",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(shapes, fault):
    fault(shapes)
    with pytest.raises(UserError, match=f"^{re.escape(FAULTS[fault])}"):
        folder.read_splits(shapes, entry())
