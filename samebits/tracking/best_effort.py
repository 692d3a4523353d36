"""Publish to MLflow what is finished, as far as MLflow answers. It imports nothing, so that a stage loses no time."""

import os
import subprocess
import sys

LONGEST = 120  # seconds; a dead server ends it within 10


def publish(*datasets: str) -> None:
    """Publish in a process of its own: whatever goes wrong there is one line of warning here."""
    # Without DVC_STAGE, for this is not the stage: its failure must not put the stage's old outputs back.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    line = [sys.executable, "-m", "samebits", "publish", *datasets]
    try:
        done = subprocess.run(line, env=environment, stderr=subprocess.PIPE, text=True, timeout=LONGEST)
        problem = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"it took more than {LONGEST} s"
    except OSError as error:
        problem = str(error)
    if problem:
        reason = problem.removeprefix("error: ")
        print(f"warning: not published to MLflow: {reason}; `samebits publish` does it later", flush=True)
