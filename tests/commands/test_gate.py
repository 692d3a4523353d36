"""The gate over small made-up results, and over the real pipeline with faults planted in it."""

import os
import random
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import typer
from scipy.stats import binom

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.base.params import RUNS, load
from samebits.claims import copies
from samebits.commands import gate, reference
from samebits.datasets.split import Split, load_split
from samebits.gate import references, render
from samebits.gate.judge import judge
from samebits.gate.records import QUANTITIES, Values
from samebits.gate.verdicts import Verdict, compare
from samebits.learning import initial, scratch, training
from samebits.learning import run as learning
from samebits.tracking import best_effort
from stages import download, evaluate, preprocess, train_concise, train_scratch
from tests.conftest import ROOT, run
from tests.made.dying import begin, ended
from tests.made.finished import project

SEEDS = (0, 1, 2, 3, 4)
NAMES = {quantity.key: quantity.name for quantity in QUANTITIES}
PARAMS = """
datasets: [digits]
networks: []
arithmetic: exact
preprocess: {resize: null, validation_size: 0}
scratch: {seeds: [0, 1, 2, 3, 4], epochs: 12, batch_size: 256, lr: 0.1, momentum: 0.0, init_std: 0.01, hidden: []}
concise: {seeds: [0, 1, 2, 3, 4], epochs: 2, batch_size: 256, lr: 0.1, momentum: 0.0, init_std: 0.01, hidden: []}
mlp: {seeds: [0, 1, 2], epochs: 2, batch_size: 64, lr: 0.1, momentum: 0.5, init_std: null, hidden: [12]}
"""


KILLED = """
import os, signal
from pathlib import Path
replace, renamed = Path.replace, []
def killed(self, target):
    if len(renamed) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    renamed.append(target)
    return replace(self, target)
Path.replace = killed
from samebits.__main__ import main
main()
"""


def gated(*datasets, **options):
    """Run the gate; return whether it passed."""
    try:
        gate.main(list(datasets) or None, **options)
    except typer.Exit as end:
        return end.exit_code == 0
    return True


def verdicts(name="digits"):
    """Run -> quantity -> verdict."""
    found: dict[str, dict[str, Verdict]] = {}
    for one in judge([name], load(), 0.05).comparisons:
        found.setdefault(one.run, {})[one.quantity] = one.verdict
    return found


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Finished outputs of five seeds, and the reference made of them."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    project(tmp_path, "digits", "mnist", seeds=SEEDS)
    for name in ("digits", "mnist"):
        path = tmp_path / "data/processed" / name / "summary.json"
        summary = read_json(path)
        summary["splits"]["test"] = {"images": 10_000}  # of ten images, each would be a tenth of the accuracy
        write_json(path, summary)
    reference.main()
    return tmp_path


def shift(folder, run, quantity, by, dataset="digits"):
    """Change one quantity of a run's outputs for every seed, by slightly more for each next seed."""
    path = folder / f"metrics/{dataset}/{run}.json"
    metrics = read_json(path)
    values = metrics["test"][quantity]["per_seed"]
    metrics["test"][quantity]["per_seed"] = [value + by * (1 + i / 100) for i, value in enumerate(values)]
    write_json(path, metrics)


def message(case: ElementTree.Element, what: str) -> str:
    """What a failure or an error of a test case says."""
    found = case.find(what)
    assert found is not None
    return found.attrib["message"]


def set_param(old, new):
    text = Path("params.yaml").read_text()
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new))


@pytest.mark.parametrize("moment", [0, 1, 5, "random"])
def test_a_reference_whose_making_is_killed(made_up, moment):
    """SIGKILL before, between and after the renames, and any time: each file is whole, of before or after."""
    before = references_here()
    for name in ("digits", "mnist"):
        for run_ in RUNS:
            shift(made_up, run_, "loss", 0.1, name)
    script = "from samebits.__main__ import main\nmain()" if moment == "random" else KILLED.format(after=moment)
    process = begin("-c", script, "reference", cwd=made_up, PYTHONPATH=str(ROOT))
    if moment == "random":
        time.sleep(random.uniform(0, 4))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    ended(process)
    assert moment == "random" or process.returncode == -signal.SIGKILL
    found = references_here()
    reference.main()
    after = references_here()
    assert set(found) == set(before) == set(after)
    assert all(before[path] != after[path] for path in before)
    assert all(found[path] in (before[path], after[path]) for path in before)
    if moment != "random":
        assert sum(found[path] == after[path] for path in before) == moment


