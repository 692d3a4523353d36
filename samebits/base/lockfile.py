"""dvc.lock, in which DVC records what came out: it writes the file in place and, killed meanwhile, leaves it cut."""

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from samebits.base import git, paths
from samebits.base.errors import UserError
from samebits.base.files import write_text
from samebits.base.schema import matching
from samebits.base.yaml import ConflictError, read_yaml

DAMAGED = f"{paths.LOCK} is empty, cut or otherwise not as DVC writes it: `samebits repro` restores it"
KEPT = Path(".dvc/tmp/dvc.lock.damaged")


class DamagedError(UserError):
    """dvc.lock is not as DVC writes it."""


class Dependency(BaseModel):
    """A file or a folder; `md5` of a folder, which ends in .dir, is that of a list of its files."""

    path: str
    md5: Annotated[str, matching(r"[0-9a-f]{32}(\.dir)?", "a hash")]


class Output(Dependency):
    """One that DVC keeps."""

    size: int


class Stage(BaseModel):
    """What a stage came from and what it made."""

    cmd: str | list[str]
    deps: list[Dependency] = Field(default_factory=list)
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by file
    outs: list[Output] = Field(default_factory=list)


class Lock(BaseModel):
    """The whole file."""

    stages: dict[str, Stage]


def read() -> dict[str, Stage]:
    """Return the entries of dvc.lock, none where there is no such file.

    Raises DamagedError if it is not whole, and ConflictError for a conflict that Git left in it.
    """
    if not paths.LOCK.exists():
        return {}
    return _parse(paths.LOCK.read_bytes())


@functools.lru_cache(maxsize=1)  # of a file as long as this it takes a third of a second
def _parse(data: bytes) -> dict[str, Stage]:
    try:
        values = read_yaml(paths.LOCK)
    except ConflictError:
        raise
    except UserError:
        raise DamagedError(DAMAGED) from None
    try:
        stages = Lock.model_validate(values).stages
    except ValidationError:
        raise DamagedError(DAMAGED) from None
    if not data.endswith(b"\n") or _ends_in_an_entry(data):  # what is left may still make sense
        raise DamagedError(DAMAGED)
    return stages


def _ends_in_an_entry(data: bytes) -> bool:
    """Whether what Git has goes on within the last entry; one that goes on with another is only newer."""
    committed = _committed().encode()
    return committed.startswith(data) and committed[len(data) :].startswith(b"    ")


def _committed() -> str:
    """What Git's last commit has, but for the end of the last line; nothing if it has none."""
    return git.asked("show", f"HEAD:./{paths.LOCK}")


def mend() -> None:
    """Restore a dvc.lock that is not whole to what Git has, and say so; DVC's run cache knows what ran since then.

    Raises ConflictError for a conflict that Git left in it: people must settle that.
    """
    try:
        read()
    except DamagedError:
        committed = _committed()
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        paths.LOCK.replace(KEPT)
        if committed:
            write_text(paths.LOCK, f"{committed}\n")
        origin = "Git's last commit" if committed else "nothing, for Git has none"
        print(
            f"note: {paths.LOCK} was empty or cut, as a DVC that is killed leaves it: made anew from {origin}; "
            f"what ran since comes back from DVC's run cache ({KEPT} is what was there)",
            file=sys.stderr,
            flush=True,
        )


def outputs(datasets: Iterable[str]) -> dict[str, list[Output]]:
    """Return by stage what dvc.lock names of `datasets` and of what is made once. Raises what `read` does."""
    wanted = {*datasets, ""}
    return {stage: entry.outs for stage, entry in read().items() if dataset_of(stage) in wanted}


def dataset_of(stage: str) -> str:
    """Return the dataset in STAGE@DATASET or STAGE@DATASET-RUN (its name has no hyphen), "" if there is none."""
    return stage.partition("@")[2].partition("-")[0]
