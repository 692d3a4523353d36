"""Where results come from: what dvc.lock recorded about them, and which commit is checked out."""

import functools
import subprocess
from pathlib import Path

from stages.schema import read_yaml


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


def git_tags() -> dict[str, str]:
    """Return commit and branch under MLflow's names, and git_dirty; nothing outside a repository.

    Dirty is any difference from the commit but that of dvc.lock, which records results and chooses none.
    """
    commit = _git("rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    return {
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "git_dirty": "true" if _git("status", "--porcelain", "--", ".", ":(exclude)dvc.lock") else "false",
    }


def _git(*question: str) -> str:
    try:
        return subprocess.run(["git", *question], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # there is no git here
        return ""
