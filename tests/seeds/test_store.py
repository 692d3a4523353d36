"""The store: what it keeps, what it throws away, and that nothing it does ever costs a training."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch

from samebits.base import paths
from samebits.base.params import load
from samebits.commands import store as command
from samebits.datasets.arrays import save
from samebits.learning.course import Standing
from samebits.learning.run import train
from samebits.learning.scratch import build
from samebits.seeds import key, looking, place
from samebits.seeds.codec import FORM, DamagedError, decode, encode
from samebits.seeds.store import Store
from samebits.seeds.training import trained
from tests.conftest import ROOT
from tests.learning.test_run import NONE
from tests.learning.test_training import images
from tests.seeds.test_resume import course


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Data of a dataset `x`; returns a way to train so many seeds of `scratch`, which tells the bytes that are left."""
    splits = {"train": images(300, 1), "validation": NONE, "test": images(100, 2)}
    defaults = load()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEED_STORE", raising=False)
    save(paths.processed("x"), "x", "X", list("abcdefghij"), splits)

    def run(seeds, **changes):
        block = defaults.scratch.model_copy(update={"seeds": seeds, "epochs": 3, "batch_size": 64} | changes)
        params = defaults.model_copy(update={"scratch": block, "arithmetic": changes.get("arithmetic", "exact")})
        train("x", "scratch", build, params, trained)
        return files()

    return run


def files():
    """The bytes of a training's outputs."""
    return tuple(path("x", "scratch").read_bytes() for path in (paths.model, paths.history, paths.chain))


def entries():
    return sorted(Path(".dvc/seeds").rglob("*.seed"))


def test_what_is_there_is_not_trained_again_and_the_files_are_those_of_a_training_at_once(project, capsys, monkeypatch):
    project([0, 1])
    assert len(entries()) == 2
    capsys.readouterr()
    merged = project([0, 7, 1, 2])
    said = capsys.readouterr()
    assert "x scratch: the seed store has 2 of 4 seeds, 2 to train" in said.out
    assert "seeds=2" in said.err
    monkeypatch.setenv("SEED_STORE", "off")
    assert project([0, 7, 1, 2]) == merged
    assert len(entries()) == 4


def test_every_cause_is_in_the_key(project):
    project([0])
    for changes in ({"lr": 0.2}, {"epochs": 2}, {"batch_size": 32}, {"momentum": 0.5}, {"init_std": None}):
        before = len(entries())
        project([0], **changes)
        assert len(entries()) == before + 1, changes
    before = len(entries())
    project([0], arithmetic="wide")
    assert len(entries()) == before + 1
    save(paths.processed("x"), "x", "X", list("abcdefghij"), {"train": images(300, 3), "validation": NONE,
                                                              "test": images(100, 2)})  # fmt: skip
    project([0])
    assert len(entries()) == before + 2


def test_other_code_is_another_key(tmp_path):
    for package in ("samebits", "stages"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    script = "from samebits.seeds.key import code; print(code('samebits.learning.fused'))"

    def asked():
        return subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True).stdout

    was = {asked()}
    for name, decides in [("exact/grid", 1), ("learning/training", 1), ("learning/fused", 1), ("datasets/split", 1),
                          ("exact/integers/kernels", 1), ("report/page", 0), ("base/errors", 0)]:  # fmt: skip
        with (tmp_path / f"samebits/{name}.py").open("a") as file:
            file.write("\n# changed\n")
        now = asked()
        assert (now not in was) == bool(decides), name
        was.add(now)


