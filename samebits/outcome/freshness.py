"""Whether outputs are still those of what is here: of params.yaml, and of what they were made from."""

import functools
from pathlib import Path
from typing import Any

from samebits.base import lockfile, paths
from samebits.base.yaml import read_yaml
from samebits.outcome.reader import StaleError, evaluate_stage


def require_fresh(dataset: str, run: str) -> None:
    """Raise StaleError if params.yaml or the data changed since the model of `run` was made.

    DVC knows that itself before it runs a stage; this is for whoever reads the outputs at another time.
    """
    if changed := changed_since(paths.processed(dataset), paths.model(dataset, run).parent):
        raise StaleError(changed, f"has changed since {dataset} {run} was trained", evaluate_stage(dataset))


def changed_since(*outputs: Path, now: Any = None) -> str | None:
    """Return what differs from dvc.lock's account of how `outputs`, or what is in them, were made, if anything does.

    That is a parameter with another value in params.yaml, or a dependency that was made anew since. What is made
    by hand, not by DVC, is not in dvc.lock and counts as unchanged. `now` is what params.yaml is taken to hold, if not
    what it holds. Raises UserError if dvc.lock cannot be read.
    """
    stages = lockfile.read().values()
    if not stages:
        return None
    now = read_yaml(paths.PARAMS) if now is None else now
    hashes = {out.path: out.md5 for stage in stages for out in stage.outs}
    for stage in stages:
        if any(Path(out.path).is_relative_to(path) for out in stage.outs for path in outputs):
            for key, value in stage.params.get("params.yaml", {}).items():
                if value != functools.reduce(lambda tree, name: tree.get(name, {}), key.split("."), now):
                    return f"{key} in params.yaml"
            for dep in stage.deps:
                if dep.md5 != hashes.get(dep.path, dep.md5):
                    return dep.path
    return None
