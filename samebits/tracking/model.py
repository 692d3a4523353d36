"""A trained model as MLflow keeps it: the weights, the code that reads them, and what that imports."""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import models, pyfunc
from mlflow.types import ColSpec, Schema, TensorSpec

from samebits.base import source
from samebits.tracking.record import Model

# What a published model consists of, beside its weights.
SCRIPT = Path(__file__).with_name("pyfunc_model.py")
CLASSIFIER = "samebits.inference.classifier"
WEIGHTS = "artifacts/model.safetensors"  # in a published model
REQUIRED = ("mlflow", "numpy", "pandas", "safetensors", "torch")


def save(model: Model, folder: Path, run_id: str, logged: Any) -> None:
    """Write the MLflow model: the weights, the modules that read them, the exact versions of what they import."""
    images = TensorSpec(model.example.dtype, (-1, *model.image))
    columns = [("string", "class"), ("double", "probability"), *(("double", f"p({name})") for name in model.classes)]
    with tempfile.TemporaryDirectory() as code:
        source.copy(CLASSIFIER, Path(code))
        weights = Path(code) / Path(WEIGHTS).name
        shutil.copyfile(model.file, weights)  # DVC may have made it a link into its cache, which MLflow refuses
        pyfunc.save_model(
            folder,
            python_model=str(SCRIPT),
            artifacts={"weights": weights.as_uri()},
            code_paths=[f"{code}/samebits"],
            signature=models.ModelSignature(Schema([images]), Schema([ColSpec(*column) for column in columns])),
            input_example=model.example,
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIRED],
            mlflow_model=models.Model(run_id=run_id, model_id=logged.model_id, artifact_path=logged.artifact_location),
        )
