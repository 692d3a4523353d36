"""`samebits repro` after every way to die: real DVC, real kills."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import zc.lockfile

from samebits.base import rwlock
from samebits.base.dvc import RWLOCK
from tests.conftest import dvc, fullmatch, run
from tests.made.dying import begin, ended, outputs, small_project, stage_of, wait_for, wait_until_said


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_project(tmp_path_factory.mktemp("repro") / "samebits")


@pytest.fixture
def project(made):
    """The checkout with everything up to date, in Git and in DVC's cache."""
    run("git", "checkout", "--quiet", "--force", ".", cwd=made)
    dvc("checkout", "--force", cwd=made)
    return made


def repro(folder, *options, check=True):
    return run(sys.executable, "-m", "samebits", "repro", *options, cwd=folder, check=check)


def set_epochs(folder, epochs):
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 1\n", f"epochs: {epochs}\n", 1))


def begin_training(project, command):
    """`COMMAND repro` in a stage that does not end, whose old outputs are gone."""
    set_epochs(project, 100_000)
    process = begin("-m", command, "repro", "train-scratch@digits", cwd=project, SEED_STORE="off")
    wait_for(lambda: stage_of(project) and not (project / "models/digits/scratch/history.csv").exists())
    return process


def test_nothing_to_do_is_nothing_to_say(project):
    done = repro(project)
    assert "Data and pipelines are up to date." in done.stdout
    assert done.stderr == ""
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""


def test_stages_options_and_the_exit_code_are_dvcs(project):
    done = repro(project, "--", "--dry", "--force", "--single-item", "preprocess@digits")
    assert "python -m stages.preprocess digits" in done.stdout
    assert repro(project, "no_stage", check=False).returncode == 255
    assert repro(project, "--", "--no-option", check=False).returncode == 254


def up_to_size(text, *marks):
    """The beginning of dvc.lock up to the end of the first line with a size after all of `marks`: valid YAML."""
    at = 0
    for mark in (*marks, b"size: ", b"\n"):
        at = text.index(mark, at)
    return text[: at + 1]


