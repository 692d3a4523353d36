"""The independent program in JavaScript: it reaches dvc.lock's hashes, and what is planted in it is found and named."""

import contextlib
import gzip
import hashlib
import json
import re
import shutil
import subprocess

import pytest

from samebits.base import dvc
from samebits.base.yaml import read_yaml
from samebits.claims import independent, ledger
from samebits.exact.random import CENTRE, SIDE, TAIL
from samebits.learning.initial import order
from samebits.tracking import best_effort
from stages import train_scratch
from tests.conftest import ROOT, environment
from tests.made.committed import locked, project

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="there is no Node here")


def verify(*arguments, site=ROOT / "site", cwd=None, **changes):
    command = ["node", site / "verify.js", *arguments]
    return subprocess.run(command, cwd=cwd or project(), env=environment(**changes), capture_output=True, text=True)


def script(code):
    """What a module prints that has all of site/*.js at hand by `load(NAME)`."""
    load = f"const load = (name) => import({str(ROOT / 'site')!r} + `/${{name}}.js`);\n"
    done = subprocess.run(["node", "--input-type=module"], input=load + code, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("run", ["scratch", "concise", "mlp"])
def test_digits_come_out_as_in_dvc_lock(run):
    done = verify("digits", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"digits {run}: the same bits as in dvc.lock (" in done.stdout
    assert f"MD5: {locked('digits', run)}\n" in done.stdout
    reference = json.loads((ROOT / f"reference/digits/{run}.json").read_text())
    assert f"SHA-256 of the model: {reference['model_sha256']}\n" in done.stdout


# ------------------------------------------------------------------------------------------------------ what is planted

# file, what stands there, what is planted, and what the first difference is said to be
EARLY = "seed 0, epoch 1: "
PLANTED = {
    "halves up": ("grids", "x + MAGIC - MAGIC", "Math.floor(x + 0.5)", "seed "),
    "a bit less for the weights": ("network", "layer.into, 7)", "layer.into, 6)", f"{EARLY}train_loss is "),
    "a bit less for the bias": ("network", "out, rows, 22)", "out, rows, 6)", EARLY),
    "p - onehot in float32": ("network", "? p - 1 : p)", "? f32(p - 1) : p)", "seed "),
    "a sum in another order": ("elementary", "(t + t) + (t * z)", "t + (t + t * z)", "seed "),
    "one rounding for two": ("network", "f32(f32(sums[i]) * scale) +", "sums[i] * scale +", f"{EARLY}train_loss is "),
    "the update in float64": ("network", "f32(w[i] - f32(v[i] * lr))", "f32(w[i] - v[i] * 0.1)", EARLY),
    "another order of the images": ("numbers", "(draw & ~INDEX)", "(~draw & ~INDEX)", f"{EARLY}train_loss is "),
    "another order of the epochs": ("training", "`epoch${epoch}.order`", "`epoch${epoch + 1}.order`", EARLY),
    "the quantile's tail": ("starts", "r - 1.6", "r - 1.60001", f"{EARLY}train_loss is "),
    "an order in a sum": ("sums", "round(value / scale)", "value / scale", "seed "),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_planted_in_the_javascript_is_named(fault, tmp_path):
    name, there, instead, said = PLANTED[fault]
    shutil.copytree(ROOT / "site", tmp_path / "site")
    file = tmp_path / f"site/{name}.js"
    assert file.read_text().count(there) == 1
    file.write_text(file.read_text().replace(there, instead))
    done = verify("digits", "scratch", site=tmp_path / "site")
    assert done.returncode == 1
    assert "digits scratch: DIFFERENT from dvc.lock (" in done.stdout
    assert f"  dvc.lock has: {locked('digits', 'scratch')}\n" in done.stdout
    assert f"  first difference: {said}" in done.stdout


@pytest.mark.parametrize("fault", [
    ("samebits.exact.integers.plain.bias_gradient", lambda g, what: g.sum(-2)),
    ("samebits.learning.training.order", lambda *place: order(*place).flip(0)),
])  # fmt: skip
def test_what_is_planted_in_python_is_named(fault, tmp_path):
    """A sum rounded as it comes, and images from the last to the first; both as if they had been committed."""
    shutil.copytree(project(), tmp_path / "copy")
    folder = tmp_path / "copy/models/digits/scratch"
    before = {path: dvc.md5(path) for path in sorted(folder.iterdir())}
    with contextlib.chdir(tmp_path / "copy"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEED_STORE", "off")
        patch.setattr(best_effort, "publish", lambda *datasets: None)
        patch.setattr(*fault)
        train_scratch.main("digits")
    lock = (tmp_path / "copy/dvc.lock").read_text()
    for path, md5 in before.items():
        assert dvc.md5(path) != md5
        lock = lock.replace(md5, dvc.md5(path))
    (tmp_path / "copy/dvc.lock").write_text(lock)
    done = verify("digits", "scratch", cwd=tmp_path / "copy")
    assert done.returncode == 1
    assert "  first difference: seed 0, epoch 1: " in done.stdout


def claiming(folder, name, content):
    """A copy of the project in which `content` is committed as a file of scratch."""
    shutil.copytree(project(), folder)
    path = folder / "models/digits/scratch" / name
    before = hashlib.md5(path.read_bytes()).hexdigest()
    path.write_bytes(content)
    lock = (folder / "dvc.lock").read_text()
    assert lock.count(before) >= 1
    (folder / "dvc.lock").write_text(lock.replace(before, hashlib.md5(content).hexdigest()))
    return folder


def test_another_history_in_python_is_named(tmp_path):
    history = (project() / "models/digits/scratch/history.csv").read_text()
    there = history.splitlines()[25].split(",")
    wrong = history.replace(there[2], there[2][:-1] + str((int(there[2][-1]) + 1) % 10))
    done = verify("digits", "scratch", cwd=claiming(tmp_path / "copy", "history.csv", wrong.encode()))
    assert done.returncode == 1
    assert f"first difference: seed 1, epoch 5: train_loss is {there[2]}, committed is " in done.stdout


def test_another_weight_in_python_is_named(tmp_path):
    model = bytearray((project() / "models/digits/scratch/model.safetensors").read_bytes())
    model[-5] ^= 1  # the exponent of the last weight but one
    done = verify("digits", "scratch", cwd=claiming(tmp_path / "copy", "model.safetensors", bytes(model)))
    assert done.returncode == 1
    assert "first difference: weight[9,9,62] is " in done.stdout


def test_without_committed_files_it_says_so(tmp_path):
    shutil.copytree(project(), tmp_path / "copy")
    lock = tmp_path / "copy/dvc.lock"
    lock.write_text(lock.read_text().replace("db934a15c06931daf374acc15edaae1f", "f" * 32))
    done = verify("digits", "scratch", cwd=tmp_path / "copy")
    assert done.returncode == 1
    assert "no committed file is at hand to say which number" in done.stdout


# ----------------------------------------------------------------------------------------------------------- the ledger


def test_its_line_is_the_ledgers(monkeypatch):
    """The hashes of results are Python's; stdout has nothing else."""
    done = verify("digits", "scratch", "concise", "scratch", "--line")  # once each
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert "digits scratch: the same bits as in dvc.lock (" in done.stderr
    (line,) = ledger.lines_in(done.stdout, "here")
    monkeypatch.chdir(ROOT)
    assert list(line.claimed) == ["digits/scratch", "digits/concise"]
    assert line.claimed.items() <= ledger.results_here().items()
    assert (line.outcome, line.code, line.torch, line.device) == ("same", independent.program(), "", "cpu")
    assert re.fullmatch(r"JavaScript Node \d+\.\d+\.\d+", line.implementation)


def test_its_line_tells_what_came_out_otherwise(tmp_path):
    shutil.copytree(ROOT / "site", tmp_path / "site")
    file = tmp_path / "site/starts.js"
    file.write_text(file.read_text().replace("r - 1.6", "r - 1.60001"))
    done = verify("digits", "scratch", "--line", site=tmp_path / "site")
    assert done.returncode == 1
    (line,) = ledger.lines_in(done.stdout, "here")
    assert line.outcome == f"digits/scratch={line.seen['digits/scratch']}" != line.results
    assert line.code != independent.program()


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_wrong_file_is_named_with_the_hash_that_was_wanted(tmp_path):
    shutil.copytree(project() / "data/raw/digits", tmp_path / "mirror/digits")
    shutil.copyfile(project() / "dvc.lock", tmp_path / "dvc.lock")
    file = tmp_path / "mirror/digits/t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    done = verify("digits", "scratch", cwd=tmp_path, DATASET_MIRROR="mirror")
    wanted = read_yaml(ROOT / "data/catalog.yaml")["digits"]["files"]["test_labels"]["sha256"]
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    said = f"error: mirror/digits/{file.name}: its content has SHA-256 {found}, and {wanted} was wanted\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize(("arguments", "said"), [
    (["flowers"], "dvc.lock says nothing of flowers"),
    (["digits", "deep"], "a run is one of scratch, concise, mlp, not deep"),
    (["digits"], "no train-images-idx3-ubyte of digits in data/raw: "
                 "`python -m stages.download digits` puts it into data/raw"),
])  # fmt: skip
def test_what_is_not_there_is_a_sentence(arguments, said, tmp_path):
    shutil.copyfile(ROOT / "dvc.lock", tmp_path / "dvc.lock")
    done = verify(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {said}\n")


CUT = "dvc.lock is empty, cut or otherwise not as DVC writes it: `git checkout dvc.lock` brings the committed one back"


@pytest.mark.parametrize(("content", "said"), [
    (None, "dvc.lock is missing: run this in the root of the project"),
    (b"", CUT),
    (b"schema: '2.0'\nstages:\n", CUT),
    (b"stages: x\n", CUT),
    (b"\xff\xfe\x00", "dvc.lock is no text: `git checkout dvc.lock` brings the committed one back"),
    (b"\x1b[31m\x00 b" * 99, 'dvc.lock has a line that this program cannot read: "\\u001b[31m\\u0000 b'),
    (b"stages:\n<<<<<<< HEAD\n", "dvc.lock, line 2 is a conflict marker of Git: resolve the conflict first"),
    (b"stages:\n  a: 1\n=======\n", "dvc.lock, line 3 is a conflict marker of Git: "),
])  # fmt: skip
def test_a_dvc_lock_that_is_none_is_a_sentence(content, said, tmp_path):
    if content is not None:
        (tmp_path / "dvc.lock").write_bytes(content)
    done = verify("digits", "scratch", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stderr[:-1].isprintable()


def test_a_folder_where_dvc_lock_should_be_is_a_sentence(tmp_path):
    (tmp_path / "dvc.lock").mkdir()
    said = "error: dvc.lock is a folder, where a file should be\n"
    assert verify(cwd=tmp_path).stderr == said


def test_wherever_dvc_lock_is_cut_nothing_is_claimed_or_all():
    """All that is read of a beginning of dvc.lock is what is read of the whole, or a sentence."""
    code = f"""
const {{ readLock, claim, catalogEntry }} = await load("claims");
import {{ readFileSync }} from "node:fs";
const text = readFileSync({str(ROOT / "dvc.lock")!r}, "utf8"), said = {{}};
const look = (lock) => JSON.stringify([claim(lock, "digits", "mlp"), catalogEntry(lock, "digits")]);
const whole = look(readLock(text));
for (let end = 0; end < text.length; end += 97) {{
  try {{
    said[look(readLock(text.slice(0, end))) === whole] = 1;
  }} catch ({{ name, message }}) {{ said[`${{name}}: ${{message.slice(0, 18)}}`] = 1; }}
}}
console.log(Object.keys(said).sort().join("\\n"));
"""
    faults = ["has a lin", "is empty,", "says noth"]
    assert script(code).splitlines() == [*(f"Error: dvc.lock {fault}" for fault in faults), "true"]


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:30] + b"\xff\xff" + raw[32:]])
def test_a_damaged_archive_is_a_sentence(damage, tmp_path):
    shutil.copytree(project() / "data/raw/digits", tmp_path / "data/raw/digits")
    shutil.copyfile(project() / "dvc.lock", tmp_path / "dvc.lock")
    file = tmp_path / "data/raw/digits/train-images-idx3-ubyte"
    file.write_bytes(damage(gzip.compress(file.read_bytes())))
    done = verify("digits", "scratch", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"error: data/raw/digits/{file.name} is no whole gzip file \([^\n]+\): it should be fetched again\n",
        done.stderr,
    )


def test_options(tmp_path):
    done = verify("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: node site/verify.js [DATASET [RUN ...]] [--line]\n")
    done = verify("digits", "--lines", cwd=tmp_path)
    said = "error: unknown option --lines: there are --line and --help\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


# ---------------------------------------------------------------------------------------------- the parts by themselves


def test_a_name_loses_what_the_ledger_refuses():
    assert f'/[{ledger.UNSEEN},"]/gu' in (ROOT / "site/ledger.js").read_text()
    code = "const { ledgerLine } = await load('ledger');\n"
    code += (
        "console.log(ledgerLine([], 'c'.repeat(16), { processor: 'A\\x9b\\u202e B\\u{1f600}\\x7f' }).split(',')[4]);"
    )
    assert script(code) == "A B\U0001f600"


def test_its_yaml_is_all_of_dvc_lock():
    code = "const { readYaml } = await load('yaml'); import { readFileSync } from 'node:fs';\n"
    code += f"console.log(JSON.stringify(readYaml(readFileSync({str(ROOT / 'dvc.lock')!r}, 'utf8'))));"
    there = json.loads(script(code))
    assert there["stages"] == json.loads(json.dumps(read_yaml(ROOT / "dvc.lock")["stages"]))


def test_its_hashes_are_pythons():
    texts = [b"a" * length for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000)]
    code = "const { md5 } = await load('md5'), { hex, sha256 } = await load('sha256');\n"
    code += f"for (const n of {[len(text) for text in texts]}) {{ const bytes = new Uint8Array(n).fill(97);\n"
    code += "console.log(md5(bytes), hex(sha256(bytes))); }"
    wanted = [f"{hashlib.md5(text).hexdigest()} {hashlib.sha256(text).hexdigest()}" for text in texts]
    assert script(code).splitlines() == wanted


