import csv
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from samebits.base.errors import UserError
from samebits.inference.choose import choose
from samebits.inference.classifier import Classifier
from samebits.learning.description import KEY
from tests.conftest import ROOT, environment
from tests.made.trained import digits


def model(run="mlp"):
    return digits() / "models/digits" / run / "model.safetensors"


def images():
    return load_file(digits() / "data/processed/digits/test.safetensors")["images"]


def recorded(run):
    with (digits() / "predictions/digits" / f"{run}.csv").open(newline="") as file:
        return [(row["predicted"], float(row["probability"])) for row in csv.DictReader(file)]


def said(classifier, X):
    P = classifier.probabilities(X)
    names = classifier.description.classes
    return [(names[i], row[i]) for i, row in zip(P.argmax(1).tolist(), P.tolist(), strict=True)]


@pytest.mark.parametrize("run", ["scratch", "concise", "mlp"])
def test_the_bits_of_predictions_csv_come_out_whatever_the_batch(run):
    classifier, X, rows = Classifier.load(model(run)), images(), recorded(run)
    assert classifier.description.run == run
    assert said(classifier, X) == rows
    assert [said(classifier, X[i : i + 1])[0] for i in range(40)] == rows[:40]
    assert said(classifier, X.flip(0)[:77]) == rows[::-1][:77]
    assert said(classifier, torch.cat([X[:3], torch.full_like(X[:5], 255)]))[:3] == rows[:3]


def test_another_seed_is_another_model():
    first, second = Classifier.load(model()), Classifier.load(model(), 5)
    assert (first.seed, second.seed) == (7, 5)
    assert not torch.equal(first.probabilities(images()), second.probabilities(images()))
    with pytest.raises(UserError, match=r"model.safetensors has no seed 6: it was trained with 7, 5$"):
        Classifier.load(model(), 6)


def test_no_image_has_no_answer_and_other_shapes_are_refused():
    classifier = Classifier.load(model())
    assert classifier.probabilities(images()[:0]).shape == (0, 10)
    with pytest.raises(ValueError, match=r"the images are uint8 \[2, 28, 28\], but the model takes uint8 \[N, 8, 8\]"):
        classifier.probabilities(torch.zeros(2, 28, 28, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"the images are float32 \[2, 8, 8\]"):
        classifier.probabilities(torch.zeros(2, 8, 8))


@pytest.mark.parametrize("length", [0, 4, 8, 100, 600, -8])
def test_a_truncated_file_is_named(tmp_path, length):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model().read_bytes()[:length])
    with pytest.raises(UserError, match=f"^{path} is not a whole safetensors file"):
        Classifier.load(path)


def test_a_missing_and_a_foreign_file_are_named(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}/none is missing"):
        Classifier.load(tmp_path / "none")
    save_file({"weight": torch.ones(2, 3, 4)}, tmp_path / "foreign")
    with pytest.raises(UserError, match=f"^{tmp_path}/foreign is no model of this project"):
        Classifier.load(tmp_path / "foreign")


@pytest.mark.parametrize(
    "lie",
    [
        {"image": [28, 28]},
        {"image": "big"},
        {"image": [64]},
        {"classes": ["one", "two"]},
        {"classes": 10},
        {"seeds": [1, 2, 3, 4, 5, 6, 7]},
        {"seeds": []},
        {"seeds": 7},
        {"arithmetic": "decimal"},
    ],
)
def test_a_file_that_lies_about_its_weights_is_refused(tmp_path, lie):
    written = json.loads(json.dumps(vars(Classifier.load(model()).description)))
    path = tmp_path / "model.safetensors"
    save_file(load_file(model()), path, {KEY: json.dumps(written | lie)})
    with pytest.raises(
        UserError,
        match=f"^{path} (does not hold the (models? that it describes|layers of a)|is no model of this project)",
    ):
        Classifier.load(path, 7 if lie == {"seeds": [1, 2, 3, 4, 5, 6, 7]} else None)


@pytest.mark.parametrize("change", [{}, {"0.weight": torch.ones(2, 3, 4)}, {"1.weight": torch.ones(2, 32)}])
def test_a_file_without_the_right_tensors_is_refused(tmp_path, change):
    path = tmp_path / "model.safetensors"
    save_file(change, path, {KEY: json.dumps(vars(Classifier.load(model()).description))})
    with pytest.raises(
        UserError,
        match=f"^{path} (does not hold the (models? that it describes|layers of a)|is no model of this project)",
    ):
        Classifier.load(path)


def test_weights_that_are_not_numbers_are_a_sentence(tmp_path):
    path, state = tmp_path / "model.safetensors", load_file(model())
    state["1.weight"][0, 0, 0] = torch.nan
    save_file(state, path, {KEY: json.dumps(vars(Classifier.load(model()).description))})
    with pytest.raises(UserError, match=r"^the model cannot answer: NaN or infinity"):
        Classifier.load(path).probabilities(images())


def test_the_classifier_imports_torch_numpy_and_safetensors_alone():
    """It also runs where this project's other dependencies are not installed."""
    unwanted = {"mlflow", "pydantic", "typer", "PIL", "pandas", "sklearn", "ruamel", "requests", "dvc", "torchvision"}
    code = f"import sys, samebits.inference.classifier; sys.exit(' '.join({unwanted} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def never(uri, folder):
    raise AssertionError("nothing is to be fetched")


class TestChoose:
    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch):
        monkeypatch.chdir(digits())

    def test_a_run_or_a_file(self):
        assert choose("digits", "scratch", None, None, never).description.run == "scratch"
        assert choose("digits", None, str(model("concise")), None, never).description.run == "concise"
        assert choose("digits", None, None, 5, never).seed == 5
        assert choose("digits", None, None, None, never).description.run == "mlp"

    def test_a_model_of_another_dataset_is_refused_by_name(self):
        with pytest.raises(UserError, match=rf"^{model()} was trained on digits, not on mnist: ask for digits$"):
            choose("mnist", None, str(model()), None, never)

    def test_what_is_nothing(self):
        with pytest.raises(UserError, match=r"^models/mnist/mlp/model.safetensors is missing"):
            choose("mnist", "mlp", None, None, never)
        with pytest.raises(UserError, match=r"^--run mpl is none of scratch, concise, mlp; --model takes a file or"):
            choose("digits", "mpl", None, None, never)
        with pytest.raises(UserError, match=r"^--model mlp is neither a file nor models:.*; --run mlp is a run of"):
            choose("digits", None, "mlp", None, never)
        with pytest.raises(UserError, match=r"^--run mlp and --model x name two models: give one of them$"):
            choose("digits", "mlp", "x", None, never)

    def test_outside_a_project(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"holds no dvc.yaml: run this from the root of a samebits project$"):
            choose("mnist", "mlp", None, None, never)

    def test_a_registered_model(self):
        """As the registry would hand it over; that room is tested with a real one."""

        def fetch(uri, folder):
            if uri.endswith("@nobody"):
                raise UserError("MLflow does not answer")
            assert uri == "models:/samebits-digits@champion"
            (folder / "model.safetensors").write_bytes(model().read_bytes())
            return folder / "model.safetensors"

        champion = "models:/samebits-digits@champion"
        assert said(choose("digits", None, champion, None, fetch), images()) == recorded("mlp")
        with pytest.raises(UserError, match=r"^models:/samebits-digits@champion was trained on digits, not on mnist"):
            choose("mnist", None, champion, None, fetch)
        with pytest.raises(UserError, match=r"^MLflow does not answer$"):
            choose("digits", None, "models:/samebits-digits@nobody", None, fetch)
