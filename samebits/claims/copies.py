"""Copies of the project in which the pipeline runs without touching a file here: a clone of a commit, or with other
parameters. Whatever becomes of a copy, and whenever it is killed, params.yaml stays as it is.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

from samebits.base import dvc, git, paths
from samebits.base.alone import alone
from samebits.base.errors import UserError
from samebits.base.yaml import read_yaml
from samebits.claims import overlays, pipeline
from samebits.datasets import sources

CODE = ("stages", "samebits", paths.NETWORKS)
PROJECT = (paths.PIPELINE, ".dvcignore", paths.REQUIREMENTS, paths.CATALOG, paths.PARAMS)
RESULTS = (paths.LOCK, paths.REFERENCE)  # what was committed of them
SETTINGS = Path(".dvc/config")
PREFIX = "samebits-"  # of temporary folders
IN_USE = ".samebits-in-use"  # in each of them: tells ours from a folder of like name
ABANDONED = 24 * 3600  # seconds
# refs/exps/BA/SELINE.../NAME; whatever else is under refs/exps is DVC's own affair
EXPERIMENT = r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/[^/]+$"


@contextmanager
def temporary() -> Iterator[Path]:
    """Give a folder that is gone afterwards; if this process is killed, the next one that wants a folder removes it."""
    _remove_abandoned()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        alone(Path(folder) / IN_USE, folder),
    ):
        yield Path(folder)


def _remove_abandoned() -> None:
    """Remove the temporary folders of processes that were killed: those older than a day whose lock nobody holds."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{IN_USE}"):
        with suppress(OSError, NotImplementedError):  # Timeout is an OSError: somebody uses it
            if time.time() - lock.stat().st_mtime > ABANDONED:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def naming(datasets: list[str], changes: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Give a copy of the project as it is here, whose params.yaml names `datasets`, with this project's DVC cache.

    `changes` are what else params.yaml says there.

    Raises UserError for parameters that are wrong, and for a dataset that the catalog does not have.
    """
    pipeline.require(datasets)
    cache = dvc.cache().absolute()
    with temporary() as folder:
        copy = folder / "project"
        copy_project(copy)
        for path in RESULTS:
            _copy(path, copy)
        settings = f"[core]\n    no_scm = true\n    site_cache_dir = {folder / 'site'}\n[cache]\n    dir = {cache}\n"
        (copy / ".dvc/config.local").write_text(settings)
        set_params(copy, {"datasets": datasets, **(changes or {})})
        share_downloads(copy)
        yield copy


def copy_project(to: Path) -> None:
    """Copy what the pipeline needs into the new folder `to`: code, parameters, catalog; no data and no results."""
    for name in (*PROJECT, SETTINGS, *CODE):
        _copy(Path(name), to)


def _copy(path: Path, to: Path) -> None:
    copy = to / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
    elif path.exists():
        shutil.copyfile(path, copy)


def set_params(project: Path, changes: Mapping[str, Any]) -> None:
    """Give keys of a copy's params.yaml other values, at any depth; its form does not matter.

    Raises UserError if it holds no keys: a copy may be of a commit, whose params.yaml nobody has checked.
    """
    path = project / paths.PARAMS
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{paths.PARAMS} holds no keys: {', '.join(changes)} cannot be set in the copy of it")
    YAML().dump(overlays.merge(values, changes), path)


def repro(targets: list[str], project: Path, environment: Mapping[str, str], *options: str) -> None:
    """Run `dvc repro` for some stages of a copy, and show on stderr what they print.

    Raises UserError naming the stage that fails, as far as DVC came to one.
    """
    failed = "DVC failed before it ran a stage"
    streams = {"env": dvc.with_this_python(environment), "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with pipeline.running("repro", *options, *targets, project=project, **streams) as process:
        for printed in process.stdout or ():
            print(printed, end="", file=sys.stderr, flush=True)
            if began := re.match(r"Running stage '(.+)':", printed):
                failed = f"the pipeline failed in stage {began[1]}"
            elif re.match(r"(Updating|Generating) lock file", printed):
                failed = failed.replace(" in stage ", " after stage ")
    if process.returncode:
        raise UserError(f"{failed}, for the reason above")


@contextmanager
def up_to_date(datasets: list[str] | None) -> Iterator[Path]:
    """Give a folder in which the outputs of `datasets` are up to date.

    That is this one, after `dvc repro`, for all that params.yaml names; else a copy, which knows what is in DVC's cache
    and puts there what it makes. Raises UserError if the pipeline fails.
    """
    git.require_repository("`dvc repro`")
    if not datasets:
        with pipeline.in_order():
            repro([], Path(), os.environ)
        yield Path()
        return
    with naming(datasets) as copy:
        repro([f"evaluate@{dataset}" for dataset in datasets], copy, at_home())
        yield copy


def at_home() -> dict[str, str]:
    """Return the environment for a copy: relative paths in it, and MLflow's own store, stay this project's."""
    return {**os.environ, "DVC_ROOT": os.environ.get("DVC_ROOT") or str(Path.cwd()), "DATASET_MIRROR": mirror()}


def mirror() -> str:
    """Return DATASET_MIRROR as a copy needs it: where there is none, the data that are here will do."""
    found = sources.mirror() or (str(paths.RAW) if paths.RAW.is_dir() else "")
    return found if "://" in found or not found else str(Path(found).absolute())


def share_downloads(copy: Path) -> None:
    """Let a copy go on from the archives that are here: the stage download verifies whatever it is given."""
    if paths.DOWNLOADS.is_dir() and os.access(paths.DOWNLOADS, os.W_OK):
        (copy / paths.DOWNLOADS).symlink_to(paths.DOWNLOADS.absolute())


def clone(commit: str, folder: Path, *options: str) -> Path:
    """Check `commit` out into the new `folder` and return the place there that corresponds to this one."""
    root = git.required("rev-parse", "--show-toplevel")
    git.required("clone", "--quiet", "--no-checkout", *options, root, str(folder))
    git.required("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    return folder / git.required("rev-parse", "--show-prefix")


@contextmanager
def checked_out(rev: str) -> Iterator[Path]:
    """Give a temporary clone at `rev`, with the outputs that its dvc.lock names as far as DVC's cache has them.

    Raises UserError if there is no such commit, or no dvc.lock in it.
    """
    git.require_repository("a revision")
    commit = git.required("rev-parse", "--verify", f"{rev}^{{commit}}", otherwise=f"there is no commit '{rev}' here")
    cache = dvc.cache().absolute()
    with temporary() as folder:
        # Sharing its objects, for a commit of DVC's experiments is on no branch that a clone would bring.
        place = clone(commit, folder / "clone", "--shared")
        if not (place / paths.LOCK).exists():
            raise UserError(f"there is no dvc.lock at {rev}, so nothing was finished there")
        settings = f"[core]\n    no_scm = true\n    site_cache_dir = {folder}/site\n"
        settings += f"[cache]\n    dir = {cache}\n    type = symlink\n"
        (place / ".dvc/config.local").write_text(settings)
        line = dvc.line("checkout", "--quiet", "--force")  # what the cache lacks is not there then
        subprocess.run(line, cwd=place, env=git.plain_environment(), capture_output=True, check=False)
        with suppress(OSError):  # logs of trainings, as far as they can be read: each knows by a hash whose it is
            shutil.copytree(paths.LOGS, place / paths.LOGS)
        yield place


def experiments() -> dict[str, str]:
    """Return name -> commit of all of DVC's experiments. Raises UserError if there are none."""
    git.require_repository("a list of DVC's experiments")
    listed = git.asked("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").split("\n")
    refs = (line.split(" ") for line in listed)
    found = {ref[1].split("/")[4]: ref[0] for ref in refs if len(ref) == 2 and re.match(EXPERIMENT, ref[1])}
    if not found:
        raise UserError("DVC has no experiments here: `dvc exp run` makes one")
    return found
