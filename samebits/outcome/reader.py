"""The one reader of finished outputs: what it returns is whole, and belongs together and to params.yaml."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open

from samebits.base import paths
from samebits.base.errors import UserError, reason
from samebits.base.files import read_json, sha256
from samebits.base.params import RUNS, Network, Params, Training
from samebits.base.schema import told
from samebits.learning.description import describe
from samebits.outcome import chains, forms
from samebits.outcome.finished import Data, Dataset, Run

SHARES = {"precision", "recall", "f1", "probability", "train_accuracy", "test_accuracy", "validation_accuracy"}
HISTORY = "seed epoch train_loss train_accuracy test_loss test_accuracy"

T = TypeVar("T")


class StaleError(UserError):
    """An output that is missing, damaged, or not of the others and params.yaml: it names file, fault and stage."""

    def __init__(self, path: Path | str, fault: str, stage: str) -> None:
        self.fault = f"{path} {fault}"
        super().__init__(f"{self.fault}: run `dvc repro {stage}`")


def read_dataset(name: str, params: Params) -> Dataset:
    """Read all that the pipeline made of a dataset. Raises StaleError naming the file and the stage to run."""
    data, stage = read_data(name), evaluate_stage(name)
    shared_start = _read(paths.shared_start(name), stage, _json(forms.SharedStart))
    calibration = _read(paths.calibration(name), stage, _json(forms.Calibration))
    comparison = _read(paths.comparison(name), stage, _json(forms.Comparison))
    runs = [read_run(data, run, params) for run in params.runs]
    for path, content in ((paths.calibration(name), calibration), (paths.comparison(name), comparison)):
        if content["model_sha256"] != {run.name: run.metrics["model_sha256"] for run in runs}:
            raise StaleError(path, f"was measured on other models than those in {paths.MODELS / name}", stage)
    runs = [replace(run, calibration=calibration["runs"][run.name]) for run in runs]
    return Dataset(name, data.summary, data.images, shared_start, comparison["pairs"], runs, calibration["fitted_on"])


def read_data(name: str) -> Data:
    """Read a dataset's summary and its test split. Raises StaleError."""
    stage = f"preprocess@{name}"
    summary = _read(paths.summary(name), stage, _json(forms.Summary))
    test = paths.split(name, "test")
    images, labels = _read(test, stage, _images)
    if images.shape != (len(labels), *summary["image"]) or max(labels, default=0) >= len(summary["classes"]):
        raise StaleError(test, f"has other images or classes than {paths.summary(name)}", stage)
    return Data(name, summary, images, [summary["classes"][label] for label in labels])


def read_run(data: Data, name: str, params: Params) -> Run:
    """Read what came out of a run on a dataset. Raises StaleError."""
    dataset, training = data.name, params.block(name)
    train, evaluate = train_stage(dataset, name), evaluate_stage(dataset)
    model, metrics = paths.model(dataset, name), paths.metrics(dataset, name)
    history, predictions = paths.history(dataset, name), paths.predictions(dataset, name)
    run = Run(
        name,
        training,
        metrics=_read(metrics, evaluate, _json(forms.Metrics)),
        history=_read(history, train, _table(HISTORY)),
        classes=_read(paths.classes(dataset, name), evaluate, _table("class precision recall f1 support")),
        confusion=_read(paths.confusion(dataset, name), evaluate, _table("actual predicted count")),
        predictions=_read(predictions, evaluate, _table("index actual predicted probability")),
        weight=_read(model, train, _weight) if name in RUNS else None,
        layers=[] if name in RUNS else _read(model, train, _layers),
    )
    names = data.summary["classes"]
    if run.classes["class"].tolist() != names:
        raise StaleError(paths.classes(dataset, name), f"has other classes than {paths.summary(dataset)}", evaluate)
    if list(zip(run.confusion["actual"], run.confusion["predicted"], strict=True)) != [*product(names, names)]:
        raise StaleError(paths.confusion(dataset, name), "has not each class beside each other", evaluate)
    if not set(run.predictions["predicted"]) <= set(names):
        raise StaleError(predictions, f"has other classes than {paths.summary(dataset)}", evaluate)
    if run.predictions["actual"].tolist() != data.actual or not _counted(run.predictions["index"]):
        raise StaleError(predictions, f"is about other images than {paths.split(dataset, 'test')}", evaluate)
    if list(zip(run.history["seed"], run.history["epoch"], strict=True)) != _rows(training):
        raise StaleError(history, "has other seeds or epochs than params.yaml", train)
    chain = paths.chain(dataset, name)  # which is not there after a commit that made none
    if chain.exists() and list(_read(chain, train, chains.read)) != _rows(training):
        raise StaleError(chain, "has other seeds or epochs than params.yaml", train)
    if run.metrics["model_sha256"] != _read(model, train, sha256):
        raise StaleError(metrics, f"was measured on another model than {model}", evaluate)
    if run.metrics["seeds"] != training.seeds:
        raise StaleError(metrics, "has other seeds than params.yaml", evaluate)
    return run