def references_here():
    """What Git would see of the references."""
    return {
        path: path.read_bytes() for path in Path("reference").rglob("*") if path.is_file() and path.suffix != ".part"
    }


def test_nothing_changed(made_up, capsys):
    assert gated()
    said = capsys.readouterr().out
    assert said.count("identical  same bits, 5 seeds") == 2 * 3 * 4
    assert said.endswith("gate: passed: identical, every figure has the bits of the reference\n")


def test_a_change_that_is_no_worse_passes_with_notice(made_up, capsys):
    shift(made_up, "mlp", "loss", 1e-9)
    assert gated()
    said = capsys.readouterr().out
    assert 'passed, with notice: changed but no worse: digits mlp; `make reference DATASETS="digits"` takes' in said
    assert "would catch" in said


def test_a_worse_figure_fails_and_is_named(made_up, capsys):
    shift(made_up, "mlp", "loss", 0.01, dataset="mnist")
    assert not gated()
    assert capsys.readouterr().out.endswith("gate: FAILED: worse: mnist mlp test loss\n")
    assert gated("digits")


def test_a_suspiciously_better_figure_fails_and_is_named(made_up, capsys):
    shift(made_up, "scratch", "loss", -0.01)
    assert not gated()
    assert capsys.readouterr().out.endswith("gate: FAILED: suspiciously better: digits scratch test loss\n")


def test_the_markdown_and_the_junit_file_say_the_same(made_up):
    shift(made_up, "scratch", "loss", 0.01)
    shift(made_up, "concise", "loss", 1e-9)
    set_param("lr: 0.01", "lr: 0.02")
    assert not gated("digits", markdown=Path("out/gate.md"), junit=Path("out/gate.xml"))
    text = Path("out/gate.md").read_text()
    assert text.startswith("## Gate\n\ngate: FAILED: worse: digits scratch test loss; not comparable")
    assert "- **not comparable**: digits mlp: mlp.lr is 0.01 in the reference, 0.02 in params.yaml" in text
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == 2 + 2 * 4
    suite = ElementTree.parse("out/gate.xml").getroot()
    cases = suite.findall("testcase")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("9", "1", "1")
    assert len(cases) == 9
    [failed] = [case for case in cases if case.find("failure") is not None]
    assert (failed.get("classname"), failed.get("name")) == ("gate.digits.scratch", "test loss")
    assert message(failed, "failure").startswith("worse: digits scratch test loss is")
    [refused] = [case for case in cases if case.find("error") is not None]
    assert "mlp.lr is 0.01" in message(refused, "error")


@pytest.mark.parametrize("option", ["markdown", "junit"])
def test_standard_output_holds_nothing_else(made_up, capsys, option):
    gated("digits", **{option: Path("file")})
    capsys.readouterr()
    gated("digits", **{option: Path("-")})
    assert capsys.readouterr().out == Path("file").read_text()
    assert not Path("-").exists()


def test_two_documents_in_one_are_refused(made_up):
    with pytest.raises(UserError, match=r"^--markdown and --junit cannot both be written to standard output$"):
        gated("digits", markdown=Path("-"), junit=Path("-"))


