import hashlib
import json

import pytest
import torch

from samebits.base.errors import UserError
from samebits.datasets.arrays import load_summary, save, summarise
from samebits.datasets.split import Split, load_split

GENERATOR = torch.Generator().manual_seed(0)
SPLITS = {
    name: Split(
        torch.randint(0, 256, (n, 3, 5), dtype=torch.uint8, generator=GENERATOR),
        torch.randint(0, 3, (n,), dtype=torch.uint8, generator=GENERATOR),
    )
    for name, n in (("train", 50), ("validation", 0), ("test", 20))
}
CLASSES = ["a", "b", "c", "d"]


def test_what_is_saved_is_loaded(tmp_path):
    summary = save(tmp_path := tmp_path / "toy", "toy", "Toy", CLASSES, SPLITS)
    assert load_summary(tmp_path) == summary
    assert (summary.dataset, summary.title, summary.classes, summary.image) == ("toy", "Toy", CLASSES, [3, 5])
    for name, split in SPLITS.items():
        loaded = load_split(tmp_path, name)
        assert loaded.images.dtype == loaded.labels.dtype == torch.uint8
        assert torch.equal(loaded.images, split.images)
        assert torch.equal(loaded.labels, split.labels)
        assert summary.splits[name].images == len(split.labels)


def test_the_digest_is_that_of_the_bytes_on_disk(tmp_path):
    summary = save(tmp_path, "toy", "Toy", CLASSES, SPLITS)
    data = b"".join((tmp_path / f"{name}.safetensors").read_bytes() for name in ("train", "validation", "test"))
    assert summary.digest == hashlib.sha256(data).hexdigest()


def test_the_bytes_depend_on_the_content_only(tmp_path):
    for folder, splits in (
        ("one", SPLITS),
        ("two", {name: Split(s.images.mT.contiguous().mT, s.labels) for name, s in reversed(SPLITS.items())}),
    ):
        save(tmp_path / folder, "toy", "Toy", CLASSES, splits)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_statistics_of_the_pixels():
    summary = summarise(SPLITS["train"], 4)
    pixels = SPLITS["train"].images.double() / 255
    assert summary.pixel_mean == pytest.approx(pixels.mean().item(), rel=1e-14)
    assert summary.pixel_std == pytest.approx(pixels.std(correction=0).item(), rel=1e-14)
    assert summary.per_class == [(SPLITS["train"].labels == label).sum().item() for label in range(4)]


def test_an_empty_split_has_no_statistics():
    summary = summarise(SPLITS["validation"], 4)
    assert (summary.images, summary.per_class, summary.pixel_mean, summary.pixel_std) == (0, [0] * 4, None, None)


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(UserError, match=r"train.safetensors is missing: `dvc repro` writes it"):
        load_split(tmp_path, "train")
    with pytest.raises(UserError, match=r"summary.json is missing: `dvc repro` writes it"):
        load_summary(tmp_path)
    save(tmp_path, "toy", "Toy", CLASSES, SPLITS)
    path = tmp_path / "train.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"train.safetensors does not hold images and labels"):
        load_split(tmp_path, "train")
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "digits": 3}))
    with pytest.raises(UserError, match=r"summary.json: digits is an unknown key; allowed here: dataset, title"):
        load_summary(tmp_path)
    path.write_text(path.read_text()[:-3])
    with pytest.raises(UserError, match=r"summary.json is not valid JSON"):
        load_summary(tmp_path)


@pytest.mark.parametrize("where", ["toy", "other"])
def test_a_summary_of_other_splits_is_refused(tmp_path, where):
    save(tmp_path / where, "toy", "Toy", CLASSES, SPLITS)
    if where == "toy":
        others = tmp_path / "others/toy"
        save(others, "toy", "Toy", CLASSES, SPLITS | {"test": SPLITS["train"]})
        (others / "test.safetensors").replace(tmp_path / where / "test.safetensors")
    with pytest.raises(UserError, match=r"summary.json is of other splits than those beside it: run `dvc repro` again"):
        load_summary(tmp_path / where)


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "tast"), ()])
def test_a_summary_that_says_nothing_of_a_split_is_refused(tmp_path, splits):
    summary = save(tmp_path / "toy", "toy", "Toy", CLASSES, SPLITS).model_dump()
    summary["splits"] = dict.fromkeys(splits, summary["splits"]["train"])
    (tmp_path / "toy/summary.json").write_text(json.dumps(summary))
    with pytest.raises(UserError, match=r"summary.json: splits is .*, but it should hold train, validation, test$"):
        load_summary(tmp_path / "toy")


def test_a_summary_without_its_splits_is_refused(tmp_path):
    save(tmp_path / "toy", "toy", "Toy", CLASSES, SPLITS)
    (tmp_path / "toy/validation.safetensors").unlink()
    with pytest.raises(UserError, match=r"validation.safetensors cannot be read \(.*\): `dvc repro` writes it"):
        load_summary(tmp_path / "toy")
