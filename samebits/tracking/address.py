"""Where MLflow's store is: addresses are taken apart and built here, nowhere else, and never pasted together."""

import os
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL, make_url

from samebits.base import paths
from samebits.base.address import shown as address_shown
from samebits.base.errors import UserError
from samebits.tracking.kinds import fault

EXPERIMENT = "samebits"
VARIABLE = "MLFLOW_TRACKING_URI"


def address() -> str:
    """Return MLFLOW_TRACKING_URI, or else the project's mlflow.db. It may hold a password: print it by `shown`.

    A relative file is the project's, wherever DVC lets a stage work. Raises UserError for what is no such address.
    """
    said = os.environ.get(VARIABLE)
    if not said:
        return sqlite(Path("mlflow.db"))
    if found := fault(said):
        raise UserError(f"{VARIABLE} is {shown(said)}: {found}")
    scheme, _, rest = said.partition(":")
    uri = f"{scheme.lower()}:{rest}"
    return _absolute(make_url(uri)) if uri.startswith("sqlite") else uri


def sqlite(file: Path) -> str:
    """Return the address of a SQLite file, whatever characters its path has."""
    return _absolute(URL.create("sqlite", database=str(file)))


def _absolute(url: URL) -> str:
    """The address of a SQLite file, by its full path.

    MLflow makes the folders of whatever follows `sqlite:///`, as it is written there. Where that is not the very path,
    since a character of it had to be encoded, the address has the driver's name as well, which makes MLflow let it be.
    """
    url = url.set(database=str(paths.root().absolute() / (url.database or "")))
    written = url.render_as_string(hide_password=False)
    return written if unquote(written) == written else written.replace("sqlite:", "sqlite+pysqlite:", 1)


def pin() -> None:
    """Keep to the store that `address` means now, wherever this process goes."""
    os.environ[VARIABLE] = address()


def shown(uri: str) -> str:
    """Return `uri` fit to be printed: a SQLite file by its path, others without user, password and options."""
    file = None if fault(uri) else file_of(uri)
    if file:
        return f"sqlite:///{file}"
    return address_shown(uri.strip()) if "://" in uri else uri.strip().rpartition("@")[2]


def file_of(uri: str) -> Path | None:
    """The database file of a SQLite address."""
    return Path(make_url(uri).database or "") if uri.startswith("sqlite") else None


def is_new(uri: str) -> bool:
    """Tell a SQLite file that nobody has made yet: who only asks finds nothing there, and need not make it."""
    file = file_of(uri)
    return file is not None and not (file.exists() and file.stat().st_size)


def is_server(uri: str) -> bool:
    """Tell a tracking server from a database that is spoken to directly."""
    return uri.startswith(("http:", "https:"))
