"""The pipeline of a commit, run in a clone without a cache, so that its dvc.lock is made anew."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from samebits.base import dvc, git, lockfile, paths
from samebits.base.command_line import note
from samebits.base.errors import UserError
from samebits.base.lockfile import dataset_of
from samebits.base.schema import parse
from samebits.base.yaml import read_yaml
from samebits.claims import copies, overlays
from samebits.claims.differences import Lock


def resolve(rev: str) -> str:
    """Return the short hash of `rev`, and note that what is not committed is not verified. Raises UserError."""
    git.require_repository("verifying what is committed")
    commit = git.required(
        "rev-parse", "--verify", "--short", f"{rev}^{{commit}}", otherwise=f"there is no commit '{rev}' here"
    )
    if git.required("status", "--porcelain", "--", "."):
        note(f"what is verified is commit {commit}, without the uncommitted changes here")
    return commit


def make_clone(commit: str, folder: Path) -> Path:
    """Check `commit` out into the new `folder` and return the place there that corresponds to this one.

    Raises UserError if no dvc.lock is there.
    """
    clone = copies.clone(commit, folder)
    if not (clone / paths.LOCK).exists():
        raise UserError(f"there is no dvc.lock at {commit}: `make repro` makes it, then it is to be committed")
    # A cache of its own, even where several projects share one; and nothing left behind in DVC's own folders.
    settings = f"[core]\n    no_scm = true\n    site_cache_dir = {folder / '.site'}\n[cache]\n    dir = cache\n"
    (clone / ".dvc/config.local").write_text(settings)
    copies.share_downloads(clone)
    return clone


def take_lock(clone: Path, commit: str) -> Lock:
    """Return the entries of dvc.lock in the clone and remove it, so that there DVC knows of no result."""
    values = read_yaml(clone / paths.LOCK)
    if not isinstance(values, dict) or not values.get("stages"):
        raise UserError(f"dvc.lock at {commit} has no entries: `make repro` makes them, then it is to be committed")
    parse(values, lockfile.Lock, f"dvc.lock at {commit}")
    entries: Lock = values["stages"]
    (clone / paths.LOCK).unlink()
    return entries


def choose(clone: Path, recorded: Lock, commit: str, *datasets: str) -> list[tuple[dict[str, Any], list[str]]]:
    """Return what to verify: of `datasets`, or else of all that params.yaml in the clone names.

    That is stages, and what params.yaml is to say otherwise before they run: what was claimed of one dataset may be of
    other networks (claims.yaml). Raises UserError if dvc.lock has no entry for one of them.
    """
    held = {dataset_of(stage) for stage in recorded} - {""}
    if unknown := [dataset for dataset in datasets if dataset not in held]:
        raise UserError(
            f"dvc.lock at {commit} has no entries for {', '.join(unknown)}, only for {', '.join(sorted(held))}"
        )
    return [
        (changes, _stages(clone, changes, recorded, commit))
        for _, changes in (overlays.groups(datasets, clone) if datasets else [([], {})])
    ]


def _stages(clone: Path, changes: dict[str, Any], recorded: Lock, commit: str) -> list[str]:
    """Name the stages of what params.yaml names when it says otherwise; the report too, where it says nothing other."""
    line = dvc.line("stage", "list", "--name-only")
    with saying(clone, changes):
        listed = subprocess.run(line, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    if listed.returncode:
        raise UserError(f"DVC cannot read the pipeline at {commit}: {listed.stderr.strip()}")
    stages = [stage for stage in listed.stdout.split() if not changes or dataset_of(stage)]
    if missing := [stage for stage in stages if stage not in recorded]:
        raise UserError(
            f"dvc.lock at {commit} has no entry for {', '.join(missing)}: "
            "`make repro` makes it, then dvc.lock is to be committed"
        )
    return stages


@contextmanager
def saying(clone: Path, changes: Mapping[str, Any]) -> Iterator[None]:
    """Let params.yaml in the clone say other things for a while."""
    before = (clone / paths.PARAMS).read_bytes()
    if changes:
        copies.set_params(clone, changes)
    yield
    (clone / paths.PARAMS).write_bytes(before)


def rerun(chosen: Iterable[tuple[dict[str, Any], list[str]]], clone: Path) -> Lock:
    """Run stages in the clone and return what its dvc.lock says then, in the order in which they ran.

    Raises UserError naming one that fails.
    """
    try:
        for changes, stages in chosen:
            with saying(clone, changes):
                copies.repro(stages, clone, environment(clone), "--no-run-cache", "--no-commit")
    except UserError as error:
        raise UserError(f"{error}, so that nothing can be said of dvc.lock") from None
    fresh: Lock = read_yaml(clone / paths.LOCK)["stages"]
    return fresh


def environment(clone: Path) -> dict[str, str]:
    """Return the user's settings, made good for the clone; MLflow's store is in there too: a check is no new result."""
    return {
        **dvc.with_this_python(git.plain_environment()),
        "DATASET_MIRROR": copies.mirror(),
        "SEED_STORE": "off",  # a claim is proved by computing
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        "DVC_ROOT": str(clone),  # from which relative paths are taken
    }
