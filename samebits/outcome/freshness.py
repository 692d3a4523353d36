"""Whether outputs are still those of what is here: of params.yaml, and of what they were made from."""

import functools
from pathlib import Path
from typing import Any

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.yaml import read_yaml


def changed_since(*outputs: Path) -> str | None:
    """Return what differs from dvc.lock's account of how `outputs`, or what is in them, were made, if anything does.

    That is a parameter with another value in params.yaml, or a dependency that was made anew since. What is made
    by hand, not by DVC, is not in dvc.lock and counts as unchanged.
    """
    if not paths.LOCK.exists():
        return None
    stages, now = _locked().values(), read_yaml(paths.PARAMS)
    hashes = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
    for stage in stages:
        if any(Path(out["path"]).is_relative_to(path) for out in stage.get("outs", ()) for path in outputs):
            for key, value in stage.get("params", {}).get("params.yaml", {}).items():
                if value != functools.reduce(lambda tree, name: tree.get(name, {}), key.split("."), now):
                    return f"{key} in params.yaml"
            for dep in stage.get("deps", ()):
                if dep["md5"] != hashes.get(dep["path"], dep["md5"]):
                    return str(dep["path"])
    return None


def _locked() -> dict[str, Any]:
    """The entries of dvc.lock by stage. Raises UserError if it has none."""
    values = read_yaml(paths.LOCK)
    stages = values.get("stages") if isinstance(values, dict) else None
    if not isinstance(stages, dict):
        raise UserError(f"{paths.LOCK} has no entries as DVC writes them: `git restore {paths.LOCK}` brings them back")
    return stages
