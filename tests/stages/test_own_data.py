"""A table and a folder of one's own through the real pipeline: declared, run by DVC, reported, asked."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from samebits.base.errors import UserError
from samebits.commands import predict
from samebits.inference import pictures
from tests.conftest import dvc, make_checkout, run
from tests.made.own import CLASSES, edited, write_pictures, write_table

PARAMS = """
datasets: [otto, shapes]
networks: []
arithmetic: exact
preprocess: {resize: null, validation_size: 12}
scratch: {seeds: 1, epochs: 10, batch_size: 32, lr: 0.5, momentum: 0.0, init_std: 0.01, hidden: []}
concise: {seeds: 1, epochs: 10, batch_size: 32, lr: 0.5, momentum: 0.0, init_std: 0.01, hidden: []}
mlp: {seeds: 1, epochs: 20, batch_size: 16, lr: 0.2, momentum: 0.5, init_std: null, hidden: [24]}
"""


def declare(*arguments, cwd):
    run(sys.executable, "-m", "samebits", "declare", *arguments, "--write", cwd=cwd)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout in which both were declared by command and `dvc repro` ran."""
    folder = make_checkout(tmp_path_factory.mktemp("own") / "samebits")
    write_table(folder / "otto.csv")
    write_pictures(folder / "shapes")
    declare("otto", "otto.csv", "--label", "target", "--ignore", "id", cwd=folder)
    declare("shapes", "shapes", cwd=folder)
    (folder / "params.yaml").write_text(PARAMS)
    said = dvc("repro", cwd=folder).stdout
    assert said.count(": published") == 6
    return folder


@pytest.mark.parametrize(("dataset", "images", "chance"), [("otto", 120, 1 / 9), ("shapes", 12, 1 / 3)])
def test_every_model_learns_it(project, dataset, images, chance):
    summary = json.loads((project / "data/processed" / dataset / "summary.json").read_text())
    assert {name: split["images"] for name, split in summary["splits"].items()} == {
        "train": 4 * images - 12,
        "validation": 12,
        "test": images,
    }
    for name in ("scratch", "concise", "mlp"):
        metrics = json.loads((project / "metrics" / dataset / f"{name}.json").read_text())
        assert min(metrics["test"]["accuracy"]["per_seed"]) > 2 * chance


def test_the_report_tells_of_it(project):
    page = (project / "reports/index.html").read_text()
    for part in ("120 test images of 1", "Class_9", "12 test images of 12", *CLASSES):
        assert part in page


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def here(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.delenv("DEVICE", raising=False)


def test_rows_of_a_csv_get_the_answers_of_the_recorded_predictions(here):
    predict.main("otto", ["otto.csv"], csv=Path("answers.csv"))
    answers = rows(Path("answers.csv"))
    assert [row["image"] for row in answers[::599]] == ["otto.csv[0]", "otto.csv[599]"]
    pairs = zip(rows(Path("otto.csv")), answers, strict=True)
    asked = {(row["target"], answer["predicted"], answer["probability"]) for row, answer in pairs}
    recorded = rows(Path("predictions/otto/mlp.csv"))
    assert len(recorded) == 120
    assert {(row["actual"], row["predicted"], row["probability"]) for row in recorded} <= asked, "the same bits"


def older(file, to):
    """A model as it was when it did not have its columns with it."""
    with safe_open(file, framework="pt") as model:
        known = json.loads(model.metadata()["samebits"])
    del known["columns"]
    save_file(load_file(file), to, {"samebits": json.dumps(known)})


def test_a_model_that_was_moved_has_its_columns_with_it(here, tmp_path, monkeypatch):
    predict.main("otto", ["otto.csv"], csv=tmp_path / "here.csv")
    for name in ("otto.csv", "models/otto/mlp/model.safetensors"):
        shutil.copy(name, tmp_path)
    older("models/otto/mlp/model.safetensors", tmp_path / "older.safetensors")
    predict.main("otto", ["otto.csv"], model=str(tmp_path / "older.safetensors"), csv=tmp_path / "older.csv")
    monkeypatch.chdir(tmp_path)
    predict.main("otto", ["otto.csv"], model="model.safetensors", csv=Path("there.csv"))
    assert rows(Path("there.csv")) == rows(Path("here.csv")) == rows(Path("older.csv"))
    with pytest.raises(UserError, match=r"^data/processed/otto/columns.csv is missing"):
        predict.main("otto", ["otto.csv"], model="older.safetensors")


def test_pictures_and_arrays_too(here, capsys):
    predict.main("shapes", ["shapes/cross"], csv=Path("answers.csv"))
    assert [row["predicted"] for row in rows(Path("answers.csv"))].count("cross") > 10
    np.save("row.npy", np.zeros((1, 93), np.uint8))
    predict.main("otto", ["row.npy"])
    assert "Class_" in capsys.readouterr().out


def test_the_wrong_thing_is_refused_in_a_sentence(here):
    write_table(Path("part.csv"), rows=9, features=92)
    cases = {
        ("otto", "shapes/bar/0.png"): "shapes/bar/0.png is not a CSV file in UTF-8",
        ("otto", "part.csv"): "part.csv has no column 'feat_93': its columns are 'id', 'feat_1'",
        ("shapes", "otto.csv"): "otto.csv is neither a PNG nor a JPEG",
    }
    for (dataset, file), sentence in cases.items():
        with pytest.raises(UserError, match=f"^{re.escape(sentence)}"):
            predict.main(dataset, [file])
    with pytest.raises(UserError, match=r"^a drawing is a picture, but otto has rows of 93 values"):
        pictures.picture(Path("shapes/bar/0.png").read_bytes(), "a drawing", "otto", (1, 93))


def test_dvc_notices_when_other_data_are_declared(project):
    assert "up to date" in dvc("status", cwd=project).stdout
    edited(project / "otto.csv", 2, 1, "9")
    catalog = project / "data/catalog.yaml"
    text = catalog.read_text()
    old = text.partition("path: otto.csv\n  sha256: ")[2][:64]
    catalog.write_text(text.replace(old, "f" * 64))
    refused = dvc("repro", "download@otto", cwd=project, check=False)
    assert "error: download@otto: otto: the SHA-256 of" in refused.stderr
    assert (project / "data/raw/otto/table.csv").exists(), "the last good one is back"
    new = refused.stderr.partition("write `sha256: ")[2][:64]
    catalog.write_text(text.replace(old, new))
    dvc("repro", "download@otto", cwd=project)
    assert (project / "data/raw/otto/table.csv").read_bytes() == (project / "otto.csv").read_bytes()
    assert "data/raw/otto" in dvc("status", "preprocess@otto", cwd=project).stdout
