"""Pythons with certain packages and nothing else, linked from this one: no network, no minutes."""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def closure(*names: str) -> Iterable[Distribution]:
    """The distributions that a resolver would install for `names`."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found[name] = distribution(name)
            needed = map(Requirement, found[name].requires or ())
            waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    return found.values()


def bare_python(venv: Path, *names: str) -> Path:
    """Make a Python in the new folder `venv` that has the distributions `names` and what they need; return it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    for dist in closure(*names):
        parts = (Path(file).parts for file in dist.files or ())
        for top in {first for first, *_ in parts if ".." not in first} - {"__pycache__"}:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(dist.locate_file(""))) / top)
    return venv / "bin/python"
