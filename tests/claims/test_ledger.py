"""The ledger: what a line is of, which are refused, what the table shows, and that no death or merge loses one."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata

import pytest
import typer
from pydantic import ValidationError

from samebits.base import lockfile, paths
from samebits.base.errors import UserError
from samebits.base.yaml import read_yaml
from samebits.claims import ledger, tally
from samebits.claims.machines import compare, kinds
from samebits.claims.machines.description import description
from samebits.commands import ledger as command
from samebits.commands import machines
from tests.conftest import ROOT, environment, run

HERE = {"digits": "1" * 16, "digits/mlp": "2" * 16}
MACHINE = {
    "implementation": "Python 3.11.7",
    "processor": "AMD EPYC",
    "instructions": "x86_64 AVX512",
    "system": "Linux",
    "torch": "2.15.0",
    "numpy": "2.4.6",
    "device": "cpu",
    "threads": "2",
}


def line(seen=HERE, claimed=HERE, seconds=1.0, **machine):
    return ledger.line(claimed, {**claimed, **seen}, "c" * 16, MACHINE | machine, seconds)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project whose dvc.lock claims HERE."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    monkeypatch.setattr(ledger, "results_here", lambda: HERE)
    return tmp_path


# -------------------------------------------------------------------------------------------------- what a line is of


@pytest.fixture(scope="module")
def lock():
    return read_yaml(ROOT / "dvc.lock")["stages"]


def test_a_result_is_known_by_all_its_outputs_but_the_report(lock):
    found = ledger.results(lock)
    assert [name for name in found if "digits" in name] == [
        "digits", "digits/concise", "digits/lenet", "digits/mlp", "digits/scratch"
    ]  # fmt: skip
    assert {name.partition("/")[0] for name in found} == {"digits", "fashion_mnist", "mnist"}
    for stage, entry in lock.items():
        for out in entry["outs"]:
            changed = {
                **lock,
                stage: {**entry, "outs": [{**o, "md5": "0" * 32} if o is out else o for o in entry["outs"]]},
            }
            moved = {name for name, value in ledger.results(changed).items() if value != found[name]}
            dataset, run = lockfile.dataset_of(stage), "/".join(out["path"].split("/")[1:3])
            is_a_runs = out["path"].startswith(f"{paths.MODELS}/") and not out["path"].endswith("/chain.csv")
            assert moved == ({dataset, run} if is_a_runs else {dataset} if dataset else set())


def test_one_dataset_alone_has_the_hashes_that_it_has_among_others(lock):
    alone = {stage: entry for stage, entry in lock.items() if lockfile.dataset_of(stage) == "digits"}
    assert ledger.results(alone).items() <= ledger.results(lock).items()
    assert ledger.code(alone, ROOT) == ledger.code(lock, ROOT)


def test_the_code_is_what_stages_depend_on_and_no_more(lock, tmp_path):
    for name in ("samebits", "stages", "networks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = ledger.code(lock, tmp_path)
    assert before == ledger.code(lock, ROOT)
    (tmp_path / "samebits/report/page.py").write_text("another")
    (tmp_path / "samebits/claims/ledger.py").write_text("another")
    assert ledger.code(lock, tmp_path) == before
    (tmp_path / "samebits/exact/random.py").open("a").write("\n")
    assert ledger.code(lock, tmp_path) != before


def test_a_machine_is_told_by_its_kind_alone():
    found = description()
    assert list(found) == [column for column in ledger.COLUMNS if column in found]
    assert all(found.values())
    told = " ".join(found.values())
    assert os.uname().nodename not in told.split()
    assert ledger.lines_in(ledger.text_of(line(**found)), "here") == [line(**found)]


def test_a_name_that_would_need_quotes_loses_what_would():
    assert line(processor='Core(TM), "i7"\n @ 2 GHz' + "z" * 200).processor == ("Core(TM) i7 @ 2 GHz" + "z" * 200)[:100]


# ----------------------------------------------------------------------------------------------------------- bad lines


def edited(text, old, new):
    assert old in text
    return text.replace(old, new)


def sealed(text):
    """A line made by hand, whose hash is right."""
    cells = text.rpartition(",")[0]
    return f"{cells},{ledger.short(cells, 8)}"


GOOD = ledger.text_of(line())
BAD = {
    "edited": (
        edited(GOOD, "same", f"digits={'0' * 16}"),
        " is not as it was written: the hash at its end is of other",
    ),
    "a column less": (GOOD.replace(",cpu", ""), " should have 13 columns, not 12: results,outcome,code,"),
    "cut": (GOOD[:60], " should have 13 columns, not 3: "),
    "a conflict": (f"<<<<<<< HEAD\n{GOOD}\n=======", " is a conflict marker of Git: keep the lines of both sides"),
    "a conflict's end": (">>>>>>> theirs", " is a conflict marker of Git: "),
    "a result twice": (sealed(edited(GOOD, "digits/mlp=2", "digits=2")), " names a result twice"),
    "an outcome twice": (
        sealed(edited(GOOD, "same", f"digits={'3' * 16} digits={'4' * 16}")),
        " names a result twice",
    ),
    "an outcome that is right": (
        sealed(edited(GOOD, "same", f"digits={'1' * 16}")),
        " says that a result came out otherwise, with the hash that it should have",
    ),
    "no hash": (sealed(edited(GOOD, "1" * 16, "1" * 15)), ": results is 'digits=111111111111111 digits/mlp=222"),
    "no seconds": (sealed(edited(GOOD, ",1.0,", ",soon,")), ": seconds is 'soon', but it should be seconds with one "),
    "of another": (
        sealed(edited(GOOD, "same", f"mnist={'0' * 16}")),
        " says that results came out otherwise which it ",
    ),
    "<html>": ("<html><b>no, really</b>", " should have 13 columns, not 2: "),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_line_is_named(fault):
    text, said = BAD[fault]
    with pytest.raises(UserError) as error:
        ledger.lines_in(f"{ledger.HEADER}\n{ledger.text_of(line(seconds=2))}\n\n{text}\n", "claims/ledger.csv")
    assert str(error.value).startswith(f"claims/ledger.csv, line 4{said}")


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: f"\ufeff{text}", lambda text: f"{text}\n\n{text}",
    lambda text: text.rstrip("\n"),
])  # fmt: skip
def test_ends_of_lines_a_mark_and_what_a_merge_doubles_change_nothing(change, here):
    ledger.append(lines := [line(), line(seconds=2.0)])
    ledger.LEDGER.write_bytes(change(ledger.LEDGER.read_text()).encode())
    assert ledger.read() == lines
    ledger.append([line(seconds=3.0)])
    assert ledger.read() == [*lines, line(seconds=3.0)]


UNSEEN = [chr(i) for i in range(0x10000) if unicodedata.category(chr(i)) in ("Cc", "Zl", "Zp", "Cs")]
UNSEEN += list("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def test_control_characters_are_refused_and_taken_out():
    assert line(processor="".join(f"A{character}" for character in "AB\x85\u202e\u2028")).processor == "AAABA A A"
    for character in UNSEEN:
        assert line(processor=f"a{character}b").processor == "a b"
        with pytest.raises(
            ValidationError, match="at most 100 characters, without comma, quote and control characters"
        ):
            ledger.Line(**{**line().model_dump(), "system": f"Linux{character}"})
    with pytest.raises(UserError, match=r"^here, line 1: processor is 'AMD\\x9b31m EPYC', but .* control characters$"):
        ledger.lines_in(sealed(GOOD.replace("AMD", "AMD\x9b31m")), "here")


@pytest.mark.parametrize(("change", "said"), [
    (lambda text: text.replace(f"{ledger.HEADER}\n", ""), " has lost its header: its first line should be results,ou"),
    (lambda text: f"\n{text}", " has lost its header: "),
    (lambda text: text.replace("\n", "\r\n", 1), ", line 2 ends otherwise than those before: all should end in LF or "),
    (lambda text: text.replace("\n", "\r\n", 2)[:-1] + "\n", ", line 3 ends otherwise than those before"),
])  # fmt: skip
def test_a_ledger_that_was_mangled_is_a_sentence(change, said, here):
    ledger.append([line(), line(seconds=2.0)])
    ledger.LEDGER.write_bytes(change(ledger.LEDGER.read_text()).encode())
    with pytest.raises(UserError, match=f"^{ledger.LEDGER}{said}"):
        ledger.read()


def test_lines_end_as_those_before(here):
    ledger.append([line()])
    ledger.LEDGER.write_bytes(ledger.LEDGER.read_bytes().replace(b"\n", b"\r\n"))
    ledger.append([line(seconds=2)])
    assert ledger.LEDGER.read_bytes().count(b"\r\n") == ledger.LEDGER.read_bytes().count(b"\n") == 3


def test_a_read_only_ledger_stays_as_it_is_and_another_keeps_its_mode(here):
    """Root too is told, whom no mode hinders."""
    ledger.append([line()])
    before = ledger.LEDGER.read_bytes()
    ledger.LEDGER.chmod(0o444)
    (here / "line").write_text(ledger.text_of(line(seconds=2)))
    done = samebits("--add", "line")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"error: claims/ledger.csv is read-only: after `chmod u+w claims/ledger.csv` it takes lines\n"
    with pytest.raises(UserError, match="is read-only"):
        ledger.require_open()
    assert (ledger.LEDGER.read_bytes(), ledger.LEDGER.stat().st_mode & 0o777) == (before, 0o444)
    ledger.LEDGER.chmod(0o660)
    ledger.append([line(seconds=2)])
    assert ledger.LEDGER.stat().st_mode & 0o777 == 0o660


# ----------------------------------------------------------------------------------------------------------- the table


def shown(capsys):
    """What the command prints, and its exit code."""
    code = 0
    try:
        command.main()
    except typer.Exit as end:
        code = end.exit_code
    return capsys.readouterr().out, code


def test_the_table(here, capsys):
    other = {"digits": "3" * 16}
    script = {"torch": "", "numpy": "", "implementation": "JavaScript Node 20.1.2"}
    runs = {"digits/mlp": HERE["digits/mlp"]}
    ledger.append(
        [line(), line(seconds=9, threads="64"), line(runs, runs, **script), line(other, other, device="cuda H200")]
    )
    assert shown(capsys) == (
        """\
