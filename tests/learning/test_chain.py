"""chain.csv, held against a second reading of docs/exact.md that shares nothing with the first but SHA-256."""

import csv
import hashlib
import json
import struct

import pytest
import torch

from samebits.base import paths
from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.datasets.arrays import save
from samebits.learning import chain, fused, scratch
from samebits.learning.course import Course, Standing
from samebits.learning.run import train
from samebits.outcome import chains
from samebits.seeds.training import trained
from tests.conftest import ROOT
from tests.learning.test_run import NONE
from tests.learning.test_training import BLOCK, SPLITS, images

CPU = torch.device("cpu")


def digest(tensors):
    """As the text says: tensors by name, each a line of JSON and its numbers, little-endian, -0.0 as 0.0."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        kind, called = {torch.float32: ("f", "float32"), torch.float64: ("d", "float64")}[tensor.dtype]
        shape = ", ".join(map(str, tensor.shape))
        sha.update(f'["{name}", "{called}", [{shape}]]\n'.encode())
        for number in tensor.flatten().tolist():
            sha.update(struct.pack(f"<{kind}", number if number else 0.0))
    return sha.hexdigest()


def by_hand(before, line, tensors):
    return hashlib.sha256(f"{before}\n{line}\n{digest(tensors)}\n".encode()).hexdigest()


@pytest.mark.parametrize("name", ["exact", "wide", "float32"])
@pytest.mark.parametrize("build", [scratch.build, fused.build])
def test_the_hashes_are_those_of_the_text(tmp_path, monkeypatch, name, build):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEED_STORE", "off")
    params = load(ROOT / "params.yaml")
    block = params.scratch.model_copy(update={"seeds": [3, 5], "epochs": 3, "batch_size": 64, "momentum": 0.5})
    save(paths.processed("x"), "x", "X", list("abcdefghij"), {"train": SPLITS["train"], "validation": NONE,
                                                              "test": SPLITS["test"]})  # fmt: skip
    train("x", "scratch", build, params.model_copy(update={"scratch": block, "arithmetic": name}), trained)
    _, *lines = paths.history("x", "scratch").read_text().splitlines()
    course = Course("x", name, block, build, SPLITS, [36, 10], CPU)
    wanted, before = [["seed", "epoch", "sha256"]], {3: "0" * 64, 5: "0" * 64}
    steps = [[(each, dict(each.carried)) for each in reached.standings()]
             for reached in course.follow([Standing(seed) for seed in block.seeds])]  # fmt: skip
    for place, seed in enumerate(block.seeds):
        for epoch, standings in enumerate(steps, 1):
            carried = standings[place][1]
            assert bool([key for key in carried if key.startswith("velocity.")]) == (epoch < 3)
            before[seed] = by_hand(before[seed], lines[3 * place + epoch - 1], carried)
            wanted.append([str(seed), str(epoch), before[seed]])
    with paths.chain("x", "scratch").open(newline="") as file:
        assert list(csv.reader(file)) == wanted
    assert list(chains.read(paths.chain("x", "scratch")).values()) == [sha for *_, sha in wanted[1:]]


def test_a_hash_covers_row_state_and_the_hash_before():
    row, carried = {"seed": 3, "epoch": 1, "train_loss": 0.1}, {"weight": torch.ones(2, 3)}
    right = chain.link(chain.BEGIN, row, carried)
    others = [
        chain.link("1" * 64, row, carried),
        chain.link(chain.BEGIN, row | {"train_loss": 0.1 + 2**-56}, carried),
        chain.link(chain.BEGIN, row, {"weight": torch.ones(3, 2)}),
        chain.link(chain.BEGIN, row, {"bias": torch.ones(2, 3)}),
        chain.link(chain.BEGIN, row, {"weight": torch.ones(2, 3, dtype=torch.float64)}),
        chain.link(chain.BEGIN, row, {"weight": torch.ones(2, 3).index_fill(1, torch.tensor(2), 1 + 2**-23)}),
    ]
    assert len({right, *others}) == 7
    assert chain.link(chain.BEGIN, json.loads(json.dumps(row)), carried) == right


def test_what_is_carried_and_no_number_is_a_sentence(monkeypatch):
    def wild(self):
        self.W[1, 0, 0] = torch.inf
        return {"weight": self.W}

    monkeypatch.setattr(scratch.Scratch, "carried", wild)
    course = Course("x scratch", "exact", BLOCK, scratch.build, {"train": images(90, 1)}, [36, 10], CPU)
    said = r"^x scratch seed 5, at the end of epoch 1: NaN or infinity in tensor 'weight' at lr 0.1; try a smaller lr$"
    with pytest.raises(UserError, match=said):
        list(course.follow([Standing(3), Standing(5)]))


@pytest.mark.parametrize("text", [
    "", "\n", "seed,epoch,sha256", "seed,epoch\n", f"seed,epoch,sha256\n0,1,{'A' * 64}\n", "seed,epoch,sha256\n0,1,\n",
    f"seed,epoch,sha256\n0,0,{'a' * 64}\n", f"seed,epoch,sha256\n0,1,{'a' * 64}", "seed,epoch,sha256\r\n",
    f"seed,epoch,sha256\n0,1,{'a' * 64}\n0,1,{'a' * 64}\n", f"seed,epoch,sha256\n٣,1,{'a' * 64}\n",
    f"seed,epoch,sha256\n0,1,{'a' * 64}\n\n",
])  # fmt: skip
def test_what_is_no_chain_is_refused(tmp_path, text):
    (tmp_path / "chain.csv").write_text(text, newline="")
    with pytest.raises(ValueError, match=r"line|twice"):
        chains.read(tmp_path / "chain.csv")
