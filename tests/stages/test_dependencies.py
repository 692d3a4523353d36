"""DVC knows of each stage's code all that decides its bytes, and nothing else: dvc.yaml is held against the imports."""

import ast
import shutil
from pathlib import Path

import pytest

from samebits.base import source
from samebits.base.yaml import read_yaml
from tests.conftest import ROOT, fullmatch

# What decides no byte of an output, and so may change without a stage being run again.
APART = {
    "stages": "how long idle threads wait",
    "samebits.base.threads": "the same",
    "samebits.base.dvc": "calling DVC from within a stage, to put old outputs back",
    "samebits.base.command_line": "the command line, how errors are told",
    "samebits.base.interruption": "how a process ends that is told to",
    "samebits.base.last_good": "putting old outputs back where a stage fails",
    "samebits.base.alone": "who may run",
    "samebits.base.runner": "who waits for it",
    "samebits.base.address": "how an address is told",
    "samebits.base.errors": "the class of those errors",
    "samebits.tracking": "what MLflow is told",
    "samebits.tracking.best_effort": "publishing to MLflow, after the outputs are written",
    "samebits.seeds.training": "which seeds are in the store, and who trains the others: each ends in the same bits",
    "samebits.learning.device": "where it is computed, which changes no bit",
}
DATA = {
    "samebits/report/page.py": "samebits/report/templates",
    "samebits/inference/server.py": "samebits/inference/site",
}


def needed(module, here=ROOT):
    """Files of the project, and folders of data, that decide what `python -m module` writes."""
    files = [file for file in source.files(module, APART, here) if not is_docstring(file)]
    paths = {file.relative_to(here).as_posix() for file in files}
    return paths | {DATA[path] for path in paths & set(DATA)}


def is_docstring(file):
    """Whether a module has nothing else in it."""
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
               for node in ast.parse(file.read_text()).body)  # fmt: skip


def faults(stage, here=ROOT):
    """What a stage of dvc.yaml lacks among its deps, and what it has without need."""
    module = fullmatch(r"python -m (\S+).*", stage["cmd"])[1]
    code, paths = needed(module, here), [dep for dep in stage["deps"] if dep.startswith(source.PACKAGES)]
    missing = [path for path in code if not any(Path(path).is_relative_to(dep) for dep in paths)]
    idle = [dep for dep in paths if not set(files(dep, here)) <= code or dep not in code | folders(code)]
    return sorted(missing), sorted(idle)


def files(dep, here):
    """The modules in a dep that is a folder."""
    return [file.relative_to(here).as_posix() for file in (here / dep).rglob("*.py") if not is_docstring(file)]


def folders(paths):
    """All folders above files."""
    return {parent.as_posix() for path in paths for parent in Path(path).parents}


def pipeline():
    return read_yaml(ROOT / "dvc.yaml")["stages"]


@pytest.mark.parametrize("name", pipeline())
def test_the_deps_of_a_stage_are_its_code(name):
    assert faults(pipeline()[name]) == ([], [])


def test_every_file_that_is_no_module_is_somebodys_data():
    files = [file for file in (ROOT / "samebits").rglob("*") if file.is_file() and file.parent.name != "__pycache__"]
    found = {file.relative_to(ROOT).as_posix() for file in files if file.suffix not in (".py", ".typed")}
    assert {path for path in found if not any(Path(path).is_relative_to(folder) for folder in DATA.values())} == set()


def test_what_is_apart_exists():
    for module in APART:
        assert source.files(module), module


@pytest.mark.parametrize(
    ("stage", "dep"),
    [
        ("preprocess", "samebits/base/params.py"),
        ("preprocess", "samebits/datasets/catalog.py"),
        ("download", "samebits/base/files.py"),
        ("train-scratch", "samebits/base/params.py"),
        ("train-concise", "samebits/exact"),
        ("train-concise", "samebits/learning/float32.py"),  # imported by a string alone
        ("evaluate", "samebits/measures/metrics.py"),
        ("report", "samebits/report"),
    ],
)
def test_a_dep_that_is_missing_is_noticed(stage, dep):
    entry = pipeline()[stage]
    missing, idle = faults({**entry, "deps": [path for path in entry["deps"] if path != dep]})
    assert missing
    assert all(Path(path).is_relative_to(dep) for path in missing)
    assert idle == []


@pytest.mark.parametrize(
    "dep", ["samebits/learning", "samebits/learning/scratch.py", "stages/report.py", "stages/gone.py"]
)
def test_a_dep_without_need_is_noticed(dep):
    entry = pipeline()["train-concise"]
    assert faults({**entry, "deps": [*entry["deps"], dep]})[1] == [dep]


@pytest.mark.parametrize(
    "line", ["from samebits.report import helper", "from samebits.report.helper import x",
             "import samebits.report.helper",
             "importlib.import_module('samebits.report.helper')"]
)  # fmt: skip
def test_a_new_helper_is_noticed(line, tmp_path):
    for package in source.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "samebits/report/helper.py").write_text("x = 1\n")
    metrics = tmp_path / "samebits/measures/metrics.py"
    metrics.write_text(f"{metrics.read_text()}\n\ndef later():\n    {line}\n")
    assert faults(pipeline()["evaluate"], tmp_path) == (["samebits/report/helper.py"], [])
    assert faults(pipeline()["download"], tmp_path) == ([], [])
