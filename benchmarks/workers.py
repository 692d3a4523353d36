"""What workers bring: the network's seeds in this process, in two others, on a Dask cluster of three, and with one of
those killed. Run by hand: `python -m benchmarks.workers [SEEDS [EPOCHS]]`, after `dvc repro preprocess@mnist`.

Prints the seconds of paired rounds, their ratio to this process alone, and whether all ended in the same bits.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from samebits import exact
from samebits.base import paths
from samebits.base.params import load
from samebits.datasets.arrays import load_summary
from samebits.learning import device, fused
from samebits.learning.course import Course
from samebits.learning.run import course_of
from samebits.seeds.training import trained

ROUNDS, PORT = 3, 18786
ADDRESS = f"tcp://127.0.0.1:{PORT}"
SILENT = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main(seeds: int = 6, epochs: int = 3) -> None:
    """Measure all ways in turn, and print a table."""
    params = load()
    block = params.mlp.model_copy(update={"seeds": list(range(seeds)), "epochs": epochs})
    params, summary = params.model_copy(update={"mlp": block}), load_summary(paths.processed("mnist"))
    course = course_of("mlp", fused.build, params, summary, device.chosen())
    ways: dict[str, Callable[[], tuple[str, float]]] = {
        "in this process": partial(run, course, ""),
        "WORKERS=2": partial(run, course, "2"),
        "Dask, three workers": partial(on_cluster, course, killing=False),
        "Dask, one of three killed": partial(on_cluster, course, killing=True),
    }
    os.environ["SEED_STORE"] = "off"
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    digests = set()
    for _ in range(ROUNDS):
        for way, do in ways.items():
            digest, taken = do()
            digests.add(digest)
            seconds[way].append(taken)
    here = seconds["in this process"]
    for way, all_taken in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(all_taken, here, strict=True))
        print(f"{way:28} {statistics.median(all_taken):6.1f} s   {ratio:.2f} of one process")
    print(f"{seeds} seeds, {epochs} epochs, {ROUNDS} rounds: {len(digests)} digest")


def run(course: Course, workers: str) -> tuple[str, float]:
    """Train the course, and return a digest of what it ends in and its seconds."""
    os.environ["WORKERS"] = workers
    begun = time.perf_counter()
    ends = trained(course)
    taken = time.perf_counter() - begun
    return exact.digest({f"{end.seed}.{name}": x for end in ends for name, x in end.carried.items()}), taken


def on_cluster(course: Course, killing: bool) -> tuple[str, float]:
    """Train it on a cluster of three workers, one of which is perhaps killed after some seconds."""
    with (
        started("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(PORT)),
        contextlib.ExitStack() as all_,
    ):
        line = ("distributed.cli.dask_worker", ADDRESS, "--nthreads", "1", "--no-nanny")
        victim, *_ = [all_.enter_context(started(*line)) for _ in range(3)]
        time.sleep(8)  # to be there, as a cluster usually is
        if killing:
            threading.Timer(10, victim.kill).start()
        return run(course, ADDRESS)


@contextlib.contextmanager
def started(*line: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Dask's."""
    whole = [sys.executable, "-m", *line, "--no-dashboard"]
    with subprocess.Popen(whole, env={**os.environ, "OMP_NUM_THREADS": "1"}, **SILENT) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