implementation        torch   device  processor  instructions   system  digits
JavaScript Node 20.1          cpu     AMD EPYC   x86_64 AVX512  Linux   mlp
Python 3.11           2.15.0  cpu     AMD EPYC   x86_64 AVX512  Linux   all

result      hash              kinds  lines
digits      1111111111111111  1      2
digits/mlp  2222222222222222  2      3

of other claims than those here:
result  hash              kinds  lines
digits  3333333333333333  1      1

one hash for each result; results: 2, kinds of machine or implementation: 2
""",
        0,
    )


def test_another_hash_is_glaring(here, capsys):
    ledger.append([line(), line({"digits": "f" * 16, "digits/mlp": "e" * 16}, processor="Pentium")])
    out, code = shown(capsys)
    assert code == 1
    assert "  Linux   DIFFERS: all mlp\n" in out
    pentium = "Python 3.11, torch 2.15.0, Pentium, x86_64 AVX512, Linux"
    assert f"digits      1111111111111111  2      2      DIFFERS: ffffffffffffffff on {pentium}\n" in out
    assert out.endswith(
        f"NOT one hash: digits should be 1111111111111111, and was ffffffffffffffff on {pentium}; "
        f"digits/mlp should be 2222222222222222, and was eeeeeeeeeeeeeeee on {pentium}\n"
    )


def test_one_machine_may_see_two_hashes(here, capsys):
    ledger.append([line(), line({"digits": "f" * 16})])
    assert "DIFFERS: all\n" in shown(capsys)[0]


def test_nothing_in_the_page_is_markup_of_the_ledgers(here):
    evil = "<script>alert(1)</script> & 'x'"
    html = tally.html(tally.tally([line(processor=evil), line({"digits": "f" * 16}, system=evil)], HERE))
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x27;x&#x27;") >= 2
    assert '<td class="wrong">DIFFERS: all</td>' in html
    assert html.startswith('<p class="wrong">NOT one hash: ')


def test_of_other_claims_alone(here, capsys):
    other = {"digits": "3" * 16}
    ledger.append([line(other, other)])
    out, code = shown(capsys)
    assert code == 0
    assert out.startswith("of other claims than any here:\nresult  hash ")
    assert out.endswith("\n\nnobody has recorded a result that is claimed here\n")


# --------------------------------------------------------------------------------------------------------- the command


def samebits(*arguments, given=None):
    line = [sys.executable, "-m", "samebits", "ledger", *arguments]
    return subprocess.run(line, env=environment(PYTHONPATH=str(ROOT)), input=given, capture_output=True)


def test_lines_of_others_are_added_once(here):
    given = f"{ledger.HEADER}\r\n{GOOD}\r\n{ledger.text_of(line(seconds=2))}\r\n".encode()
    assert samebits("--add", "-", given=given).stdout == b"claims/ledger.csv: 2 of 2 lines added, 0 were there\n"
    assert ledger.read() == [line(), line(seconds=2)]
    (here / "lines").write_bytes(given)
    assert samebits("--add", "lines").stdout == b"claims/ledger.csv: 0 of 2 lines added, 2 were there\n"
    assert ledger.LEDGER.read_text().count("\n") == 3


@pytest.mark.parametrize("text", ["", f"{ledger.HEADER}\n"])
def test_a_ledger_of_no_line_is_like_none(here, text):
    ledger.LEDGER.parent.mkdir()
    ledger.LEDGER.write_text(text)
    with pytest.raises(UserError, match=r"^claims/ledger.csv holds no line: `samebits verify --record`, or `samebits "):
        command.main()
    ledger.append([line()])
    assert ledger.LEDGER.read_text() == f"{ledger.HEADER}\n{GOOD}\n"


@pytest.mark.parametrize(("arguments", "given", "said"), [
    ((), b"", "claims/ledger.csv is missing: `samebits verify --record`, or `samebits ledger --add FILE`, begins it"),
    (("--add", "-"), b"", "stdin holds no line of claims/ledger.csv"),
    (("--add", "-"), GOOD[:-1].encode(), "stdin, line 1 is not as it was written"),
    (("--add", "-"), b"\xff\xfe\x00", "stdin is no text, and so no line of claims/ledger.csv"),
    (("--add", "gone"), b"", "cannot use gone: no such file"),
    (("--add", "."), b"", "cannot use .: a folder is where a file should be"),
])  # fmt: skip
def test_bad_input_is_a_sentence(here, arguments, given, said):
    done = samebits(*arguments, given=given)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"error: {said}")
    assert done.stderr.count(b"\n") == 1
    assert not ledger.LEDGER.exists()


def test_a_damaged_ledger_is_a_sentence_and_takes_lines_all_the_same(here):
    """What took an hour to see is not lost because another line is mangled."""
    ledger.LEDGER.parent.mkdir()
    ledger.LEDGER.write_text(f"{ledger.HEADER}\nmangled\n")
    ledger.append([line()])
    assert ledger.LEDGER.read_text() == f"{ledger.HEADER}\nmangled\n{GOOD}\n"
    done = samebits()
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: claims/ledger.csv, line 2 should have 13 columns, not 1")


def test_each_kind_of_machine_has_its_line(here, monkeypatch, capsys):
    exact = {"exp2": "aa", "reports/index.html": "bb"}
    found = [
        kinds.Witness("this", "2.15.0", "x", exact, "", "f", 12.3, MACHINE),
        kinds.Witness("EPYC", "2.15.0", "x", exact | {"reports/index.html": "cc"}, "", "g", 45.6, MACHINE),
        kinds.Witness("Atom", "2.15.0", "x", {}, "has no root", "h", 1.0, MACHINE),
    ]
    monkeypatch.setattr(kinds, "find", lambda name: name)
    monkeypatch.setattr(kinds, "ask_all", lambda chosen: (found, []))
    wanted = ledger.short("aa exp2\n", 16)
    monkeypatch.setattr(ledger, "WITNESS", {"machine-witness": wanted})
    monkeypatch.setattr(compare, "faults", lambda found: [])
    machines.main(["EPYC"], record=True)
    assert [(each.processor, each.seen, each.seconds) for each in ledger.read()] == [
        ("AMD EPYC", {"machine-witness": wanted}, "12.3"),
        ("EPYC (qemu)", {"machine-witness": wanted}, "45.6"),
    ]
    assert "note: lines added to claims/ledger.csv: 2; commit it\n" in capsys.readouterr().err


@pytest.mark.skipif(not (ROOT / ledger.LEDGER).exists(), reason="nothing is recorded yet")
def test_the_committed_ledger_is_whole_and_nobody_saw_another_hash(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert tally.tally(ledger.read(), ledger.results_here()).differing == []


# ----------------------------------------------------------------------------------------------- deaths, races, merges

APPEND = f"""
from samebits.claims import ledger
(line,) = ledger.lines_in({GOOD!r}, "here")
print("ready", flush=True)
for second in range(COUNT):
    ledger.append([line.model_copy(update={{"seconds": f"{{WHO}}{{second}}.0"}})])