def test_it_writes_figures_as_python_does():
    figures = [1.0, 0.0, 0.5, 1e-4, 9.9e-5, 1.5e-5, 1e-12, 2.302585092994046, 123456.0]
    code = f"const {{ written }} = await load('history'); for (const x of {figures}) console.log(written(x));"
    assert script(code).splitlines() == [repr(x) for x in figures]


# docs/exact.md, "Three trainings to check another implementation by", the third, and its millions of function values
THIRD = """
const { draws } = await load("numbers"), { network, realOperand, step } = await load("network");
const { permutation } = await load("numbers"), { fsum } = await load("sums"), { hex, sha256 } = await load("sha256");
const x = Float32Array.from(draws(150 * 40, 0, "inputs"), (draw) => Number(draw >> 56n) - 128);
for (let row = 0; row < 150; row++) for (let i = 40 * row; i < 40 * row + 40; i++) {
  if (row % 3 === 0) x[i] = Math.abs(x[i]);
  if (row % 10 === 0) x[i] = 0;
}
const labels = Array.from(draws(150, 0, "labels"), (draw) => Number(draw % 10n));
const layers = network([40, 30, 20, 10], null, 0);
for (const layer of layers) layer.b.fill(0);
const rates = { lr: Math.fround(0.001), momentum: Math.fround(0.9), decay: Math.fround(0.3) };
for (const epoch of [1, 2]) {
  const order = permutation(150, 0, `epoch${epoch}.order`), terms = [];
  let hits = 0;
  for (let start = 0; start < 150; start += 60) {
    const rows = Array.from(order.subarray(start, start + 60));
    const batch = Float32Array.from(rows.flatMap((row) => Array.from(x.subarray(40 * row, 40 * row + 40))));
    const done = step(layers, realOperand(batch, rows.length, 40), rows.map((row) => labels[row]), rates);
    terms.push(rows.length * done.mean);
    hits += done.hits;
  }
  console.log(fsum(terms) / 150, hits);
}
const parts = [...layers.map(({ w }) => w), ...layers.map(({ b }) => b)];
const all = Float32Array.from(parts.flatMap((part) => Array.from(part, (v) => v + 0)));
console.log(hex(sha256(new Uint8Array(all.buffer))).slice(0, 16));
"""


