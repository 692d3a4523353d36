"""Two dvc.locks held against each other: which outputs differ, in which file of them, and what may have caused it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base import dvc
from samebits.base.files import read_json, sha256
from samebits.claims.contents import describe

Lock = Mapping[str, Any]  # entries by stage
Identity = tuple[str, int | None]  # MD5 and, where known, size in bytes


@dataclass(frozen=True)
class Difference:
    """An output that came out otherwise: its entries in dvc.lock, as recorded and as made here, None for absent."""

    stage: str
    path: str
    recorded: Mapping[str, Any] | None
    here: Mapping[str, Any] | None


def outputs(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the outputs of one stage by path."""
    return {out["path"]: out for out in entry.get("outs", ())}


def between(recorded: Lock, fresh: Lock) -> Iterator[Difference]:
    """Yield each output of the stages in `fresh` with another hash or size in `recorded`, in the order of `fresh`."""
    for stage, entry in fresh.items():
        old, new = outputs(recorded[stage]), outputs(entry)
        for path in _tensors_first({*old, *new}):
            if _identity(old.get(path)) != _identity(new.get(path)):
                yield Difference(stage, path, old.get(path), new.get(path))


def origins_that_differ(recorded: Lock, fresh: Lock) -> list[str]:
    """Name commands, parameters and files of the stages in `fresh` that `recorded` was made with others of.

    What the pipeline makes itself does not count: it is a consequence.
    """
    made = {Path(path) for entry in fresh.values() for path in outputs(entry)}
    pairs = [pair for stage in fresh for pair in _origins(fresh[stage]).items() ^ _origins(recorded[stage]).items()]
    return sorted({name for name, _ in pairs if not is_made(Path(name), made)})


def explain(difference: Difference, recorded: Path, here: Path, cache: Path) -> str:
    """Return the file that differs and how.

    The files made here are under `here`, those that dvc.lock names in DVC's `cache` or under `recorded`; where the
    right one is in neither, it can be said only that the hashes differ.
    """
    path, before, after = Path(difference.path), difference.recorded, difference.here
    if before is None or after is None:
        return f"{path}, which is an output {'in dvc.lock' if before else 'here'} only"
    old, new = _identity(before), _identity(after)
    if old[0].endswith(".dir"):
        listing = cache / dvc.address(old[0])
        if not listing.exists():
            return _unknown(path, old, new)
        files = {entry["relpath"]: entry["md5"] for entry in read_json(listing)}, dvc.contents(here / path)
        names = [name for name in _tensors_first({*files[0], *files[1]}) if files[0].get(name) != files[1].get(name)]
        if not names:
            return _hashes(path, old, new)
        path /= names[0]
        if names[0] not in files[0] or names[0] not in files[1]:
            return f"{path}, which is {'in dvc.lock' if names[0] in files[0] else 'here'} only"
        old, new = (files[0][names[0]], None), (files[1][names[0]], None)
    places = [recorded / path, cache / dvc.address(old[0])]
    file = next((place for place in places if place.is_file() and dvc.md5(place) == old[0]), None)
    if file is None:
        return _unknown(path, old, new)
    how = describe(file, here / path, path.suffix)
    return f"{path}: {how}" if how else _hashes(path, old, new)


def _tensors_first(paths: Iterable[str]) -> list[str]:
    """A model's tensors before what follows from them, and last a chain of hashes, which tell least; else by name."""
    return sorted(paths, key=lambda path: (not path.endswith(".safetensors"), path.endswith("chain.csv"), path))


def _identity(out: Mapping[str, Any] | None) -> Identity:
    return (out["md5"], out.get("size")) if out else ("", None)


def _hashes(path: Path, old: Identity, new: Identity) -> str:
    texts = [md5 if size is None else f"{md5} ({size:,} bytes)" for md5, size in (old, new)]
    return f"{path}: MD5 {texts[0]} in dvc.lock, {texts[1]} here"


def _unknown(path: Path, old: Identity, new: Identity) -> str:
    return f"{_hashes(path, old, new)}; the file that dvc.lock names is not here, `dvc pull` or `make repro` tells more"


def _origins(entry: Mapping[str, Any]) -> dict[str, str]:
    params = entry.get("params", {}).items()
    return {
        f"the command `{entry['cmd']}`": "",
        **{dep["path"]: dep["md5"] for dep in entry.get("deps", ())},
        **{f"{key} in {file}": repr(value) for file, values in params for key, value in values.items()},
    }


def is_made(dependency: Path, outs: set[Path]) -> bool:
    """Whether the pipeline makes it: it is an output, lies in one or holds some."""
    return any(dependency.is_relative_to(out) or out.is_relative_to(dependency) for out in outs)


def code(deps: Iterable[Path], outs: set[Path], project: Path = Path()) -> dict[str, str]:
    """Return the SHA-256 of each file of code, by its path in `project`: of what stages depend on and none makes."""
    roots = [dep for dep in sorted(deps, key=str) if not is_made(dep, outs)]
    files = [file for root in roots for file in dvc.files_of(project / root)]
    return {file.relative_to(project).as_posix(): sha256(file) for file in files}
