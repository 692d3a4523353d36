"""claims.yaml: what dvc.lock claims beside params.yaml, so that it is claimed and costs no `make repro` a minute."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from samebits.base import params, paths
from samebits.base.errors import UserError
from samebits.base.params import Params
from samebits.base.yaml import read_yaml

FILE = Path("claims.yaml")


def read(project: Path = Path()) -> dict[str, dict[str, Any]]:
    """Return by dataset what params.yaml says of it in place of what is there; nothing where there is no such file.

    Of a dataset that params.yaml names it says itself what is claimed. Raises UserError for what is no such thing.
    """
    file = project / FILE
    values = read_yaml(file) if file.exists() else {}
    if not isinstance(values, dict) or not all(isinstance(keys, dict | None) for keys in values.values()):
        raise UserError(f"{FILE} should hold datasets, and for each the keys of params.yaml that are other for it")
    found = {str(dataset): dict(keys or {}) for dataset, keys in values.items()}
    for dataset, keys in found.items():
        if "datasets" in keys:
            raise UserError(f"{FILE}: {dataset}.datasets is not for here: what is said is of {dataset} alone")
    here = read_yaml(project / paths.PARAMS)
    named = here.get("datasets") if isinstance(here, dict) else None
    return {dataset: keys for dataset, keys in found.items() if not isinstance(named, list) or dataset not in named}


def groups(datasets: Iterable[str], project: Path = Path()) -> list[tuple[list[str], dict[str, Any]]]:
    """Return the datasets that one params.yaml can be of, each group with the keys that are other in it."""
    overlays = read(project)
    asked = list(dict.fromkeys(datasets))
    alike = [dataset for dataset in asked if not overlays.get(dataset)]
    others = [([dataset], {"datasets": [dataset], **overlays[dataset]}) for dataset in asked if overlays.get(dataset)]
    return [*([(alike, {"datasets": alike})] if alike else []), *others]


def load(dataset: str) -> Params:
    """Return the parameters of which dvc.lock claims results of a dataset. Raises UserError."""
    return params.checked(merged(dataset), f"{paths.PARAMS} with {FILE}" if read().get(dataset) else paths.PARAMS)


def merged(dataset: str) -> dict[str, Any]:
    """Return what params.yaml says with what claims.yaml says of a dataset."""
    values = read_yaml(paths.PARAMS)
    if not isinstance(values, dict) or not (keys := read().get(dataset)):
        return values  # type: ignore[no-any-return]  # `checked` says what is wrong with it
    return merge(values, keys)


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys with others in place of some, at any depth."""
    both = {key: merge(values[key], new) if isinstance(new, dict) and isinstance(values.get(key), dict) else new
            for key, new in changes.items()}  # fmt: skip
    return {**values, **both}
