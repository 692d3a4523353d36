"""The wheel, built from a copy of the project and installed where torch and numpy are, and nothing else."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, environment, make_checkout, run
from tests.made.venvs import bare_python

[EXAMPLE] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
PIPELINE = ("mlflow", "dvc", "pandas", "matplotlib", "pydantic", "typer")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    copy = make_checkout(tmp_path_factory.mktemp("source"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist"]
    run(sys.executable, "-m", "pip", "wheel", *options, ".", cwd=copy)
    [built] = (copy / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A Python with torch and numpy, into which the wheel was installed."""
    made = bare_python(tmp_path_factory.mktemp("venv") / "venv", "torch", "numpy")
    line = ["-m", "pip", "--python", str(made), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    run(sys.executable, *line, cwd=wheel.parent)
    return made


def ask(python, *arguments, cwd):
    """Run the Python with its own packages alone; return what came of it."""
    own = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
    return subprocess.run([python, *arguments], cwd=cwd, env=own, capture_output=True, text=True)


def test_the_readmes_example_ends_in_the_digest_that_stands_beside_it(python, tmp_path):
    [claimed] = re.findall(r"# ([0-9a-f]{64})$", EXAMPLE, re.MULTILINE)
    done = ask(python, "-c", EXAMPLE, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"{claimed}\n", "")
    assert run(sys.executable, "-c", EXAMPLE, cwd=ROOT).stdout == f"{claimed}\n"


def test_the_arithmetic_loads_nothing_of_the_pipeline():
    code = f"import sys, samebits.exact; print(set({PIPELINE}) & set(sys.modules), samebits.__file__)"
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout.startswith("set() ")


def test_it_is_the_installed_one(python, tmp_path):
    done = ask(python, "-c", "import samebits.exact; print(samebits.__file__)", cwd=tmp_path)
    assert str(python.parent.parent) in done.stdout


def test_without_the_pipelines_packages_the_command_is_a_sentence(python, tmp_path):
    done = ask(python.with_name("python"), "-m", "samebits", "gate", cwd=tmp_path)
    said = "error: typer is not installed: the commands need `pip install 'samebits[pipeline]'`\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    script = subprocess.run([python.with_name("samebits")], capture_output=True, text=True, cwd=tmp_path)
    assert (script.returncode, script.stderr) == (1, said)


def test_it_says_what_it_is_and_is_typed(python):
    [packages] = python.parent.parent.glob("lib/python*/site-packages")
    assert (packages / "samebits/py.typed").exists()
    [metadata] = packages.glob("samebits-*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    assert "License-Expression: MIT" in text
    assert (metadata.parent / "licenses/LICENSE").exists()
    needed = {line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Requires-Dist:")}
    assert {re.split("[<>= ]", line)[0] for line in needed if "extra ==" not in line} == {"torch", "numpy"}
    assert (packages / "samebits/report/templates/page.css").exists()
    assert (packages / "samebits/inference/site/page.html").exists()
