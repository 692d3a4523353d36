"""The kinds of machine: this one, x86-64 processors that qemu emulates on it, and 64-bit Arm."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from samebits.base.command_line import note
from samebits.base.errors import UserError
from samebits.base.source import ROOT
from samebits.claims.machines import arm

HERE, ARM = "this", "arm64"
EMULATED = ("Nehalem", "Haswell", "Skylake-Client", "EPYC")  # or any other that qemu knows: -cpu help lists them
OTHERS = (*EMULATED, ARM)
ALL = (HERE, *OTHERS)
TOGETHER = 2  # kinds that run at a time, with one thread each
# Settings that choose instructions, which an emulated processor may lack
CHOOSERS = ("OPENBLAS_", "MKL_", "ATEN_", "ONEDNN_", "DNNL_", "NPY_")


@dataclass(frozen=True)
class Kind:
    """A kind of machine: how its Python is started, and where its packages are if they are not this Python's."""

    name: str
    python: tuple[str, ...]
    packages: Path | None = None


@dataclass(frozen=True)
class Witness:
    """What a kind of machine computed: see witness.py."""

    kind: str
    torch: str
    cpu: str
    exact: dict[str, str]
    refused: str  # why it went no further, if it did not
    float32: str
    seconds: float
    machine: dict[str, str] = field(default_factory=dict)  # see description.py


def find(name: str) -> Kind:
    """Return the kind of that name, ready to run. Raises UserError saying why it cannot be run here."""
    if name == HERE:
        return Kind(name, (sys.executable,))
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise UserError(
            f"{name} is emulated on x86-64 Linux alone, and this is {platform.system()} on {platform.machine()}: "
            f"`samebits machines --kind {HERE}` holds this machine against the committed hashes"
        )
    if name == ARM:
        emulator = find_emulator("qemu-aarch64-static")
        root = arm.root(ROOT / ".machines" / ARM)
        # -S, or it would look for packages in this machine's own Debian too
        return Kind(name, (emulator, "-L", str(root.folder), str(root.python), "-S"), root.packages)
    python = (find_emulator("qemu-x86_64-static"), "-cpu", name, sys.executable)
    tried = subprocess.run([*python, "--version"], capture_output=True, text=True)
    if tried.returncode:
        reason = tried.stderr.strip().removeprefix("qemu-x86_64-static: ")
        raise UserError(f"--kind {name}: {reason}; `qemu-x86_64-static -cpu help` lists what it knows")
    return Kind(name, python)


def find_emulator(name: str) -> str:
    """Return the path of an emulator. Raises UserError if it is missing."""
    path = shutil.which(name)
    if path is None:
        raise UserError(f"{name} is missing: on Debian and Ubuntu `apt-get install qemu-user-static` brings it")
    return path


def ask(kind: Kind) -> Witness:
    """Run witness.py on a kind of machine. Raises UserError with the last line that it said if it fails."""
    began = time.perf_counter()
    line = [*kind.python, "-m", "samebits.claims.machines.witness"]
    done = subprocess.run(line, cwd=ROOT, env=environment(kind), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or "nothing").rpartition("\n")[2]
        raise UserError(f"{kind.name} ended with exit code {done.returncode} and said last: {said}")
    return Witness(kind.name, **json.loads(done.stdout), seconds=time.perf_counter() - began)


def ask_all(chosen: list[Kind]) -> tuple[list[Witness], list[str]]:
    """Ask the kinds, some at a time, and tell of each when it has answered. Also returns why others did not."""
    found, failures = {}, []
    with ThreadPoolExecutor(TOGETHER) as pool:
        asked = {pool.submit(ask, kind): kind.name for kind in chosen}
        try:
            for answer in as_completed(asked):
                try:
                    witness = found[asked[answer]] = answer.result()
                    note(f"{witness.kind} took {witness.seconds:.0f} s")
                except UserError as error:
                    failures.append(f"NOT run: {error}")
                    note(str(error))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return [found[kind.name] for kind in chosen if kind.name in found], failures


def environment(kind: Kind) -> dict[str, str]:
    """Return the environment of a kind: nothing in it chooses its instructions or its device."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOOSERS)}
    path = os.pathsep.join(str(folder) for folder in (ROOT, kind.packages) if folder)
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "DEVICE": "cpu", "SEED_STORE": "off"}