@pytest.mark.parametrize(
    "cut",
    [lambda text: b"", lambda text: text[:8], lambda text: text[: len(text) // 2], lambda text: text[:-1],
     lambda text: text[: text.index(b"outs:") + 6], lambda text: b"\0" * len(text),
     lambda text: text[: text.index(b"md5: ", text.index(b"outs:")) + 12] + b"\n",
     lambda text: up_to_size(text, b"  evaluate@", b"deps:"), lambda text: up_to_size(text, b"  evaluate@", b"outs:")],
    ids=["empty", "schema", "half", "last byte", "outs", "zeros", "a hash", "after a dependency", "after an output"],
)  # fmt: skip
def test_a_cut_dvc_lock_is_made_anew(project, cut):
    lock = project / "dvc.lock"
    before, kept = lock.read_bytes(), outputs(project)
    lock.write_bytes(cut(before))
    check = run(sys.executable, "-m", "samebits", "check", cwd=project, check=False)
    assert check.returncode == 1
    assert check.stderr.startswith("error: dvc.lock is empty, cut or otherwise not as DVC writes it: `samebits repro`")
    done = repro(project)
    assert "note: dvc.lock was empty or cut" in done.stderr
    assert "Running stage" not in done.stdout
    assert lock.read_bytes() == before
    assert outputs(project) == kept


@pytest.mark.parametrize("committed", [True, False], ids=["an older one in Git", "none in Git"])
def test_what_ran_since_the_commit_comes_from_the_run_cache(project, committed):
    lock, commit = project / "dvc.lock", run("git", "rev-parse", "HEAD", cwd=project).stdout.strip()
    try:
        if not committed:
            run("git", "rm", "--quiet", "--cached", "dvc.lock", cwd=project)
            run("git", "commit", "--quiet", "--message", "without", cwd=project)
        set_epochs(project, 2)
        repro(project)
        before, kept = lock.read_bytes(), outputs(project)
        lock.write_bytes(b"")
        done = repro(project)
        assert "Running stage" not in done.stdout
        assert lock.read_bytes() == before
        assert outputs(project) == kept
    finally:
        run("git", "reset", "--quiet", "--hard", commit, cwd=project)


def test_dvc_killed_while_it_writes_dvc_lock(project):
    """It stops after it opened the file for writing, and before it writes anything."""
    before = (project / "dvc.lock").read_bytes()
    killed = (
        "import os, signal; from dvc.utils.serialize import _yaml; from dvc.cli import main\n"
        "dump, die = _yaml._dump, lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "_yaml._dump = lambda data, file: die() if file.name.endswith('dvc.lock') else dump(data, file)\n"
        "main(['repro'])"
    )
    set_epochs(project, 3)
    assert run(sys.executable, "-c", killed, cwd=project, check=False).returncode == -signal.SIGKILL
    assert (project / "dvc.lock").read_bytes() == b""
    assert dvc("repro", cwd=project, check=False).returncode != 0
    run("git", "checkout", "--quiet", "params.yaml", cwd=project)
    repro(project)
    assert (project / "dvc.lock").read_bytes() == before


def test_an_older_dvc_lock_that_ends_with_an_entry_is_whole(project):
    """As `git checkout HEAD~1 dvc.lock` gives it where a stage came last."""
    lock = project / "dvc.lock"
    text = lock.read_bytes()
    lock.write_bytes(text[: text.rindex(b"\n  report:\n") + 1])
    assert run(sys.executable, "-m", "samebits", "check", cwd=project).stderr == ""


def test_dvc_killed_while_it_writes_who_uses_which_file(project):
    before = outputs(project)
    killed = (
        "import os, signal; from dvc import rwlock; from dvc.cli import main\n"
        "rwlock.json.dump = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(['repro'])"
    )
    assert run(sys.executable, "-c", killed, cwd=project, check=False).returncode == -signal.SIGKILL
    assert (project / ".dvc/tmp/rwlock").read_bytes() == b""
    assert "RWLock-file" in dvc("repro", cwd=project, check=False).stderr
    done = repro(project)
    assert done.stderr.startswith("note: .dvc/tmp/rwlock was cut, as a DVC that is killed leaves it: ")
    assert "up to date" in done.stdout
    assert outputs(project) == before


def test_a_list_that_dvc_is_writing_is_left_to_it(tmp_path, monkeypatch):
    """Empty for a moment, while DVC holds the lock of it."""
    monkeypatch.chdir(tmp_path)
    RWLOCK.parent.mkdir(parents=True)
    RWLOCK.touch()
    with closing(zc.lockfile.LockFile(str(rwlock.GUARD))):
        rwlock.mend()
        assert RWLOCK.exists()
    rwlock.mend()
    assert not RWLOCK.exists()


def test_a_conflict_of_gits_is_left_to_people(project):
    lock = project / "dvc.lock"
    text = "<<<<<<< HEAD\n" + lock.read_text() + "=======\nschema: '2.0'\n>>>>>>> other\n"
    lock.write_text(text)
    for command in ("repro", "check"):
        done = run(sys.executable, "-m", "samebits", command, cwd=project, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("error: dvc.lock")
        assert "restores it" not in done.stderr
        assert "Traceback" not in done.stderr
    assert lock.read_text() == text


def test_outputs_of_a_killed_stage_come_back_first(project):
    before = outputs(project)
    process = begin_training(project, "samebits")
    os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    assert outputs(project) != before
    run("git", "checkout", "--quiet", "params.yaml", cwd=project)
    done = repro(project, "--", "--dry")
    assert "and 2 more outputs were missing and came back from DVC's cache\n" in done.stderr
    assert outputs(project) == before
    assert "up to date" in repro(project).stdout


def test_scratch_files_of_the_killed_count_for_nothing_and_go(project):
    """Beside outputs and in folders that are one; those that are whole, and what others write, stay."""
    before = outputs(project)
    files = "models/digits/scratch/.model.safetensors.0f.part", "reports/.index.html.0f.part"
    left = [project / path for path in (*files, "data/raw/digits/.x.0f.part", "data/raw/.digits.0f.part/x")]
    other = project / "data/.downloads/digits/x.gz.part"  # with which a transfer goes on
    for path in (*left, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("cut")
    assert "up to date" in dvc("status", cwd=project).stdout
    assert "Running stage" not in repro(project).stdout
    assert [path for path in left if path.exists()] == []
    assert not (project / "data/raw/.digits.0f.part").exists()
    assert other.exists()
    assert outputs(project) == before


def test_sigterm_to_the_command_alone_ends_all_of_it(project):
    before = outputs(project)
    process = begin_training(project, "samebits")
    process.terminate()
    said = ended(process)
    assert process.returncode == 143
    assert not stage_of(project)
    assert "Traceback" not in said
    assert outputs(project) == before


def test_dvc_killed_alone_and_a_repro_at_once(project):
    """The orphan is waited for: it puts its outputs back, and then all is up to date."""
    before = outputs(project)
    process = begin_training(project, "dvc")
    process.kill()
    process.wait()
    run("git", "checkout", "--quiet", "params.yaml", cwd=project)
    assert "up to date" in repro(project).stdout
    ended(process)
    assert outputs(project) == before


def test_a_second_repro_is_refused_in_a_sentence(project):
    set_epochs(project, 100_000)
    process = begin("-m", "samebits", "repro", "train-scratch@digits", cwd=project, SEED_STORE="off")
    try:
        wait_until_said(process, "Running stage")
        second = repro(project, check=False)
        gate = run(sys.executable, "-m", "samebits", "gate", "--repro", cwd=project, check=False)
    finally:
        process.terminate()
        ended(process)
    for refused in (second, gate):
        said = rf"error: the pipeline here is in use by process {process.pid} on \S+: wait until it ends, or end it\n"
        fullmatch(said, refused.stderr)
        assert (refused.returncode, refused.stdout) == (1, "")


@contextmanager
def disk(folder):
    """A file system of its own in the place of `folder`, with the same content; gives a function that sets its room."""
    aside = folder.rename(folder.with_name("aside"))
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0

    def leave(kilobytes):
        there = os.statvfs(folder)
        used = (there.f_blocks - there.f_bfree) * there.f_bsize // 1024
        assert mount("-o", f"remount,size={used + kilobytes}k")

    try:
        if not mount("-t", "tmpfs", "-o", "size=90m", "tmpfs"):
            pytest.skip("this machine does not let us mount a disk")
        try:
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            yield leave
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    finally:
        folder.rmdir()
        aside.rename(folder)


def kept(folder, path):
    """Where DVC's cache keeps an output."""
    md5 = hashlib.md5((folder / path).read_bytes()).hexdigest()
    return folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_a_disk_that_is_full_while_dvc_fills_its_cache(project):
    with disk(project / ".dvc/cache") as leave:
        for file in (project / "reports").rglob("*"):
            if file.is_file():
                kept(project, file).unlink(missing_ok=True)
        leave(kilobytes=100)
        assert dvc("repro", "report", cwd=project, check=False).returncode == 0, "DVC sees no error"
        refused = repro(project, check=False)
        assert refused.returncode == 1
        said = r"error: DVC's cache, \S+, could not keep \d+ files, the first of reports: make room there, then .*"
        fullmatch(said, refused.stderr.splitlines()[-1])
        leave(kilobytes=20_000)
        repro(project)
        shutil.rmtree(project / "reports")
        dvc("checkout", "report", cwd=project)


def test_a_cut_file_in_the_cache_is_noticed_and_made_again(project):
    """As a machine leaves it that loses power."""
    file = kept(project, "models/digits/mlp/model.safetensors")
    whole = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(whole[:1000])
    file.chmod(0o444)
    refused = repro(project, check=False)
    assert refused.returncode == 1
    assert "could not keep 1 file, the first of models/digits/mlp/model.safetensors: " in refused.stderr
    repro(project)
    assert file.read_bytes() == whole


def test_a_fresh_clone_misses_nothing(project, tmp_path):
    run("git", "clone", "--quiet", str(project), str(tmp_path / "clone"), cwd=project)
    done = repro(tmp_path / "clone", "--", "--single-item", "download@digits")
    assert "missing" not in done.stderr


@pytest.mark.parametrize("command", ["samebits", "dvc"])
def test_a_python_that_is_not_on_the_path_is_found(project, command):
    """Before DVC has removed the outputs of a stage, which `python` is to make."""
    program = str(Path(sys.executable).parent / command)
    options = ["--", "--force", "--single-item"] if command == "samebits" else ["--force", "--single-item"]
    line = [program, "repro", *options, "preprocess@digits"]
    done = subprocess.run(line, cwd=project, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "digits: 1437 train" in done.stdout


@pytest.mark.parametrize("command", ["samebits", "dvc"])
def test_a_user_without_a_name(project, command):
    """As `docker run --user 12345` has it."""
    container = ["unshare", "--user", "--map-user=12345", "env", "--ignore-environment", "HOME=/"]
    if subprocess.run([*container, "/bin/true"], capture_output=True).returncode:
        pytest.skip("no user can be made here whom the system has no name for")
    program = str(Path(sys.executable).parent / command)
    done = subprocess.run(
        [*container, "PATH=/usr/bin:/bin", program, "repro"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
