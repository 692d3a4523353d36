import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.commands import declare
from samebits.datasets import catalog
from tests.conftest import ROOT, environment
from tests.made.own import edited, write_pictures, write_table

CATALOG = Path("data/catalog.yaml")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("dvc.yaml").touch()
    CATALOG.write_bytes((ROOT / "data/catalog.yaml").read_bytes())
    write_table(Path("otto.csv"), rows=90)
    write_pictures(Path("my shapes"), each=5)


def declared(name: str) -> catalog.Own:
    entry = catalog.load(CATALOG).entry(name)
    assert isinstance(entry, catalog.Own)
    return entry


def test_a_table(capsys):
    before = CATALOG.read_text()
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"], test_share=0.3)
    printed = capsys.readouterr().out
    assert YAML(typ="safe").load(printed) == {
        "otto": {
            "title": "otto",
            "format": "table",
            "path": "otto.csv",
            "sha256": sha256(Path("otto.csv")),
            "classes": [f"Class_{i}" for i in range(1, 10)],
            "image": [1, 93],
            "label": "target",
            "ignore": ["id"],
            "test_share": 0.3,
        }
    }
    assert CATALOG.read_text() == before, "only --write writes"


def test_written_entries_are_appended_and_nothing_else_changes(capsys):
    before = CATALOG.read_text()
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"], write=True)
    declare.main("shapes", Path("my shapes"), write=True)
    first, second = capsys.readouterr().out.split("# written to data/catalog.yaml")[:2]
    assert CATALOG.read_text() == f"{before}\n{first}\n{second.partition(chr(10))[2]}"
    found = catalog.load(CATALOG)
    assert list(found.root) == ["fashion_mnist", "mnist", "digits", "otto", "shapes"]
    shapes = declared("shapes")
    assert (shapes.path, shapes.test_share, shapes.classes) == ("my shapes", 0.2, ["bar", "cross", "null"])
    with pytest.raises(UserError, match=r"data/catalog.yaml has an entry otto already"):
        declare.main("otto", Path("my shapes"))


def test_names_that_yaml_would_read_as_something_else(capsys):
    for old, new in (("bar", "no"), ("cross", "1")):
        Path("my shapes", old).rename(Path("my shapes", new))
    declare.main("shapes", Path("my shapes"), write=True)
    assert catalog.load(CATALOG).root["shapes"].classes == ["1", "no", "null"]


def test_a_folder_that_is_parted_already(capsys):
    write_pictures(Path("both/train"), each=3)
    write_pictures(Path("both/test"), each=2)
    Path("both/README.txt").write_text("beside the pictures")
    declare.main("shapes", Path("both"), write=True)
    entry = declared("shapes")
    assert (entry.test_share, entry.classes, entry.image) == (None, ["bar", "cross", "null"], [12, 12])


def without_label():
    declare.main("otto", Path("otto.csv"))


def one_class():
    write_table(Path("otto.csv"), rows=20, classes=1)
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"])


def rare_class():
    edited("otto.csv", 2, -1, "Class_0")
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"])


def bad_cell():
    edited("otto.csv", 17, 3, "?")
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"])


def bad_share():
    declare.main("otto", Path("otto.csv"), label="target", ignore=["id"], test_share=1.0)


def bad_name():
    declare.main("my-otto", Path("otto.scv"))  # before the file is looked at


def missing():
    declare.main("otto", Path("otto.scv"), label="target")


def folder_of_pictures():
    declare.main("shapes", Path("my shapes/bar"))


def empty_class():
    Path("my shapes/empty").mkdir()
    declare.main("shapes", Path("my shapes"))


def no_pictures():
    Path("new/a").mkdir(parents=True)
    Path("new/b").mkdir()
    declare.main("shapes", Path("new"))


def other_file():
    Path("my shapes/bar/notes.txt").write_text("hello")
    declare.main("shapes", Path("my shapes"))


def unmounted():
    Path("own").symlink_to("/mnt/gone")
    declare.main("otto", Path("own/otto.csv"), label="target")


def unmounted_class():
    Path("my shapes/new").symlink_to("/mnt/gone")
    declare.main("shapes", Path("my shapes"))


def three_parts():
    for name in ("train", "test", "val"):
        write_pictures(Path("own", name), each=2)
    declare.main("shapes", Path("own"))


def capitals():
    for name in ("Train", "Test"):
        write_pictures(Path("own", name), each=2)
    declare.main("shapes", Path("own"))


def parted_twice():
    for name in ("train", "test"):
        write_pictures(Path("own", name), each=2)
    declare.main("shapes", Path("own"), test_share=0.5)


