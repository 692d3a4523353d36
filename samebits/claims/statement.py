"""An in-toto statement (version 1) of what came out here: each output's SHA-256, and what it came from.

Whoever signs it says that they saw these bytes come out of this code, these parameters and these data.
"""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from samebits.base import dvc, git, lockfile, paths
from samebits.base.errors import UserError
from samebits.base.files import sha256
from samebits.base.params import load
from samebits.claims.differences import code

TYPE, PREDICATE = "https://in-toto.io/Statement/v1", "urn:samebits:reproduced:1"
PACKAGES = ("torch", "numpy", "numba", "dvc")

Hashes = dict[str, str]


class Subject(BaseModel):
    """A file and its hashes."""

    name: str
    digest: Hashes


class Predicate(BaseModel):
    """What the outputs came from: files by hash, parameters by stage, the commit, and where it was computed."""

    commit: str
    code: Hashes
    parameters: dict[str, dict[str, Any]]
    environment: dict[str, str]


class Statement(BaseModel):
    """The whole of it; the names of its keys are in-toto's."""

    subject: list[Subject]
    predicate: Predicate


def made() -> dict[str, Any]:
    """Return the statement of this checkout. Raises UserError naming what is not as dvc.lock says, or not committed."""
    stages = _stages()
    checkout = git.checkout()
    if checkout is None or checkout.dirty:
        raise UserError("what is signed is a commit: commit what differs from it first (`git status` names it)")
    for stage in stages.values():
        for out in stage.outs:
            if dvc.md5_of(Path(out.path)) != out.md5:
                raise UserError(f"{out.path} is missing, or is not what {paths.LOCK} says: run `samebits repro`")
    return {
        "_type": TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in _outputs(stages).items()],
        "predicateType": PREDICATE,
        "predicate": {
            "commit": checkout.commit,
            "code": _code(stages),
            "parameters": _parameters(stages),
            "environment": _environment(),
        },
    }


def read(values: Any) -> Statement:
    """Return a statement as typed values. Raises UserError, as the end of a sentence, if it is none of ours."""
    if not isinstance(values, dict) or (values.get("_type"), values.get("predicateType")) != (TYPE, PREDICATE):
        raise UserError(f"states something else than {PREDICATE}")
    try:
        return Statement.model_validate(values)
    except ValidationError:
        raise UserError("is not a statement as `samebits sign` makes it") from None


def differences(signed: Statement) -> Iterator[str]:
    """Yield, in words, whatever is not here as it was signed: outputs first, by the bytes on this disk."""
    stages = _stages()
    was = {each.name: each.digest.get("sha256", "") for each in signed.subject}
    yield from _apart(was, _outputs(stages))
    yield from _apart(signed.predicate.code, _code(stages))
    before, after = _flat(signed.predicate.parameters), _flat(_parameters(stages))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{name} is {after.get(name)} here, and was {before.get(name)}"


def _apart(was: Hashes, here: Hashes) -> Iterator[str]:
    for name in {**was, **here}:
        if name not in here:
            yield f"{name} is missing here (`samebits repro` makes what dvc.lock names)"
        elif name not in was:
            yield f"{name} is here, and was not signed"
        elif was[name] != here[name]:
            yield f"{name} is another file here"


def _stages() -> dict[str, lockfile.Stage]:
    """The entries of dvc.lock of the datasets that params.yaml names, which are those that are made here."""
    wanted = {*load().datasets, ""}
    stages = {name: stage for name, stage in lockfile.read().items() if lockfile.dataset_of(name) in wanted}
    if not stages:
        raise UserError(f"there is no {paths.LOCK}, which names what came out: `samebits repro` makes it")
    return stages


def _outputs(stages: Mapping[str, lockfile.Stage]) -> Hashes:
    """SHA-256 of each file that the stages make, as far as it is here."""
    files = (file for stage in stages.values() for out in stage.outs for file in dvc.files_of(Path(out.path)))
    return {file.as_posix(): sha256(file) for file in files}


def _code(stages: Mapping[str, lockfile.Stage]) -> Hashes:
    """SHA-256 of each file that stages depend on and that none makes."""
    made = {Path(out.path) for stage in stages.values() for out in stage.outs}
    deps = {Path(dep.path) for stage in stages.values() for dep in stage.deps}
    return code(deps, made)


def _parameters(stages: Mapping[str, lockfile.Stage]) -> dict[str, dict[str, Any]]:
    return {name: stage.params.get(str(paths.PARAMS), {}) for name, stage in stages.items() if stage.params}


def _flat(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{key} of {stage}": value for stage, values in parameters.items() for key, value in values.items()}


def _environment() -> dict[str, str]:
    """Of what kind this machine is; not whose."""
    system = {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()}
    return system | {package: version(package) for package in PACKAGES}
