"""The door to MLflow, and the only module that imports it: a store in which a key names one finished run.

How one key stays one run, though a server has no unique tags and publishers die: a run counts once it is FINISHED,
which is the last thing its publisher does. Whoever looks a key up then deletes all finished runs but the first, in
the order of (end time, run id). That order never changes, so the first of all is deleted by nobody, and whoever
finishes last finds every other: in the end there is exactly one. An unfinished run is deleted where its publisher
is known to be gone, and left alone otherwise: it will settle the key when it is done.
"""

import json
import logging
import os
import platform
import queue
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import requests
from filelock import FileLock, Timeout

from stages import model_code
from stages.command import UserError
from stages.files import sha256

# Defaults, all open to the user's own setting; MLflow reads the first two when it is imported.
PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # seconds; with MLflow's own 120 s and 7 retries a dead server holds all
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each seed
}
for _name, _value in PATIENCE.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sqlalchemy import create_engine  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

for _name in ("alembic", "mlflow", "urllib3"):  # what matters is raised, the rest is noise
    logging.getLogger(_name).setLevel(logging.ERROR)

EXPERIMENT = "samebits"
KEY = "samebits.key"
PUBLISHER = "samebits.publisher"  # host:process:seconds since 1970 of who writes a run
MODEL = "samebits.model_id"  # of the LoggedModel of a run
PARENT = "mlflow.parentRunId"
ABANDONED = 3600.0  # seconds after which an unfinished run of another machine has no publisher any more
CONNECTED = 8.0  # seconds that a database, which eight may ask at once, has for a first connection
LOCKED = 60.0  # seconds to wait for another publisher, or for SQLite
WEIGHTS = "model.safetensors"
SECRETS = ("USERNAME", "PASSWORD", "TOKEN")

# What the pages show first: the results without their seeds, the best one on top, with what tells them apart.
METRICS, PARAMS = ("test_accuracy", "test_accuracy_std", "test_loss"), ("dataset", "run", "lr", "epochs", "batch_size")
VIEW = {
    "searchFilter": "tags.seeds != ''",  # only a parent has this tag
    "orderByKey": "metrics.`test_accuracy`",
    "orderByAsc": False,
    "selectedColumns": [*(f"metrics.`{name}`" for name in METRICS), *(f"params.`{name}`" for name in PARAMS)],
    "runsHiddenMode": "FIRST_20_RUNS",
}
# What a published model consists of, beside its weights.
SCRIPT = Path(__file__).with_name("pyfunc_model.py")
CLASSIFIER = "stages.inference.classifier"
REQUIRED = ("mlflow", "numpy", "pandas", "safetensors", "torch")

T = TypeVar("T")


class UnavailableError(Exception):
    """The store cannot be reached or used; the message is one sentence that holds no password."""


@dataclass(frozen=True)
class Weights:
    """A model.safetensors and what a reader of it must know."""

    file: Path
    image: tuple[int, int]  # height, width
    classes: tuple[str, ...]
    example: Any  # uint8 [2, H, W]


Curves = Mapping[str, Mapping[int, float]]  # name -> step -> value


@dataclass(frozen=True)
class Record:
    """One MLflow run, made from finished outputs only, and its children, one for each seed."""

    key: str  # equal keys are the same result
    dataset: str
    run: str
    note: str  # a sentence for the reader
    params: Mapping[str, object]
    metrics: Curves  # over the seeds
    tags: Mapping[str, str]
    digest: str  # of the dataset, hex
    source: str  # where the dataset is, relative to the project
    seconds: float  # that the training took
    seeds: Mapping[int, Curves] = field(default_factory=dict)
    weights: Weights | None = None  # None makes a run without a model that could be loaded

    @property
    def name(self) -> str:
        """What the run is called in lists."""
        return f"{self.dataset} {self.run}"


@dataclass(frozen=True)
class Published:
    """A run as the store holds it, of which a model can be loaded."""

    run_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # each one's last value


