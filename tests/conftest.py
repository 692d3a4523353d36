"""What every test starts from: one thread each, since pytest runs two of them at a time."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts its background jobs deaf to Ctrl-C, and so would be every process that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup is deaf to that
ROOT = Path(__file__).parent.parent


def make_checkout(folder: Path) -> Path:
    """Copy the project's files as they are now to `folder`, a Git repository of its own, and set it to `digits`."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    params = (folder / "params.yaml").read_text().splitlines(keepends=True)
    params = ["datasets: [digits]\n" if line.startswith("datasets:") else line for line in params]
    (folder / "params.yaml").write_text("".join(params))
    run("git", "init", "--quiet", cwd=folder)
    run("git", "config", "user.name", "Test", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    run("git", "add", ".", cwd=folder)
    run("git", "commit", "--quiet", "--message", "start", cwd=folder)
    return folder


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with the project's Python first and no settings left over from outside."""
    own = {k: v for k, v in os.environ.items() if k not in ("DATASET_MIRROR", "DEVICE", "MLFLOW_TRACKING_URI")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    return {**own, "PATH": path, "OMP_NUM_THREADS": "1", **changes}


def run(*command: str, cwd: Path, check: bool = True, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command; unless told otherwise, its failure fails the test and shows what it printed."""
    result = subprocess.run(command, cwd=cwd, env=environment(**changes), capture_output=True, text=True)
    if check and result.returncode:
        pytest.fail(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
    return result


def dvc(*arguments: str, cwd: Path, check: bool = True, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command."""
    return run(sys.executable, "-m", "dvc", *arguments, cwd=cwd, check=check, **changes)


def fullmatch(pattern: str, text: str) -> re.Match[str]:
    """The match of a whole text, which must be one."""
    match = re.fullmatch(pattern, text)
    assert match is not None, f"{text!r} is not {pattern!r}"
    return match
