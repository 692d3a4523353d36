"""Stage report: every run of every dataset as a page, a summary and tidy tables. Writes reports/."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError, safe_open

from stages.command import UserError, command
from stages.files import read_json, sha256, whole
from stages.learning.arithmetic import arithmetic
from stages.params import RUNS, Params, Training, load
from stages.results import figures, lesson_charts, lessons, page, proof, tables, weights
from stages.results.gallery import gallery
from stages.results.outcome import Dataset, Run
from stages.schema import read_yaml

CATALOG = Path("data/catalog.yaml")
PROCESSED, MODELS, METRICS, PREDICTIONS = (
    Path(name) for name in ("data/processed", "models", "metrics", "predictions")
)
LOCK = Path("requirements.lock")
REPORTS = Path("reports")
TABLES = (
    tables.results,
    tables.learning_curves,
    tables.classes,
    tables.confusion,
    tables.reliability,
    tables.comparison,
    tables.notes,
)
IMAGES = 20  # test images shown for each run

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")


def main() -> None:
    """Write reports/: index.html, summary.md for a pull request, plots/*.csv for `dvc plots`, figures/ for slides."""
    params = load()
    arithmetic("exact")  # or say why not: the lessons and the proof are computed in it, whatever the models are
    if "DVC_STAGE" in os.environ:
        prune([PROCESSED, MODELS, METRICS, PREDICTIONS], known=read_yaml(CATALOG), wanted=params.datasets)
    datasets = [read_dataset(name, params) for name in params.datasets]
    taught = lessons.learn(datasets)
    shown = page.Shown(taught, lesson_charts.figures(taught), proof.spreads(datasets), read_pins(LOCK))
    texts = {"index.html": page.html(datasets, params, shown), "summary.md": page.markdown(datasets, params)}
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"plots/{table.__name__}.csv": figures.csv(table(datasets)) for table in TABLES}
    files |= {f"figures/{name}": data for name, data in figures.files(datasets, shown)}
    for name, data in files.items():
        with whole(REPORTS / name) as scratch:
            scratch.write_bytes(data)


def prune(folders: Iterable[Path], known: Iterable[str], wanted: Iterable[str]) -> None:
    """Remove what is left in `folders` of datasets that are known but no longer wanted.

    DVC leaves the outputs of a dataset that was taken out of params.yaml where they are; as part of the folders
    that the report depends on they would make dvc.lock depend on what was run here before. Only folders named as
    a known dataset go, never a link or what it points to, and DVC has a copy of every output in its cache.
    """
    places = [folder for folder in folders if not folder.is_symlink()]
    for name in sorted(set(known) - set(wanted)):
        left = [place / name for place in places if (place / name).is_dir() and not (place / name).is_symlink()]
        for folder in left:
            shutil.rmtree(folder)
        if left:
            print(
                f"removed {', '.join(map(str, left))}: {name} is not among the datasets of params.yaml; "
                f"once it is again, `dvc checkout` brings them back from DVC's cache"
            )


def read_dataset(name: str, params: Params) -> Dataset:
    """Read what the pipeline made of a dataset. Raises UserError naming the file and the stage to run."""
    stage = f"preprocess@{name}"
    summary = _read(PROCESSED / name / "summary.json", stage, read_json)
    images, labels = _read(PROCESSED / name / "test.safetensors", stage, _images)
    actual = [summary["classes"][label] for label in labels]
    shared_start = _read(METRICS / name / "shared_start.json", f"evaluate@{name}", read_json)
    calibration = _read(METRICS / name / "calibration.json", f"evaluate@{name}", read_json)
    runs = [read_run(name, run, params.training(run), images, actual, calibration) for run in RUNS]
    of_these_models(METRICS / name / "calibration.json", calibration, name, runs)
    comparisons = read_comparisons(name, runs)
    return Dataset(name, summary, images[:IMAGES], shared_start, comparisons, runs, calibration["fitted_on"])


def read_pins(path: Path) -> list[proof.Pin]:
    """Read the versions that requirements.lock pins. Raises UserError naming what is missing."""
    try:
        return proof.pins(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing here: it comes with the project, and the page shows its versions") from None


def read_comparisons(dataset: str, runs: list[Run]) -> list[dict[str, Any]]:
    """Read how each two of `runs` compare. Raises UserError if that is about other models than theirs."""
    path = METRICS / dataset / "comparison.json"
    comparison = _read(path, f"evaluate@{dataset}", read_json)
    of_these_models(path, comparison, dataset, runs)
    pairs: list[dict[str, Any]] = comparison["pairs"]
    return pairs


def of_these_models(path: Path, content: dict[str, Any], dataset: str, runs: list[Run]) -> None:
    """Raise UserError if what `path` says is about other models than those of `runs`."""
    if content["model_sha256"] != {run.name: run.metrics["model_sha256"] for run in runs}:
        raise _stale(path, f"was measured on other models than those in {MODELS / dataset}", f"evaluate@{dataset}")


def read_run(
    dataset: str, name: str, training: Training, images: Pixels, actual: list[str], calibration: dict[str, Any]
) -> Run:
    """Read what came out of a run; images [N, H, W] and `actual`, their classes, are the test split's.

    Raises UserError.
    """
    train = f"train-scratch@{dataset}" if name == "scratch" else f"train-concise@{dataset}-{name}"
    evaluate = f"evaluate@{dataset}"
    model, metrics = MODELS / dataset / name / "model.safetensors", METRICS / dataset / f"{name}.json"
    history, predictions = MODELS / dataset / name / "history.csv", PREDICTIONS / dataset / f"{name}.csv"
    predicted = _read(predictions, evaluate, _table("index actual predicted probability"))
    if predicted["actual"].tolist() != actual or predicted["index"].tolist() != list(range(len(actual))):
        raise _stale(predictions, f"is about other images than {PROCESSED / dataset / 'test.safetensors'}", evaluate)
    run = Run(
        name,
        training,
        metrics=_read(metrics, evaluate, read_json),
        history=_read(history, train, _table("seed epoch train_loss train_accuracy test_loss test_accuracy")),
        classes=_read(METRICS / dataset / f"{name}_classes.csv", evaluate, _table("class precision recall f1 support")),
        confusion=_read(METRICS / dataset / f"{name}_confusion.csv", evaluate, _table("actual predicted count")),
        predictions=predicted,
        calibration=calibration["runs"][name],
        gallery=gallery(predicted, images),
        templates=_read(model, train, lambda path: _templates(path, images.shape[1:])),
    )
    trained = [(seed, epoch) for seed in training.seeds for epoch in range(1, training.epochs + 1)]
    if list(zip(run.history["seed"], run.history["epoch"], strict=True)) != trained:
        raise _stale(history, "has other seeds or epochs than params.yaml", train)
    if run.metrics["model_sha256"] != _read(model, train, sha256):
        raise _stale(metrics, f"was measured on another model than {model}", evaluate)
    return run


def _images(path: Path) -> tuple[Pixels, list[int]]:
    """Read images uint8 [N, H, W] and labels."""
    with safe_open(path, framework="numpy") as file:
        return file.get_tensor("images"), file.get_tensor("labels").tolist()


def _templates(path: Path, image: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    """Read the first seed's weights [K, H, W] of a model that is one layer and sees images large enough to look at."""
    with safe_open(path, framework="numpy") as file:
        layers = [file.get_slice(name) for name in file.keys() if len(file.get_slice(name).get_shape()) == 3]  # noqa: SIM118
        if len(layers) != 1 or not weights.drawable(layers[0].get_shape()[1], image):
            return None
        first: npt.NDArray[np.float64] = layers[0][0].astype(np.float64)
        return first.reshape(-1, *image)


def _table(columns: str) -> Callable[[Path], pd.DataFrame]:
    """Return a reader of CSV files that have (at least) these columns; class names stay text, floats exact."""
    text = dict.fromkeys(["class", "actual", "predicted"], str)

    def read(path: Path) -> pd.DataFrame:
        table = pd.read_csv(path, dtype=text, keep_default_na=False)
        missing = set(columns.split()) - set(table)
        if missing:
            raise ValueError(f"no column {', '.join(sorted(missing))}")
        return table

    return read


def _read(path: Path, stage: str, reader: Callable[[Path], T]) -> T:
    """Return reader(path); raise UserError naming the stage that writes `path` if that cannot be."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise _stale(path, "is missing", stage) from None
    except (ValueError, SafetensorError) as error:
        raise _stale(path, f"is damaged ({str(error).strip()})", stage) from None


def _stale(path: Path, fault: str, stage: str) -> UserError:
    return UserError(f"{path} {fault}: run `dvc repro {stage}`")


if __name__ == "__main__":
    command(main)