def root() -> Path:
    """Return the project's own folder; a copy that `dvc exp run --temp` works in is not it, DVC_ROOT is."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def address() -> str:
    """Return MLFLOW_TRACKING_URI, or else the project's mlflow.db. It may hold a password: print it by `shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def pin() -> None:
    """Keep to the store that `address` means now, wherever this process goes."""
    uri = address()
    file = _file(uri)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{file.absolute()}" if file else uri


def shown(uri: str) -> str:
    """Return `uri` without user, password and options, fit to be printed."""
    scheme, separator, rest = uri.partition("://")
    return uri if scheme == "sqlite" else scheme + separator + rest.rpartition("@")[2].partition("?")[0]


@contextmanager
def connect() -> Iterator["Store"]:
    """Open the store at `address`; a SQLite file is ours alone meanwhile. Its failures are UnavailableError."""
    uri = address()
    file = _file(uri)
    with _in_a_sentence(uri), _alone(file):
        yield _within(_patience(uri), lambda: _open(uri))


def fetch_model(uri: str, folder: Path) -> Path:
    """Download the model.safetensors of models:/NAME@ALIAS or models:/NAME/VERSION into `folder`.

    Raises UserError if the registry has no such model, or if its bits are not those that were registered;
    UnavailableError if MLflow cannot be reached.
    """
    named = re.fullmatch(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))", uri)
    if not named:
        raise UserError(f"{uri} names no registered model: it must be models:/NAME@ALIAS or models:/NAME/VERSION")
    store = address()
    client = MlflowClient(tracking_uri=store, registry_uri=store)

    def find() -> Any:
        if named["alias"]:
            return client.get_model_version_by_alias(named["name"], named["alias"])
        return client.get_model_version(named["name"], named["version"])

    with _in_a_sentence(store):
        try:
            found = _within(_patience(store), find)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise UserError(f"MLflow at {shown(store)} has no {uri}: `make promote` registers a model") from None
        source = f"models:/{found.name}/{found.version}/artifacts/{WEIGHTS}"
        path = Path(download_artifacts(source, dst_path=str(folder), tracking_uri=store, registry_uri=store))
    if sha256(path) != found.tags.get("model_sha256"):
        raise UserError(f"{uri} at {shown(store)} is not the file that was registered: its SHA-256 is another")
    return path


@contextmanager
def _in_a_sentence(uri: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, ImportError, TimeoutError) as error:
        raise UnavailableError(f"MLflow at {shown(uri)} {_reason(error, uri)}") from None


def _open(uri: str) -> "Store":
    if _is_server(uri) or _file(uri):
        return Store(uri)
    engine = create_engine(uri)  # loads the driver, which is not what is timed
    _within(CONNECTED, lambda: engine.connect().close())  # MLflow itself tries for a minute
    with FileLock(root() / "mlflow.db.lock", timeout=LOCKED):  # two first uses of a database collide
        return Store(uri)


