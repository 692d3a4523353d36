"""The experiment that holds all runs, and where its artifacts are.

MLflow writes down the full path of every artifact. A store that was moved or copied with its project would go on
writing into the old place, made anew or in another checkout; and a server that keeps no artifacts tells its clients a
path of its own disk, to which each would write on its own. Here both are found before anything is read or written.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, text

from samebits.base import paths
from samebits.base.command_line import note
from samebits.base.patience import within
from samebits.tracking.address import EXPERIMENT, file_of, is_server, shown
from samebits.tracking.connection import Client, UnavailableError
from samebits.tracking.waiting import BUDGET

FOLDER = "mlartifacts"  # beside the database
PATHS = {  # where MLflow writes down the path of an artifact: table, columns
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def experiment(client: Client) -> str:
    """The id of EXPERIMENT, made at first use, brought back if it was deleted, its artifacts in a place for them."""
    found = client.get_experiment_by_name(EXPERIMENT) or _made(client)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    settle(client.uri, found.artifact_location)
    return str(found.experiment_id)


def _made(client: Client) -> Any:
    # A server knows where its artifacts belong; without one they would land in the current folder.
    location = None if is_server(client.uri) else _here(client.uri).as_uri()
    try:
        made = client.get_experiment(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:
        found = client.get_experiment_by_name(EXPERIMENT)  # another publisher has made it meanwhile
        if found is None:
            raise
        return found
    try:
        settle(client.uri, made.artifact_location)
    except UnavailableError:  # leave none that would still be in the wrong place when the server is mended
        with suppress(MlflowException):
            client.rename_experiment(made.experiment_id, f"{EXPERIMENT} {made.experiment_id}")
            client.delete_experiment(made.experiment_id)
        raise
    return made


def settle_if_there(client: Client) -> None:
    """Do the same as `experiment` for who only reads: nothing is made."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        settle(client.uri, found.artifact_location)


def settle(uri: str, location: str) -> None:
    """Have the artifacts of the store at `uri` where they are to be; `location` is where the store has them now.

    A file that was moved is told where they are now. Raises UnavailableError where nothing can be done.
    """
    there = _local(location)
    if there is None:
        if location.startswith("mlflow-artifacts:") and not is_server(uri):
            raise _unusable(uri, "leaves its artifacts to a server: MLFLOW_TRACKING_URI must be that server's address")
        return
    if is_server(uri):
        raise _unusable(
            uri,
            f"keeps no artifacts: they would lie on this machine, in {there}, which is the server's own path. Start it "
            f"with --artifacts-destination, and if it has an experiment {EXPERIMENT} then, rename that",
        )
    here = _here(uri)
    if there.resolve() == here or (there.name != FOLDER and there.is_dir()):  # or somebody has chosen the place
        return
    if file_of(uri) is None:
        raise _unusable(uri, f"has its artifacts in {there}, not in {here}: a server keeps them for several checkouts")
    within(BUDGET, lambda: _move(uri, location.rstrip("/"), here.as_uri()))
    note(f"{shown(uri)} was made elsewhere: its artifacts are in {here} now, no longer in {there}")


def _unusable(uri: str, why: str) -> UnavailableError:
    return UnavailableError(f"MLflow at {shown(uri)} {why}")


def _here(uri: str) -> Path:
    """The folder for the artifacts of a store without a server."""
    file = file_of(uri)
    return ((file.parent if file else paths.root()) / FOLDER).resolve()


def _local(location: str) -> Path | None:
    """The path of artifacts that lie on a disk."""
    parts = urlsplit(location)
    return Path(url2pathname(parts.path) if parts.scheme else location) if parts.scheme in ("", "file") else None


def _move(uri: str, old: str, new: str) -> None:
    """Let every path that begins with `old` begin with `new`: all or none, whenever this ends."""
    values = {"old": old, "new": new, "rest": len(old) + 1, "folder": f"{old}/", "length": len(old) + 1}
    with create_engine(uri).begin() as connection:
        for table, columns in PATHS.items():
            for column in columns:
                which = f"{column} = :old OR substr({column}, 1, :length) = :folder"
                line = f"UPDATE {table} SET {column} = :new || substr({column}, :rest) WHERE {which}"
                connection.execute(text(line), values)
