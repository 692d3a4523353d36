import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from samebits.base.params import Training
from samebits.outcome.finished import Dataset, Run
from samebits.report import tables
from tests.made import notes

TRAINING = Training(seeds=[4, 7], epochs=1, batch_size=1, lr=0.1, momentum=0.0, init_std=None, hidden=[])
SUMMARY = {"image": [28, 28], "splits": {"train": {"images": 60_000}, "test": {"images": 10_000}}}
PAIR = {
    "runs": ["scratch", "mlp"],
    "seeds": [4, 7],
    "difference": {"accuracy": {"per_seed": [0.125, -0.25]}, "loss": {"per_seed": [1 / 3, 0.0]}},
    "mcnemar": [
        {"seed": 4, "only_first": 1, "only_second": 3, "p": 0.625},
        {"seed": 7, "only_first": 4, "only_second": 0, "p": 0.125},
    ],
}
NONE = {"runs": ["scratch", "mlp"], "seeds": [], "difference": {}, "mcnemar": []}


def run(name, *splits):
    history = pd.DataFrame({"seed": [4, 7], "epoch": [1, 1]})
    for i, split in enumerate(splits):
        history[f"{split}_loss"], history[f"{split}_accuracy"] = [0.1 + i, 0.2 + i], [1 / 3, 2 / 3]
    classes = pd.DataFrame({"class": ["7"], "precision": [1 / 7], "recall": [0.5], "f1": [0.2], "support": [9]})
    confusion = pd.DataFrame({"actual": ["7"], "predicted": ["7"], "count": [9]})
    metrics = {
        "test": {"accuracy": {"mean": 0.1 + 0.2, "std": 0.125, "ci95": [0.25, 0.5]}, "loss": {"mean": 1e-17}},
        "parameters": 3,
        "model_sha256": "f0",
    }
    return Run(name, TRAINING, metrics, history, classes, confusion, pd.DataFrame())


@pytest.fixture
def datasets():
    images = np.zeros((0, 1, 1), np.uint8)
    return [
        Dataset("mnist", SUMMARY, images, {}, [PAIR], [run("scratch", "train", "test"), run("mlp", "train", "test")]),
        Dataset("digits", SUMMARY, images, {}, [NONE], [run("scratch", "train", "validation", "test")]),
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
        "std": 0.125,
        "ci95_low": 0.25,
        "ci95_high": 0.5,
        "loss": 1e-17,
        "parameters": 3,
        "seeds": 2,
        "epochs": 1,
        "model_sha256": "f0",
    }


def test_one_seed_leaves_the_spread_empty(datasets):
    for one in datasets[0].runs:
        one.metrics["test"]["accuracy"] = {"mean": 0.75}
    text = tables.results(datasets).to_csv(index=False).splitlines()
    assert text[1].startswith("mnist,scratch,0.75,,,,1e-17,")
    assert text[3].startswith("digits,scratch,0.30000000000000004,0.125,0.25,0.5,")
    assert tables.results(datasets[:1]).to_csv(index=False).splitlines()[1] == text[1]


def test_comparison_has_a_row_for_each_pair_and_seed(datasets):
    assert tables.comparison(datasets).to_csv(index=False).splitlines() == [
        "dataset,first,second,seed,accuracy,loss,only_first,only_second,p",
        "mnist,scratch,mlp,4,0.125,0.3333333333333333,1,3,0.625",
        "mnist,scratch,mlp,7,-0.25,0.0,4,0,0.125",
    ]
    assert len(tables.comparison(datasets[1:]).to_csv(index=False).splitlines()) == 1


def test_notes_are_held_against_the_accuracies_here(datasets):
    header = "dataset,run,epoch,printed_percent,printed_count,mean,least,most,seeds,inside"
    assert tables.notes(datasets).to_csv(index=False).splitlines() == [header]  # not the notes' parameters
    epochs = pd.MultiIndex.from_product([[4, 7], range(1, 10)], names=["seed", "epoch"]).to_frame(index=False)
    history = epochs.assign(test_accuracy=[0.5] * 9 + [0.75] * 9)
    theirs = notes.training("mlp", [4, 7])
    mlp = dataclasses.replace(datasets[0].runs[1], training=theirs, history=history)
    theirs = notes.training("scratch", [4])
    history = pd.DataFrame({"seed": 4, "epoch": range(1, 21), "test_accuracy": 0.25})
    scratch = dataclasses.replace(datasets[0].runs[0], training=theirs, history=history)
    mnist, fashion = (dataclasses.replace(datasets[0], name=n, runs=[scratch, mlp]) for n in ("mnist", "fashion_mnist"))
    text = tables.notes([fashion, mnist]).to_csv(index=False).splitlines()
    assert len(text) == 1 + 1 + 9
    assert text[1] == "fashion_mnist,scratch,20,,,0.25,0.25,0.25,1,"
    assert text[2] == "mnist,mlp,1,55.0,5546,0.625,0.5,0.75,2,True"
    assert text[10] == "mnist,mlp,9,96.96,9696,0.625,0.5,0.75,2,False"


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
