import io

import numpy as np
import pandas as pd
import pytest

from stages.params import Training
from stages.results import tables
from stages.results.outcome import Dataset, Run

TRAINING = Training(seeds=[4, 7], epochs=1, batch_size=1, lr=0.1, momentum=0.0, init_std=None, hidden=[])


def run(name, *splits):
    history = pd.DataFrame({"seed": [4, 7], "epoch": [1, 1]})
    for i, split in enumerate(splits):
        history[f"{split}_loss"], history[f"{split}_accuracy"] = [0.1 + i, 0.2 + i], [1 / 3, 2 / 3]
    classes = pd.DataFrame({"class": ["7"], "precision": [1 / 7], "recall": [0.5], "f1": [0.2], "support": [9]})
    confusion = pd.DataFrame({"actual": ["7"], "predicted": ["7"], "count": [9]})
    metrics = {
        "test": {"accuracy": {"mean": 0.1 + 0.2}, "loss": {"mean": 1e-17}},
        "parameters": 3,
        "model_sha256": "f0",
    }
    return Run(name, TRAINING, metrics, history, classes, confusion, pd.DataFrame())


@pytest.fixture
def datasets():
    images = np.zeros((0, 1, 1), np.uint8)
    return [
        Dataset("mnist", {}, images, {}, [run("scratch", "train", "test"), run("mlp", "train", "test")]),
        Dataset("digits", {}, images, {}, [run("scratch", "train", "validation", "test")]),
    ]


def test_results_have_a_row_for_each_run(datasets):
    table = tables.results(datasets)
    assert list(zip(table["dataset"], table["run"], strict=True)) == [
        ("mnist", "scratch"),
        ("mnist", "mlp"),
        ("digits", "scratch"),
    ]
    assert table.iloc[0].to_dict() == {
        "dataset": "mnist",
        "run": "scratch",
        "accuracy": 0.1 + 0.2,
        "loss": 1e-17,
        "parameters": 3,
        "seeds": 2,
        "epochs": 1,
        "model_sha256": "f0",
    }


def test_curves_have_a_row_for_each_run_split_seed_and_epoch(datasets):
    table = tables.learning_curves(datasets)
    assert list(table) == ["dataset", "run", "seed", "epoch", "split", "loss", "accuracy"]
    assert len(table) == (2 + 2 + 3) * 2
    row = table.query("dataset == 'digits' and split == 'validation' and seed == 7")
    assert row[["loss", "accuracy"]].to_numpy().tolist() == [[1.2, 2 / 3]]


def test_class_tables_keep_their_columns(datasets):
    assert list(tables.classes(datasets)) == ["dataset", "run", "class", "precision", "recall", "f1", "support"]
    assert list(tables.confusion(datasets)) == ["dataset", "run", "actual", "predicted", "count"]


def test_a_float_survives_the_file(datasets):
    text = tables.classes(datasets).to_csv(index=False)
    assert pd.read_csv(io.StringIO(text))["precision"].tolist() == [1 / 7] * 3
