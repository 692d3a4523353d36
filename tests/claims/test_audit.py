"""One seed up to one epoch, held against the chain: real trainings of digits, real faults."""

import contextlib
import re
import shutil
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file

from samebits.base import dvc, paths
from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.base.yaml import read_yaml
from samebits.commands import audit, store
from samebits.learning import course, initial, scratch, training
from samebits.seeds.codec import decode, encode
from stages import download, preprocess, train_concise, train_scratch
from tests.conftest import ROOT
from tests.made.trained import PARAMS

CODE = Path("samebits/learning/scratch.py")
CHAIN, HISTORY, MODEL = (path("digits", "mlp") for path in (paths.chain, paths.history, paths.model))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in which scratch and mlp are trained, with its dvc.lock."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "params.yaml").write_text(PARAMS)
    for name in ("dvc.yaml", "data/catalog.yaml", CODE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in ("DATASET_MIRROR", "DEVICE", "WORKERS", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        for stage in (download, preprocess, train_scratch):
            stage.main("digits")
        train_concise.main("digits", "mlp")
        lock()
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A copy of it."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "here"))
    monkeypatch.setenv("SEED_STORE", "off")
    return tmp_path / "here"


def lock():
    """Write dvc.lock as DVC would for what is here now."""

    def files(*found):
        return [{"path": str(path), "md5": dvc.md5_of(path), "size": 1} for path in found if path.exists()]

    values = read_yaml(paths.PARAMS)
    stages = {"preprocess@digits": {"cmd": "python", "outs": files(paths.processed("digits"))}}
    for run, stage in (("scratch", "train-scratch@digits"), ("mlp", "train-concise@digits-mlp")):
        stages[stage] = {
            "cmd": "python",
            "deps": files(CODE, paths.processed("digits")),
            "params": {"params.yaml": {name: values[name] for name in ("arithmetic", run)}},
            "outs": files(*(path("digits", run) for path in (paths.model, paths.history, paths.chain))),
        }
    write_json(paths.LOCK, {"schema": "2.0", "stages": stages})


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def hash_of(seed, epoch):
    return next(line[-64:] for line in CHAIN.read_text().splitlines() if line.startswith(f"{seed},{epoch},"))


def fails(capsys, *arguments):
    """The verdict of an audit that finds a fault."""
    with pytest.raises(typer.Exit) as end:
        audit.main("digits", *arguments)
    assert end.value.exit_code == 1
    return capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_a_seed_and_an_epoch_come_out_again(capsys):
    audit.main("digits", "mlp", 5, 3)
    said = capsys.readouterr().out
    assert said.startswith(
        "reproduced: digits mlp seed 5 up to epoch 3 has the same 3 hashes here as in models/digits/"
    )
    assert said.endswith(" 3 of the stage's 12 epochs, 25.0% of its training)\n")
    audit.main("digits", "mlp")
    assert "seed 7 up to epoch 6 has the same 6 hashes" in capsys.readouterr().out
    audit.main("digits", "scratch", 5)
    assert "seed 5 up to epoch 2 has the same 2 hashes" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_other_orders_from_an_epoch_on_are_named(capsys, monkeypatch):
    right = initial.order
    monkeypatch.setattr(training, "order", lambda n, seed, epoch: right(n, seed, epoch + 9 * (epoch > 2)))
    said = fails(capsys, "mlp", 5)
    assert said.startswith("NOT reproduced: digits mlp seed 5 differs first at the end of epoch 3: train_loss is 0.")


@pytest.mark.usefixtures("here")
def test_another_seed_is_named(capsys, monkeypatch):
    right = initial.first_layers
    monkeypatch.setattr(course, "first_layers", lambda widths, std, seeds, where: right(widths, std, [6], where))
    assert "mlp seed 5 differs first at the end of epoch 1: train_loss is " in fails(capsys, "mlp", 5, 2)


@pytest.mark.usefixtures("here")
def test_another_rounding_and_other_code_are_named(capsys, monkeypatch):
    def cut(parameters, gradients, velocities, lr, momentum):
        right(parameters, gradients, velocities, lr, momentum)
        for w in parameters:
            w.copy_((w.view(torch.int32) & ~1).view(torch.float32))

    right = scratch.sgd
    monkeypatch.setattr(scratch, "sgd", cut)
    edit(CODE, '"""', '"""Indeed. ')
    with pytest.raises(typer.Exit):
        audit.main("digits", "scratch", None, 1)
    out, said = capsys.readouterr()
    assert "scratch seed 7 differs first at the end of epoch 1: train_loss is " in out
    assert f"note: dvc.lock was made by another {CODE}" in said


@pytest.mark.usefixtures("here")
def test_an_edited_chain_is_told_where_it_was_edited(capsys):
    edit(CHAIN, hash_of(5, 2), "0" * 64)
    with pytest.raises(UserError, match=f"^{CHAIN} is not what dvc.lock says: `dvc checkout {CHAIN}` or `dvc repro tr"):
        audit.main("digits", "mlp")
    lock()
    audit.main("digits", "mlp", 5, 1)
    audit.main("digits", "mlp", 7, 6)  # of other seeds it says nothing
    assert "seed 5 differs first at the end of epoch 2: its line of history is the same, but its weights or vel" in (
        fails(capsys, "mlp", 5)
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("epoch", [5, 6])
def test_a_chain_that_does_not_end_in_the_model_is_told_for_every_seed(capsys, epoch):
    edit(CHAIN, hash_of(5, epoch), "0" * 64)
    lock()
    assert fails(capsys, "mlp", 7, 1) == f"NOT reproduced: {CHAIN} does not end in {MODEL} and its history for seed 5\n"


@pytest.mark.usefixtures("here")
def test_another_model_or_history_is_told(capsys):
    line = next(line for line in HISTORY.read_text().splitlines() if line.startswith("5,2,"))
    loss = line.split(",")[2]
    edit(HISTORY, line, line.replace(loss, "0.5"))
    lock()
    assert f"at the end of epoch 2: train_loss is 0.5 in {HISTORY}, {loss} here" in fails(capsys, "mlp", 5)
    tensors = load_file(MODEL)
    tensors["1.bias"][1, 0] += 1
    save_file(tensors, MODEL)
    lock()
    assert "history for seed 5\n" in fails(capsys, "mlp", 7, 1)


def resized(name, change):
    """Change one tensor of the model, whose first dimension is the seeds', as if that had been committed."""
    tensors = load_file(MODEL)
    tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, MODEL)
    lock()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "seeds"), [
    (lambda bias: torch.cat([bias, bias[:1]]), "7, 5"),
    (lambda bias: bias[:1], "7, 5"),
    (lambda bias: bias[0, 0], "7, 5"),
    (lambda bias: bias.to(torch.complex64), "7, 5"),
    (lambda bias: bias.to(torch.float8_e5m2), "7, 5"),
    (lambda bias: torch.cat([bias[:1], bias[1:] * float("nan")]), "5"),
], ids=["a seed more", "a seed less", "no dimension", "complex", "8 bits", "no number"])  # fmt: skip
def test_a_model_of_another_form_is_no_end_of_the_chain(capsys, change, seeds):
    resized("1.bias", change)
    said = f"NOT reproduced: {CHAIN} does not end in {MODEL} and its history for seed {seeds}\n"
    assert fails(capsys, "mlp", 7, 1) == said


