"""Reaching MLflow's store: with patience, not for ever, and with failures in a sentence without passwords."""

import logging
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import requests
from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from samebits.base.errors import UserError
from samebits.tracking.address import LOCKED, is_server, shown

for _name in ("alembic", "mlflow", "urllib3"):  # what matters is raised, the rest is noise
    logging.getLogger(_name).setLevel(logging.ERROR)

SECRETS = ("USERNAME", "PASSWORD", "TOKEN")

T = TypeVar("T")


class UnavailableError(UserError):
    """The store cannot be reached or used; the message is one sentence that holds no password."""

    exit_code = 3


@contextmanager
def in_a_sentence(uri: str) -> Iterator[None]:
    """Turn what can go wrong with the store at `uri` into UnavailableError."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, requests.RequestException, ImportError, TimeoutError) as error:
        raise UnavailableError(f"MLflow at {shown(uri)} {_reason(error, uri)}") from None


def alone(file: Path | None) -> Any:
    """Keep other publishers from `file`: two first uses of SQLite collide, two writers of a key make two runs."""
    return FileLock(f"{file}.lock", timeout=LOCKED) if file else nullcontext()


def within(seconds: float, function: Callable[[], T]) -> T:
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
        timeout = "; MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds each request may take" if is_server(uri) else ""
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
