"""64-bit Arm in a folder, for qemu to run: Debian's Python, and the packages that the witness imports.

Nothing is installed on this machine: apt works in folders of its own, and what it downloads is only unpacked.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from packaging.requirements import Requirement

from samebits.base.errors import UserError
from samebits.base.source import ROOT

DEBIAN = ("python3", "libgomp1", "libstdc++6", "zlib1g", "libblas3")  # what torch and numpy are linked to
TORCH = ("torch==2.9.1", "torchvision==0.24.1")  # small, without CUDA; and so another version than the locked one
PROJECT = "samebits (pyproject.toml)"  # who asks for a package, as requirements.lock has it
# What the witness does without
WITHOUT = ("distributed", "dvc", "mlflow", "sqlalchemy", "numba", "llvmlite", "triton", "nvidia-", "cuda-")
TAGS = tuple(f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1))
LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True)
class Root:
    """The folder that stands for Arm's file system."""

    folder: Path

    @property
    def python(self) -> Path:
        """Debian's link to the one Python that it has."""
        return self.folder / "usr/bin/python3"

    @property
    def packages(self) -> Path:
        """The folder with what comes as wheels."""
        return self.folder / "packages"


def root(folder: Path) -> Root:
    """Return the root in `folder`, made anew unless it is there and made of the same. Raises UserError."""
    made_of = hashlib.sha256(repr((DEBIAN, TORCH)).encode() + LOCK.read_bytes()).hexdigest()
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        stamp = folder / "made_of"
        if not stamp.exists() or stamp.read_text() != made_of:
            print("setting up 64-bit Arm: 230 MB to fetch, a minute or two", file=sys.stderr, flush=True)
            fresh = Root(Path(scratch, "root"))
            unpack_debian(Path(scratch, "apt"), fresh)
            unpack_wheels(Path(scratch, "pins"), fresh)
            (fresh.folder / stamp.name).write_text(made_of)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.folder.replace(folder)
    return Root(folder)


def unpack_debian(apt: Path, root: Root) -> None:
    """Download the packages of DEBIAN and all that they depend on, and unpack them."""
    archives, status = apt / "cache/archives", apt / "status"
    for place in (apt / "state/lists", archives):
        (place / "partial").mkdir(parents=True)
    status.touch()  # nothing is installed yet, so everything is needed
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Update::Error-Mode": "any",  # or a missing network would be a missing package
        "Acquire::Languages": "none",
        "Dir::State": apt / "state",
        "Dir::State::status": status,
        "Dir::Cache": apt / "cache",
    }
    get = ["apt-get", *(f"--option={name}={value}" for name, value in settings.items())]
    call(*get, "update")
    call(*get, "install", "--yes", "--download-only", *DEBIAN)
    for package in sorted(archives.glob("*.deb")):
        call("dpkg", "-x", str(package), str(root.folder))
    if not (root.folder / "lib").exists():  # newer Debians have all in /usr, and leave the link to a package of its own
        (root.folder / "lib").symlink_to("usr/lib")


def unpack_wheels(pins: Path, root: Root) -> None:
    """Download the wheels for the root's Python and unpack them: torch, and what is locked, held to its hashes."""
    version = root.python.readlink().name.removeprefix("python")
    pins.write_text("\n".join(locked(version)))
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary=:all:", f"--python-version={version}"]
    pip += [*(f"--platform={tag}" for tag in TAGS), f"--target={root.packages}"]
    call(*pip, "--require-hashes", f"--requirement={pins}")
    call(*pip, *TORCH)


def locked(version: str) -> list[str]:
    """Return the entries of requirements.lock that the witness needs on Arm, torch apart; `version` is Python's."""
    target = {"platform_machine": "aarch64", "python_version": version, "python_full_version": f"{version}.0"}
    entries: dict[str, str] = {}
    asked_by: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\w)", LOCK.read_text(encoding="utf-8").strip()):
        first, _, hashes = entry.partition("\n")
        wanted = Requirement(first.removesuffix(" \\"))
        if not wanted.name.startswith(WITHOUT) and (wanted.marker is None or wanted.marker.evaluate(target)):
            entries[wanted.name] = f"{wanted.name}{wanted.specifier} \\\n{hashes}"
            asked_by[wanted.name] = set(re.findall(r"^    # +(?:via )?(.+)$", hashes, re.MULTILINE))
    needed = {PROJECT}
    while more := {name for name in entries if asked_by[name] & needed} - needed:
        needed |= more
    return [entry for name, entry in entries.items() if name in needed and not name.startswith("torch")]


def call(*command: str) -> None:
    """Run a command in silence. Raises UserError with its first complaint if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            f"64-bit Arm cannot be set up: it is made with Debian's {command[0]}, which is missing"
        ) from None
    if done.returncode:
        complaints = re.findall(r"^(?:E|ERROR): *(.+)", done.stderr, re.MULTILINE)  # apt's and pip's
        reason = complaints[0] if complaints else done.stderr.strip() or f"{command[0]} ended with {done.returncode}"
        raise UserError(f"64-bit Arm cannot be set up, which takes the network: {reason}")
