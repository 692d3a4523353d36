import math
import os
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from samebits.base.params import Training, load
from samebits.learning import initial
from samebits.learning.arithmetic import arithmetic
from samebits.outcome.finished import Dataset, Run
from samebits.outcome.reader import read_dataset
from samebits.report.lessons import (
    beside,
    code,
    cross_entropy,
    eight_rows,
    learn,
    network,
    overflow,
    printed,
    untrained,
)
from samebits.report.lessons import charts as lesson_charts
from tests.conftest import ROOT, run
from tests.made.trained import digits


@pytest.fixture(scope="module")
def datasets():
    """The digits, really trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(digits())
        return [read_dataset("digits", load())]


@pytest.fixture(scope="module")
def taught(datasets):
    return learn.learn(datasets)


def test_every_printed_figure_comes_out(taught):
    assert taught.agree
    assert all(taught.checks.values())
    rounded = {row.printed[0] for row in taught.every if row.difference}
    assert rounded == {*printed.COSTS, printed.BY_LOGITS, printed.FROM_LOGITS[1].loss}
    pairs, equal = taught.tally
    assert pairs - equal == len(printed.COSTS) + 1 + 2  # by hand and by library


def test_all_four_notes_have_their_say(taught):
    said = {notes: " ".join(" ".join(row.printed) for row in taught.every if row.notes == notes) for notes in "ABCD"}
    for example in (*printed.LOGITS, *printed.ONE_HOT, *printed.FROM_LOGITS, printed.THREE_WAYS, printed.ONE_TWO_THREE):
        assert example.loss in said[example.notes]
        assert all(" ".join(row) in said[example.notes] for row in example.probabilities)
    assert all(figure in said["A"] for figure in (*printed.SURPRISAL, printed.UNTRAINED))
    assert all(figure in said["B"] for figure in (printed.BY_LOGITS, printed.BY_PROBABILITY))
    assert all(figure in said["C"] for figure in (*printed.PICKED_LOSSES, printed.PICKED_ACCURACY))
    tables = (*printed.THREE_BY_FIVE, *printed.THREE_BY_FIVE_LOG)
    assert all(" ".join(row) in said["D"] for row in tables)
    assert said["D"].count(printed.THREE_BY_FIVE_COST) == 3
    assert all(cost in said["D"] for cost in printed.COSTS)


@pytest.mark.parametrize(
    ("digits", "value", "within", "here", "agrees"),
    [
        ("0.0200", 0.02004, 0, "0.0200", True),
        ("0.0200", 0.02006, 0, "0.020", False),
        ("0.0200", 0.02006, 1e-4, "0.020", True),
        ("0.0200", 0.7, 1e-4, "0.7000", False),
        ("0.35667494393873245", 0.35667494393873245, 0, "0.35667494393873245", True),
        ("0.35667494393873245", 0.356674944, 0, "0.356674944", False),
        ("1.8406162", 1.84061627, 2.4e-7, "1.840616", True),
        ("-1.5474", 1.5474, 1, "1.5474", False),
        ("0", -0.0, 0, "0", True),
        ("inf", math.inf, 0, "inf", True),
        ("inf", 700.0, 0, "700", False),
    ],
)
def test_a_figure_is_shown_as_far_as_it_agrees(digits, value, within, here, agrees):
    row = beside.beside("A", "it", [digits], [value], within)
    assert (row.here, row.agrees) == ((here,), agrees)
    assert (row.difference == 0) == (here == digits)


def test_one_wrong_figure_among_several_is_told():
    row = beside.beside("A", "it", ["0.1", "0.2", "0.3"], [0.1, 0.26, 0.3])
    assert not row.agrees
    assert row.difference == pytest.approx(0.06)


@pytest.mark.parametrize("function", [cross_entropy.drawn, lambda: eight_rows.costs(arithmetic("exact"))])
def test_torchs_generator_is_left_as_it_was(function, monkeypatch):
    monkeypatch.setattr(printed, "EVERY", 1)
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    function()
    assert torch.rand(3).tolist() == expected


def made_up(confusion, init_std=0.01, hidden=(), test_loss=(1.0, 0.5)):
    training = Training(
        seeds=[0], epochs=2, batch_size=64, lr=0.1, momentum=0.0, init_std=init_std, hidden=list(hidden)
    )
    history = pd.DataFrame({"seed": 0, "epoch": [1, 2], "test_loss": test_loss})
    metrics = {"test": {"loss": {"per_seed": [math.log(2)]}}}
    counts = [(a, p, n) for (a, p), n in confusion.items()]
    table = pd.DataFrame(counts, columns=["actual", "predicted", "count"])
    images = np.random.default_rng(0).integers(0, 256, (5, 2, 2), dtype=np.uint8)
    predictions = pd.DataFrame({"actual": ["a", "b", "b", "a", "b", "a"]})
    summary = {"classes": ["a", "b"], "image": [2, 2], "splits": {"test": {"images": 100}}}
    trained = Run("mlp", training, metrics, history, pd.DataFrame(), table, predictions)
    return Dataset("x", summary, images, {}, [], [trained])


HALVES = {("a", "a"): 2, ("a", "b"): 0, ("b", "a"): 1, ("b", "b"): 1}


def test_weights_that_say_nothing_lose_what_they_must():
    (row,) = untrained.untrained([made_up(HALVES, init_std=1e-6)]).to_dict("records")
    assert row["must"] == pytest.approx(math.log(2), abs=1e-12)
    assert row["has"] == pytest.approx(math.log(2), abs=1e-5)
    (row,) = untrained.untrained([made_up(HALVES, init_std=100.0)]).to_dict("records")
    assert abs(row["has"] - row["must"]) > 1


def test_first_weights_of_every_run_know_nothing_of_digits(taught):
    table = taught.tables["untrained"]
    assert table["run"].tolist() == ["scratch", "concise", "mlp"]
    assert table["has"].tolist() == pytest.approx(table["must"].tolist(), abs=0.2)
    assert table["must"].tolist() == pytest.approx([math.log(10)] * 3)


def test_the_first_logits_are_those_that_training_starts_from(datasets):
    dataset, run = datasets[0], datasets[0].runs[0]
    Z, y = untrained.first_logits(dataset, run)
    pixels = dataset.first_images.reshape(len(y), -1) / 255
    ((W, b),) = initial.first_layers([pixels.shape[1], 10], 0.01, [7])
    assert Z.numpy() == pytest.approx(pixels @ W[0].numpy().T + b[0].numpy(), abs=1e-9)
    assert [dataset.summary["classes"][label] for label in y] == run.predictions["actual"].head(len(y)).tolist()


def test_the_gradient_is_the_same_by_every_route(taught):
    table = taught.tables["gradient"]
    for route in ("autograd", "torch", "slope"):
        assert table[route].tolist() == pytest.approx(table["p_minus_y"].tolist(), abs=5e-5), route
    assert sum(table["p_minus_y"]) == pytest.approx(0, abs=1e-11)
    assert table["p_minus_y"].tolist() == pytest.approx((table["p"] - table["y"]).tolist())


def test_naive_forms_fail_where_log_sum_exp_goes_on(taught):
    table = taught.tables["overflow"].set_index("size")
    assert table["loss"].tolist()[2:] == pytest.approx([2.0 * size for size in table.index[2:]], abs=1e-4)
    least, most = overflow.limits()
    for size, row in table.iterrows():
        assert math.isinf(row["naive_loss"]) == (size > least), size
        assert math.isnan(row["naive_p"]) == (size > most), size
    near = table[table.index < least]
    assert near["naive_loss"].tolist() == pytest.approx(near["loss"].tolist(), abs=0.006)


def test_the_limits_are_float32s_own():
    least, most = overflow.limits()
    half = torch.tensor([least - 0.01, least + 0.01, most - 0.01, most + 0.01], dtype=torch.float64)
    assert (torch.exp(-2 * half[:2]).float() > 0).tolist() == [True, False]
    assert torch.exp(half[2:]).float().isinf().tolist() == [False, True]


def test_code_lengths():
    assert code.mean_bits([0.5, 0.25, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0]) == pytest.approx(1.5, abs=1e-15)
    assert code.mean_bits([0.5, 0.5], [0.25, 0.75]) == pytest.approx(2 - math.log2(3) / 2, abs=1e-14)
    assert code.mean_bits([0.5, 0.5], [1.0, 0.0]) == math.inf


def test_a_code_is_shortest_where_it_was_made_for_the_truth(taught):
    curve = taught.tables["cross_entropy"]
    assert curve["q"][curve["length"].idxmin()] == code.TRUE
    mean = taught.tables["code"].to_dict("records")[-1]
    assert (mean["length"], mean["surprisal"], mean["uniform"]) == (1.75, 1.75, 2.0)


def test_labels_as_messages():
    (row,) = code.code_of_labels([made_up(HALVES)]).to_dict("records")
    assert row["true"] == pytest.approx(1)
    assert row["predicted"] == pytest.approx(0.75 * math.log2(4 / 3) + 0.5)
    assert row["cross"] == pytest.approx(0.5 * math.log2(4 / 3) + 1)
    assert row["knowing"] == pytest.approx(1)
    (row,) = code.code_of_labels([made_up({("a", "a"): 1, ("b", "a"): 1})]).to_dict("records")
    assert (row["predicted"], row["cross"]) == (0, math.inf)  # class b is never named


def test_the_notes_average_loss_is_too_small_by_the_minibatches_size():
    (row,) = network.average_loss([made_up(HALVES, hidden=[3])]).to_dict("records")
    assert row["mean"] == 0.5
    assert row["notes"] == pytest.approx((0.5 + 0.5) / 100)  # minibatches of 64 and 36
    assert network.average_loss([made_up(HALVES)]).empty


def test_the_state_dict_is_the_trained_networks(taught, datasets):
    table = taught.tables["state"]
    assert table["name"].tolist() == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert table["shape"].tolist()[0] == "32 \N{MULTIPLICATION SIGN} 64"
    assert table["numbers"].sum() == datasets[0].runs[-1].metrics["parameters"]


def test_the_figures_show_their_tables(taught):
    drawn = lesson_charts.figures(taught)
    assert set(drawn) <= set(taught.frames())
    assert all(svg.startswith("<svg") and description for svg, description in drawn.values())
    curve, points = lesson_charts.costs(taught).axes[0].lines
    assert np.asarray(curve.get_ydata()).tolist() == list(eight_rows.learned())
    assert np.asarray(points.get_ydata()).tolist() == printed.numbers(printed.COSTS)


MADE = """
import os, sys
from stages import report
from samebits.base.params import load
from samebits.report import proof
from samebits.report.lessons import charts, learn
datasets = [report.read_dataset("digits", load())]
taught = learn.learn(datasets)
for frame in (*taught.frames().values(), proof.frame(proof.spreads(datasets))):
    print(frame.to_csv(index=False))
print(charts.figures(taught))
"""


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "AMD64"), reason="torch has one set of instructions there")
def test_instructions_and_threads_change_no_digit():
    made = [
        run(sys.executable, "-c", MADE, cwd=digits(), check=True, PYTHONPATH=str(ROOT), **settings).stdout
        for settings in (
            {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX2", "OMP_NUM_THREADS": "1"},
            {"OMP_NUM_THREADS": "2"},
        )
    ]
    assert made[0] == made[1]
    assert len(made[0]) > 10_000