@pytest.mark.usefixtures("here")
def test_wide_arithmetic_has_a_chain_too(capsys):
    edit(paths.PARAMS, "arithmetic: exact", "arithmetic: wide")
    train_scratch.main("digits")
    lock()
    audit.main("digits", "scratch")
    assert "the same 2 hashes" in capsys.readouterr().out


def test_an_epoch_that_the_store_kept_is_where_it_begins(here, capsys, monkeypatch):
    with pytest.raises(UserError, match=r"^the seed store has no epoch of digits mlp seed 5 before 4 that fits the ch"):
        audit.main("digits", "mlp", 5, 4, from_store=True)
    monkeypatch.setenv("SEED_STORE", str(here / "kept"))
    monkeypatch.setenv("SEED_STORE_KEEP", "all")
    right = CHAIN.read_bytes()
    train_concise.main("digits", "mlp")
    assert CHAIN.read_bytes() == right
    entries = [(decode(path.read_bytes()), path) for path in (here / "kept").rglob("*.seed")]
    assert len(entries) == 2 * 6
    audit.main("digits", "mlp", 5, 4, from_store=True)
    assert "seed 5 up to epoch 4, from what the seed store kept of epoch 3, has the same 1 hash here" in (
        said := capsys.readouterr().out
    )
    assert said.endswith(" 1 of the stage's 12 epochs, 8.3% of its training)\n")
    audit.main("digits", "mlp", 5, 1, from_store=True)
    store.main()
    assert "2 seeds and 10 of their epochs, " in capsys.readouterr().out
    for ([stood], about), path in entries:  # whoever can write there may forge one
        if (stood.seed, stood.epoch) == (5, 3):
            stood.carried["1.bias"][0] += 1
            path.write_bytes(encode([stood], about))
    audit.main("digits", "mlp", 5, 4, from_store=True)
    assert "from what the seed store kept of epoch 2, has the same 2 hashes here" in capsys.readouterr().out
    monkeypatch.setenv("SEED_STORE_KEEP", "some")
    with pytest.raises(UserError, match=r"^SEED_STORE_KEEP=some is neither last, of a seed's epochs, nor all$"):
        audit.main("digits", "mlp", 5, 4, from_store=True)


