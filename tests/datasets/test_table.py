import hashlib
import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.datasets import catalog, table
from samebits.datasets.prepare import part
from samebits.datasets.scale import Scale
from tests.made.own import edited, write_table

ENTRY = {"title": "T", "format": "table", "path": "my.csv", "sha256": "0" * 64, "label": "target", "ignore": ["id"]}


def entry(**changes):
    few = {"classes": ["Class_1", "Class_2", "Class_3"], "image": [1, 4], "test_share": 0.25}
    return catalog.Table(**{**ENTRY, **few, **changes})


@pytest.fixture
def my_csv(tmp_path):
    path = tmp_path / "my.csv"
    write_table(path, rows=60, features=4, classes=3)
    return path


def test_each_class_has_the_same_share_in_both_splits_and_rows_keep_their_class(my_csv):
    train, test, scale = table.read_splits(my_csv, entry())
    assert (train.images.shape, test.images.shape) == ((45, 1, 4), (15, 1, 4))
    assert train.images.dtype == train.labels.dtype == torch.uint8
    assert torch.bincount(train.labels).tolist() == [15] * 3
    assert torch.bincount(test.labels).tolist() == [5] * 3
    assert scale.columns == ["feat_1", "feat_2", "feat_3", "feat_4"], "neither id nor target"
    with my_csv.open("rb") as file:
        every = table.read(file, "my.csv", "target", ["id"])
    pixels = scale.pixels(every.values)[:, 0].tolist()
    pairs = [(row, int(name[-1]) - 1) for row, name in zip(pixels, every.classes, strict=True)]
    rows = torch.cat([train.images, test.images])[:, 0].tolist()
    labels = torch.cat([train.labels, test.labels]).tolist()
    assert sorted(zip(rows, labels, strict=True)) == sorted(pairs)
    assert test.labels[:10].unique().numel() > 1, "the file is sorted by class, what the report shows must not be"


def test_the_scale_is_that_of_the_training_rows(my_csv):
    train, _, scale = table.read_splits(my_csv, entry())
    assert train.images.amin(0).tolist() == [[0] * 4]
    assert train.images.amax(0).tolist() == [[255] * 4]
    order = part(torch.arange(60, dtype=torch.uint8) // 20, 0.25, ["a", "b", "c"])
    edited(my_csv, 2 + int(order[1][0]), 1, "1000")  # a test row: clipped, and no other changes
    again, test, unchanged = table.read_splits(my_csv, entry())
    assert torch.equal(again.images, train.images)
    assert unchanged.greatest.tolist() == scale.greatest.tolist()
    assert test.images[0, 0, 0] == 255
    edited(my_csv, 2 + int(order[0][0]), 1, "1000")
    assert table.read_splits(my_csv, entry())[2].greatest[0] == 1000


def test_pixels_are_the_nearest_and_ties_go_to_the_even_one():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=(500, 2)) * [1e-3, 1e12], [[-1e9, 1e15]]])
    scale = Scale(["a", "b"], np.array([-1e-3, -1e12]), np.array([2e-3, 3e12]))
    for row, pixels in zip(values, scale.pixels(values)[:, 0], strict=True):
        for x, pixel, a, b in zip(row, pixels, scale.least, scale.greatest, strict=True):
            exact = 255 * (Fraction(min(max(x, a), b)) - Fraction(a)) / (Fraction(b) - Fraction(a))
            assert abs(exact - int(pixel)) <= Fraction(1, 2) + Fraction(1, 10**9)
    halves = Scale(["a"], np.array([0.0]), np.array([510.0])).pixels(np.arange(511.0)[:, None]).ravel()
    assert halves.tolist() == [round(i / 2) for i in range(511)], "Python rounds half to even too"
    counts = Scale(["a"], np.array([3.0]), np.array([258.0])).pixels(np.arange(3.0, 259)[:, None]).ravel()
    assert counts.tolist() == list(range(256)), "counts stay apart"
    with np.errstate(all="raise"):
        constant = Scale(["a"], np.array([7.0]), np.array([7.0])).pixels(np.array([[6.0], [7], [8]]))
    assert constant.ravel().tolist() == [0] * 3


