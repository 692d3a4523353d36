"""The house: which room may import which, and that nothing imports a stage or a command (docs/architecture.md)."""

import ast
import graphlib
import shutil
from pathlib import Path

import pytest

from samebits.base import source
from tests.conftest import ROOT

# From the ground up: a room imports those before it.
ROOMS = (
    "samebits.exact",
    "samebits.base",
    "samebits.datasets",
    "samebits.learning",
    "samebits.seeds",
    "samebits.measures",
    "samebits.outcome",
    "samebits.report",
    "samebits.inference",
    "samebits.gate",
    "samebits.claims",
    "samebits.tracking",
)
STAGES = {"__init__", "download", "preprocess", "train_scratch", "train_concise", "train_network", "evaluate", "report"}
TOPS = ("stages", "samebits.commands", "samebits.__main__")  # stand on all rooms; nothing stands on them
DOOR = ("samebits.__main__", "samebits.commands.line")  # the command line itself, which loads a command by its name


def modules(here):
    """Name -> file of every module."""
    files = [file for package in ("samebits", "stages") for file in sorted((here / package).rglob("*.py"))]
    return {".".join(file.relative_to(here).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def arrows(here):
    """(importer, imported) of all modules of the project, but for a package that a module is itself in."""
    known = modules(here)
    found = set()
    for name, file in known.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for target in source.imported(ast.parse(file.read_bytes()), package):
            if target in known and not f"{name}.".startswith(f"{target}."):
                found.add((name, target))
    return found


def room(name, rooms):
    """The one of `rooms` that a module is in, or None."""
    return next((r for r in rooms if name == r or name.startswith(f"{r}.")), None)


def faults(here):
    """Every module outside the rooms, every import that the house does not allow, and every ring."""
    places = {name: room(name, (*ROOMS, *TOPS)) for name in modules(here) if name != "samebits"}
    found = [f"{name} is in no room" for name, place in places.items() if place is None]
    graph: dict[str, set[str]] = {}
    for importer, target in sorted(arrows(here)):
        graph.setdefault(importer, set()).add(target)
        above, below = places.get(importer), places.get(target)
        if below in TOPS and target != below and (importer, target) != DOOR:
            found.append(f"{importer} imports {target}, which nothing may stand on")
        elif above in ROOMS and below in ROOMS and ROOMS.index(below) > ROOMS.index(above):
            found.append(f"{importer} imports upward, {target}")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as ring:
        found.append(f"a ring: {' -> '.join(ring.args[1])}")
    return found


def test_every_arrow_points_the_same_way():
    assert len(arrows(ROOT)) > 200
    assert faults(ROOT) == []


def test_the_rooms_are_those_of_the_text():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `samebits.")]
    assert tuple(listed) == ROOMS


def test_stages_holds_the_seven_stages():
    assert {path.stem for path in (ROOT / "stages").iterdir() if path.name != "__pycache__"} == STAGES


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("samebits/base/files.py", "from samebits.datasets import idx", "samebits.base.files imports upward"),
        ("samebits/exact/grid.py", "from ..base import errors", "samebits.exact.grid imports upward"),
        ("samebits/learning/load.py", "import samebits.report.page", "samebits.learning.load imports upward"),
        ("samebits/gate/judge.py", "def f():\n    from samebits.tracking import store", "imports upward"),
        ("samebits/exact/guard.py", "from .grid import snap", "a ring: "),
        ("samebits/claims/copies.py", "from samebits.commands import demo", "which nothing may stand on"),
        ("samebits/commands/claims.py", "from samebits.commands import demo", "which nothing may stand on"),
        ("samebits/commands/claims.py", "from samebits.commands.demo import main", "which nothing may stand on"),
        ("samebits/inference/choose.py", "from stages import evaluate", "which nothing may stand on"),
        ("stages/report.py", "from stages.evaluate import evaluate", "which nothing may stand on"),
        ("samebits/helpers.py", "from samebits.base import files", "is in no room"),
    ],
)
def test_an_arrow_that_is_planted_is_found(file, line, said, tmp_path):
    for package in ("samebits", "stages"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    path = Path(tmp_path, file)
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")
    assert [fault for fault in faults(tmp_path) if said in fault]