def test_every_reason_not_to_compare_is_given_with_both_values(made_up, capsys):
    set_param("arithmetic: float32", "arithmetic: exact")
    set_param("lr: 0.2", "lr: 0.3")
    summary = made_up / "data/processed/mnist/summary.json"
    write_json(summary, read_json(summary) | {"digest": "f" * 64})
    (made_up / "reference/digits/mlp.json").unlink()
    (made_up / "metrics/digits/scratch.json").unlink()
    assert not gated()
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "error: digits scratch: arithmetic is float32 in the reference, exact in params.yaml",
        "error: digits scratch: metrics/digits/scratch.json is missing: run `dvc repro evaluate@digits`",
        "error: digits concise: arithmetic is float32 in the reference, exact in params.yaml",
        "error: digits concise: concise.lr is 0.2 in the reference, 0.3 in params.yaml",
        "error: digits mlp: reference/digits/mlp.json is missing: `make reference DATASETS=digits` writes it, "
        "then it is to be committed",
        "error: mnist scratch: arithmetic is float32 in the reference, exact in params.yaml",
        f"error: mnist scratch: the data's digest is {1:064x} in the reference, {'f' * 64} here",
        "error: mnist concise: arithmetic is float32 in the reference, exact in params.yaml",
        "error: mnist concise: concise.lr is 0.2 in the reference, 0.3 in params.yaml",
        f"error: mnist concise: the data's digest is {1:064x} in the reference, {'f' * 64} here",
        "error: mnist mlp: arithmetic is float32 in the reference, exact in params.yaml",
        f"error: mnist mlp: the data's digest is {1:064x} in the reference, {'f' * 64} here",
    ]
    assert out == "gate: FAILED: not comparable, for 12 reasons\n"


def test_outputs_that_params_does_not_name_are_run_by_another_option(made_up, capsys):
    set_param("datasets: [digits, mnist]", "datasets: [digits]")
    shutil.rmtree(made_up / "models/mnist/mlp")
    (made_up / "reference/mnist/scratch.json").unlink()
    assert not gated("mnist")
    assert capsys.readouterr().err.splitlines() == [
        "error: mnist scratch: reference/mnist/scratch.json is missing: `make reference DATASETS=mnist` writes it, "
        "then it is to be committed",
        "error: mnist mlp: models/mnist/mlp/history.csv is missing: params.yaml does not name mnist, "
        "so give --repro, which runs it in a copy of the project",
    ]


def test_without_a_reference_nothing_is_run(made_up, capsys, monkeypatch):
    monkeypatch.setattr(copies, "up_to_date", None)
    shutil.rmtree(made_up / "reference/mnist")
    Path("reference/digits/mlp.json").unlink()
    Path("reference/digits/mlp.json").mkdir()
    assert not gated(repro=True, markdown=Path("gate.md"))
    said = capsys.readouterr()
    assert said.out == "gate: FAILED: not comparable, for 4 reasons\n"
    assert "error: mnist mlp: reference/mnist/mlp.json is missing: `make reference DATASETS=mnist`" in said.err
    assert "digits mlp: reference/digits/mlp.json cannot be read: a folder is where a file should be\n" in said.err
    assert Path("gate.md").read_text().count("**not comparable**") == 4


def test_the_verdict_is_told_though_a_file_of_it_cannot_be_written(made_up):
    line = [sys.executable, "-m", "samebits", "gate", "--junit", "reference"]
    done = run(*line, cwd=made_up, check=False, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stderr) == (1, "error: cannot write reference: a folder is where a file should be\n")
    assert "gate: passed: identical" in done.stdout


def test_one_seed_is_identical_or_undecided(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(project(tmp_path, "digits", seeds=(0,)))
    reference.main()
    assert gated()
    shift(tmp_path, "mlp", "loss", 1e-9)
    assert not gated()
    said = capsys.readouterr().out
    assert "gate: FAILED: too few seeds: digits mlp test accuracy, digits mlp test loss, " in said
    assert "too few seeds  1 in the reference, 1 here" in said


def test_the_level_is_between_0_and_one_half(made_up):
    for alpha in (0, 0.5, -1, float("nan")):
        with pytest.raises(UserError, match="--alpha is"):
            gated(alpha=alpha)


def test_the_command_lines_say_no_traceback(made_up):
    shift(made_up, "scratch", "loss", 0.01)
    (made_up / "reference/mnist/mlp.json").write_text("{")
    failed = run(sys.executable, "-m", "samebits", "gate", cwd=made_up, check=False, PYTHONPATH=str(ROOT))
    assert failed.returncode == 1
    assert "worse: digits scratch test loss" in failed.stdout
    assert "error: mnist mlp: reference/mnist/mlp.json is not valid JSON" in failed.stderr
    assert "Traceback" not in failed.stderr
    options = ("digits", "--alpha", "0.01", "--junit", "gate.xml", "--markdown", "gate.md")
    run(sys.executable, "-m", "samebits", "reference", "digits", cwd=made_up, PYTHONPATH=str(ROOT))
    run(sys.executable, "-m", "samebits", "gate", *options, cwd=made_up, PYTHONPATH=str(ROOT))
    assert (made_up / "gate.xml").exists()
    assert (made_up / "gate.md").exists()


# The real pipeline: digits, a few epochs, faults planted in its functions or its data.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the reference of the pipeline as it is."""
    folder = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, folder)
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data/catalog.yaml", folder / "data")
        (folder / "params.yaml").write_text(PARAMS)
        download.main("digits")
        preprocess.main("digits")
        learn(*RUNS)
        reference.main()
    return folder