# ------------------------------------------------------------------------------------------------------------ bad input


def removed(path):
    return lambda: path.unlink()


def unclaimed():
    CHAIN.unlink()
    lock()


LINE = "7,2,"  # how a line of history.csv begins
FIGURES = "not seed 7, epoch 2 and 4 figures as Python writes them"


def cells(change):
    """Change the cells of a line of a history.csv."""

    def apply(text):
        line = next(line for line in text.split("\n") if line.startswith(LINE))
        return text.replace(line, ",".join(change(line.split(","))))

    return apply


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "said"), [
    (lambda text: text.replace("train_loss,train_acc", "train_acc,train_loss", 1), "its first line is 'seed,epoch,tra"),
    (lambda text: text.replace("train_loss,", "", 1), "its first line is 'seed,epoch,train_accuracy,"),
    (lambda text: f"\ufeff{text}", r"its first line is '\ufeffseed,"),
    (lambda text: text.replace("\n", "\r\n"), r"test_accuracy\r', not seed,epoch,train_loss,train_accuracy,test_loss"),
    (lambda text: text.replace(f"\n{LINE}", f"\u2028{LINE}"), "it has 11 lines of figures, not 12"),
    (lambda text: text + text[-30:], "it has "),
    (lambda text: text[:-1], "its last line has no end"),
    (lambda text: "", "its first line is '', not seed,"),
    (lambda text: text.encode("utf-16"), "'utf-8' codec can't decode byte 0xff"),
    (cells(lambda row: [*row, "1.0"]), FIGURES),
    (cells(lambda row: row[:-1]), FIGURES),
    (cells(lambda row: ["7", "3", *row[2:]]), FIGURES),
    (cells(lambda row: [*row[:-1], f"{row[-1]}0"]), FIGURES),
    (cells(lambda row: [*row[:-1], "inf"]), FIGURES),
    (cells(lambda row: [*row[:-1], "\x1b[31mred\u2028"]), r"\x1b[31mred\u2028', not seed 7, epoch 2 and "),
])  # fmt: skip
def test_a_history_that_no_training_writes_is_a_sentence(change, said):
    content = change(HISTORY.read_text())
    HISTORY.write_bytes(content if isinstance(content, bytes) else content.encode())
    lock()
    with pytest.raises(UserError, match=f"^{HISTORY} is damaged \\(.*{re.escape(said)}") as error:
        audit.main("digits", "mlp", 5, 1)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000


