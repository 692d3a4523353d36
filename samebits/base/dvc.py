"""DVC as a command of this very Python, in a process of its own: importing it costs seconds."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RWLOCK = Path(".dvc/tmp/rwlock")  # the list of which process reads and writes which file


def line(*arguments: str) -> list[str]:
    """Return the command line of a DVC command."""
    return [sys.executable, "-m", "dvc", *arguments]


def cache() -> Path:
    """Return the folder of the checkout's DVC cache."""
    done = subprocess.run(line("cache", "dir"), capture_output=True, text=True, check=False)
    return Path(done.stdout.strip() or ".dvc/cache")


def address(md5: str) -> str:
    """Return where DVC's cache keeps what has this hash."""
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def md5(path: Path) -> str:
    """Return the hash by which DVC knows a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return the files that DVC sees in an output or a dependency: itself, or what a folder holds, by name."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    files = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in files if not _ignored(file))


def _ignored(file: Path) -> bool:
    """Whether .dvcignore has it."""
    return "__pycache__" in file.parts or (file.name.startswith(".") and file.suffix == ".part")


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of each file in a folder, by its name there."""
    return {file.relative_to(folder).as_posix(): md5(file) for file in files_of(folder)}


def md5_of(path: Path) -> str:
    """Return the hash by which DVC knows an output, "" of one that is missing; a folder's is of a list of its files."""
    if not path.is_dir():
        return md5(path) if path.is_file() else ""
    names = sorted(contents(path).items())
    listed = json.dumps([{"md5": digest, "relpath": name} for name, digest in names], sort_keys=True)
    return f"{hashlib.md5(listed.encode()).hexdigest()}.dir"


def stages() -> list[str]:
    """Name the stages of dvc.yaml; none if DVC cannot read it, which `dvc repro` will tell."""
    return subprocess.run(
        line("stage", "list", "--name-only"), capture_output=True, text=True, check=False
    ).stdout.split()


def with_this_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` in which the stages' `python` is this one, and tell progress as it is made."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1"}