@pytest.fixture
def planted(trained, tmp_path, monkeypatch):
    """A copy of it, to plant a fault in and to learn again."""
    settle(monkeypatch, shutil.copytree(trained, tmp_path / "copy"))
    return monkeypatch


def settle(patch, folder):
    for name in ("DVC_STAGE", "DEVICE", "DATASET_MIRROR"):
        patch.delenv(name, raising=False)
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    patch.setenv("SEED_STORE", "off")  # a fault that is planted in memory is in no file of which its key is made
    patch.setattr(best_effort, "publish", lambda *datasets: None)
    patch.chdir(folder)


def learn(*runs):
    """Train `runs` by the code as it is and evaluate them all."""
    for name in runs:
        train_scratch.main("digits") if name == "scratch" else train_concise.main("digits", name)
    evaluate.main("digits")


def test_learning_the_same_again_is_identical(planted):
    learn(*RUNS)
    assert {verdict for found in verdicts().values() for verdict in found.values()} == {"identical"}
    assert gated()


def test_a_refactor_that_changes_no_bit_is_identical(planted):
    def sgd(parameters, gradients, velocities, lr, momentum):
        for w, g, v in zip(parameters, gradients, velocities, strict=True):
            v.copy_(g + momentum * v)
            w.copy_(w - lr * v)

    planted.setattr(scratch, "sgd", sgd)
    learn("scratch")
    assert set(verdicts()["scratch"].values()) == {"identical"}


def test_rounding_otherwise_is_no_worse(planted):
    by_the_book = scratch.gradient
    planted.setattr(scratch, "gradient", lambda *given: tuple(g * (1 + 2**-22) for g in by_the_book(*given)))
    learn("scratch")
    assert set(verdicts()["scratch"].values()) == {"no worse"}
    assert set(verdicts()["concise"].values()) == {"identical"}
    assert gated()


def test_three_times_the_learning_rate_in_the_code_fails(planted, capsys):
    by_the_book = scratch.sgd
    planted.setattr(scratch, "sgd", lambda w, g, v, lr, momentum: by_the_book(w, g, v, 3 * lr, momentum))
    learn("scratch")
    found = verdicts()
    # So few steps are too small at lr 0.1: three times as far is too good to be the same learning.
    assert {found["scratch"][NAMES[key]] for key in ("test_loss", "last_train_loss")} == {"suspiciously better"}
    assert set(found["concise"].values()) == set(found["mlp"].values()) == {"identical"}
    assert not gated()
    assert "suspiciously better: digits scratch" in capsys.readouterr().out


def test_three_times_the_learning_rate_in_the_parameters_is_refused_by_name(planted, capsys):
    set_param("epochs: 12, batch_size: 256, lr: 0.1", "epochs: 12, batch_size: 256, lr: 0.3")
    learn("scratch")
    assert not gated()
    assert "error: digits scratch: scratch.lr is 0.1 in the reference, 0.3 in params.yaml" in capsys.readouterr().err


