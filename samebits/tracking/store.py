"""A store in which a key names one finished run.

How one key stays one run, though a server has no unique tags and publishers die: a run counts once it is FINISHED,
which is the last thing its publisher does. Whoever looks a key up then deletes all finished runs but the first, in
the order of (end time, run id). That order never changes, so the first of all is deleted by nobody, and whoever
finishes last finds every other: in the end there is exactly one. An unfinished run is deleted where its publisher
is known to be gone, and left alone otherwise: it will settle the key when it is done.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.exceptions import MlflowException

from samebits.tracking import model as models
from samebits.tracking.address import EXPERIMENT, address, file_of
from samebits.tracking.connection import alone, in_a_sentence, reach
from samebits.tracking.experiment import experiment
from samebits.tracking.record import Curves, Model, Published, Record

KEY = "samebits.key"
PUBLISHER = "samebits.publisher"  # host:process:seconds since 1970 of who writes a run
MODEL = "samebits.model_id"  # of the LoggedModel of a run
PARENT = "mlflow.parentRunId"
ABANDONED = 3600.0  # seconds after which an unfinished run of another machine has no publisher any more

# What the pages show first: the results without their seeds, the best one on top, with what tells them apart.
METRICS, PARAMS = ("test_accuracy", "test_accuracy_std", "test_loss"), ("dataset", "run", "lr", "epochs", "batch_size")
VIEW = {
    "searchFilter": "tags.seeds != ''",  # only a parent has this tag
    "orderByKey": "metrics.`test_accuracy`",
    "orderByAsc": False,
    "selectedColumns": [*(f"metrics.`{name}`" for name in METRICS), *(f"params.`{name}`" for name in PARAMS)],
    "runsHiddenMode": "FIRST_20_RUNS",
}


@contextmanager
def connect() -> Iterator["Store"]:
    """Open the store at `address`; a SQLite file is ours alone meanwhile. Its failures are UnavailableError."""
    uri = address()
    file = file_of(uri)
    with in_a_sentence(uri), alone(file) if file else nullcontext():
        yield Store(uri)


class Store:
    """The runs of one experiment."""

    def __init__(self, uri: str) -> None:
        self.client = reach(uri)
        self.alone = file_of(uri) is not None
        self.experiment = experiment(self.client)

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

    def lacks(self, run_id: str, files: Iterable[str]) -> bool:
        """Tell whether any of a finished run's `files`, or its model, is not among the artifacts any more."""
        wanted = set(files)
        listed = {file.path for folder in _folders(wanted) for file in self.client.list_artifacts(run_id, folder)}
        model = self.client.get_run(run_id).data.tags.get(MODEL)
        return not wanted <= listed or bool(model and not self.has_model(model))

    def has_model(self, model: str) -> bool:
        """Tell whether the weights of a LoggedModel are among the artifacts."""
        weights = Path(models.WEIGHTS)
        listed = self.client.list_logged_model_artifacts(model, str(weights.parent))
        return str(weights) in {file.path for file in listed}

    def fill(self, run_id: str, record: Record, artifacts: Path) -> None:
        """Write the artifacts of a finished run again."""
        self.client.log_artifacts(run_id, str(artifacts))
        model = self.client.get_run(run_id).data.tags.get(MODEL)
        if record.model and model:
            self._save_model(record.model, run_id, self.client.get_logged_model(model))

    def add(self, record: Record, artifacts: Path) -> bool:
        """Write `record` and the files under `artifacts` as a run, in place of any unfinished one with its key.

        False if another publisher was faster: then its run stays, and this one is deleted.
        """
        self.find(record.key)
        ended = _now()
        started = ended - int(record.seconds * 1000)  # so that the UI's duration is the training's
        tags = {**record.tags, "mlflow.note.content": record.note, KEY: record.key, PUBLISHER: _publisher()}
        run_id = self.client.create_run(self.experiment, started, tags, record.name).info.run_id
        model = self._add_model(record, run_id) if record.model else None
        self._log(run_id, record.params, record.metrics, ended, model)
        self._log_input(run_id, _input(record))
        self.client.log_artifacts(run_id, str(artifacts))
        for seed, curves in record.seeds.items():
            self._add_seed(record, run_id, seed, curves, started, ended)
        # Last, since only a whole run is a finished one.
        self.client.set_terminated(run_id, end_time=ended)
        return bool(self.find(record.key) == run_id)

    def _log_input(self, run_id: str, dataset: DatasetInput) -> None:
        try:
            self.client.log_inputs(run_id, [dataset])
        except MlflowException as error:
            if "UniqueViolation" not in str(error) and "UNIQUE" not in str(error):
                raise
            self.client.log_inputs(run_id, [dataset])  # another publisher has added the same dataset meanwhile

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
        assert record.model
        params = {name: str(value) for name, value in record.params.items()}
        name = f"{record.dataset}-{record.run}"
        logged = self.client.create_logged_model(self.experiment, name, run_id, {KEY: record.key}, params, "classifier")
        self._save_model(record.model, run_id, logged)
        self.client.finalize_logged_model(logged.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        self.client.set_tag(run_id, MODEL, logged.model_id)
        return str(logged.model_id)

    def _save_model(self, model: Model, run_id: str, logged: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            models.save(model, Path(folder) / "model", run_id, logged)
            self.client.log_model_artifacts(logged.model_id, f"{folder}/model")

    def finished(self, dataset: str) -> list[Published]:
        """Return the whole runs of `dataset` that have a model to load."""
        ours = f"tags.dataset = '{dataset}' and tags.`{MODEL}` != '' and attributes.status = 'FINISHED'"
        found: list[Any] = []
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs([self.experiment], ours, max_results=1000, page_token=token or None)
            found += page
            token = page.token or None
        return [Published(run.info.run_id, run.data.tags, run.data.params, run.data.metrics) for run in found]

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


def _folders(files: Iterable[str]) -> list[str | None]:
    """The folders of `files` as MLflow names them, the uppermost None."""
    return [None if folder == "." else folder for folder in sorted({str(Path(file).parent) for file in files})]


def _input(record: Record) -> DatasetInput:
    source = f'{{"uri": "{record.source}"}}'
    dataset = Dataset(record.dataset, record.digest[:32], "local", source)  # MLflow takes at most 36 characters
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


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
