"""Workers of a Dask cluster killed at random moments, and others that come instead."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.conftest import run
from tests.faults.figures import Figures
from tests.faults.kills import clean, fault, project
from tests.made.processes import dask_scheduler, dask_worker, free_port, wait_for_port

STAGES = ("train-concise@digits-mlp", "train-scratch@digits")


def clusters(count: int) -> Figures:
    """Kill so many workers, of three, while they train; dvc.lock must be as committed."""
    figures = Figures("Dask workers killed: dvc.lock as committed")
    with project() as folder:
        address = f"tcp://127.0.0.1:{free_port()}"
        scheduler = dask_scheduler(address)
        workers = [dask_worker(address, cwd=folder) for _ in range(3)]
        try:
            wait_for_port(address)
            while figures.tries < count:
                clean(folder)
                run(sys.executable, "-m", "dvc", "repro", "preprocess@digits", cwd=folder)
                stop = threading.Event()
                killer = threading.Thread(target=kill_some, args=(workers, folder, address, stop))
                killer.start()
                line = [sys.executable, "-m", "dvc", "repro", *STAGES]
                done = run(*line, cwd=folder, check=False, WORKERS=address)
                stop.set()
                killer.join()
                figures.count(fault(folder, done, "a worker"))
                print(f"{figures.tries} of {count}: a worker of three was killed", flush=True)
        finally:
            for process in (*workers, scheduler):
                process.kill()
    return figures


def kill_some(workers: list[subprocess.Popen[bytes]], folder: Path, address: str, stop: threading.Event) -> None:
    """Kill a worker at a random moment, and start another a little later."""
    if stop.wait(random.uniform(1, 12)):
        return
    place = random.randrange(len(workers))
    workers[place].kill()
    workers[place].wait()
    time.sleep(random.uniform(0, 2))
    workers[place] = dask_worker(address, cwd=folder)