def test_float32_has_no_store(project):
    project([0], arithmetic="float32")
    assert not entries()


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "another", "course", "rows", "chain"])
def test_an_entry_that_is_damaged_or_anothers_is_thrown_away_with_a_line(project, capsys, damage):
    right = project([0, 1])
    one, other = entries()
    data = one.read_bytes()
    [standing], about = decode(data)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    short = replace(standing, rows=standing.rows[1:])
    torn = replace(standing, chain=standing.chain[1:])
    one.write_bytes({"cut": data[:-9], "bit": bytes(flipped), "empty": b"", "another": other.read_bytes(),
                     "course": encode([standing], {**about, "code": "0" * 64}),
                     "rows": encode([short], about), "chain": encode([torn], about)}[damage])  # fmt: skip
    capsys.readouterr()
    assert project([0, 1]) == right
    out = capsys.readouterr().out
    assert re.search(r"note: seed store: what it had of x scratch seed [01] is thrown away: it", out)
    assert "has 1 of 2 seeds, 1 to train" in out
    assert one.read_bytes() == data


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuch://bucket/x", "Protocol not known: nosuch"),
        ("s3://user:hidden@bucket/x", "s3fs"),
        ("nosuch://user:hidden@bucket/x?endpoint=https://host", "Protocol not known: nosuch"),
        ("file-in-the-way", "a file is where a folder should be"),
        ("file-in-the-way/below", "a file is where a folder should be"),
        ("/proc/no/such", "cannot be used"),
        ("bad\0name", "cannot be used"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_warning(project, monkeypatch, capsys, address, said):
    right = project([0, 1])
    Path("file-in-the-way").write_text("")
    if "\0" in address:
        monkeypatch.setattr(place, "named", lambda: address)
    else:
        monkeypatch.setenv("SEED_STORE", address)
    capsys.readouterr()
    assert project([0, 1]) == right
    out = capsys.readouterr().out
    assert out.count("warning: SEED_STORE") == 1
    assert said in out
    assert "hidden" not in out


def test_a_store_that_is_full_is_one_warning(project, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place.Folder, "write", full)
    project([0, 1, 2])
    out = capsys.readouterr().out
    assert out.count("warning: SEED_STORE") == 1
    assert "the disk is full): training goes on, but nothing of it is kept" in out


def test_a_store_that_hangs_is_waited_for_once(project, capsys, monkeypatch):
    monkeypatch.setattr("samebits.seeds.store.PATIENCE", 0.3)
    monkeypatch.setattr(place.Folder, "read", lambda *_: time.sleep(30))
    started = time.monotonic()
    project([0, 1, 2])
    assert time.monotonic() - started < 20
    assert "does not answer within" in capsys.readouterr().out


def test_an_address_of_fsspec_is_a_store(project, monkeypatch, capsys):
    right = project([0, 1])
    monkeypatch.setenv("SEED_STORE", "memory://seeds/x")
    assert project([0, 1]) == right
    files = fsspec.filesystem("memory")
    assert len(files.find("/seeds/x")) == 2
    capsys.readouterr()
    assert project([1, 0, 2]) != right
    assert "has 2 of 3 seeds" in capsys.readouterr().out
    command.main()
    assert "memory://seeds/x: 3 seeds" in capsys.readouterr().out
    command.main(clear=True)
    assert not files.find("/seeds/x")


def test_a_protocol_whose_writes_are_not_whole_gets_another_name_first(tmp_path):
    at = place.Remote(f"file://{tmp_path}/kept")
    at.write("a" * 64, b"x")
    assert at.read("a" * 64) == b"x"
    assert [found.key for found in at.entries()] == ["a" * 64]
    assert len([path for path in (tmp_path / "kept").rglob("*") if path.is_file()]) == 1
    at.remove("a" * 64)
    at.remove("a" * 64)
    assert at.read("a" * 64) is None


LINE = """
import sys
from samebits.base.params import load
from samebits.learning.run import train
from samebits.learning.scratch import build
from samebits.seeds.training import trained
from pathlib import Path
p = load(Path(sys.argv[1]))
block = p.scratch.model_copy(update={"seeds": [0, 1], "epochs": 400, "batch_size": 8})
train("x", "scratch", build, p.model_copy(update={"scratch": block}), trained)
"""


def test_killed_it_goes_on_from_where_it_stood(project, tmp_path):
    """SIGKILL in the middle, twice; the end is that of a training at once."""
    line = [sys.executable, "-c", LINE, str(ROOT / "params.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def epochs():
        return max((decode(entry.read_bytes())[0][0].epoch for entry in entries()), default=0)

    reached = 0
    for _ in range(2):
        with subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL) as process:
            while epochs() <= reached + 5 and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert epochs() > reached
        reached = epochs()
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert re.search(r"has 0 of 2 seeds, 2 to train; of 2 of them it has some epochs", done.stdout)
    ended = files()
    subprocess.run(line, env={**environment, "SEED_STORE": "off"}, capture_output=True, check=True)
    assert files() == ended
    assert not [path for path in Path(".dvc").rglob("*.part") if path.stat().st_size < 0]


def test_a_log_that_cannot_be_written_costs_no_output(project, capsys):
    Path("logs").write_text("a file")
    project([0])
    assert "note: logs/x/scratch.json cannot be written: a file is where a folder should be" in capsys.readouterr().out
    assert paths.model("x", "scratch").exists()


def test_the_command_lists_checks_and_prunes(project, capsys, monkeypatch):
    project([0, 1, 2])
    capsys.readouterr()
    command.main()
    out = capsys.readouterr().out
    assert "x scratch, exact 2: 3 seeds" in out
    command.main(check=2)
    assert capsys.readouterr().out.count("came out again") == 2
    forged = entries()[0]
    [standing], about = decode(forged.read_bytes())
    carried = {name: x + torch.tensor(2.0**-20, dtype=x.dtype) for name, x in standing.carried.items()}
    forged.write_bytes(encode([replace(standing, carried=carried)], about))
    with pytest.raises(Exception, match="is not what this code makes of these data"):
        command.main(check=3)
    assert "did NOT come out again" in capsys.readouterr().out
    entries()[1].write_bytes(b"")
    command.main()
    assert "damaged, or of an older form: 1 seeds" in capsys.readouterr().out
    command.main(prune=True)
    assert len(entries()) == 2
    monkeypatch.setattr(key, "code", lambda module: "another")
    with pytest.raises(Exception, match="nothing to check"):
        command.main(check=1)
    command.main(prune=True)
    assert not entries()


def test_a_check_reads_only_what_it_checks(project, capsys, monkeypatch):
    """The seed is trained, not looked up: with a store that gave the answer a check would prove nothing."""
    project([0])
    monkeypatch.setattr(Store, "standing", lambda *_: pytest.fail("the store was read"))
    command.main(check=1)
    assert "came out again" in capsys.readouterr().out


def test_a_check_without_the_data_says_so(project, capsys):
    project([0])
    shutil.rmtree(paths.PROCESSED)
    with pytest.raises(Exception, match="none of them could be checked"):
        command.main(check=1)


def test_bytes_of_another_form_are_damaged():
    import hashlib

    for body in (b"", b"x", b"\xff" * 40, b'{"a":1}'):
        data = FORM + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        with pytest.raises(DamagedError):
            decode(data)
    assert decode(encode([], {"a": 1})) == ([], {"a": 1})


def test_an_entry_of_many_epochs_says_how_far_it_is():
    it = course()
    *_, reached = it.follow([Standing(3)], 2)
    assert looking.Entry("k", 1, reached.standings()[0], {"parameters": {"epochs": 4}}).ended is False
