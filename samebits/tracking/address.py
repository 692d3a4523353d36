"""Where MLflow's store is, and how long it is waited for."""

import os
import re
from pathlib import Path

from samebits.base import paths
from samebits.base.address import shown as address_shown
from samebits.base.errors import UserError

EXPERIMENT = "samebits"
BUDGET = 10.0  # seconds that are lost at most on a store that hangs, by a stage in all and by hand each time
SETTING_UP = 60.0  # seconds that a new database may take, for that is work and no waiting
SLOWEST = 100_000  # bytes a second: what files that are sent or fetched make at least


def address() -> str:
    """Return MLFLOW_TRACKING_URI, or else the project's mlflow.db. It may hold a password: print it by `shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.root() / 'mlflow.db'}"


def pin() -> None:
    """Keep to the store that `address` means now, wherever this process goes."""
    uri = address()
    file = file_of(uri)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{file.absolute()}" if file else uri


def shown(uri: str) -> str:
    """Return `uri` fit to be printed: a SQLite file's as it is, others without user, password and options."""
    return uri if uri.startswith("sqlite://") else address_shown(uri)


def file_of(uri: str) -> Path | None:
    """The database file of a SQLite address."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def is_new(uri: str) -> bool:
    """Tell a SQLite file that nobody has made yet: who only asks finds nothing there, and need not make it."""
    file = file_of(uri)
    return file is not None and not (file.exists() and file.stat().st_size)


def is_server(uri: str) -> bool:
    """Tell a tracking server from a database that is spoken to directly."""
    return uri.startswith(("http:", "https:"))


def first_answer(uri: str) -> float:
    """Seconds until a store must have answered for the first time: a server that is dead is not asked twice."""
    return request_seconds() if is_server(uri) else BUDGET


def later_answer() -> float:
    """Seconds until it must have answered any time later; no less than a single request is allowed to take."""
    return max(BUDGET, request_seconds())


def request_seconds() -> float:
    """Seconds that one request may take; who has not answered by then gets no second one. Raises UserError."""
    said = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
    if not re.fullmatch(r"0*[1-9]\d{0,5}", said):  # what MLflow takes, and less than two weeks
        raise UserError(f"MLFLOW_HTTP_REQUEST_TIMEOUT is '{said[:200]}': it must be a whole number of seconds")
    return 1.0 + int(said)
