"""The door to MLflow, and the only module that imports it: a store in which a key names one finished run."""

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
from filelock import FileLock, Timeout

# Defaults, all open to the user's own setting; MLflow reads the first two when it is imported.
PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds; with MLflow's own 120 s and 7 retries a dead server holds all
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
for _name, _value in PATIENCE.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

for _name in ("alembic", "mlflow", "urllib3"):  # what matters is raised, the rest is noise
    logging.getLogger(_name).setLevel(logging.ERROR)

EXPERIMENT = "samebits"
KEY = "samebits.key"
LOCKED = 60.0  # seconds to wait for another publisher, or for SQLite
SECRETS = ("USERNAME", "PASSWORD", "TOKEN")

T = TypeVar("T")


class UnavailableError(Exception):
    """The store cannot be reached or used; the message is one sentence that holds no password."""


@dataclass(frozen=True)
class Record:
    """One MLflow run, made from finished outputs only."""

    key: str  # equal keys are the same result
    dataset: str
    run: str
    note: str  # a sentence for the reader
    params: Mapping[str, object]
    metrics: Mapping[str, Mapping[int, float]]  # name -> step -> value
    tags: Mapping[str, str]
    digest: str  # of the dataset, hex
    source: str  # where the dataset is, relative to the project
    seconds: float  # that the training took

    @property
    def name(self) -> str:
        """What the run is called in lists."""
        return f"{self.dataset} {self.run}"


def root() -> Path:
    """Return the project's own folder; a copy that `dvc exp run --temp` works in is not it, DVC_ROOT is."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def address() -> str:
    """Return MLFLOW_TRACKING_URI, or else the project's mlflow.db. It may hold a password: print it by `shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def shown(uri: str) -> str:
    """Return `uri` without user, password and options, fit to be printed."""
    scheme, separator, rest = uri.partition("://")
    return uri if scheme == "sqlite" else scheme + separator + rest.rpartition("@")[2].partition("?")[0]


@contextmanager
def connect() -> Iterator["Store"]:
    """Open the store at `address`; a SQLite file is ours alone meanwhile. Its failures are UnavailableError."""
    uri = address()
    file = _file(uri)
    try:
        with _alone(file):
            yield _within(_patience(file), lambda: Store(uri))
    except (MlflowException, SQLAlchemyError, requests.RequestException, ImportError, TimeoutError) as error:
        raise UnavailableError(f"MLflow at {shown(uri)} {_reason(error, uri)}") from None


class Store:
    """The runs of one experiment."""

    def __init__(self, uri: str) -> None:
        file = _file(uri)
        if file and not file.exists():
            print(f"setting up {file.name}", flush=True)
        self.client = MlflowClient(tracking_uri=uri)
        self.experiment = _experiment(self.client, file)

    def has(self, key: str) -> bool:
        """Tell whether a finished run holds `key`. A run that was cut off does not count."""
        return any(run.info.status == "FINISHED" for run in self._runs(key))

    def add(self, record: Record, artifacts: Path) -> None:
        """Write `record` and the files under `artifacts` as a run, in place of any unfinished one with its key."""
        for run in self._runs(record.key):
            self.client.delete_run(run.info.run_id)
        now = int(time.time() * 1000)
        tags = {**record.tags, "mlflow.note.content": record.note, KEY: record.key}
        started = now - int(record.seconds * 1000)  # so that the UI's duration is the training's
        run_id = self.client.create_run(self.experiment, started, tags, record.name).info.run_id
        self.client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in record.params.items()],
            metrics=[
                Metric(name, value, now, step)
                for name, values in record.metrics.items()
                for step, value in values.items()
            ],
        )
        self.client.log_inputs(run_id, [_input(record)])
        self.client.log_artifacts(run_id, str(artifacts))
        self.client.set_terminated(run_id, end_time=now)  # last: only a whole run is a finished one

    def _runs(self, key: str) -> list[Any]:
        return list(self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{key}'"))


def _experiment(client: MlflowClient, file: Path | None) -> str:
    """The id of EXPERIMENT, made at first use and brought back if it was deleted."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        # A server knows where its artifacts belong; without one they would land in the current folder.
        location = (file.parent / "mlartifacts").resolve().as_uri() if file else None
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _input(record: Record) -> DatasetInput:
    source = f'{{"uri": "{record.source}"}}'
    dataset = Dataset(record.dataset, record.digest[:32], "local", source)  # MLflow takes at most 36 characters
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _file(uri: str) -> Path | None:
    """The database file of a SQLite address."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _alone(file: Path | None) -> Any:
    """Keep other publishers from `file`: two first uses of SQLite collide, two writers of a key make two runs."""
    return FileLock(f"{file}.lock", timeout=LOCKED) if file else nullcontext()


def _patience(file: Path | None) -> float:
    """Seconds that the first contact may take: a server's first request with its retries, or SQLite's set-up."""
    timeout, retries = (int(os.environ[f"MLFLOW_HTTP_REQUEST_{name}"]) for name in ("TIMEOUT", "MAX_RETRIES"))
    return LOCKED if file else 1.0 + timeout * (1 + retries)


def _within(seconds: float, function: Callable[[], T]) -> T:
    """Return function() or raise its error; raise TimeoutError if it takes longer, as looking up a name may."""
    answers: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def call() -> None:
        try:
            answers.put((True, function()))
        except Exception as error:
            answers.put((False, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        worked, answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if worked:
        return answer  # type: ignore[no-any-return]
    raise answer


def _reason(error: Exception, uri: str) -> str:
    """The rest of a sentence that begins with the store's address."""
    text = str(error)
    status = re.search(r"too many (\d{3}) error|error code (\d{3})|\b([45]\d\d) \w+ Error", text)
    code = next(filter(None, status.groups())) if status else ""
    if isinstance(error, Timeout):
        return f"is in use: another publisher has held {error.lock_file} for {LOCKED:.0f} s"
    if isinstance(error, TimeoutError) or "timed out" in text:
        return "does not answer; MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds each request may take"
    if code in ("401", "403"):
        names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"refuses the user (error {code}): set {names}"
    if code:
        return f"answers with error {code}"
    if isinstance(error.__context__, requests.ConnectionError):
        return "cannot be reached"
    return f"cannot be used: {_without_secrets(text.splitlines()[0], uri) if text else type(error).__name__}"


def _without_secrets(text: str, uri: str) -> str:
    user = uri.partition("://")[2].rpartition("@")[0]
    secrets = [uri, user, user.partition(":")[2], *(os.environ.get(f"MLFLOW_TRACKING_{name}") for name in SECRETS)]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
