"""Which model answers: a run of this project, a file, or one that MLflow's registry knows."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from samebits.base import params, paths
from samebits.base.command_line import require_project
from samebits.base.errors import UserError
from samebits.base.params import RUNS
from samebits.datasets import catalog
from samebits.inference.classifier import Classifier

REGISTRY = "models:/"
DEFAULT = "mlp"

Fetch = Callable[[str, Path], Path]  # the file of a registered model, brought into a folder


def choose(dataset: str, run: str | None, model: str | None, seed: int | None, fetch: Fetch) -> Classifier:
    """Load a model that was trained on `dataset`: that of `run`, or else `model`.

    `model` is the path of a file, or models:/NAME@ALIAS, which `fetch` gets. Raises UserError.
    """
    if model is None:
        return _of_run(dataset, DEFAULT if run is None else run, seed)
    if run is not None:
        raise UserError(f"--run {run} and --model {model} name two models: give one of them")
    if not model.startswith(REGISTRY):
        if not Path(model).is_file():
            hint = f"; --run {model} is a run of this project" if model in RUNS else ""
            raise UserError(f"--model {model} is neither a file nor {REGISTRY}NAME@ALIAS{hint}")
        return _load(Path(model), dataset, seed)
    with tempfile.TemporaryDirectory() as folder:
        return _load(fetch(model, Path(folder)), dataset, seed, name=model)


def _of_run(dataset: str, run: str, seed: int | None) -> Classifier:
    require_project()
    if run not in RUNS and run not in (runs := params.load().runs):
        raise UserError(f"--run {run} is none of {', '.join(runs)}; --model takes a file or {REGISTRY}NAME@ALIAS")
    path = paths.model(dataset, run)
    if not path.exists():
        catalog.load(paths.CATALOG).entry(dataset)  # or say that there is no such dataset
        named = dataset in params.load().datasets  # or else `dvc repro` does nothing for it
        first = "" if named else f"put {dataset} into `datasets` of params.yaml, then "
        raise UserError(f"{path} is missing: {first}`dvc repro` trains it")
    return _load(path, dataset, seed)


def _load(path: Path, dataset: str, seed: int | None, name: str = "") -> Classifier:
    classifier = Classifier.load(path, seed)
    trained_on = classifier.description.dataset
    if trained_on != dataset:
        raise UserError(f"{name or path} was trained on {trained_on}, not on {dataset}: ask for {trained_on}")
    return classifier