def test_wrong_labels_for_one_training_image_in_twenty_fail(planted):
    def wrong(folder, name, where):
        split = load_split(folder, name, where)
        if name != "train":
            return split
        draw = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(split.labels), generator=draw)[: len(split.labels) // 20]
        labels = split.labels.clone()
        labels[chosen] = labels[chosen.roll(1)]
        return Split(split.images, labels)

    planted.setattr(learning, "load_split", wrong)
    learn(*RUNS)
    found = verdicts()
    for name in ("scratch", "concise"):
        assert found[name][NAMES["first_train_loss"]] == found[name][NAMES["last_train_loss"]] == "worse"
    assert found["scratch"][NAMES["test_accuracy"]] != "worse", "accuracy alone would have slept"
    assert not gated()


def test_half_the_epochs_are_refused_by_name(planted, capsys):
    """The code trains 6 epochs where params.yaml says 12."""
    params = load()
    halved = params.model_copy(update={"scratch": params.scratch.model_copy(update={"epochs": 6})})
    planted.setattr(train_scratch, "load", lambda: halved)
    learn("scratch")
    assert not gated()
    said = capsys.readouterr().err
    assert "models/digits/scratch/history.csv has other seeds or epochs than params.yaml" in said


def test_learning_that_stops_after_half_the_epochs_fails(planted):
    """The history is whole, but nothing is learned from the seventh epoch on."""
    by_the_book, now = scratch.sgd, []

    def order(images, seed, epoch):
        now.append(epoch)
        return initial.order(images, seed, epoch)

    planted.setattr(training, "order", order)
    planted.setattr(scratch, "sgd", lambda *given: by_the_book(*given) if now[-1] <= 6 else None)
    learn("scratch")
    found = verdicts()["scratch"]
    assert found[NAMES["test_loss"]] == found[NAMES["last_train_loss"]] == "worse"
    assert found[NAMES["first_train_loss"]] == "no worse"
    assert not gated()


def test_the_wrong_sign_of_the_biases_gradient_fails(planted):
    by_the_book = scratch.gradient

    def gradient(*given):
        of_weight, of_bias = by_the_book(*given)
        return of_weight, -of_bias

    planted.setattr(scratch, "gradient", gradient)
    learn("scratch")
    found = verdicts()["scratch"]
    print(render.terminal(judge(["digits"], load(), 0.05)))
    assert found[NAMES["test_loss"]] == found[NAMES["last_train_loss"]] == "worse"
    assert not gated()


def test_another_list_of_seeds_is_no_worse(planted):
    set_param("scratch: {seeds: [0, 1, 2, 3, 4]", "scratch: {seeds: [5, 6, 7, 8, 9]")
    set_param("concise: {seeds: [0, 1, 2, 3, 4]", "concise: {seeds: [3, 4, 5]")
    set_param("mlp: {seeds: [0, 1, 2]", "mlp: {seeds: [0, 1, 2, 3]")
    learn(*RUNS)
    result = judge(["digits"], load(), 0.05)
    print(render.terminal(result))
    assert {one.verdict for one in result.comparisons} == {"no worse"}
    how = {one.run: one.how for one in result.comparisons}
    assert how["scratch"] == "Welch, 5 and 5 seeds"
    assert how["concise"] == "same bits, 2 common seeds"
    assert gated()


def test_false_alarms_among_resampled_seeds_are_no_more_than_the_level(planted):
    """200 times two disjoint draws of 8 of 60 real seeds: nothing changed, so whatever is said to fail is an alarm.

    Tolerance: a gate that alarms at the level itself would exceed the bound once in 1000 draws of this test.
    """
    comparisons, level, rng = 200, 0.05, np.random.default_rng(11)
    set_param("scratch: {seeds: [0, 1, 2, 3, 4]", "scratch: {seeds: 60")
    learn("scratch")
    pool = references.measured("digits", "scratch", load())
    alarms = 0
    for _ in range(comparisons):
        drawn = rng.permutation(60)[:16].tolist()
        found = compare([(only(pool, drawn[:8]), only(pool, drawn[8:]))], level)
        alarms += not all(one.verdict is Verdict.NO_WORSE for one in found)
    most = int(binom.ppf(0.999, comparisons, level))
    print(f"{alarms} false alarms in {comparisons}, {alarms / comparisons:.3f} (level {level}, bound {most})")
    assert alarms <= most


def only(pool, seeds):
    """The record of a run that had these seeds alone."""
    places = [pool.seeds.index(seed) for seed in seeds]
    values = {key: [column[i] for i in places] for key, column in pool.values.model_dump().items()}
    return pool.model_copy(update={"seeds": seeds, "values": Values(**values)})
