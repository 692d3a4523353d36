"""Where the files of the project are: named in dvc.yaml and here, nowhere else. All are relative to its root.

RUN is one of RUNS or a network of one's own, DATASET an entry of data/catalog.yaml.
"""

import os
from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
REQUIREMENTS = Path("requirements.lock")
CATALOG = Path("data/catalog.yaml")
DOWNLOADS = Path("data/.downloads")  # not in RAW: DVC empties that before each run, and a transfer goes on from here

RAW = Path("data/raw")
PROCESSED = Path("data/processed")
MODELS = Path("models")
METRICS = Path("metrics")
PREDICTIONS = Path("predictions")
REPORTS = Path("reports")
LOGS = Path("logs")
REFERENCE = Path("reference")
NETWORKS = Path("networks")  # of one's own

RUNS = ("scratch", "concise", "mlp")  # which are there always

SUMMARY, SPLIT = "summary.json", "{}.safetensors"  # in the folder of a dataset's splits


def root() -> Path:
    """Return the project's own folder; a copy that `dvc exp run --temp` works in is not it, DVC_ROOT is."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def network(run: str) -> Path:
    """Return the file that says what a network of one's own is made of."""
    return NETWORKS / f"{run}.py"


def raw(dataset: str) -> Path:
    """Return the folder of the files as they were published."""
    return RAW / dataset


def processed(dataset: str) -> Path:
    """Return the folder of the splits and their summary."""
    return PROCESSED / dataset


def summary(dataset: str) -> Path:
    """Return what says what the splits are."""
    return processed(dataset) / SUMMARY


def split(dataset: str, name: str) -> Path:
    """Return the images and labels of `name`: train, validation or test."""
    return processed(dataset) / SPLIT.format(name)


def model(dataset: str, run: str) -> Path:
    """Return what a run has learned, all its seeds."""
    return MODELS / dataset / run / "model.safetensors"


def history(dataset: str, run: str) -> Path:
    """Return the figures of each seed after each epoch."""
    return MODELS / dataset / run / "history.csv"


def chain(dataset: str, run: str) -> Path:
    """Return a hash of each seed after each epoch."""
    return MODELS / dataset / run / "chain.csv"


def metrics(dataset: str, run: str) -> Path:
    """Return accuracy and loss over the seeds."""
    return METRICS / dataset / _own("networks", run) / f"{run}.json"


def classes(dataset: str, run: str) -> Path:
    """Return precision, recall and F1 of each class."""
    return METRICS / dataset / _own("network_tables", run) / f"{run}_classes.csv"


def confusion(dataset: str, run: str) -> Path:
    """Return how often which class was taken for which."""
    return METRICS / dataset / _own("network_tables", run) / f"{run}_confusion.csv"


def comparison(dataset: str) -> Path:
    """Return how each two runs compare."""
    return METRICS / dataset / "comparison.json"


def calibration(dataset: str) -> Path:
    """Return how far each run's probabilities keep their word."""
    return METRICS / dataset / "calibration.json"


def shared_start(dataset: str) -> Path:
    """Return whether scratch and concise, started alike, end in the same bits."""
    return METRICS / dataset / "shared_start.json"


def predictions(dataset: str, run: str) -> Path:
    """Return the first seed's answer to each test image."""
    return PREDICTIONS / dataset / _own("networks", run) / f"{run}.csv"


def of_networks(dataset: str) -> tuple[Path, ...]:
    """Return the folders of what an evaluation writes of networks of one's own."""
    metrics = METRICS / dataset
    return metrics / "networks", metrics / "network_tables", PREDICTIONS / dataset / "networks"


def _own(folder: str, run: str) -> str:
    """The folder of what is written of networks of one's own: an output of DVC each, for their names are anybody's."""
    return "" if run in RUNS else folder


def log(dataset: str, run: str) -> Path:
    """Return device, threads, seconds and versions of a training: no output, for it differs everywhere."""
    return LOGS / dataset / f"{run}.json"


def reference(dataset: str, run: str) -> Path:
    """Return the figures that the gate compares with."""
    return REFERENCE / dataset / f"{run}.json"
