"""Do the results that a commit's dvc.lock records come out again on this machine, bit for bit? `make verify` tells.

The pipeline runs in a temporary clone of the commit, which has no cache to take anything from; what it writes there is
held against the dvc.lock that was committed. Files of the checkout are only read.
"""

import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from stages import lock
from stages.command import UserError, command, note
from stages.download import DOWNLOADS, RAW
from stages.lock import Lock
from stages.schema import read_yaml

LOCK = Path("dvc.lock")
PARAMS = Path("params.yaml")
PATIENCE = 30  # seconds that DVC has to end after Ctrl-C; the stage that runs needs some to tidy up


def main(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(help="Only these, without the report; params.yaml need not name them, dvc.lock must."),
    ] = None,
    rev: Annotated[str, typer.Option(help="The commit to verify.")] = "HEAD",
) -> None:
    """Run the pipeline of a commit in a temporary clone and say whether its dvc.lock comes out again."""
    commit = resolve(rev)
    with tempfile.TemporaryDirectory(prefix="samebits-", ignore_cleanup_errors=True) as folder:
        clone = make_clone(commit, Path(folder) / "clone")
        recorded = take_lock(clone, commit)
        stages = choose_stages(clone, recorded, commit, *datasets or ())
        rerun(stages, clone)
        fresh: Lock = read_yaml(clone / LOCK)["stages"]  # in the order they ran, for it began empty
        if changed := lock.origins_that_differ(recorded, fresh):
            note(f"dvc.lock at {commit} was not made by that commit; it had another {', another '.join(changed)}")
        found = list(lock.differences(recorded, fresh))
        for other in found[1:]:
            note(f"stage {other.stage} differs too, in {other.path}")
        if found:
            where = lock.explain(found[0], Path(), clone, cache())
            print(f"NOT reproduced: stage {found[0].stage} differs first, in {where}")
            raise typer.Exit(1)
    outputs = sum(len(lock.outputs(entry)) for entry in fresh.values())
    print(
        f"reproduced: all {outputs} outputs of {len(fresh)} stages in dvc.lock ({commit}) "
        "came out bit for bit the same on this machine"
    )


def resolve(rev: str) -> str:
    """Return the short hash of `rev`, and note that what is not committed is not verified. Raises UserError."""
    git("rev-parse", "--git-dir", otherwise="only what is committed to Git can be verified: {reason}")
    commit = git("rev-parse", "--verify", "--short", f"{rev}^{{commit}}", otherwise=f"there is no commit '{rev}' here")
    if git("status", "--porcelain", "--", "."):
        note(f"what is verified is commit {commit}, without the uncommitted changes here")
    return commit


def make_clone(commit: str, folder: Path) -> Path:
    """Check `commit` out into the new `folder` and return the place there that corresponds to this one.

    Raises UserError if no dvc.lock is there.
    """
    git("clone", "--quiet", "--no-checkout", git("rev-parse", "--show-toplevel"), str(folder))
    git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    clone = folder / git("rev-parse", "--show-prefix")
    if not (clone / LOCK).exists():
        raise UserError(f"there is no dvc.lock at {commit}: `make repro` makes it, then it is to be committed")
    # A cache of its own, even where several projects share one; and nothing left behind in DVC's own folders.
    settings = f"[core]\n    no_scm = true\n    site_cache_dir = {folder / '.site'}\n[cache]\n    dir = cache\n"
    (clone / ".dvc" / "config.local").write_text(settings)
    # The stage download verifies whatever it is given, so archives that are here already need not come from the web.
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    (clone / DOWNLOADS).symlink_to(DOWNLOADS.absolute())
    return clone


def take_lock(clone: Path, commit: str) -> Lock:
    """Return the entries of dvc.lock in the clone and remove it, so that there DVC knows of no result."""
    entries: Lock | None = (read_yaml(clone / LOCK) or {}).get("stages")
    if not entries:
        raise UserError(f"dvc.lock at {commit} has no entries: `make repro` makes them, then it is to be committed")
    (clone / LOCK).unlink()
    return entries