"""


def appending(who, count):
    code = APPEND.replace("WHO", str(who)).replace("COUNT", str(count))
    return subprocess.Popen([sys.executable, "-c", code], env=environment(PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE)


def test_three_append_at_once(here):
    processes = [appending(who, 40) for who in (1, 2, 3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    wanted = {f"{who}{second}.0" for who in (1, 2, 3) for second in range(40)}
    assert {each.seconds for each in ledger.read()} == wanted
    assert ledger.LEDGER.read_text().startswith(f"{ledger.HEADER}\n")


ADD = "import pathlib, sys; from samebits.commands import ledger; print('ready', flush=True); "
ADD += "sys.stdin.read(); ledger.main(pathlib.Path('lines'))"


def adding():
    line, pipe = [sys.executable, "-c", ADD], subprocess.PIPE
    return subprocess.Popen(line, env=environment(PYTHONPATH=str(ROOT)), stdin=pipe, stdout=pipe)


def test_a_line_that_four_add_at_once_is_there_once(here):
    (here / "lines").write_text("\n".join(ledger.text_of(line(seconds=second)) for second in range(3)))
    processes = [adding() for _ in range(4)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.close()
    assert sorted(process.stdout.read() for process in processes) == [
        *[b"claims/ledger.csv: 0 of 3 lines added, 3 were there\n"] * 3,
        b"claims/ledger.csv: 3 of 3 lines added, 0 were there\n",
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert ledger.LEDGER.read_text().count("\n") == 4


def test_killed_at_any_moment_it_leaves_whole_lines(here):
    count = 0
    for delay in range(8):
        with appending(delay + 1, 10**6) as process:
            process.stdout.readline()
            time.sleep(0.02 + 0.007 * delay)
            process.send_signal(signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            assert ledger.LEDGER.read_bytes().endswith(b"\n")
        assert len(ledger.read()) >= count
        count = len(ledger.read())
    assert count > 8
    ledger.append([line()])  # nobody holds it any more
    assert len(ledger.read()) == count + 1


def test_git_keeps_the_lines_of_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def git(*arguments):
        return run("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments, cwd=tmp_path).stdout

    def record(*lines):
        ledger.append(lines)
        git("add", ".gitattributes", "claims")
        git("commit", "--quiet", "--message", "recorded")

    git("init", "--quiet", "--initial-branch", "main")
    shutil.copyfile(ROOT / ".gitattributes", ".gitattributes")
    record(line())
    git("switch", "--quiet", "--create", "theirs")
    record(line(seconds=2), line(seconds=3))
    git("switch", "--quiet", "main")
    record(line(seconds=4), line(seconds=3))
    git("merge", "--quiet", "--no-edit", "theirs")
    assert {each.seconds for each in ledger.read()} == {"1.0", "2.0", "3.0", "4.0"}
    assert len(ledger.read()) == 4
