"""Disks that are full at a random point of a repro: a sentence, and when there is room again, dvc.lock as committed."""

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import run
from tests.faults.figures import Figures
from tests.faults.kills import REPRO, clean, fault, project


def disks(count: int) -> Figures:
    """Run so many repros on a disk that is too small, then on one that is not."""
    figures = Figures("a full disk, then make repro: dvc.lock as committed")
    with project() as folder, tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        mount = ["mount", "-t", "tmpfs", "-o", "size=1G", "samebits-torture", str(place)]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            figures.measured = "not tried: mounting a small disk needs root"
            return figures
        try:
            copy = place / "project"
            run("git", "clone", "--quiet", str(folder), str(copy), cwd=folder)
            run(*REPRO, cwd=copy)
            needed = sum(path.stat().st_blocks for path in copy.rglob("*") if path.is_file()) // 2
            clean(copy)
            used = sum(path.stat().st_blocks for path in copy.rglob("*") if path.is_file()) // 2
            sentences = 0
            for i in range(count):
                size = random.randint(used, needed)
                resize(place, f"{size}k")
                done = run(*REPRO, cwd=copy, check=False, TMPDIR="/tmp")
                said = done.stdout + done.stderr
                wrong = f"{size} KB: a traceback: {said[-400:]}" if "Traceback" in said else ""
                sentences += bool(done.returncode)
                resize(place, "1G")
                again = run(*REPRO, cwd=copy, check=False)
                figures.count(wrong or fault(copy, again, f"{size} KB"))
                print(f"{i + 1} of {count}: {size} KB of {needed}", flush=True)
                clean(copy)
            figures.measured = f"{sentences} of them ended with an error"
        finally:
            with contextlib.suppress(OSError):
                subprocess.run(["umount", "--lazy", str(place)], check=False)
    return figures


def resize(place: Path, size: str) -> None:
    """Give the disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


if __name__ == "__main__":
    sys.exit(disks(3).wrong != [])
