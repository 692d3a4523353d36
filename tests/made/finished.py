"""A project folder with finished outputs, small and made up, as the other stages would leave them."""

import functools
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import save_file

from samebits.base.files import sha256, write_csv, write_json
from tests.conftest import ROOT

PARAMS = """
datasets: [{datasets}]
networks: []
arithmetic: float32
preprocess: {{resize: null, validation_size: 0}}
scratch: {{seeds: {seeds}, epochs: 3, batch_size: 256, lr: 0.1, momentum: 0.0, init_std: 0.01, hidden: []}}
concise: {{seeds: {seeds}, epochs: 2, batch_size: 128, lr: 0.2, momentum: 0.0, init_std: 0.01, hidden: []}}
mlp: {{seeds: {seeds}, epochs: 2, batch_size: 64, lr: 0.01, momentum: 0.5, init_std: null, hidden: [520, 320]}}
"""
TITLES = {"digits": "Digits", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
CLASSES = ["T-shirt/top", "Ankle boot", "7"]
LABELS = [2, 0, 1, 1]
RUNS = {"scratch": (3, 0.8), "concise": (2, 0.82), "mlp": (2, 0.9)}  # epochs, accuracy at last


def enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in `folder`, whose own store of MLflow is the one that results go to."""
    patch.chdir(folder)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.delenv("DVC_ROOT", raising=False)


def project(folder: Path, *datasets: str, seeds: tuple[int, ...] = (0,)) -> Path:
    """Fill `folder` with params.yaml and the outputs of all runs of `datasets`."""
    (folder / "data").mkdir(exist_ok=True)
    for name in ("dvc.yaml", "requirements.lock", "data/catalog.yaml"):
        folder.joinpath(name).write_bytes((ROOT / name).read_bytes())
    folder.joinpath("params.yaml").write_text(PARAMS.format(datasets=", ".join(datasets), seeds=list(seeds)))
    for dataset in datasets:
        split = {"images": 4, "per_class": [1, 2, 1], "pixel_mean": 0.25, "pixel_std": 0.5}
        empty = {"images": 0, "per_class": [0, 0, 0], "pixel_mean": None, "pixel_std": None}
        summary = {
            "dataset": dataset,
            "title": TITLES[dataset],
            "classes": CLASSES,
            "image": [8, 8],
            "digest": f"{list(TITLES).index(dataset):064x}",
            "splits": {"train": split, "validation": empty, "test": split},
        }
        processed = folder / "data/processed" / dataset
        write_json(processed / "summary.json", summary)
        images = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
        save_file({"images": images, "labels": np.array(LABELS, np.uint8)}, processed / "test.safetensors")
        for run in RUNS:
            finish(folder, dataset, run, seeds)
        compared(folder, dataset, seeds)
    return folder


def finish(folder: Path, dataset: str, run: str, seeds: tuple[int, ...] = (0,), better: float = 0) -> None:
    """Leave one run's outputs; `better` changes its figures and its model."""
    epochs, accuracy = RUNS[run][0], RUNS[run][1] + better
    model = folder / "models" / dataset / run / "model.safetensors"
    model.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": np.full((len(seeds), 3, 64), accuracy, np.float32)}, model)
    rows = [
        {
            "seed": seed,
            "epoch": epoch,
            "train_loss": 1 / epoch + seed / 8,
            "train_accuracy": accuracy,
            "test_loss": 2 / epoch + seed / 8,
            "test_accuracy": accuracy * (1 - 0.5**epoch) + seed / 100,
        }
        for seed in seeds
        for epoch in range(1, epochs + 1)
    ]
    write_csv(model.with_name("history.csv"), rows)
    chain = [{"seed": row["seed"], "epoch": row["epoch"], "sha256": f"{i:064x}"} for i, row in enumerate(rows)]
    write_csv(model.with_name("chain.csv"), chain)
    figures = over(seeds, accuracy)
    metrics = folder / "metrics" / dataset
    test = {"accuracy": figures, "loss": figures | {"mean": 0.125}}
    results = {"seeds": list(seeds), "test": test, "parameters": 195, "model_sha256": sha256(model)}
    write_json(metrics / f"{run}.json", results)
    write_csv(
        metrics / f"{run}_classes.csv",
        [{"class": name, "precision": 0.5, "recall": 0.25, "f1": 0.75, "support": 3} for name in CLASSES],
    )
    write_csv(
        metrics / f"{run}_confusion.csv",
        [{"actual": a, "predicted": b, "count": 3 if a == b else 1} for a in CLASSES for b in CLASSES],
    )
    start = {"identical": True, "largest_difference": 0.0, "sha256": {"scratch": "5a" * 32, "concise": "5a" * 32}}
    write_json(metrics / "shared_start.json", start)
    predict(folder / f"predictions/{dataset}/{run}.csv", LABELS)


def predict(path: Path, labels: list[int]) -> None:
    """Leave predictions of test images; the third is taken for class 0."""
    predicted = [2, 0, 0, 1]
    rows = [
        {"index": i, "actual": CLASSES[y], "predicted": CLASSES[y_hat], "probability": 0.5}
        for i, (y, y_hat) in enumerate(zip(labels, predicted, strict=True))
    ]
    write_csv(path, rows)


def over(seeds: tuple[int, ...], mean: float) -> dict[str, Any]:
    """A figure over seeds: each 0.01 more than the seed before."""
    figures: dict[str, Any] = {"mean": mean, "per_seed": [mean + 0.01 * i for i in range(len(seeds))]}
    if len(seeds) > 1:
        figures |= {"std": 0.0125, "ci95": [mean - 0.03, mean + 0.03]}
    return figures


def compared(folder: Path, dataset: str, seeds: tuple[int, ...] = (0,)) -> None:
    """Leave the comparison of each two runs as they are now."""
    models = {run: folder / "models" / dataset / run / "model.safetensors" for run in RUNS}
    pairs = [
        {
            "runs": [first, second],
            "seeds": list(seeds),
            "difference": {"accuracy": over(seeds, RUNS[second][1] - RUNS[first][1]), "loss": over(seeds, -0.125)},
            "mcnemar": [
                {"seed": seed, "only_first": 2 + i, "only_second": 5, "p": 0.453125} for i, seed in enumerate(seeds)
            ],
        }
        for first, second in itertools.combinations(RUNS, 2)
    ]
    hashes = {run: sha256(model) for run, model in models.items()}
    write_json(folder / "metrics" / dataset / "comparison.json", {"model_sha256": hashes, "pairs": pairs})
    bins = [
        {"lower": 0.0, "upper": 0.5, "count": 0, "confidence": None, "accuracy": None},
        {"lower": 0.5, "upper": 1.0, "count": 4, "confidence": 0.75, "accuracy": 0.5},
    ]
    found = {"reliability": bins, "temperature": 1.25, "scaled": {"ece": 0.125, "reliability": bins}}
    write_json(
        folder / "metrics" / dataset / "calibration.json",
        {
            "model_sha256": hashes,
            "fitted_on": "train",
            "runs": {run: {"ece": over(seeds, 0.25), **found} for run in RUNS},
        },
    )


def empty_store(folder: Path) -> None:
    """Put an MLflow database without our experiment into `folder`; made once, since it takes seconds."""
    (folder / "mlflow.db").write_bytes(_database())


@functools.cache
def _database() -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
        return file.read_bytes()


def runs(uri: str) -> list[Run]:
    """The runs of our experiment that a person sees, oldest first."""
    client = MlflowClient(tracking_uri=uri)
    ours = [experiment.experiment_id for experiment in client.search_experiments(filter_string="name = 'samebits'")]
    return list(client.search_runs(ours, order_by=["attributes.start_time"])) if ours else []
