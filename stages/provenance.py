"""Where results come from: what dvc.lock recorded about them, and which commit is checked out."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.command import UserError
from stages.files import sha256
from stages.schema import read_yaml

NO_CAUSE = (":(exclude)dvc.lock", ":(exclude)reference")  # they record results and choose none
# refs/exps/BA/SELINE.../NAME; whatever else is under refs/exps is DVC's own affair
EXPERIMENT = r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/[^/]+$"


def changed_since(*folders: str) -> str | None:
    """Return what differs from dvc.lock's account of how the contents of `folders` were made, if anything does.

    That is a parameter with another value in params.yaml, or a dependency that was made anew since. What is made
    by hand, not by DVC, is not in dvc.lock and counts as unchanged.
    """
    if not Path("dvc.lock").exists():
        return None
    stages, now = read_yaml(Path("dvc.lock"))["stages"].values(), read_yaml(Path("params.yaml"))
    hashes = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
    for stage in stages:
        if any(Path(out["path"]).is_relative_to(folder) for out in stage.get("outs", ()) for folder in folders):
            for key, value in stage.get("params", {}).get("params.yaml", {}).items():
                if value != functools.reduce(lambda tree, name: tree.get(name, {}), key.split("."), now):
                    return f"{key} in params.yaml"
            for dep in stage.get("deps", ()):
                if dep["md5"] != hashes.get(dep["path"], dep["md5"]):
                    return str(dep["path"])
    return None


@contextmanager
def checked_out(rev: str) -> Iterator[Path]:
    """Give a temporary clone at `rev`, with the outputs that its dvc.lock names as far as DVC's cache has them.

    Raises UserError if there is no such commit, or no dvc.lock in it.
    """
    from stages import verify

    commit = verify.git("rev-parse", "--verify", f"{rev}^{{commit}}", otherwise=f"there is no commit '{rev}' here")
    cache = verify.cache().absolute()
    with tempfile.TemporaryDirectory(prefix="samebits-", ignore_cleanup_errors=True) as folder:
        clone = Path(folder, "clone")
        # Sharing its objects, for a commit of DVC's experiments is on no branch that a clone would bring.
        verify.git(
            "clone", "--quiet", "--shared", "--no-checkout", verify.git("rev-parse", "--show-toplevel"), str(clone)
        )
        verify.git("-C", str(clone), "checkout", "--quiet", "--detach", commit)
        place = clone / verify.git("rev-parse", "--show-prefix")
        if not (place / "dvc.lock").exists():
            raise UserError(f"there is no dvc.lock at {rev}, so nothing was finished there")
        settings = f"[core]\n    no_scm = true\n    site_cache_dir = {folder}/site\n"
        settings += f"[cache]\n    dir = {cache}\n    type = symlink\n"
        (place / ".dvc" / "config.local").write_text(settings)
        dvc = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--force"]  # what the cache lacks is not there then
        subprocess.run(dvc, cwd=place, env=verify.plain_environment(), capture_output=True, check=False)
        if Path("logs").is_dir():
            shutil.copytree("logs", place / "logs")  # of trainings; each knows by a hash which model it is of
        yield place


def experiments() -> dict[str, str]:
    """Return name -> commit of all of DVC's experiments."""
    refs = (
        line.split(" ") for line in _git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").split("\n")
    )
    return {ref[1].split("/")[4]: ref[0] for ref in refs if len(ref) == 2 and re.match(EXPERIMENT, ref[1])}


def lock_tags() -> dict[str, str]:
    """Return the hash of dvc.lock and the name of DVC's experiment, as far as there are such."""
    lock, experiment = Path("dvc.lock"), os.environ.get("DVC_EXP_NAME")
    return {
        **({"dvc_lock_sha256": sha256(lock)} if lock.exists() else {}),
        **({"dvc_experiment": experiment} if experiment else {}),
    }


def git_tags() -> dict[str, str]:
    """Return commit and branch under MLflow's names, and git_dirty; nothing outside a repository.

    Dirty is any difference from the commit but one in dvc.lock or reference/.
    """
    commit = _git("rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    return {
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "git_dirty": "true" if _git("status", "--porcelain", "--", ".", *NO_CAUSE) else "false",
    }


def _git(*question: str) -> str:
    try:
        return subprocess.run(["git", *question], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # there is no git here
        return ""
