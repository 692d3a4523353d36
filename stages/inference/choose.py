"""Which model answers: a run of this project, a file, or one that the registry knows."""

import tempfile
from pathlib import Path

from stages.errors import UserError
from stages.inference.classifier import Classifier
from stages.params import RUNS

REGISTRY = "models:/"


def choose(dataset: str, model: str, seed: int | None = None) -> Classifier:
    """Load `model`, one of RUNS, the path of a file or models:/NAME@ALIAS, trained on `dataset`. Raises UserError."""
    if model in RUNS:
        return _load(Path("models") / dataset / model / "model.safetensors", dataset, seed)
    if not model.startswith(REGISTRY):
        if not Path(model).is_file():
            raise UserError(f"--model {model} is neither one of {', '.join(RUNS)} nor a file nor {REGISTRY}NAME@ALIAS")
        return _load(Path(model), dataset, seed)
    from stages import tracking  # MLflow takes seconds to import: only for those who ask it

    with tempfile.TemporaryDirectory() as folder:
        try:
            return _load(tracking.fetch_model(model, Path(folder)), dataset, seed, name=model)
        except tracking.UnavailableError as error:
            raise UserError(str(error)) from None


def _load(path: Path, dataset: str, seed: int | None, name: str = "") -> Classifier:
    classifier = Classifier.load(path, seed)
    trained_on = classifier.description.dataset
    if trained_on != dataset:
        raise UserError(f"{name or path} was trained on {trained_on}, not on {dataset}: ask for {trained_on}")
    return classifier
