"""The paths that the code uses are the ones that dvc.yaml declares."""

import re

import pytest

from samebits.base import paths
from samebits.base.params import RUNS
from samebits.base.yaml import read_yaml
from tests.conftest import ROOT

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]


def declared(stage: str, **item: str) -> set[str]:
    """The outputs of a stage of the pipeline, for one cell of its matrix."""
    outs = [*STAGES[stage].get("outs", ()), *STAGES[stage].get("metrics", ())]
    return {re.sub(r"\$\{item\.(\w+)\}", lambda name: item[name[1]], out) for out in outs}


def named(*found: object) -> set[str]:
    return set(map(str, found))


def test_what_the_stages_write():
    assert declared("download", dataset="x") == named(paths.raw("x"))
    assert declared("preprocess", dataset="x") == named(paths.processed("x"))
    trained = (paths.model, paths.history, paths.chain)
    assert declared("train-scratch", dataset="x") == named(*(path("x", "scratch") for path in trained))
    for run in ("concise", "mlp"):
        assert declared("train-concise", dataset="x", run=run) == named(*(path("x", run) for path in trained))
    assert declared("train-network", dataset="x", run="a") == named(*(path("x", "a") for path in trained))
    each = (paths.metrics, paths.classes, paths.confusion, paths.predictions)
    once = (paths.comparison("x"), paths.calibration("x"), paths.shared_start("x"))
    of_runs = [path("x", run) for path in each for run in RUNS]
    assert declared("evaluate", dataset="x") == named(*once, *paths.of_networks("x"), *of_runs)
    assert {path("x", "a").parent for path in each} == set(paths.of_networks("x"))
    assert declared("report") == named(paths.REPORTS)


@pytest.mark.parametrize("path", [paths.PARAMS, paths.PIPELINE, paths.LOCK, paths.REQUIREMENTS, paths.CATALOG])
def test_what_the_project_holds(path):
    assert (ROOT / path).is_file()


def test_the_paths_are_named_nowhere_else():
    """Folders of outputs, in strings of the code: an output whose place moves must move everywhere."""
    folder = re.compile(r"[\"'](models/|metrics/|predictions/|reports/|logs/|data/)")
    files = [file for package in ("samebits", "stages") for file in (ROOT / package).rglob("*.py")]
    found = {file.relative_to(ROOT).as_posix() for file in files for line in file.read_text().splitlines()
             if folder.search(line) and '"""' not in line}  # fmt: skip
    assert found == {"samebits/base/paths.py"}