def choose_stages(clone: Path, recorded: Lock, commit: str, *datasets: str) -> list[str]:
    """Name the stages to verify: of `datasets`, which params.yaml in the clone is made to name, or else all.

    Raises UserError if dvc.lock has no entry for one of them.
    """
    held = {dataset_of(stage) for stage in recorded} - {""}
    if unknown := [dataset for dataset in datasets if dataset not in held]:
        raise UserError(
            f"dvc.lock at {commit} has no entries for {', '.join(unknown)}, only for {', '.join(sorted(held))}"
        )
    if datasets:
        YAML().dump({**read_yaml(clone / PARAMS), "datasets": list(datasets)}, clone / PARAMS)
    line = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    listed = subprocess.run(line, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    if listed.returncode:
        raise UserError(f"DVC cannot read the pipeline at {commit}: {listed.stderr.strip()}")
    stages = [stage for stage in listed.stdout.split() if not datasets or dataset_of(stage) in datasets]
    if missing := [stage for stage in stages if stage not in recorded]:
        raise UserError(
            f"dvc.lock at {commit} has no entry for {', '.join(missing)}: "
            "`make repro` makes it, then dvc.lock is to be committed"
        )
    return stages


def dataset_of(stage: str) -> str:
    """Return the dataset in STAGE@DATASET or STAGE@DATASET-MODEL (its name has no hyphen), "" if there is none."""
    return stage.partition("@")[2].partition("-")[0]


def rerun(stages: list[str], clone: Path) -> None:
    """Run the stages in the clone and show on stderr what they print. Raises UserError naming one that fails."""
    line = [sys.executable, "-m", "dvc", "repro", "--no-run-cache", "--no-commit", *stages]
    running = "before the first stage"
    with subprocess.Popen(
        line, cwd=clone, env=environment(clone), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as dvc:
        assert dvc.stdout
        try:
            for printed in dvc.stdout:
                print(printed, end="", file=sys.stderr, flush=True)
                if began := re.match(r"Running stage '(.+)':", printed):
                    running = f"in stage {began[1]}"
        except KeyboardInterrupt:  # which DVC and the stage had as well; they must end before the clone goes
            try:
                dvc.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                dvc.kill()
            raise
    if dvc.returncode:
        raise UserError(f"the pipeline failed {running}, for the reason above, so that nothing can be said of dvc.lock")


def environment(clone: Path) -> dict[str, str]:
    """Return the user's settings, made good for the clone; MLflow's store is in there too: a check is no new result."""
    mirror = os.environ.get("DATASET_MIRROR") or (str(RAW) if RAW.is_dir() else "")
    return {
        **plain_environment(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "DATASET_MIRROR": mirror if "://" in mirror or not mirror else str(Path(mirror).absolute()),
        "MLFLOW_TRACKING_URI": f"sqlite:///{clone / 'mlflow.db'}",
        "PYTHONUNBUFFERED": "1",  # so that progress is shown when it is made, though we stand between
    }


def plain_environment() -> dict[str, str]:
    """Return the environment without what Git sets for a hook: in the clone it would mean the user's repository."""
    return {name: value for name, value in os.environ.items() if name not in hook_variables()}


@functools.cache
def hook_variables() -> list[str]:
    """Ask Git for the names of GIT_DIR and the like."""
    return subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True).stdout.split()


def git(*arguments: str, otherwise: str = "git: {reason}") -> str:
    """Return what a Git command prints. Raises UserError, saying `otherwise`, if it fails."""
    try:
        done = subprocess.run(["git", *arguments], env=plain_environment(), capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("only what is committed to Git can be verified, and Git is not installed here") from None
    if done.returncode:
        raise UserError(otherwise.replace("{reason}", done.stderr.strip().removeprefix("fatal: ")))
    return done.stdout.strip()


def cache() -> Path:
    """Return the folder of the checkout's DVC cache."""
    line = [sys.executable, "-m", "dvc", "cache", "dir"]
    return Path(subprocess.run(line, capture_output=True, text=True).stdout.strip() or ".dvc/cache")


if __name__ == "__main__":
    command(main)
