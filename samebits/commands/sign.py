"""Who saw these results come out? `samebits sign` says so under a key, `samebits sign --check` holds that against here.

claims/NAME.json is what NAME signed, claims/keys/NAME.pem the key that tells it is theirs: both belong into Git.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from samebits.base.command_line import require_named
from samebits.base.errors import UserError
from samebits.base.files import json_text, read_json, write_json, write_text
from samebits.claims import envelope, statement

CLAIMS = Path("claims")
KEYS = CLAIMS / "keys"
SHOWN = 5  # differences in a sentence


def main(
    key: Annotated[Path | None, typer.Option(help="Your ed25519 key, a file in PEM; nothing of it is kept.")] = None,
    name: Annotated[str | None, typer.Option("--as", help="Whose key it is: a-z, 0-9 and _.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Say who signed what, and whether it is so here.")] = False,
) -> None:
    """Sign what dvc.lock names, byte for byte, and what it came from; or check what others signed."""
    if check:
        if not (names := [name] if name else sorted(path.stem for path in CLAIMS.glob("*.json"))):
            raise UserError(f"{CLAIMS} holds no claim: nobody has signed anything here")
        _check(names)
    elif key and name:
        _sign(key, name)
    else:
        raise UserError("to sign, give --key FILE and --as NAME; to look at what was signed, --check")


def _sign(path: Path, name: str) -> None:
    require_named("--as", name)
    key = envelope.private_key(path)
    known = KEYS / f"{name}.pem"
    if known.exists() and envelope.fingerprint(envelope.public_key(known)) != envelope.fingerprint(key.public_key()):
        raise UserError(f"{known} is another key: sign with the one that belongs to it, or under another name")
    stated = statement.made()
    write_text(known, envelope.pem(key.public_key()))
    write_json(to := CLAIMS / f"{name}.json", envelope.seal(json_text(stated).encode(), key))
    print(f"{to}: {len(stated['subject'])} files of commit {stated['predicate']['commit'][:7]} signed")


def _check(names: list[str]) -> None:
    """Say of each claim what it says and whether it is so here; exit code 1 if one is not."""
    faults = 0
    for name in names:
        signed = _read(name)
        of = f"{name} signed {len(signed.subject)} files of commit {signed.predicate.commit[:7]}"
        if found := list(statement.differences(signed)):
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            print(f"{of}, which are NOT all as they are here: {'; '.join(found[:SHOWN])}{more}")
            faults += 1
        else:
            print(f"{of}: all are the same here, and so are code and parameters")
    if faults:
        raise typer.Exit(1)


def _read(name: str) -> statement.Statement:
    """Return what NAME signed. Raises UserError if that is missing, damaged, or signed by another key."""
    path, known = CLAIMS / f"{name}.json", KEYS / f"{name}.pem"
    if not path.is_file():
        raise UserError(f"{path} is missing: {name} has signed nothing here")
    if not known.is_file():
        raise UserError(f"{known} is missing: without {name}'s key nobody can tell who signed {path}")
    try:
        return statement.read(json.loads(envelope.opened(read_json(path), envelope.public_key(known))))
    except UserError as error:
        raise error if str(error).startswith(str(known)) else UserError(f"{path} {error}") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error})") from None
