"""The one door to MLflow's store: with patience, not for ever, and with failures in a sentence without passwords."""

import glob
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import requests
from alembic.script import ScriptDirectory
from filelock import FileLock, Timeout
from mlflow import MlflowClient, artifacts
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from samebits.base import paths
from samebits.base.address import discreet
from samebits.base.errors import UserError, WriteError, reason
from samebits.base.files import whole
from samebits.base.patience import within
from samebits.tracking.address import file_of, is_new, is_server, shown, sqlite
from samebits.tracking.waiting import BUDGET, SETTING_UP, SLOWEST, first_answer, later_answer

for _name in ("alembic", "mlflow", "urllib3"):  # what matters is raised as well, and told in a sentence
    logging.getLogger(_name).setLevel(logging.CRITICAL)

EXPECTED = (MlflowException, SQLAlchemyError, requests.RequestException, ImportError, TimeoutError)
T = TypeVar("T")
LONGEST = 500  # characters of what a library says
UPLOADS = ("log_artifacts", "log_model_artifacts")  # of the client: their last argument is a folder


class UnavailableError(UserError):
    """The store cannot be reached or used; the message is one sentence that holds no password."""

    exit_code = 3


@contextmanager
def in_a_sentence(uri: str) -> Iterator[None]:
    """Turn what can go wrong with the store at `uri` into UnavailableError."""
    try:
        yield
    except EXPECTED as error:
        raise unavailable(uri, error) from None
    except WriteError as error:
        raise UnavailableError(f"MLflow at {shown(uri)} cannot be written: {reason(error)}") from None


@contextmanager
def libraries(uri: str) -> Iterator[None]:
    """Let nothing out of MLflow and what it stands on but what a caller may look into, and UnavailableError."""
    try:
        yield
    except (*EXPECTED, UserError, WriteError):
        raise
    except Exception as error:  # whatever it is, its text may hold a password
        raise unavailable(uri, error) from None


def unavailable(uri: str, error: Exception) -> UnavailableError:
    """Return what to say of a store that failed with `error`."""
    return UnavailableError(f"MLflow at {shown(uri)} {_reason(error, uri)}")


class Client:
    """MlflowClient, each of whose calls ends in time: one that hangs is left behind, with TimeoutError."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._seconds = first_answer(is_server(uri))
        self._client = self._ask(self._seconds, lambda: MlflowClient(tracking_uri=uri, registry_uri=uri))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method of MlflowClient that keeps to its time."""

        def call(*arguments: Any, **options: Any) -> Any:
            sent = size(Path(arguments[-1])) if name in UPLOADS else 0
            method = getattr(self._client, name)
            answer = self._ask(self._seconds + sent / SLOWEST, lambda: method(*arguments, **options))
            self._seconds = later_answer()
            return answer

        return call

    def download(self, source: str, folder: Path) -> Path:
        """Bring an artifact into `folder`, in as many seconds as it has bytes for: it may come slowly, but it must."""

        def download() -> str:
            known = {"tracking_uri": self.uri, "registry_uri": self.uri}
            return artifacts.download_artifacts(source, dst_path=str(folder), **known)

        return Path(self._ask(lambda: BUDGET + size(folder) / SLOWEST, download))

    def _ask(self, seconds: float | Callable[[], float], question: Callable[[], T]) -> T:
        with libraries(self.uri):
            return within(seconds, question)


def reach(uri: str) -> Client:
    """Return a client of the store at `uri`, a database that is new set up before.

    What it raises, here and later, `in_a_sentence` makes UnavailableError.
    """
    if not is_server(uri):
        with libraries(uri):
            _require_database(uri)
    return Client(uri)


def _require_database(uri: str) -> None:
    """Set up a database that is new, and raise an error if one cannot be used, before MLflow tries for a minute."""
    file = file_of(uri)
    if file and is_new(uri):
        _set_up(file)
        return
    engine = create_engine(uri)  # loads the driver, which is not what is timed

    def versions() -> list[str]:
        with engine.connect() as connection:
            there = inspect(connection).has_table("alembic_version")
            return list(connection.scalars(text("SELECT version_num FROM alembic_version"))) if there else []

    found = within(BUDGET, versions)
    if not found:
        with alone(paths.root() / "mlflow.db", SETTING_UP):  # two first uses of a database collide
            within(SETTING_UP, lambda: MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments())
    elif found != _head():
        raise UnavailableError(
            f"MLflow at {shown(uri)} is a database of another version of MLflow than {mlflow.__version__}, which is "
            "here: an older one `mlflow db upgrade` makes new, once you have a copy of it"
        )


