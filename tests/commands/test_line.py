"""The command line itself: what it lists, what it loads, and where it may be called."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from samebits.commands import line
from tests.conftest import ROOT, environment, run

NAMES = ("check", "declare", "predict", "serve", "gate", "reference", "verify", "claims", "publish", "promote", "ui",
         "machines", "demo", "store", "repro", "page", "sign", "audit", "ledger")  # fmt: skip


def samebits(*arguments, cwd=ROOT, **changes):
    own = environment(PYTHONPATH=str(ROOT), COLUMNS="80", **changes)
    return subprocess.run(
        [sys.executable, "-m", "samebits", *arguments], cwd=cwd, env=own, capture_output=True, text=True
    )


def test_help_lists_every_command_in_groups_and_fits_80_columns():
    said = samebits("--help").stdout
    assert all(f"│ {name} " in said for name in NAMES)
    assert all(f"─ {group} ─" in said for group in line.GROUPS)
    assert max(map(len, said.splitlines())) <= 80
    assert sorted(NAMES) == sorted(name for names in line.GROUPS.values() for name in names)


def test_every_module_of_the_room_is_a_command():
    modules = {path.stem for path in (ROOT / "samebits/commands").glob("*.py")}
    assert modules - {"__init__", "line"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_says_what_it_does(name):
    """In one process with the others: the list's sentence is the command's own."""
    command = line._loaded(name)
    assert command.help.startswith(line._summary(name).split("\n")[0])
    assert len(line._summary(name)) > 20
    for parameter in command.params:
        assert getattr(parameter, "help", None) or parameter.name == "help", f"{name}: {parameter.name} says nothing"


def test_a_list_loads_nothing_heavy():
    code = "import sys; sys.argv[1:] = ['--help']\ntry:\n    from samebits.__main__ import main; main()\n"
    code += "except SystemExit:\n    print({'torch', 'mlflow', 'pandas', 'dvc'} & set(sys.modules))"
    assert run(sys.executable, "-c", code, cwd=ROOT).stdout.endswith("set()\n")


@pytest.mark.parametrize("package", ["ruamel.yaml", "numpy", "pydantic", "PIL", "safetensors", "mlflow", "typer"])
def test_a_package_that_is_missing_is_a_sentence_whenever_it_is_loaded(package):
    """mlflow is not loaded before the command runs."""
    code = "import sys\nclass Missing:\n def find_spec(self, name, *_):\n"
    code += f"  if name == {package!r}: raise ModuleNotFoundError(name=name)\nsys.meta_path.insert(0, Missing())\n"
    code += "sys.argv[1:] = ['predict', 'mnist', 'x.png', '--model', 'models:/samebits-mnist@champion']\n"
    code += "from samebits.__main__ import main; main()"
    done = run(sys.executable, "-c", code, cwd=ROOT, check=False)
    said = f"error: {package} is not installed: the commands need `pip install 'samebits[pipeline]'`\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_no_command_lists_them_and_an_unknown_one_is_named():
    assert "─ Guard results ─" in samebits().stdout
    done = samebits("frobnicate")
    assert done.returncode == 2
    assert "No such command 'frobnicate'" in done.stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name not in line.ANYWHERE])
def test_outside_a_project_it_is_a_sentence(name, tmp_path):
    arguments = {"declare": ["x", "x.csv"], "audit": ["x", "mlp"]}.get(name, [])
    done = samebits(name, *arguments, cwd=tmp_path)
    said = f"error: {tmp_path} holds no dvc.yaml: run this from the root of a samebits project\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert not list(tmp_path.iterdir())


def test_below_the_root_it_says_where_that_is():
    done = samebits("gate", cwd=ROOT / "samebits/gate")
    said = f"error: {ROOT}/samebits/gate holds no dvc.yaml: run this from the root of the project, ../..\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_its_version_is_that_of_the_checkout():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = samebits("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"samebits {version}\n", "")


@pytest.mark.parametrize("arguments", [["gate", "mnits"], ["reference", "mnits"], ["predict", "mnits", "x.png"],
                                       ["serve", "mnits"], ["promote", "mnits"], ["publish", "mnits"]])  # fmt: skip
def test_an_unknown_dataset_is_a_sentence(arguments):
    done = samebits(*arguments)
    said = "error: unknown dataset 'mnits': the catalog has fashion_mnist, mnist, digits\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(("arguments", "name"), [
    (["predict", "", "x.png"], "dataset"), (["predict", "mnist", "x.png", ""], "image"), (["serve", ""], "dataset"),
    (["predict", "mnist", "x.png", "--run", ""], "--run"), (["predict", "mnist", "x.png", "--model="], "--model"),
    (["predict", "mnist", "x.png", "--csv", ""], "--csv"), (["declare", "wine", ""], "path"),
    (["gate", ""], "datasets"), (["gate", "--junit="], "--junit"), (["publish", "--rev", ""], "--rev"),
])  # fmt: skip
def test_an_empty_text_is_no_answer(arguments, name):
    done = samebits(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '{name}': it is empty" in done.stderr


def test_the_shell_completes_commands_and_their_options():
    def completed(*words):
        own = {"_SAMEBITS_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        return samebits(**own).stdout.split()

    assert completed("samebits", "p") == ["predict", "publish", "promote", "page"]
    assert completed("samebits", "gate", "--m") == ["--markdown"]


def test_make_serve_takes_one_dataset():
    done = run("make", "--dry-run", "serve", "DATASETS=digits mnist", cwd=ROOT, check=False, MAKEFLAGS="")
    assert done.returncode == 2
    assert 'make serve takes one dataset, not "digits mnist"' in done.stderr
    assert "samebits serve digits" in run("make", "--dry-run", "serve", "DATASETS=digits", cwd=ROOT).stdout


def test_the_kinds_of_machine_that_can_be_chosen_are_others_than_this_one():
    assert " this," not in " ".join(samebits("machines", "--help").stdout.split())


def test_make_lists_what_it_does():
    said = run("make", "--no-print-directory", "help", cwd=ROOT, MAKEFLAGS="").stdout.splitlines()
    assert max(map(len, said)) <= 80
    listed = {row.split()[1] for row in said}
    phony = next(row for row in Path(ROOT, "Makefile").read_text().splitlines() if row.startswith(".PHONY"))
    assert listed == set(phony.split()[1:]) - {"venv", "command", "install"}


def test_make_never_clears_the_packages_of_another_checkout(tmp_path):
    """They are kept though .venv is a link to them and they are not those of requirements.lock."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/kept").touch()
    (tmp_path / "mine").mkdir()
    for name in ("Makefile", "requirements.lock"):
        (tmp_path / "mine" / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "mine/.venv").symlink_to("../theirs")
    done = run("make", "venv", "PYTHON=false", cwd=tmp_path / "mine", check=False, MAKEFLAGS="")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: .venv is a link to ../theirs, which has other packages than requirements.lock:"
    )
    assert (tmp_path / "theirs/kept").exists()