class Store:
    """The runs of one experiment."""

    def __init__(self, uri: str) -> None:
        file = _file(uri)
        if file and not file.exists():
            print(f"setting up {file.name}", flush=True)
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.alone = file is not None
        self.experiment = _experiment(self.client, uri)

    def has(self, key: str) -> bool:
        """Tell whether a finished run holds `key`. A run that was cut off does not count."""
        return self.find(key) is not None

    def find(self, key: str) -> str | None:
        """Return the id of the one finished run that holds `key`; what is left over beside it is deleted."""
        runs = list(self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{key}'"))
        finished = sorted((run.info.end_time, run.info.run_id) for run in runs if run.info.status == "FINISHED")
        for run in runs:
            if run.info.status != "FINISHED" and (self.alone or _abandoned(run.data.tags.get(PUBLISHER, ""))):
                self._delete(run.info.run_id)
        for _, later in finished[1:]:
            self._delete(later)
        return str(finished[0][1]) if finished else None

    def add(self, record: Record, artifacts: Path) -> bool:
        """Write `record` and the files under `artifacts` as a run, in place of any unfinished one with its key.

        False if another publisher was faster: then its run stays, and this one is deleted.
        """
        self.find(record.key)
        ended = _now()
        started = ended - int(record.seconds * 1000)  # so that the UI's duration is the training's
        tags = {**record.tags, "mlflow.note.content": record.note, KEY: record.key, PUBLISHER: _publisher()}
        run_id = self.client.create_run(self.experiment, started, tags, record.name).info.run_id
        model = self._add_model(record, run_id) if record.weights else None
        self._log(run_id, record.params, record.metrics, ended, model)
        self.client.log_inputs(run_id, [_input(record)])
        self.client.log_artifacts(run_id, str(artifacts))
        for seed, curves in record.seeds.items():
            self._add_seed(record, run_id, seed, curves, started, ended)
        # Last, since only a whole run is a finished one.
        self.client.set_terminated(run_id, end_time=ended)
        return bool(self.find(record.key) == run_id)

    def _add_seed(self, record: Record, parent: str, seed: int, curves: Curves, started: int, ended: int) -> None:
        names = {"dataset": record.dataset, "run": record.run, "seed": str(seed)}
        tags = {**names, PARENT: parent, KEY: f"{record.key}/{seed}"}
        run_id = self.client.create_run(self.experiment, started, tags, f"{record.name} seed {seed}").info.run_id
        self._log(run_id, {**record.params, "seed": seed}, curves, ended)
        self.client.set_terminated(run_id, end_time=ended)

    def _log(
        self, run_id: str, params: Mapping[str, object], curves: Curves, when: int, model: str | None = None
    ) -> None:
        self.client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in params.items()],
            metrics=[
                Metric(name, value, when, step, model_id=model)
                for name, values in curves.items()
                for step, value in values.items()
            ],
        )

    def _add_model(self, record: Record, run_id: str) -> str:
        """Write the LoggedModel of a run, tell the run of it, and return its id."""
        assert record.weights
        params = {name: str(value) for name, value in record.params.items()}
        name = f"{record.dataset}-{record.run}"
        logged = self.client.create_logged_model(self.experiment, name, run_id, {KEY: record.key}, params, "classifier")
        with tempfile.TemporaryDirectory() as folder:
            _save_model(record.weights, Path(folder) / "model", run_id, logged)
            self.client.log_model_artifacts(logged.model_id, f"{folder}/model")
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        self.client.set_tag(run_id, MODEL, logged.model_id)
        return str(logged.model_id)

    def finished(self, dataset: str) -> list["Published"]:
        """Return the whole runs of `dataset` that have a model to load."""
        ours = f"tags.dataset = '{dataset}' and tags.`{MODEL}` != '' and attributes.status = 'FINISHED'"
        found: list[Any] = []
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs([self.experiment], ours, max_results=1000, page_token=token or None)
            found += page
            token = page.token or None
        return [Published(run.info.run_id, run.data.tags, run.data.params, run.data.metrics) for run in found]

    def promote(self, name: str, chosen: "Published", card: str, alias: str) -> str:
        """Register the model of a run as `name`, once, with its card, give it `alias`, and return its version."""
        with suppress(MlflowException):  # it exists; what else may be wrong, the next request says
            self.client.create_registered_model(name, {"dataset": chosen.tags["dataset"]})
        version = self._version(name, chosen)
        if version is None:
            tags = {KEY: chosen.tags[KEY], "model_sha256": chosen.tags["model_sha256"]}
            model = chosen.tags[MODEL]
            self.client.create_model_version(name, f"models:/{model}", chosen.run_id, tags, None, card, model_id=model)
            version = self._version(name, chosen)
        assert version is not None
        self.client.set_registered_model_alias(name, alias, version)
        return version

    def _version(self, name: str, chosen: "Published") -> str | None:
        """The version of `name` that holds the chosen result. Of two, made at the same time, the first stays."""
        versions = self.client.search_model_versions(f"name = '{name}'", max_results=10_000)
        same = sorted(int(v.version) for v in versions if v.tags.get(KEY) == chosen.tags[KEY])
        for later in same[1:]:
            with suppress(MlflowException):  # where the other promoter does the same at this moment
                self.client.delete_model_version(name, str(later))
        return str(same[0]) if same else None

    def save_view(self) -> str:
        """Save what the pages are to show first, as their button "Share" does, and return the key to it."""
        self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{EXPERIMENT}", json.dumps(VIEW))
        return EXPERIMENT

    def _delete(self, run_id: str) -> None:
        """Delete a run with what belongs to it; itself last, so that an interruption leaves it to be found."""
        with suppress(MlflowException):  # where another publisher does the same at this moment
            for model in self.client.search_logged_models([self.experiment], f"source_run_id = '{run_id}'"):
                self.client.delete_logged_model(model.model_id)
        for child in self.client.search_runs([self.experiment], f"tags.`{PARENT}` = '{run_id}'"):
            self.client.delete_run(child.info.run_id)
        self.client.delete_run(run_id)


