"""Where MLflow's store is, and how long it is waited for."""

import os
from pathlib import Path

EXPERIMENT = "samebits"
LOCKED = 60.0  # seconds to wait for another publisher, or for SQLite


def root() -> Path:
    """Return the project's own folder; a copy that `dvc exp run --temp` works in is not it, DVC_ROOT is."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def address() -> str:
    """Return MLFLOW_TRACKING_URI, or else the project's mlflow.db. It may hold a password: print it by `shown`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def pin() -> None:
    """Keep to the store that `address` means now, wherever this process goes."""
    uri = address()
    file = file_of(uri)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{file.absolute()}" if file else uri


def shown(uri: str) -> str:
    """Return `uri` without user, password and options, fit to be printed."""
    scheme, separator, rest = uri.partition("://")
    return uri if scheme == "sqlite" else scheme + separator + rest.rpartition("@")[2].partition("?")[0]


def file_of(uri: str) -> Path | None:
    """The database file of a SQLite address."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def is_server(uri: str) -> bool:
    """Tell a tracking server from a database that is spoken to directly."""
    return uri.startswith(("http:", "https:"))


def patience(uri: str) -> float:
    """Seconds that the first contact may take: a server's first request, or the set-up of a database."""
    return request_seconds() if is_server(uri) else LOCKED


def request_seconds() -> float:
    """Seconds that one request may take; who has not answered by then gets no second one."""
    return 1.0 + int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