def test_the_published_training_of_real_inputs():
    losses = [float.fromhex(text) for text in ("0x1.3df991014ae5cp+3", "0x1.a1d2a4408a2cap+2")]
    assert script(THIRD).splitlines() == [f"{losses[0]!r} 13", f"{losses[1]!r} 21", "36ee38b5e9bd85e9"]


MILLION = """
const { draws } = await load("numbers"), { exponential, log } = await load("elementary");
const { hex, sha256 } = await load("sha256");
const short = (bytes) => hex(sha256(new Uint8Array(bytes.buffer))).slice(0, 16);
const E = (draw) => BigInt(exponential(Number(draw >> 11n) * -(2 ** -48)));
console.log(short(BigInt64Array.from(draws(1000000, 0, "d"), E)));
const s = (draw) => Number(2n ** 40n + ((draw >> 11n) % (10n * 2n ** 40n))) / 2 ** 40;
console.log(short(Float64Array.from(draws(1000000, 0, "s"), (draw) => log(s(draw)))));
"""


def test_the_quantiles_constants_are_those_of_the_text():
    """Of docs/exact.md, of the JavaScript, and of the Python: to the last digit."""
    text = (ROOT / "docs/exact.md").read_text(encoding="utf-8").partition("A normal weight is")[2].split("```")[1]
    written = [float(word) for word in re.findall(r"(?<= )\d\.\d+(?:e-?\d+)?", text)]
    assert len(written) == 48
    assert written == [c for ratio in (CENTRE, SIDE, TAIL) for polynomial in ratio for c in polynomial]
    code = (ROOT / "site/starts.js").read_text().partition("const CENTRE")[2]
    assert written == [float(word) for word in re.findall(r"\d\.\d+(?:e-?\d+)?", code)]


def test_the_published_million_exponentials_and_logarithms():
    assert script(MILLION).split() == ["1ae4e13b7058d822", "a50e8bcc3c0edb25"]
