import json
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.base.params import load
from samebits.commands import reference
from samebits.gate import references
from tests.conftest import run
from tests.made.finished import finish, project

RUNS = ("scratch", "concise", "mlp")
SCRATCH = Path("reference/digits/scratch.json")


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    project(tmp_path, "digits", seeds=(4, 2))


def change(path, **changes):
    write_json(Path(path), read_json(Path(path)) | changes)


def test_a_reference_holds_every_seeds_figures_and_what_they_are_of():
    reference.main()
    written = read_json(SCRATCH)
    metrics = read_json(Path("metrics/digits/scratch.json"))
    assert written["seeds"] == [4, 2]
    assert written["values"] == {
        "test_accuracy": metrics["test"]["accuracy"]["per_seed"],
        "test_loss": metrics["test"]["loss"]["per_seed"],
        "first_train_loss": [1 + 4 / 8, 1 + 2 / 8],
        "last_train_loss": [1 / 3 + 4 / 8, 1 / 3 + 2 / 8],
    }
    assert written["model_sha256"] == metrics["model_sha256"]
    assert written["data_digest"] == read_json(Path("data/processed/digits/summary.json"))["digest"]
    assert written["parameters"]["scratch.lr"] == 0.1
    assert written["parameters"]["arithmetic"] == "float32"
    assert not [key for key in written["parameters"] if "seeds" in key]
    assert {path.name for path in Path("reference/digits").iterdir()} == {f"{name}.json" for name in RUNS}


def test_its_provenance_is_the_commit_the_day_and_the_versions(tmp_path):
    reference.main()
    assert read_json(SCRATCH)["provenance"]["commit"] is None, "there is no repository"
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "add", ".", cwd=tmp_path)
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    run("git", *name, "commit", "--quiet", "--message", "start", cwd=tmp_path)
    commit = run("git", "rev-parse", "HEAD", cwd=tmp_path).stdout.strip()
    finish(tmp_path, "digits", "scratch", (4, 2), better=0.01)
    run("git", *name, "commit", "--quiet", "--all", "--message", "better", "--amend", cwd=tmp_path)
    commit = run("git", "rev-parse", "HEAD", cwd=tmp_path).stdout.strip()
    reference.main()
    made = read_json(SCRATCH)["provenance"]
    assert (made["commit"], made["dirty"]) == (commit, False)
    assert set(made) == {"commit", "dirty", "date", "python", "torch"}
    finish(tmp_path, "digits", "scratch", (4, 2), better=0.02)
    reference.main()
    assert read_json(SCRATCH)["provenance"]["dirty"] is True


def test_one_that_says_the_same_stays_as_it_is(tmp_path, capsys):
    reference.main()
    change(SCRATCH, provenance=read_json(SCRATCH)["provenance"] | {"date": "2001-01-01"})
    before = SCRATCH.read_bytes()
    finish(tmp_path, "digits", "mlp", (4, 2), better=0.01)
    capsys.readouterr()
    reference.main()
    assert SCRATCH.read_bytes() == before
    said = capsys.readouterr().out
    assert "reference/digits/scratch.json: the same already (2 seeds)" in said
    assert "reference/digits/mlp.json: written (2 seeds)" in said


def test_a_damaged_one_is_written_anew():
    reference.main()
    good = SCRATCH.read_bytes()
    SCRATCH.write_text("{")
    reference.main()
    assert SCRATCH.read_bytes() == good


def test_a_dataset_needs_its_outputs_and_not_a_place_in_params(tmp_path):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("datasets: [digits]", "datasets: [mnist]"))
    with pytest.raises(UserError, match=r"mnist/summary\.json is missing: run `dvc repro preprocess@mnist`"):
        reference.main()
    reference.main(["digits"])
    assert SCRATCH.exists()
    with pytest.raises(UserError, match=r"unknown dataset .\.\./digits.: the catalog has"):
        reference.main(["../digits"])


def spoil_model(folder):
    (folder / "models/digits/mlp/model.safetensors").write_bytes(b"other")


def spoil_pairing(folder):
    change(folder / "metrics/digits/mlp.json", model_sha256="0")


