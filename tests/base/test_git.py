"""What Git knows of the checkout, by the real Git."""

from pathlib import Path

import pytest

from samebits.base import git
from samebits.base.errors import UserError
from tests.conftest import run


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    Path("params.yaml").write_text("seeds: 1")
    Path("dvc.lock").write_text("stages: {}")


def test_a_checkout(tmp_path):
    assert git.checkout() is None
    run("git", "init", "--quiet", "--initial-branch", "trunk", cwd=tmp_path)
    assert git.checkout() is None, "there is no commit yet"
    run("git", "add", ".", cwd=tmp_path)
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    run("git", *name, "commit", "--quiet", "--message", "start", cwd=tmp_path)
    commit = run("git", "rev-parse", "HEAD", cwd=tmp_path).stdout.strip()
    clean = git.Checkout(commit, "trunk", dirty=False)
    assert git.checkout() == clean
    Path("dvc.lock").write_text("")
    assert git.checkout() == clean, "dvc.lock records results"
    Path("reference").mkdir()
    Path("reference/run.json").write_text("{}")
    assert git.checkout() == clean, "so does the gate's reference"
    Path("params.yaml").write_text("")
    assert git.checkout() == git.Checkout(commit, "trunk", dirty=True)


def test_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git.checkout() is None
    with pytest.raises(UserError, match=r"^Git is needed for this, and is not installed here$"):
        git.require_repository("`dvc repro`")


def test_outside_a_repository():
    with pytest.raises(UserError, match=r"^`dvc repro` needs Git \(not a git .*\): clone the project; `make demo`"):
        git.require_repository("`dvc repro`")
