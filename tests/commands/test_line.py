"""The command line itself: what it lists, what it loads, and where it may be called."""

import subprocess
import sys
from pathlib import Path

import pytest

from samebits.commands import line
from tests.conftest import ROOT, environment, run

NAMES = ("check", "declare", "predict", "serve", "gate", "reference", "verify", "claims", "publish", "promote", "ui",
         "machines", "demo")  # fmt: skip


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


def test_no_command_lists_them_and_an_unknown_one_is_named():
    assert "─ Guard results ─" in samebits().stdout
    done = samebits("frobnicate")
    assert done.returncode == 2
    assert "No such command 'frobnicate'" in done.stderr


@pytest.mark.parametrize("name", [name for name in NAMES if name not in line.ANYWHERE])
def test_outside_a_project_it_is_a_sentence(name, tmp_path):
    arguments = {"declare": ["x", "x.csv"]}.get(name, [])
    done = samebits(name, *arguments, cwd=tmp_path)
    said = f"error: {tmp_path} holds no dvc.yaml: run this from the root of a samebits project\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["gate", "mnits"], ["reference", "mnits"], ["predict", "mnits", "x.png"],
                                       ["serve", "mnits"], ["promote", "mnits"]])  # fmt: skip
def test_an_unknown_dataset_is_a_sentence(arguments):
    done = samebits(*arguments)
    said = "error: unknown dataset 'mnits': the catalog has fashion_mnist, mnist, digits\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_the_shell_completes_commands_and_their_options():
    def completed(*words):
        own = {"_SAMEBITS_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        return samebits(**own).stdout.split()

    assert completed("samebits", "p") == ["predict", "publish", "promote"]
    assert completed("samebits", "gate", "--m") == ["--markdown"]


def test_make_lists_what_it_does():
    said = run("make", "--no-print-directory", "help", cwd=ROOT, MAKEFLAGS="").stdout.splitlines()
    assert max(map(len, said)) <= 80
    listed = {row.split()[1] for row in said}
    phony = next(row for row in Path(ROOT, "Makefile").read_text().splitlines() if row.startswith(".PHONY"))
    assert listed == set(phony.split()[1:]) - {"venv", "command", "install"}
