"""The pipeline, run here by DVC: what an earlier death left is put in order first, DVC's cache is looked at last."""

import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from samebits.base import dvc, git, interruption, last_good, lockfile, outputs, paths, rwlock
from samebits.base.alone import alone
from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.base.yaml import read_yaml
from samebits.datasets import catalog
from samebits.learning.device import chosen
from samebits.seeds import workers

PATIENCE = 30  # seconds that DVC has to end after Ctrl-C; the stage that runs needs some to tidy up
LOCK = Path(".dvc/tmp/samebits.lock")
UNKEPT = ("--dry", "--no-commit")  # options of `dvc repro` after which its cache need not have the outputs


def require(datasets: Iterable[str]) -> None:
    """Raise UserError unless params.yaml is right and the catalog has all of `datasets`: before anything is touched."""
    load()
    known = catalog.load(paths.CATALOG)
    for dataset in datasets:
        known.entry(dataset)


def require_ready() -> None:
    """Raise UserError for all that can be known to be wrong before the pipeline runs here."""
    require(load().datasets)
    if "networks" not in read_yaml(paths.PARAMS):
        raise UserError(f"{paths.PARAMS}: networks is missing, which DVC wants said: `networks: []` for none")
    chosen()
    workers.wanted()
    git.require_repository("`dvc repro`")


@contextmanager
def in_order(*options: str) -> Iterator[None]:
    """Let `dvc repro OPTIONS` run here, alone, on a whole dvc.lock and with nothing missing that DVC's cache has.

    Raises UserError if another runs here, or if DVC's cache could not keep what came out.
    """
    with alone(LOCK, "the pipeline here"):
        last_good.wait(Path(), PATIENCE)
        outputs.tidy()
        rwlock.mend()
        lockfile.mend()
        outputs.put_back(load().datasets)
        yield
        if not set(options) & set(UNKEPT):
            outputs.require_kept(load().datasets)


@contextmanager
def running(*arguments: str, project: Path = Path(), **settings: Any) -> Iterator["subprocess.Popen[str]"]:
    """Give a DVC command that runs in `project`; told to end, this process ends it, and its stage, before itself.

    A terminal's Ctrl-C reaches all of them. SIGTERM and SIGHUP may be sent to this process alone: then DVC is ended,
    which its stage notices; that puts its old outputs back and ends as well.
    """
    with subprocess.Popen(dvc.line(*arguments), cwd=project, text=True, **settings) as process:

        def end(number: int, frame: FrameType | None) -> None:
            process.terminate()
            interruption.interrupt(number, frame)

        before = {number: signal.signal(number, end) for number in interruption.SIGNALS if number != signal.SIGINT}
        try:
            yield process
        except KeyboardInterrupt:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            last_good.wait(project, PATIENCE)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