def odd_one():
    Image.new("L", (12, 13)).save("my shapes/bar/0.png")  # the first of all
    declare.main("shapes", Path("my shapes"))


def sizes():
    for i in (1, 2, 4):
        Image.new("L", (20 + i, 30)).save(f"my shapes/cross/{i}.png")
    declare.main("shapes", Path("my shapes"))


def of_pandas():
    declare.main("otto", csv(",x,y\n0,1,a\n1,2,b\n"), label="y")


def feather():
    Path("own.csv").write_bytes(b"ARROW1...")
    declare.main("otto", Path("own.csv"), label="y")


def page():
    Path("own.csv").write_text("<!DOCTYPE html>")
    declare.main("otto", Path("own.csv"))


FAULTS = {
    three_parts: "own has the folders test, train, val, where train and test alone are wanted: name the two so, and "
    "move the pictures of any other into train, or the folder elsewhere (preprocess.validation_size in params.yaml",
    capitals: "own has the folders Test, Train, where train and test alone are wanted",
    parted_twice: "own is parted into train and test already: leave --test-share out",
    odd_one: "my shapes/bar/0.png is 13 pixels high and 12 wide, but 14 of 15 pictures are 12 high and 12 wide, and "
    "all must have one size: 2 sizes were found",
    sizes: "my shapes/cross/1.png is 30 pixels high and 21 wide, but 12 of 15 pictures are 12 high and 12 wide, and "
    "all must have one size: 4 sizes were found",
    of_pandas: "my.csv, row 1: column 1 has no name; pandas' to_csv(..., index=False) leaves its row numbers out",
    feather: "own.csv is a Feather file that cannot be read (",
    page: "own.csv is an HTML page, not a table in CSV: download the file itself",
    unmounted: "own is a link to /mnt/gone, where nothing is",
    unmounted_class: "my shapes/new is a link to /mnt/gone, where nothing is",
    without_label: "otto.csv is a table: say which column holds the class, by --label COLUMN",
    one_class: "otto.csv has only the class Class_1: two are wanted, or more",
    rare_class: "the class Class_0 has 1 of 90 examples, and test_share 0.2 puts 0 of them into the test set",
    bad_cell: "otto.csv, row 17, column 'feat_3': '?' is not a finite number",
    bad_share: "the entry for data/catalog.yaml: otto.test_share is 1.0, but it should be less than 1",
    bad_name: "NAME is 'my-otto', but it should be made of a-z, 0-9 and _",
    missing: "there is no file or folder otto.scv",
    folder_of_pictures: "my shapes/bar has no class: two are wanted, or more",
    empty_class: "my shapes/empty holds no picture: each class must have some",
    no_pictures: "new holds no pictures",
    other_file: "my shapes/bar/notes.txt is neither a PNG nor a JPEG",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_nothing_is_written(fault):
    before = CATALOG.read_text()
    with pytest.raises(UserError) as refusal:
        fault()
    assert str(refusal.value).startswith(FAULTS[fault])
    assert CATALOG.read_text() == before


def csv(text):
    Path("my.csv").write_text(text, encoding="utf-8")
    return Path("my.csv")


def in_order(header):
    """Noise in three sorted classes, with a first column that numbers the rows."""
    noise = np.random.default_rng(0).random(60)
    return csv(header + "".join(f"\n{i},{noise[i]:.3f},{'abc'[i // 20]}" for i in range(60)) + "\n")


def test_a_column_that_numbers_the_rows_is_asked_about():
    for keep in (None, ["x"]):
        with pytest.raises(UserError) as refusal:
            declare.main("mine", in_order("Unnamed: 0,x,y"), label="y", keep=keep, write=True)
        assert str(refusal.value) == (
            "my.csv: 'Unnamed: 0' seems to number the rows, so that models would learn their order: leave it out by "
            "--ignore 'Unnamed: 0' or, if it is a measurement, say --keep 'Unnamed: 0'"
        )
    declare.main("without", Path("my.csv"), label="y", ignore=["Unnamed: 0"], write=True)
    declare.main("with", Path("my.csv"), label="y", keep=["Unnamed: 0"], write=True)
    assert (declared("without").image, declared("with").image) == ([1, 1], [1, 2])
    with pytest.raises(UserError, match=r"^my.csv has no column 'z' to keep: its columns of numbers are 'Unnamed: 0',"):
        declare.main("mine", Path("my.csv"), label="y", keep=["z"])


def excel(frame, path):
    pytest.importorskip("openpyxl")
    frame.to_excel(path, index=False)


def arff(frame, path):
    head = ["@RELATION own", "@ATTRIBUTE 'a b' REAL", "@ATTRIBUTE y {u,'v w'}", "@DATA"]
    path.write_text("\n".join(head) + "\n" + frame.to_csv(index=False, header=False, quotechar="'"))


WRITERS: dict[str, Callable[..., object]] = {
    "x.parquet": pd.DataFrame.to_parquet,
    "x.feather": pd.DataFrame.to_feather,
    "x.xlsx": excel,
    "x.arff": arff,
}


@pytest.mark.parametrize("file", WRITERS)
def test_a_table_in_another_form_becomes_csv_beside_it(file, tmp_path, capsys):
    frame = pd.DataFrame({"a b": np.random.default_rng(0).normal(size=40).round(9), "y": ["u", "v w"] * 20})
    Path("own").mkdir()
    WRITERS[file](frame, Path("own", file))
    declare.main("mine", Path("own", file), label="y")
    assert list(Path("own").iterdir()) == [Path("own", file)], "only --write writes"
    Path("own/x.csv").write_text("mine\n")
    with pytest.raises(UserError, match=r"^own/x.csv is there already and holds something else"):
        declare.main("mine", Path("own", file), label="y", write=True)
    Path("own/x.csv").unlink()
    declare.main("mine", Path("own", file), label="y", write=True)
    entry = declared("mine")
    assert (entry.path, entry.sha256) == ("own/x.csv", sha256(Path("own/x.csv")))
    pd.testing.assert_frame_equal(pd.read_csv("own/x.csv"), frame, check_exact=True)


def test_what_pandas_cannot_read_here(monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with ZipFile("own.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(UserError, match=r"^own.xlsx is an Excel file, which pandas cannot read here \(.*openpyxl.*CSV"):
        declare.main("mine", Path("own.xlsx"), label="y")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y\n1,1\n2,1.0\n1,2\n2,2", "'1' and '1.0' may be one class"),
        ("x,y\n1,Cat\n2, cat\n1,dog\n2,d\u00f6g", "' cat' and 'Cat' may be one class"),
        ("x,y\n1,d\u00f6g\n2,do\u0308g\n1,NaN\n2,?", "'do\u0308g' and 'd\u00f6g' may be one class; '?' may stand for a "
         "class that is missing; 'NaN' may stand for a class that is missing"),
    ],
)  # fmt: skip
def test_classes_that_may_be_none_are_warned_of(text, said, capsys):
    declare.main("mine", csv("\n".join([*text.split("\n"), *text.split("\n")[1:]])), label="y", test_share=0.5)
    assert capsys.readouterr().err == f"warning: my.csv: {said}\n"


def test_folders_too(capsys):
    Path("my shapes/cross").rename("my shapes/BAR")
    declare.main("shapes", Path("my shapes"))
    said = "'BAR' and 'bar' may be one class; 'null' may stand for a class that is missing"
    assert capsys.readouterr().err == f"warning: my shapes: {said}\n"
    with pytest.raises(UserError, match="my shapes is a folder: --label, --ignore and --keep are for tables"):
        declare.main("shapes", Path("my shapes"), ignore=["id"])


def test_control_characters_in_names_of_classes_are_refused():
    said = "mine.classes.0 is 'a\\x01', but it should be without control characters"
    with pytest.raises(UserError, match=re.escape(said)):
        declare.main("mine", csv("x,y\n1,a\x01\n2,b\n1,a\x01\n2,b\n"), label="y", test_share=0.5)
    Path("my shapes/bar").rename("my shapes/a\x85b")
    with pytest.raises(UserError, match=r"shapes.classes.0 is 'a\\x85b', but it should be without control characters"):
        declare.main("shapes", Path("my shapes"))


def test_more_classes_than_a_byte_holds():
    Path("wide.csv").write_text("a,y\n" + "".join(f"{i},{i % 257}\n" for i in range(600)))
    with pytest.raises(UserError, match=r"wide.csv has 257 classes: labels are bytes, so at most 256 are possible"):
        declare.main("wide", Path("wide.csv"), label="y")


def test_the_command_line():
    line = [
        sys.executable,
        "-m",
        "samebits",
        "declare",
        "otto",
        "otto.csv",
        "--label",
        "target",
        "--ignore",
        "id",
        "--write",
    ]
    said = subprocess.run(
        line, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=True
    ).stdout
    assert said.endswith("now put otto into `datasets` of params.yaml and run `dvc repro`\n")
    entry = declared("otto")
    assert isinstance(entry, catalog.Table)
    assert entry.ignore == ["id"]
