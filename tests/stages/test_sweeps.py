"""A sweep is DVC's own queue; the seed store is shared by all of its cells, and makes one that comes again free."""

import re
import time

import pytest

from tests.conftest import dvc, run
from tests.made.dying import small_project

STORE = "sqlite:///.dvc/tmp/swept.db"  # relative: DVC deletes the copies in which it runs the cells


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A committed project of digits, quick to train, whose pipeline has run."""
    folder = tmp_path_factory.mktemp("sweep") / "samebits"
    return small_project(folder, {r"epochs: \d+": "epochs: 2", r"hidden: \[520.*?\]": "hidden: [16]"})


def swept(folder, *changes):
    """Queue experiments, run them two at a time, and return what each printed."""
    options = [text for change in changes for text in ("-S", change)]
    dvc("exp", "run", "--queue", *options, cwd=folder)
    names = re.findall(r"(\S+) +\S+ \S+ +Queued", dvc("queue", "status", cwd=folder).stdout)
    dvc("queue", "start", "--jobs", "2", cwd=folder, MLFLOW_TRACKING_URI=STORE)
    until = time.monotonic() + 240
    while re.search("Queued|Running", status := dvc("queue", "status", cwd=folder).stdout):
        assert time.monotonic() < until, status
        time.sleep(1)
    assert "Failed" not in status, status
    return {name: dvc("queue", "logs", name, cwd=folder).stdout for name in names}


def test_a_sweep_its_publishing_and_its_clean_up(project):
    printed = swept(project, "scratch.lr=0.05,0.2", "scratch.seeds=12")
    assert len(printed) == 2
    assert all("Running stage 'train-scratch@digits'" in text for text in printed.values())
    shown = dvc("exp", "show", "--csv", cwd=project).stdout
    assert {"0.05", "0.2"} <= {cell for line in shown.splitlines() for cell in line.split(",")}
    published = run("samebits", "publish", "--all-experiments", cwd=project, MLFLOW_TRACKING_URI=STORE).stdout
    assert published.count("experiment ") == 2
    assert published.count("digits scratch: already there\n") == 2, "each cell has published into the project"
    empty = "sqlite:///.dvc/tmp/empty.db"  # out of DVC's cache, then, to which all is a link
    published = run("samebits", "publish", "--all-experiments", cwd=project, MLFLOW_TRACKING_URI=empty).stdout
    assert published.count("digits scratch: published\n") == 2
    published = run("samebits", "publish", "--rev", "HEAD", cwd=project, MLFLOW_TRACKING_URI=empty).stdout
    assert published.startswith("digits scratch: published\n")

    dvc("queue", "remove", "--all", cwd=project)
    dvc("exp", "remove", "--all-commits", cwd=project)
    assert "No experiment tasks" in dvc("queue", "status", cwd=project).stdout
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""


def test_a_cell_that_another_machine_has_trained_is_free(project, tmp_path):
    """Another clone has another cache of DVC's, but the same store."""
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", str(project), str(clone), cwd=tmp_path)
    done = dvc("repro", "train-scratch@digits", cwd=clone, SEED_STORE=str(project / ".dvc/seeds"))
    assert "digits scratch: the seed store has 10 of 10 seeds, 0 to train" in done.stdout
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