def test_every_machine_writes_these_bytes(tmp_path):
    lines = [f"{i * 37 % 101 / 7!r},{i * i % 97 * 1e-9!r},{'uvw'[i * 11 % 3]}" for i in range(300)]
    (tmp_path / "my.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    found = table.read_splits(tmp_path / "my.csv", entry(label="y", ignore=[], classes=["u", "v", "w"], image=[1, 2]))
    digest = hashlib.sha256()
    for split in found[:2]:
        digest.update(split.images.numpy().tobytes() + split.labels.numpy().tobytes())
    assert digest.hexdigest() == "d40535808d9abe0af4d992e6d8ae683d1d6f43e02d7df068d63da75b8d1d4d12"


def test_a_scale_read_again_is_the_same(tmp_path):
    scale = Scale(["a, b", 'c"d'], np.array([0.1, -1 / 3]), np.array([1e300, 2**0.5]))
    scale.write(tmp_path / "columns.csv")
    again = Scale.read(tmp_path / "columns.csv")
    assert again.columns == scale.columns
    assert (again.least.tolist(), again.greatest.tolist()) == (scale.least.tolist(), scale.greatest.tolist())


@pytest.mark.parametrize(
    "text", [b"column,least\na,1\n", b"column,least,greatest\na,1,x\n", b"\xff\n", b"column,least,greatest\na\n"]
)
def test_a_scale_that_is_damaged_is_a_sentence(tmp_path, text):
    (tmp_path / "columns.csv").write_bytes(text)
    with pytest.raises(UserError, match=r"columns.csv does not hold the ranges of columns: run `dvc repro` again$"):
        Scale.read(tmp_path / "columns.csv")


def read(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return table.read(io.BytesIO(data), "my.csv", **options)


def test_what_spreadsheets_write_is_read():
    found = read('\ufeffa,"b, c",y\r\n1," 2.5",u\r\n\r\n-3e2,4,"v\nw"\r\n5,6,u', label="y")
    assert found.columns == ["a", "b, c"]
    assert found.values.tolist() == [[1, 2.5], [-300, 4], [5, 6]]
    assert (found.classes, found.rows) == (["u", "v\nw", "u"], [2, 4, 5])
    assert read("a,b,c\n1,x,3\n", columns=["c", "a"]).values.tolist() == [[3, 1]], "in the order asked for"


def test_numbers_are_those_nearest_to_what_is_written():
    for text in ("0.1", "2.2250738585072011e-308", "9007199254740993", "1.7976931348623157e308", "0.30000000000000004"):
        assert read(f"a,b\n{text},1\n").values[0, 0] == float(Fraction(text))


FAULTS = {
    "no file to speak of": ("", "my.csv is empty: a header"),
    "no rows": ("a,y\n", "my.csv has no rows below its header"),
    "missing": ("a,y\n1,u\n,u\n", "my.csv, row 3, column 'a': the number is missing"),
    "text": ("a,y\n1,u\nNA,u\n", "my.csv, row 3, column 'a': 'NA' is not a finite number"),
    "after a blank row": ("a,y\n1,u\n\nNA,u\n", "my.csv, row 4, column 'a'"),
    "a cell of two lines": ('a,y\n1,"u\nv"\nNA,u\n', "my.csv, row 3, column 'a'"),
    "infinite": ("a,y\n1e999,u\n", "row 2, column 'a': '1e999' is not a finite number"),
    "NaN": ("a,y\nnan,u\n", "row 2, column 'a': 'nan' is not a finite number"),
    "Python's own": ("a,y\n1_000,u\n", "row 2, column 'a': '1_000' is not a finite number"),
    "no class": ("a,y\n1,\n", "row 2, column 'y': the class is missing"),
    "short row": ("a,y\n1,u\n1\n", "row 3: it has 1 cells, but the header has 2"),
    "long row": ("a,y\n1,u,2\n", "row 2: it has 3 cells, but the header has 2"),
    "twice": ("a,a,y\n1,2,u\n", "row 1: several columns are called 'a'"),
    "nameless": ("a,,y\n1,2,u\n", "row 1: column 2 has no name"),
    "other label": ("a,z\n1,u\n", "my.csv has no column 'y': its columns are 'a', 'z'"),
    "semicolons": ("a;y\n1;u\n", "has no column 'y': its columns are 'a;y'; its cells are separated by semicolons"),
    "nothing but classes": ("y\nu\n", "my.csv has no column of numbers beside 'y'"),
    "open quote": ('a,y\n1,u\n2,"u\n', "my.csv, row 3: it is not valid CSV"),
    "a long cell": (f"a,y\n{'x' * 100_000},u\n", f"row 2, column 'a': '{'x' * 80}...' is not a finite number"),
    "a long name": (f"{'x' * 100_000},z\n1,u\n", f"has no column 'y': its columns are '{'x' * 80}...', 'z'"),
    "a long name's cell": (f"{'x' * 100_000},y\nNA,u\n", f"row 2, column '{'x' * 80}...': 'NA' is not a finite"),
    "not text": (b"\x89PNG\r\n\x1a\n\xff\xfe", "my.csv is not a CSV file in UTF-8"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault):
    text, message = FAULTS[fault]
    with pytest.raises(UserError) as refusal:
        read(text, label="y")
    assert message in str(refusal.value)
    assert len(str(refusal.value)) < 1000


def test_a_table_that_is_not_as_declared(my_csv):
    cases: dict[str, dict[str, Any]] = {
        "row 42, column 'target': 'Class_3' is none of the classes in the catalog, 'Class_1', 'Class_2'": {
            "classes": ["Class_1", "Class_2"]
        },
        "the class Class_4 has 0 of 60 examples": {"classes": ["Class_1", "Class_2", "Class_3", "Class_4"]},
        "my.csv has 4 columns of numbers ('feat_1', 'feat_2', 'feat_3', 'feat_4')": {"image": [1, 5]},
        "test_share 0.01 puts 0 of them into the test set": {"test_share": 0.01},
        "test_share 0.99 puts 20 of them into the test set": {"test_share": 0.99},
    }
    for message, changes in cases.items():
        with pytest.raises(UserError) as refusal:
            table.read_splits(my_csv, entry(**changes))
        assert message in str(refusal.value)


def test_a_range_that_no_number_holds(my_csv):
    for row in range(2, 62):
        edited(my_csv, row, 2, "1.5e308" if row % 2 else "-1.5e308")
    with pytest.raises(UserError, match=r"my.csv: column 'feat_2' runs from -1.5e\+308 to 1.5e\+308, which is too far"):
        table.read_splits(my_csv, entry())
