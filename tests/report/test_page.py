import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from samebits.base.params import Training, load
from samebits.outcome.finished import Dataset, Run
from samebits.outcome.reader import read_dataset
from samebits.report import page
from tests.made import finished


def run(confusion):
    training = Training(seeds=[0], epochs=2, batch_size=1, lr=0.1, momentum=0.0, init_std=None, hidden=[20, 30])
    history = pd.DataFrame({"seed": 0, "epoch": [1, 2], "train_loss": 1.0, "train_accuracy": 0.5})
    history = history.assign(test_loss=[2.5, 0.25], test_accuracy=[0.125, 0.9])
    return Run("mlp", training, {}, history, pd.DataFrame(), confusion, pd.DataFrame())


DATASET = Dataset(
    "x", {"title": "A & B", "classes": ["p", "q"], "image": [4, 3]}, np.zeros((0, 4, 3), np.uint8), {}, [], []
)
COUNTS = pd.DataFrame({"actual": ["p", "p", "q", "q"], "predicted": ["p", "q", "p", "q"], "count": [5, 4, 2, 9]})


@pytest.mark.parametrize(("share", "text"), [(0.8388, "83.88 %"), (1.0, "100.00 %"), (0.0, "0.00 %")])
def test_percent(share, text):
    assert page.percent(share) == text


def test_a_difference_has_its_sign():
    assert [page.points(0.00561), page.points(-0.1339), page.points(0.0)] == ["+0.56", "\N{MINUS SIGN}13.39", "+0.00"]
    assert [page.signed(0.00561), page.signed(-0.25)] == ["+0.0056", "\N{MINUS SIGN}0.2500"]


def test_a_small_probability_is_not_written_as_none():
    assert [page.probability(p) for p in (1.0, 0.0625, 0.001, 0.00099, 0.0)] == [
        "1.000",
        "0.062",
        "0.001",
        "< 0.001",
        "< 0.001",
    ]


def test_a_spread_goes_from_the_least_to_the_most_as_far_as_they_read_apart():
    assert page.spread([3, 1, 2]) == "1 to 3"
    assert page.spread([0.5, 0.25], page.percent) == "25.00 % to 50.00 %"
    assert page.spread([0.50001, 0.5], page.percent) == "50.00 %"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"epochs": 9, "batch_size": 64, "lr": 0.5, "seeds": [0, 1]}, "first weights and order of images"),
        ({"init_std": 0.01}, "order of images"),
        ({"hidden": [20]}, "order of images"),
    ],
)
def test_what_a_seed_shares(changed, words):
    training = run(COUNTS).training
    assert page.shared(training, training.model_copy(update=changed)) == words


def test_the_network_is_named_by_its_widths():
    assert page.network(DATASET, run(COUNTS)) == "12-20-30-2"


def test_curves_are_described_in_words():
    label = ET.fromstring(page.learning_curves(DATASET, run(COUNTS)).replace("xlink:", "")).attrib["aria-label"]
    assert label.startswith("Learning curves of mlp on A & B")
    assert "test loss goes from 2.5000 to 0.2500" in label
    assert "test accuracy from 12.50 % to 90.00 %" in label


def test_curves_of_several_seeds_are_described_by_their_mean():
    several = run(COUNTS)
    other = several.history.assign(seed=1, test_loss=[4.5, 0.75], test_accuracy=[0.375, 0.7])
    several = dataclasses.replace(several, history=pd.concat([several.history, other]))
    label = ET.fromstring(page.learning_curves(DATASET, several).replace("xlink:", "")).attrib["aria-label"]
    assert "test loss goes from 3.5000 to 0.5000" in label
    assert "test accuracy from 25.00 % to 80.00 %" in label


@pytest.mark.parametrize(
    ("wrong", "words"),
    [((4, 2), "Most often p is taken for q: 4 times."), ((0, 0), "No class is taken for another.")],
)
def test_matrix_is_described_in_words(wrong, words):
    confusion = COUNTS.assign(count=[5, *wrong, 9])
    label = ET.fromstring(page.confusion_matrix(DATASET, run(confusion)).replace("xlink:", "")).attrib["aria-label"]
    assert f"14 of {14 + sum(wrong)} test images are on its diagonal" in label
    assert words in label


def test_an_inlined_chart_has_ids_of_its_own_and_refers_to_them():
    svg = '<svg style="x" viewBox="0 0 1 1" width="1"><path id="a"/><use xlink:href="#a" clip-path="url(#b)"/></svg>'
    assert page.inline(svg, "n", 'say "hi"') == (
        '<svg viewBox="0 0 1 1" role="img" aria-label="say &#34;hi&#34;">'
        '<path id="n-a"/><use xlink:href="#n-a" clip-path="url(#n-b)"/></svg>'
    )


def test_a_title_cannot_break_the_summary_or_the_page(tmp_path, monkeypatch):
    """A title is the user's own: what it holds is shown, and does nothing."""
    monkeypatch.setitem(finished.TITLES, "mnist", "<script>alert(1)</script> a | b \\| c\nd")
    monkeypatch.chdir(finished.project(tmp_path, "mnist"))
    dataset, params = read_dataset("mnist", load()), load()
    summary = page.markdown([dataset], params)
    assert "&lt;script>alert(1)&lt;/script> a \\| b \\\\\\| c d" in summary
    assert "<script" not in summary
    rows = [line for line in summary.splitlines() if line.startswith("| &lt;script")]
    header = next(line for line in summary.splitlines() if line.startswith("| dataset | run"))
    assert {len(re.split(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows[:3]} == {len(header.split("|"))}