@pytest.mark.usefixtures("here")
def test_what_is_quoted_of_a_model_is_printable():
    header = rb'{"x":{"dtype":"\u001b[31mF32"}}'
    MODEL.write_bytes(len(header).to_bytes(8, "little") + header)
    lock()
    with pytest.raises(UserError, match=f"^{MODEL} cannot be read \\('.*unknown variant ") as error:
        audit.main("digits", "mlp")
    assert str(error.value).isprintable()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("change", [
    removed(paths.LOCK),
    unclaimed,
    removed(CHAIN),
    lambda: edit(paths.PARAMS, "lr: 0.3", "lr: 0.2"),
], ids=["no claim", "no chain", "no file", "another parameter"])  # fmt: skip
def test_advice_for_a_dataset_that_params_do_not_name(change):
    """Of which DVC has no stage."""
    edit(paths.PARAMS, "datasets: [digits]", "datasets: [mnist]")
    audit.main("digits", "mlp", 7, 1)
    change()
    with pytest.raises(UserError, match=r", once datasets in params.yaml names digits\b"):
        audit.main("digits", "mlp", 7, 1)


def float32():
    edit(paths.PARAMS, "arithmetic: exact", "arithmetic: float32")
    train_scratch.main("digits")
    lock()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("arguments", "change", "sentence"), [
    (("mnist", "mlp"), None, r"dvc.lock says nothing of train-concise@mnist-mlp: there is no claim to audit"),
    (("nope", "mlp"), None, r"unknown dataset 'nope': the catalog has "),
    (("digits", "nope"), None, r"unknown run 'nope': it must be one of scratch, concise, mlp"),
    (("digits", "concise"), None, r"dvc.lock says nothing of train-concise@digits-concise"),
    (("digits", "mlp", 3), None, r"--seed is 3, but digits mlp has the seeds 7, 5$"),
    (("digits", "mlp", None, 0), None, r"--epoch is 0, but digits mlp has the epochs 1 to 6$"),
    (("digits", "mlp", None, 7), None, r"--epoch is 7, but digits mlp has the epochs 1 to 6$"),
    (("digits", "mlp"), removed(CHAIN), rf"{CHAIN} is missing: `dvc checkout {CHAIN}` or "),
    (("digits", "mlp"), removed(MODEL), rf"{MODEL} is missing"),
    (("digits", "mlp"), removed(paths.LOCK), r"dvc.lock says nothing of "),
    (("digits", "mlp"), lambda: paths.LOCK.write_text("stages: {"), r"dvc.lock is empty, cut or otherwise"),
    (("digits", "mlp"), unclaimed, r"dvc.lock names no chain of train-concise@digits-mlp"),
    (("digits", "mlp"), lambda: (CHAIN.write_text("seed,epoch\n7,1\n"), lock()), rf"{CHAIN} is damaged \(it is not li"),
    (("digits", "mlp"), lambda: (CHAIN.write_bytes(b"\xff\n"), lock()), rf"{CHAIN} is damaged \("),
    (("digits", "mlp"), lambda: (edit(CHAIN, hash_of(5, 3), "x"), lock()), r".*\(line 10 is not a seed, an epoch and "),
    (("digits", "mlp"), lambda: (edit(CHAIN, "7,2,", "7,1,"), lock()), r".*\(an epoch of a seed is there twice\)"),
    (("digits", "mlp"), lambda: (edit(CHAIN, "7,2,", "7,9,"), lock()), rf"{CHAIN} has other seeds or epochs than "),
    (("digits", "mlp"), lambda: edit(paths.PARAMS, "lr: 0.3", "lr: 0.2"),
     r"mlp in params.yaml has changed since digits mlp was trained: `dvc repro train-concise@digits-mlp` makes a new cl"
     r"aim; with what it was before, the old one can be audited$"),
    (("digits", "mlp"), lambda: edit(paths.summary("digits"), '"', ' "'), r"data/processed/digits is not what dvc.loc"),
    (("digits", "scratch"), float32, r"arithmetic is float32, whose results depend on machine, threads and the seeds"),
])  # fmt: skip
def test_what_cannot_be_audited_is_a_sentence(arguments, change, sentence):
    if change:
        change()
    with pytest.raises(UserError, match=f"^{sentence}"):
        audit.main(*arguments)