def _experiment(client: MlflowClient, uri: str) -> str:
    """The id of EXPERIMENT, made at first use and brought back if it was deleted."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        # A server knows where its artifacts belong; without one they would land in the current folder.
        file = _file(uri)
        location = None if _is_server(uri) else ((file.parent if file else root()) / "mlartifacts").resolve().as_uri()
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(EXPERIMENT)  # another publisher has made it meanwhile
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _save_model(weights: Weights, folder: Path, run_id: str, logged: Any) -> None:
    """Write the MLflow model: the weights, the modules that read them, the exact versions of what they import."""
    from mlflow import models, pyfunc
    from mlflow.types import ColSpec, Schema, TensorSpec

    images = TensorSpec(weights.example.dtype, (-1, *weights.image))
    columns = [("string", "class"), ("double", "probability"), *(("double", f"p({name})") for name in weights.classes)]
    with tempfile.TemporaryDirectory() as code:
        model_code.copy(CLASSIFIER, Path(code))
        pyfunc.save_model(
            folder,
            python_model=str(SCRIPT),
            artifacts={"weights": str(weights.file)},
            code_paths=[f"{code}/stages"],
            signature=models.ModelSignature(Schema([images]), Schema([ColSpec(*column) for column in columns])),
            input_example=weights.example,
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in REQUIRED],
            mlflow_model=models.Model(run_id=run_id, model_id=logged.model_id, artifact_path=logged.artifact_location),
        )


def _input(record: Record) -> DatasetInput:
    source = f'{{"uri": "{record.source}"}}'
    dataset = Dataset(record.dataset, record.digest[:32], "local", source)  # MLflow takes at most 36 characters
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _file(uri: str) -> Path | None:
    """The database file of a SQLite address."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _is_server(uri: str) -> bool:
    """Tell a tracking server from a database that is spoken to directly."""
    return uri.startswith(("http:", "https:"))


def _publisher() -> str:
    return f"{platform.node()}:{os.getpid()}:{time.time():.0f}"


def _abandoned(publisher: str) -> bool:
    """Tell whether the writer of an unfinished run is gone: ended here, or not heard of for long."""
    try:
        host, process, began = publisher.rsplit(":", 2)
        if time.time() - float(began) > ABANDONED or (host == platform.node() and int(process) == os.getpid()):
            return True
        if host == platform.node():
            os.kill(int(process), 0)  # only asks
    except (ProcessLookupError, ValueError):
        return True
    except PermissionError:  # it lives, and belongs to another user
        pass
    return False


def _now() -> int:
    return int(time.time() * 1000)


def _alone(file: Path | None) -> Any:
    """Keep other publishers from `file`: two first uses of SQLite collide, two writers of a key make two runs."""
    return FileLock(f"{file}.lock", timeout=LOCKED) if file else nullcontext()


def _patience(uri: str) -> float:
    """Seconds that the first contact may take: a server's first request, or the set-up of a database."""
    return _request_seconds() if _is_server(uri) else LOCKED


def _request_seconds() -> float:
    """Seconds that one request may take; who has not answered by then gets no second one."""
    return 1.0 + int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])


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
        timeout = "; MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds each request may take" if _is_server(uri) else ""
        return f"does not answer{timeout}"
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
