"""verify.html in a real browser: the committed bits, a planted fault, dropped archives, nothing from the network."""

import contextlib
import gzip
import os
import platform
import re
import shutil
from pathlib import Path

import pytest

from samebits.base import dvc
from samebits.claims import independent, ledger
from samebits.commands import page as command
from samebits.datasets import bundled
from tests.conftest import ROOT
from tests.made import browsed, chromium
from tests.made.committed import locked, project

browser = pytest.mark.skipif(not chromium.PROGRAM, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def html():
    """The page, made where scratch is trained and the other runs are not."""
    with contextlib.chdir(project()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(dvc, "cache", lambda: Path("no cache"))
        return independent.page(independent.committed())


@contextlib.contextmanager
def opened(html, folder):
    (folder / "verify.html").write_text(html)
    with chromium.browser() as page:
        page.call("Page.navigate", url=(folder / "verify.html").as_uri())
        page.wait("!!document.querySelector('#digits-mlp button')")
        yield page


def verdict(page, run, dataset="digits"):
    """Train a run by its button and return what the card says in the end."""
    card = f"document.getElementById('{dataset}-{run}')"
    page.js(f"{card}.querySelector('button').click()")
    for _ in range(10):  # each waits a minute
        with contextlib.suppress(AssertionError):
            return page.wait(f"{card}.querySelector('.verdict').textContent")
    raise AssertionError(page.messages)


# ------------------------------------------------------------------------------------------------------- in a browser


@browser
def test_all_three_runs_of_digits_come_out(html, tmp_path):
    with opened(html, tmp_path) as page:
        for run in ("scratch", "concise", "mlp"):
            assert re.fullmatch(r"✓ The same bits as in dvc.lock, in \d+\.\d s\.", verdict(page, run))
            hashes = page.js(f"document.querySelector('#digits-{run} .hashes').textContent")
            assert f"MD5 of the {locked('digits', run)}.".replace(", history ", "; of the history ") in hashes
        assert page.js("document.querySelector('#digits-scratch progress').value") == 200
        assert [url for url in page.requested if not url.startswith(("file:", "data:", "blob:"))] == []
        assert page.messages == []


@browser
def test_what_is_drawn_is_there(html, tmp_path):
    with opened(html, tmp_path) as page:
        verdict(page, "concise")
        inks = """[...document.querySelectorAll('#digits-concise canvas')].map(canvas => new Set(new Uint32Array(
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"""
        curves, units = page.js(inks)
        assert curves > 20
        assert units > 100


@browser
def test_the_page_gives_a_line_for_the_ledger(html, tmp_path, monkeypatch):
    (tmp_path / "verify.html").write_text(html)
    with chromium.browser() as page:
        (line,) = ledger.lines_in(browsed.line(page, tmp_path / "verify.html", "scratch", "concise"), "here")
        assert page.js("!document.getElementById('record').hidden")
    monkeypatch.chdir(ROOT)
    assert list(line.claimed) == ["digits/scratch", "digits/concise"]
    assert line.claimed.items() <= ledger.results_here().items()
    assert (line.outcome, line.code, line.system) == ("same", independent.program(), platform.system())
    assert re.fullmatch(r"JavaScript Chromium \d+", line.implementation)


@browser
@pytest.mark.parametrize(("there", "instead"), [
    ("x + MAGIC - MAGIC", "Math.floor(x + 0.5)"), ("(draw & ~INDEX)", "(~draw & ~INDEX)")
])  # fmt: skip
def test_what_is_planted_is_named(there, instead, html, tmp_path):
    assert html.count(there) == 1
    with opened(html.replace(there, instead), tmp_path) as page:
        said = verdict(page, "scratch")
    number = r"-?\d+\.\d+"
    where = rf"seed \d, epoch \d+: \w+ is {number}, committed is {number}"
    assert re.fullmatch(rf"✗ Other bits than in dvc\.lock\. First difference: {where}\.", said)


@browser
def test_wrong_archives_are_named_with_the_hashes_that_were_wanted(html, tmp_path):
    wrong = gzip.compress(bundled.digits()["t10k-labels-idx1-ubyte"][:-1])
    with opened(html, tmp_path) as page:
        page.js(f"""give([new File([new Uint8Array({list(wrong)})], "t10k-labels-idx1-ubyte.gz"),
                          new File([new Uint8Array({list(wrong[:-9])})], "cut.gz")]), 0""")
        page.wait("document.getElementById('said').children.length == 2")
        said, cut = page.js("[...document.getElementById('said').children].map(line => line.textContent)")
    assert said.startswith("t10k-labels-idx1-ubyte.gz: its content has SHA-256 ")
    for name in ("fashion_mnist, test_labels", "mnist, test_labels"):
        assert f" ({name})" in said
    assert "train_labels" not in said
    assert cut == "cut.gz: it is cut or damaged: it cannot be unpacked"


MIRROR = Path(os.environ.get("DATASET_MIRROR") or ROOT / "../shared/datasets")


@browser
@pytest.mark.skipif(not (MIRROR / "mnist").is_dir(), reason="there are no archives of MNIST here")
def test_archives_that_are_dropped_are_known_by_their_content(html, tmp_path):
    """Whatever they are called; with the fourth a card for each run appears."""
    with opened(html, tmp_path) as page:
        names = sorted((MIRROR / "mnist").iterdir())
        node = page.call("Runtime.evaluate", expression="document.getElementById('archives')")["result"]["objectId"]
        page.call("DOM.setFileInputFiles", files=[str(path.resolve()) for path in names], objectId=node)
        page.wait("!!document.getElementById('mnist-scratch')")
        assert page.js("document.getElementById('said').textContent") == ""
        assert page.js("document.getElementById('taken').textContent").count(": mnist. ") == 4


@browser
def test_a_browser_without_workers_is_a_sentence(html, tmp_path):
    (tmp_path / "verify.html").write_text(html)
    with chromium.browser() as page:
        page.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.Worker")
        page.call("Page.navigate", url=(tmp_path / "verify.html").as_uri())
        said = page.wait("document.getElementById('said')?.textContent")
    assert said == "This browser lets no page compute in the background (no workers), which this one needs."


@browser
def test_nothing_is_wider_than_a_telephone(html, tmp_path):
    with opened(html, tmp_path) as page:
        page.look(390, 800)
        assert page.js("document.documentElement.scrollWidth") <= 390


# ----------------------------------------------------------------------------------------------------- how it is made


def test_it_is_small_and_asks_for_nothing(html):
    assert len(html.encode()) < 3_000_000
    program = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    assert re.findall(r"https?://|import |src=|url\(|fetch\(|XMLHttp|WebSocket", program) == []


def test_the_ledger_is_in_it(tmp_path, monkeypatch):
    for name in ("dvc.lock", "dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert "Nobody has recorded a result that is claimed here." in independent.page({})
    claimed = {"digits/mlp": ledger.results_here()["digits/mlp"]}
    machine = dict.fromkeys(ledger.COLUMNS[3:-2], "&") | {"threads": "1"}
    ledger.append([ledger.line(claimed, claimed, "c" * 16, machine, 1.0)])
    page = independent.page({})
    assert "One hash for each result; results: 1, kinds of machine or implementation: 1." in page
    assert f"<td>{'</td><td>'.join(['&amp;'] * 6)}</td><td>mlp</td>" in page


def test_no_name_is_defined_twice_in_the_joined_program():
    names = re.findall(r"^(?:const|let|function\*?|async function) (\w+)", independent.joined("worker"), re.MULTILINE)
    assert len(names) > 80
    assert sorted(names) == sorted(set(names))


def test_every_module_is_in_the_program_or_is_an_entrance():
    modules = {path.stem for path in (ROOT / "site").glob("*.js")}
    assert modules - set(independent.ordered("worker")) == {"page", "verify"}


def test_without_committed_files_the_command_says_so(tmp_path, monkeypatch, capsys):
    for name in ("dvc.lock", "dvc.yaml", "params.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dvc, "cache", lambda: Path("no cache"))
    command.main(Path("page.html"))
    said = capsys.readouterr()
    assert said.out == "open page.html in a browser\n"
    assert said.err.startswith("note: models/digits/")
    assert "history.csv not here as dvc.lock has it" in said.err
    assert (tmp_path / "page.html").stat().st_size > 200_000