def spoil_seeds(folder):
    change(folder / "metrics/digits/mlp.json", seeds=[4, 3])


def spoil_history(folder):
    path = folder / "models/digits/mlp/history.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def spoil_number(folder):
    path = folder / "models/digits/mlp/history.csv"
    path.write_text(path.read_text().replace("4,1,1.5", "4,1,nan"))


def spoil_metrics(folder):
    (folder / "metrics/digits/mlp.json").write_text("{}")


def spoil_values(folder):
    test = read_json(folder / "metrics/digits/mlp.json")["test"]
    change(folder / "metrics/digits/mlp.json", test=test | {"loss": {"mean": 0.5, "per_seed": [0.5]}})


def spoil_params(folder):
    stage = {
        "cmd": "python",
        "params": {"params.yaml": {"mlp": {"lr": 7}}},
        "outs": [{"path": "models/digits/mlp/history.csv", "md5": "0dea" * 8, "size": 3}],
    }
    (folder / "dvc.lock").write_text(json.dumps({"stages": {"train-concise@digits-mlp": stage}}) + "\n")


def spoil_summary(folder):
    (folder / "data/processed/digits/summary.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_model, r"models/digits/mlp/model\.safetensors is damaged \(.*run `dvc repro train-concise@digits-mlp`"),
        (spoil_pairing, r"metrics/digits/mlp\.json was measured on another model than models/digits/mlp"),
        (spoil_seeds, r"metrics/digits/mlp\.json has other seeds than params\.yaml"),
        (spoil_history, r"models/digits/mlp/history\.csv has other seeds or epochs than params\.yaml"),
        (spoil_number, r"history\.csv is damaged \(column train_loss holds what is no finite number\)"),
        (
            spoil_metrics,
            r"metrics/digits/mlp\.json is damaged \(seeds is missing; test is missing; .*`dvc repro evaluate@digits`",
        ),
        (spoil_values, "values.test_loss has 1 values for 2 seeds"),
        (spoil_params, "mlp in params.yaml has changed since digits mlp was trained"),
        (spoil_summary, r"summary\.json is missing"),
    ],
)
def test_it_is_written_from_finished_and_consistent_outputs_alone(tmp_path, spoil, said):
    spoil(tmp_path)
    with pytest.raises(UserError, match=said):
        reference.main()
    assert not Path("reference").exists(), "nothing is written when one run is not finished"


def test_what_is_read_back_is_what_was_measured():
    reference.main()
    for name in RUNS:
        back = references.recorded("digits", name)
        assert back.model_copy(update={"provenance": None}) == references.measured("digits", name, load())
        assert back.provenance is not None


def test_an_empty_or_damaged_reference_is_a_sentence():
    SCRATCH.parent.mkdir(parents=True)
    for text in ("", "{"):
        SCRATCH.write_text(text)
        with pytest.raises(UserError, match=r"^reference/digits/scratch.json is (empty|not valid JSON .*): restore"):
            references.recorded("digits", "scratch")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda old: {**old, "values": {k: v for k, v in old["values"].items() if k != "test_loss"}}, "test_loss is m"),
        (lambda old: {**old, "values": {**old["values"], "f1": [1.0]}}, "values.f1 is an unknown key"),
        (lambda old: {**old, "values": {**old["values"], "test_loss": [0.5]}}, "values.test_loss has 1 values for 2"),
        (lambda old: {**old, "seeds": []}, "seeds is"),
        (lambda old: {**old, "seeds": [1, 1]}, "each value may appear only once"),
        (lambda old: {**old, "run": "mlp"}, "is the reference of digits mlp"),
        (lambda old: {k: v for k, v in old.items() if k != "parameters"}, "parameters is missing"),
    ],
)
def test_a_reference_of_another_form_is_refused_with_what_is_wrong(spoil, said):
    reference.main()
    write_json(SCRATCH, spoil(read_json(SCRATCH)))
    with pytest.raises(UserError, match=said) as error:
        references.recorded("digits", "scratch")
    assert str(error.value).startswith("reference/digits/scratch.json")
    assert len(str(error.value)) < 200, "one sentence"
