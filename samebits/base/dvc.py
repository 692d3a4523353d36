"""DVC as a command of this very Python, in a process of its own: importing it costs seconds."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def line(*arguments: str) -> list[str]:
    """Return the command line of a DVC command."""
    return [sys.executable, "-m", "dvc", *arguments]


def cache() -> Path:
    """Return the folder of the checkout's DVC cache."""
    done = subprocess.run(line("cache", "dir"), capture_output=True, text=True, check=False)
    return Path(done.stdout.strip() or ".dvc/cache")


def with_this_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` in which the stages' `python` is this one, and tell progress as it is made."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}
