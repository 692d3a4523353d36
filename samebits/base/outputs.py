"""The outputs that dvc.lock names, held against DVC's cache: what is missing is put back, what is not kept is told.

What writers that were killed left beside them counts for nothing (.dvcignore) and is removed.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from samebits.base import dvc, lockfile, paths
from samebits.base.errors import UserError
from samebits.base.lockfile import Output


def tidy() -> None:
    """Remove the scratch files of writers that were killed; no stage may run here."""
    for folder in (paths.RAW, paths.PROCESSED, paths.MODELS, paths.METRICS, paths.PREDICTIONS, paths.REPORTS):
        for left in list(folder.rglob(".*.part")):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with suppress(OSError):
                    left.unlink()


def put_back(datasets: Iterable[str]) -> None:
    """Bring back what is missing of the outputs of `datasets`, as far as DVC's cache has all of it, and say so.

    A stage that was killed could not: DVC removes its outputs before it starts it.
    """
    gone = {stage: [out for out in outs if not Path(out.path).exists()]
            for stage, outs in lockfile.outputs(datasets).items()}  # fmt: skip
    if not any(gone.values()):
        return
    cache, stages = dvc.cache(), dvc.stages()
    kept = [out.path for stage in stages for out in gone.get(stage, ()) if not any(_faults(out, cache))]
    if kept and subprocess.run(dvc.line("checkout", "--quiet", "--force", *kept), check=False).returncode == 0:
        what = f"{kept[0]} was" if len(kept) == 1 else f"{kept[0]} and {len(kept) - 1} more outputs were"
        print(f"note: {what} missing and came back from DVC's cache", file=sys.stderr, flush=True)


def require_kept(datasets: Iterable[str]) -> None:
    """Raise UserError unless DVC's cache has each output of `datasets` that is here: a full disk is no error to DVC."""
    cache = dvc.cache()
    here = [out for outs in lockfile.outputs(datasets).values() for out in outs if Path(out.path).exists()]
    faults = {file: out for out in here for file in _faults(out, cache)}
    for file in faults:
        file.unlink(missing_ok=True)  # of one that is cut DVC would believe that it is there
    if faults:
        raise UserError(
            f"DVC's cache, {cache}, could not keep {len(faults)} file{'s' if len(faults) > 1 else ''}, the first of "
            f"{next(iter(faults.values())).path}: make room there, then repeat this"
        )


def _faults(out: Output, cache: Path) -> Iterator[Path]:
    """The files that DVC's cache lacks of an output, or has cut."""
    kept = cache / dvc.address(out.md5)
    if not kept.is_file():
        yield kept
    elif out.md5.endswith(".dir"):
        yield from _faults_of_folder(out, kept, cache)
    elif kept.stat().st_size != out.size and dvc.md5(kept) != out.md5:
        yield kept


def _faults_of_folder(out: Output, listing: Path, cache: Path) -> Iterator[Path]:
    try:
        files = [cache / dvc.address(entry["md5"]) for entry in json.loads(listing.read_bytes())]
    except ValueError:
        yield listing
        return
    there = [file for file in files if file.is_file()]
    yield from set(files) - set(there)
    if len(there) == len(files) and sum(file.stat().st_size for file in files) != out.size:
        yield from (file for file in there if dvc.md5(file) != file.parent.name + file.name)
