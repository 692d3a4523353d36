"""Addresses that may hold a password: how they are printed, and what must not be printed of them."""

import base64
import os
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
ADDRESSES = ("MLFLOW_TRACKING_URI", "SEED_STORE", "DATASET_MIRROR")  # variables that may hold a password, or
USER, PASSWORD, TOKEN = (f"MLFLOW_TRACKING_{name}" for name in ("USERNAME", "PASSWORD", "TOKEN"))  # that are one
NAMED = re.compile(r"pass|pwd|secret|token|key|credential|auth", re.IGNORECASE)  # options that are secrets by name
SHORTEST = 4  # characters of another option's value that may be one: `30` or `on` is none


def shown(address: str) -> str:
    """Return an address without user, password and options, fit to be printed."""
    scheme, separator, rest = address.partition("://")
    if not separator:  # a path, unless something like user:password@ is in front
        return address.rpartition("@")[2] if re.match(r"[^/@]*:.*@", address) else address
    if not re.fullmatch(r"[A-Za-z][\w+.-]*", scheme):
        return HIDDEN
    if re.search(r"[?#].*@", rest):
        return f"{scheme}://{HIDDEN}"  # who knows where the password ends
    return scheme + separator + re.split("[?#]", rest.rpartition("@")[2])[0]


def secrets(address: str) -> set[str]:
    """Return what must not be printed of an address: passwords, tokens, options, and what holds them together."""
    scheme, separator, rest = address.rpartition("://")
    found: set[str] = set()
    # Where a character is not encoded as it should be, nobody knows which of the two was meant.
    for place in (rest, re.split("[/?#]", rest)[0]):
        user = place.rpartition("@")[0]
        name, colon, password = user.partition(":")
        if colon or not separator or scheme.startswith("http"):  # alone it is a token; a database's user is no secret
            found |= {user, password or name}
    for part in re.split("[?#]", rest)[1:]:
        found |= {value for key, value in parse_qsl(part) if NAMED.search(key) or len(value) >= SHORTEST}
    return found - {""}


def known() -> set[str]:
    """Return what must not be printed of this process's environment."""
    found = {os.environ.get(name, "") for name in (USER, PASSWORD, TOKEN)}
    found |= {f"{os.environ.get(USER, '')}:{os.environ[PASSWORD]}"} if os.environ.get(PASSWORD) else set()
    return found.union(*(secrets(os.environ.get(name, "")) for name in ADDRESSES)) - {""}


def discreet(text: str, *addresses: str) -> str:
    """Return `text` without the secrets of this process's environment and of `addresses`."""
    return without(known().union(*map(secrets, addresses)), text)


def without(secrets: Iterable[str], text: str) -> str:
    """Return `text` without the secrets, however a library has written them: decoded, encoded or as Python does."""
    forms: set[str] = set()
    for secret in secrets:
        plain = {secret, secret.strip(), unquote(secret), unquote_plus(secret)}
        coded = {code(each) for each in plain for code in (quote, quote_plus, lambda text: quote(text, safe=""))}
        coded |= {base64.b64encode(each.encode(errors="surrogateescape")).decode() for each in plain}
        forms |= plain | coded | {repr(each)[1:-1] for each in plain}
    for form in sorted(forms - {""}, key=len, reverse=True):  # the longest first, for one may be part of another
        text = text.replace(form, HIDDEN)
    return text
