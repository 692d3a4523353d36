import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from packaging.requirements import Requirement

from samebits.base import source
from samebits.inference.classifier import Classifier
from samebits.tracking import store as store_room
from samebits.tracking.address import address
from samebits.tracking.publishing import publish
from tests.made.described import describe_model
from tests.made.finished import CLASSES, empty_store, project, runs
from tests.made.venvs import bare_python

SEEDS = (3, 5)
LOAD = """
import json, sys, numpy as np
from mlflow import pyfunc
model = pyfunc.load_model(sys.argv[1])
answer = model.predict(np.load(sys.argv[2]))
exact = {name: [p if name == "class" else p.hex() for p in answer[name]] for name in answer}
print(json.dumps([exact, sys.modules["samebits"].__file__]))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The folder of the model that MLflow has of a published run, and the weights it was made of."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("DVC_ROOT", raising=False)
        project(folder, "digits", seeds=SEEDS)
        empty_store(folder)
        file = describe_model(folder, "digits", "mlp", SEEDS)
        publish()
        (model,) = (folder / "mlartifacts/models").glob("*/artifacts")
        yield model, file


@pytest.fixture(scope="module")
def python(published, tmp_path_factory):
    """A Python with what the model's requirements.txt names and that needs, and nothing else."""
    required = [Requirement(line) for line in (published[0] / "requirements.txt").read_text().splitlines()]
    assert all(str(r.specifier).startswith("==") for r in required)
    made = bare_python(tmp_path_factory.mktemp("venv"), *(r.name for r in required))
    assert not list(made.parent.parent.glob("lib/python*/site-packages/dvc"))
    return made


def test_where_only_its_requirements_are_it_answers_to_the_bit(published, python, tmp_path):
    model, file = published
    images = torch.randint(0, 256, (1000, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    P = Classifier.load(file).probabilities(images)
    assert P.dtype == torch.float64
    np.save(tmp_path / "images.npy", images.numpy())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    done = subprocess.run(
        [python, "-c", LOAD, model, tmp_path / "images.npy"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer, where = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(model)
    assert answer["class"] == [CLASSES[k] for k in P.argmax(1)]
    assert answer["probability"] == [p.hex() for p in P.max(1).values.tolist()]
    for k, name in enumerate(CLASSES):
        assert answer[f"p({name})"] == [p.hex() for p in P[:, k].tolist()]


def test_nothing_in_it_is_pickled_or_superfluous(published):
    model, file = published
    names = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".pth", ".joblib"))]
    code = {name.removeprefix("code/samebits/") for name in names if name.startswith("code/samebits/")}
    assert "inference/classifier.py" in code
    assert "learning/float32.py" in code, "importlib imports it"
    assert not code & {"base/params.py", "base/schema.py", "base/command_line.py", "base/files.py"}
    assert not [name for name in code if name.startswith("tracking/")]
    assert (model / "artifacts/model.safetensors").read_bytes() == file.read_bytes()
    assert len(json.loads((model / "input_example.json").read_text())) == 2


def test_the_run_knows_its_model(published):
    client = MlflowClient(tracking_uri=address())
    (run,) = [run for run in runs(address()) if store_room.MODEL in run.data.tags]
    logged = client.get_logged_model(run.data.tags[store_room.MODEL])
    assert (logged.status, logged.name, logged.source_run_id) == ("READY", "digits-mlp", run.info.run_id)
    assert run.outputs is not None
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert logged.tags[store_room.KEY] == run.data.tags[store_room.KEY]
    assert logged.metrics is not None
    assert {metric.key for metric in logged.metrics} >= {"test_accuracy"}


def test_a_model_that_does_not_say_what_it_is_is_published_without(published):
    others = [run for run in runs(address()) if run.data.tags["run"] != "mlp"]
    assert others
    assert not any(store_room.MODEL in run.data.tags for run in others)


def test_the_files_that_a_module_needs():
    found = {file.relative_to(source.ROOT).as_posix() for file in source.files("samebits.exact.modules")}
    assert {"samebits/__init__.py", "samebits/exact/__init__.py", "samebits/exact/functional.py"} <= found
    assert all(name.startswith(("samebits/__init__", "samebits/exact/")) for name in found)
    assert source.files("numpy") == []


def test_its_table_is_a_data_frame(published, monkeypatch):
    from mlflow import pyfunc

    monkeypatch.setattr(sys, "path", sys.path)  # loading puts the model's own code first, for the tests that follow too
    answer = pyfunc.load_model(str(published[0])).predict(torch.zeros(2, 8, 8, dtype=torch.uint8).numpy())
    assert isinstance(answer, pd.DataFrame)
    assert list(answer) == ["class", "probability", *(f"p({name})" for name in CLASSES)]
