"""What MLFLOW_TRACKING_URI may be, and what it is where it is something else. No sentence here repeats any part of it
that could be a password's.
"""

import re
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SERVERS, DATABASES = ("http", "https"), ("postgresql", "mysql", "mssql")
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+")
UNSET = "unset it, and results go to mlflow.db in the project"
ENCODE = "in a user or a password %40 stands for @, %2F for /, %3A for :, %23 for #, %3F for ?"


def fault(uri: str) -> str:
    """Say what is wrong with the address of a store, and the way out; nothing of one that can be used."""
    scheme, colon, _ = uri.partition(":")
    kind = scheme.lower().partition("+")[0]
    if uri != uri.strip():
        return f"it begins or ends with a blank: leave that out{'' if uri.strip() else f', or {UNSET}'}"
    if colon and kind == "sqlite":
        return _of_file(uri)
    if colon and kind in SERVERS:
        return _of_server(uri)
    if colon and kind in DATABASES:
        return _of_database(uri)
    if colon and kind == "postgres":
        return "its kind is called postgresql: begin with postgresql+psycopg://"
    return _of_no_kind(uri, kind)


def _of_no_kind(uri: str, kind: str) -> str:
    if kind == "file" or uri.startswith((".", "/", "~")) or re.fullmatch(r"[A-Za-z]:[\\/].*", uri):
        return f"it is a folder, and runs are kept in a database here: {UNSET}, or name one, sqlite:///mlflow.db"
    if re.fullmatch(r"([^/]*@)?[\w.-]+:\d+(/.*)?", uri):
        return "a server's address begins with http:// or https://: put that in front"
    if "://" in uri:
        return f"no store is of that kind: it is http, https, sqlite, {' or '.join(DATABASES[:2])}; or {UNSET}"
    return f"it is no address: a server's begins with http://, a file's is sqlite:///mlflow.db; or {UNSET}"


def _of_file(uri: str) -> str:
    scheme, _, rest = uri.partition(":")
    url = _parsed(f"{scheme.lower()}:{rest}")
    if url is None or url.host or not rest.startswith("///"):
        return "a file's address has three slashes, sqlite:///mlflow.db, and four where its path begins with one"
    file = url.database or ""
    if file in ("", ":memory:"):
        return f"it names no file, and what is kept in memory is gone at once: {UNSET}"
    if re.match("/?~", file):
        return "nobody takes ~ for your home there: write that out, sqlite:////home/ann/mlflow.db"
    return "it must name the file itself, without file:" if file.startswith("file:") else ""


def _of_server(uri: str) -> str:
    rest = uri.partition("://")[2]
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # whose text has a part of the address in it
        return f"its host or its port cannot be read; {ENCODE}"
    if not rest or not host:
        return "it names no host: a server's address is http://HOST:PORT"
    if "@" in "".join(re.split("[/?#]", rest)[1:]) or not HOST.fullmatch(host):
        return f"what comes before its host has a character that ends it; {ENCODE}"
    if "#" in uri:
        return "it is the address of a page: leave out # and what follows"
    return ""


def _of_database(uri: str) -> str:
    url = _parsed(uri)
    if url is None:
        return f"its host or its port cannot be read; {ENCODE}"
    if url.host and not HOST.fullmatch(url.host):
        return f"what comes before its host has a character that ends it; {ENCODE}"
    return ""


def _parsed(uri: str) -> URL | None:
    try:
        return make_url(uri)
    except (ArgumentError, ValueError):  # whose text has a part of the address in it
        return None
