"""kill -9 at random moments: of a repro and all that it started, of DVC alone, of a stage alone, of Dask's workers."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from samebits.seeds.codec import DamagedError, decode
from tests.conftest import run
from tests.faults.figures import Figures
from tests.made.dying import begin, ended, small_project

VICTIMS = ("everything", "everything", "DVC", "the stage")  # the first as often as the other two
PARAMS = {r"batch_size: \d+": "batch_size: 8", r"hidden: \[520.*?\]": "hidden: [64, 32]", r"epochs: \d+": "epochs: 12"}
STAGES = ("download@digits", "preprocess@digits", "train-scratch@digits", "train-concise@digits-concise",
          "train-concise@digits-mlp", "evaluate@digits", "report")  # fmt: skip
REPRO = (sys.executable, "-m", "samebits", "repro")


def kills(count: int) -> Figures:
    """Kill a repro so many times, in each stage in turn and now and then from nothing; then a plain repro must end in
    dvc.lock as committed.
    """
    figures, lost = Figures("kill -9, then make repro: dvc.lock as committed"), []
    with project() as folder:
        before = steps(folder)
        for i in range(count):
            target = "" if i % 8 == 7 else STAGES[i % 8]
            usual = put(folder, before[target])
            victim, workers = random.choice(VICTIMS), random.choice(["", "", "2"])
            moment = random.uniform(0.0, usual)
            at, epochs = killed(folder, [*REPRO, *filter(None, [target])], victim, moment, workers)
            lost.append(epochs)
            done = run(*REPRO, *filter(None, [target]), cwd=folder, check=False)
            place = f"{victim} after {moment:.1f} of {usual:.1f} s, {at}{', WORKERS=2' * bool(workers)}"
            figures.count(fault(folder, done, place))
            print(f"{i + 1} of {count}: {place}; {epochs:.2f} epochs lost", flush=True)
    figures.measured = f"work lost with a kill: {max(lost):.2f} epochs at most, {sum(lost) / len(lost):.2f} in the mean"
    return figures


def steps(folder: Path) -> dict[str, tuple[Path, float]]:
    """Run the pipeline from nothing; return by stage, and "" for all, what was there before, and how long it took."""
    clean(folder)
    found, places = {}, folder.parent / "before"
    for stage in STAGES:
        there = Path(shutil.copytree(folder, places / stage))
        started = time.monotonic()
        run(*REPRO, stage, cwd=folder)
        found[stage] = there, time.monotonic() - started
    return {**found, "": (found[STAGES[0]][0], sum(seconds for _, seconds in found.values()))}


def put(folder: Path, before: tuple[Path, float]) -> float:
    """Make the project what it was before a stage; return the seconds that this takes."""
    there, seconds = before
    for _ in range(100):  # a stage whose DVC was killed may still be tidying up
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)
    shutil.copytree(there, folder, dirs_exist_ok=True)
    return seconds


def fault(folder: Path, done: subprocess.CompletedProcess[str], place: str) -> str:
    """What is wrong after a repro that should have ended well, if anything."""
    if done.returncode or "Traceback" in done.stderr + done.stdout:
        return f"{place}: ended with {done.returncode}: {(done.stderr + done.stdout)[-600:]}"
    if changed := run("git", "status", "--porcelain", cwd=folder).stdout:
        return f"{place}: {changed}"
    return ""


@contextlib.contextmanager
def project() -> Iterator[Path]:
    """Give a committed project of digits whose epochs take long enough to be killed in, with its dvc.lock."""
    with tempfile.TemporaryDirectory(prefix="samebits-torture-") as scratch:
        yield small_project(Path(scratch) / "project", PARAMS)


def clean(folder: Path) -> None:
    """Leave what is committed alone: no outputs, no cache, no store, no processes."""
    run("git", "clean", "-ffdxq", cwd=folder)
    run("git", "checkout", "--quiet", ".", cwd=folder)


def killed(folder: Path, line: list[str], victim: str, moment: float, workers: str) -> tuple[str, float]:
    """Start a repro and kill it, or a part of it, at a moment; return where it was and how many epochs it lost."""
    settings = {"TQDM_MININTERVAL": "0", "PYTHONUNBUFFERED": "1", **({"WORKERS": workers} if workers else {})}
    process = begin(*line[1:], cwd=folder, **settings)
    try:
        text = process.communicate(timeout=moment)[0]
    except subprocess.TimeoutExpired:
        for pid in chosen(process.pid, victim):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        text = ended(process, 120)
    return stage(text), lost_epochs(folder, text)


def chosen(session: int, victim: str) -> list[int]:
    """The processes of a session that are to die."""
    lines = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == session:
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    if victim == "everything":
        return list(lines)
    part = "-m dvc" if victim == "DVC" else "-m stages."
    return [pid for pid, line in lines.items() if part in line]


def stage(text: str) -> str:
    """The stage that was running, by what was printed."""
    began = re.findall(r"Running stage '(.+?)'", text)
    return f"in {began[-1]}" if began else "before any stage"


def lost_epochs(folder: Path, text: str) -> float:
    """By how many epochs the store is behind what the last training's bar had told, for each seed of it."""
    last = text.rpartition("Running stage 'train")[2]
    told = re.findall(r"digits (\w+): +\d+%\|.*?\| (\d+)/(\d+) \[.*?seeds=(\d+)", last)
    if not told or told[-1][1] == told[-1][2]:
        return 0.0
    run_name, done, _, together = told[-1]
    kept = 0
    for entry in (folder / ".dvc/seeds").rglob("*.seed"):
        with contextlib.suppress(DamagedError):
            [standing], about = decode(entry.read_bytes())
            kept += standing.epoch * (about["name"] == f"digits {run_name}")
    return max(0, int(done) - kept) / int(together)