def train_stage(dataset: str, run: str) -> str:
    """Name the stage of dvc.yaml that trains `run`."""
    if run == "scratch":
        return f"train-scratch@{dataset}"
    return f"{'train-concise' if run in RUNS else 'train-network'}@{dataset}-{run}"


def evaluate_stage(dataset: str) -> str:
    """Name the stage of dvc.yaml that evaluates all runs of a dataset."""
    return f"evaluate@{dataset}"


def _rows(training: Training | Network) -> list[tuple[int, int]]:
    """Seed and epoch of each row that a history has."""
    return [(seed, epoch) for seed in training.seeds for epoch in range(1, training.epochs + 1)]


def _counted(index: "pd.Series[int]") -> bool:
    return index.tolist() == list(range(len(index)))


def _images(path: Path) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Read images uint8 [N, H, W] and labels."""
    with safe_open(path, framework="numpy") as file:
        images, labels = file.get_tensor("images"), file.get_tensor("labels")
    if (images.dtype, labels.dtype) != (np.uint8, np.uint8) or labels.ndim != 1:
        raise ValueError("images and labels are not uint8")
    return images, labels.tolist()


def _weight(path: Path) -> npt.NDArray[np.float64] | None:
    """Read the first seed's weight [K, D] of a model that is one layer."""
    with safe_open(path, framework="numpy") as file:
        layers = [file.get_slice(name) for name in file.keys() if len(file.get_slice(name).get_shape()) == 3]  # noqa: SIM118
        return layers[0][0].astype(np.float64) if len(layers) == 1 else None


def _layers(path: Path) -> list[str]:
    """Read what the layers of a network of one's own are."""
    try:
        return [each["layer"] for each in describe(path).network or []]
    except UserError as error:
        raise ValueError(str(error)) from None


def _json(form: type[BaseModel]) -> Callable[[Path], dict[str, Any]]:
    """Return a reader of JSON files that hold (at least) what `form` says."""

    def read(path: Path) -> dict[str, Any]:
        value: dict[str, Any] = read_json(path)
        try:
            form.model_validate(value)
        except ValidationError as error:
            raise ValueError(told(form, error)) from None
        return value

    return read


def _table(columns: str) -> Callable[[Path], pd.DataFrame]:
    """Return a reader of CSV files that have (at least) these columns: class names, which stay text, and numbers."""
    text = dict.fromkeys(["class", "actual", "predicted"], str)

    def read(path: Path) -> pd.DataFrame:
        table = pd.read_csv(path, dtype=text, keep_default_na=False)
        missing = set(columns.split()) - set(table)
        if missing:
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        for column in table.columns.drop([*text], errors="ignore"):
            if not pd.api.types.is_numeric_dtype(table[column]) or not np.isfinite(table[column]).all():
                raise ValueError(f"column {column} holds what is no finite number")
            if (table[column] < 0).any() or (column in SHARES and (table[column] > 1).any()):
                raise ValueError(f"column {column} holds what it cannot be")
        return table

    return read


def _read(path: Path, stage: str, reader: Callable[[Path], T]) -> T:
    """Return reader(path). Raises StaleError naming the stage that writes `path` if that cannot be."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise StaleError(path, "is missing", stage) from None
    except OSError as error:
        raise StaleError(path, f"cannot be read ({reason(error)})", stage) from None
    except (ValueError, SafetensorError) as error:
        raise StaleError(path, f"is damaged ({str(error).strip()})", stage) from None