def _head() -> list[str]:
    """The version of a database as this MLflow makes it: from others it would go on by itself, or break off halfway."""
    scripts = Path(mlflow.__file__).parent / "store/db_migrations"
    return list(ScriptDirectory(str(scripts)).get_heads())


def _set_up(file: Path) -> None:
    """Make a SQLite database that is there whole or not at all: one that was cut off is of no use to MLflow."""
    print(f"setting up {file.name}", flush=True)
    for left in file.parent.glob(f".{glob.escape(file.name)}.*.part*"):  # by who was killed, for we are alone
        left.unlink()
    with whole(file) as scratch:
        uri = sqlite(scratch)
        within(SETTING_UP, lambda: MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments())


@contextmanager
def alone(file: Path, quiet: float = BUDGET) -> Iterator[None]:
    """Keep other publishers from `file`: two first uses of SQLite collide, two writers of a key make two runs.

    Another one is waited for as long as it writes: Timeout is raised after `quiet` seconds in which it did not.
    UnavailableError comes at once where nothing can be written beside the file.
    """
    lock = FileLock(f"{file}.lock")
    try:
        _acquire(lock, file, quiet)
    except TimeoutError:
        raise
    except OSError as error:
        raise UnavailableError(f"MLflow at {shown(sqlite(file))} cannot be written: {reason(error)}") from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, file: Path, quiet: float) -> None:
    since, written = time.monotonic(), 0.0
    while True:
        try:
            lock.acquire(timeout=min(1.0, quiet))
            return
        except Timeout:
            if (now := _last_written(file)) != written:
                since, written = time.monotonic(), now
            elif time.monotonic() - since >= quiet:
                raise


def _last_written(file: Path) -> float:
    """When SQLite last wrote to a file or what lies beside it by that name, in seconds since 1970."""
    times = [0.0]
    for each in file.parent.glob(f"*{glob.escape(file.name)}*"):
        with suppress(OSError):  # SQLite's journals come and go
            if each.suffix != ".lock":  # to which whoever waits writes, too
                times.append(each.stat().st_mtime)
    return max(times)


def size(folder: Path) -> int:
    """Return how many bytes the files in a folder have, as far as they are there."""
    total = 0
    for each in folder.rglob("*"):
        with suppress(OSError):
            total += each.stat().st_size
    return total


def _reason(error: Exception, uri: str) -> str:
    """The rest of a sentence that begins with the store's address."""
    said = str(error)
    status = re.search(r"too many (\d{3}) error|error code (\d{3})|\b([45]\d\d) \w+ Error", said)
    code = next(filter(None, status.groups())) if status else ""
    if isinstance(error, Timeout):
        return f"is in use: another publisher holds {error.lock_file} and writes nothing"
    if isinstance(error, TimeoutError) or "timed out" in said:
        timeout = "; MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds each request may take" if is_server(uri) else ""
        return f"does not answer{timeout}"
    if code in ("401", "403"):
        names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return f"refuses the user (error {code}): set {names}"
    if code:
        return f"answers with error {code}"
    if isinstance(error.__context__, requests.ConnectionError):
        return "cannot be reached"
    if "not in a valid JSON format" in said:  # of which the rest is that answer, with who knows what in it
        return "answers, but not as MLflow does: is it another server's address?"
    return f"cannot be used: {_first_sentence(discreet(said, uri)) or type(error).__name__}"


def _first_sentence(said: str) -> str:
    """The first line of what a library says and, where it ends in a colon, what it announces."""
    first, *more = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    while more and first.endswith(":"):
        first = f"{first} {more.pop(0)}"
    return first if len(first) <= LONGEST else f"{first[:LONGEST]}..."
