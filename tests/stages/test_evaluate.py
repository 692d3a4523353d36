import contextlib
import shutil
from collections import Counter

import pandas as pd
import pytest

from samebits.base.files import read_json
from samebits.base.params import RUNS, load
from samebits.learning.training import split_logits
from samebits.tracking import best_effort
from stages import evaluate
from tests.made.trained import digits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the trained project, to evaluate anew."""
    monkeypatch.setattr(best_effort, "publish", lambda *datasets: None)
    monkeypatch.delenv("DEVICE", raising=False)
    with contextlib.chdir(shutil.copytree(digits(), tmp_path / "project")):
        yield tmp_path / "project"


def test_each_seed_is_measured_as_training_measured_it():
    for run in RUNS:
        metrics = read_json(digits() / f"metrics/digits/{run}.json")
        history = pd.read_csv(digits() / f"models/digits/{run}/history.csv")
        last = history[history["epoch"] == history["epoch"].max()].set_index("seed").loc[metrics["seeds"]]
        for quantity in ("accuracy", "loss"):
            assert metrics["test"][quantity]["per_seed"] == last[f"test_{quantity}"].tolist()


def test_runs_are_compared_over_the_seeds_that_both_have():
    comparison = read_json(digits() / "metrics/digits/comparison.json")
    metrics = {run: read_json(digits() / f"metrics/digits/{run}.json") for run in RUNS}
    params = load(digits() / "params.yaml")
    assert comparison["model_sha256"] == {run: metrics[run]["model_sha256"] for run in RUNS}
    assert len(comparison["pairs"]) == 3
    for pair in comparison["pairs"]:
        first, second = pair["runs"]
        assert pair["seeds"] == [seed for seed in params.training(first).seeds if seed in params.training(second).seeds]
        for quantity in ("accuracy", "loss"):
            theirs = [
                dict(zip(metrics[run]["seeds"], metrics[run]["test"][quantity]["per_seed"], strict=True))
                for run in (first, second)
            ]
            differences = [theirs[1][seed] - theirs[0][seed] for seed in pair["seeds"]]
            assert pair["difference"][quantity]["per_seed"] == pytest.approx(differences, abs=1e-12)


def test_the_first_seeds_counts_are_those_of_the_predictions():
    right = {}
    for run in RUNS:
        table = pd.read_csv(digits() / f"predictions/digits/{run}.csv", dtype=str)
        right[run] = table["actual"] == table["predicted"]
    for pair in read_json(digits() / "metrics/digits/comparison.json")["pairs"]:
        first, second = (right[run] for run in pair["runs"])
        test = pair["mcnemar"][0]
        assert [test["only_first"], test["only_second"]] == [(first & ~second).sum(), (second & ~first).sum()]


def test_each_model_sees_each_split_once(folder, monkeypatch):
    seen: Counter[int] = Counter()

    def counted(model, split):
        seen[id(split)] += 1
        return split_logits(model, split)

    monkeypatch.setattr(evaluate, "split_logits", counted)
    before = {path.name: path.read_bytes() for path in (folder / "metrics/digits").glob("*.*")}
    shutil.rmtree(folder / "metrics")
    evaluate.main("digits")
    params = load(folder / "params.yaml")
    fitted = len(RUNS)  # the first seed's temperature, on images held out or learned from
    assert list(seen.values()) == [sum(len(params.training(run).seeds) for run in RUNS), fitted]
    assert {path.name: path.read_bytes() for path in (folder / "metrics/digits").glob("*.*")} == before
