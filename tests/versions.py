"""tests/exact and a short training on the oldest torch that pyproject.toml allows, on 2.11 and on the locked one.

`make versions` runs it. Beside the oldest torch go the oldest numpy, scipy, pytest ... allowed, beside the others the
locked ones. The virtual environments stay in .versions, set up with uv where it is installed, else with pip. TORCH=cpu
has uv take the small CPU builds of torch; otherwise each brings its CUDA libraries along, some GB.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".versions"
BETWEEN = "2.11.0"  # the last that leaves some results of torch._int_mm unwritten
BESIDE = ("numpy", "pytest", "safetensors", "scipy")  # what the tests and the code under them import, torch apart
SMALL = os.environ.get("TORCH") == "cpu"


class Missing(Exception):  # noqa: N818
    """A version that cannot be had here."""


class Row(NamedTuple):
    """What came out on one version, as the table has it."""

    torch: str
    numpy: str
    passed: int
    failed: int
    skipped: int
    digest: str


def oldest() -> dict[str, str]:
    """The oldest version of each package that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]["pipeline"]
    allowed = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]
    return dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(allowed), re.MULTILINE))


def locked(name: str) -> list[str]:
    """What requirements.lock says of a package: several lines where its version depends on Python's."""
    return re.findall(rf"^({name}==.*?) *\\?$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def versions() -> dict[str, list[str]]:
    """Versions of torch, and for each what goes beside it."""
    floor, pins = oldest(), [pin for name in BESIDE for pin in locked(name)]
    newest = locked("torch")[0].removeprefix("torch==")
    return {newest: pins, BETWEEN: pins, floor["torch"]: [f"{name}=={floor[name]}" for name in BESIDE]}


def environment(torch: str, beside: list[str]) -> Path:
    """Return the Python that has these packages, set up unless it is whole. Raises Missing."""
    folder, packages = FOLDER / torch, [f"torch=={torch}", *beside]
    python, installed = folder / "bin" / "python", folder / "installed"
    content = "\n".join([sys.version, f"small: {SMALL}", *packages])
    if installed.exists() and installed.read_text() == content:
        return python
    print(f"setting up {folder.relative_to(ROOT)}: up to some GB to fetch and unpack, a few minutes", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    if shutil.which("uv"):
        pip = ["uv", "pip", "install", "--python", python, *(["--torch-backend", "cpu"] if SMALL else [])]
    done = subprocess.run([*pip, *packages], capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2].partition(": ")[2]  # after "ERROR" or "cause"
        reason = last or f"the installer ended with {done.returncode}"
        raise Missing(f"torch {torch} cannot be had for Python {sys.version.split()[0]} here: {reason}")
    installed.write_text(content)
    return python


def tried(python: Path) -> Row:
    """Run the tests, whose output goes to the console, and the training."""
    names = "import torch, numpy; print(torch.__version__, numpy.__version__)"
    torch, numpy = output(python, "-c", names)
    print(f"\ntorch {torch}, numpy {numpy}", flush=True)
    with TemporaryDirectory() as scratch:
        results = Path(scratch, "results.xml")
        run(python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", f"--junit-xml={results}", "tests/exact")
        passed, failed, skipped = counts(results)
    digest, *_ = output(python, "-m", "tests.made.small") or ["none"]
    return Row(torch, numpy, passed, failed, skipped, digest)


def counts(results: Path) -> tuple[int, int, int]:
    """Tests passed, failed and skipped; a run that broke off before it wrote its results is one failure."""
    if not results.exists():
        return 0, 1, 0
    suite = next(ElementTree.parse(results).iter("testsuite"))
    total, failures, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
    return total - failures - errors - skipped, failures + errors, skipped


def run(*command: str | Path, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in the project, with its code and no other on the import path."""
    env = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=env, text=True, stdout=stdout)


def output(*command: str | Path) -> list[str]:
    """The words that a command prints."""
    return run(*command, stdout=subprocess.PIPE).stdout.split()


def table(rows: list[Row]) -> str:
    """The rows under their names, in columns."""
    cells = [Row._fields, *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def main() -> None:
    """Set up all, run each, print the table."""
    try:
        pythons = [environment(torch, beside) for torch, beside in versions().items()]
    except Missing as error:
        sys.exit(f"error: {error}")
    rows = [tried(python) for python in pythons]
    print(f"\n{table(rows)}")
    if any(row.failed or not row.passed for row in rows):
        sys.exit("error: a test failed")
    if len({row.digest for row in rows}) > 1:
        sys.exit("error: the digests differ")


if __name__ == "__main__":
    main()
