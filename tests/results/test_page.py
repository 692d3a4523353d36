import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from stages.params import Training
from stages.results import page
from stages.results.outcome import Dataset, Run


def run(confusion):
    training = Training(seeds=[0], epochs=2, batch_size=1, lr=0.1, momentum=0.0, init_std=None, hidden=[20, 30])
    history = pd.DataFrame({"seed": 0, "epoch": [1, 2], "train_loss": 1.0, "train_accuracy": 0.5})
    history = history.assign(test_loss=[2.5, 0.25], test_accuracy=[0.125, 0.9])
    return Run("mlp", training, {}, history, pd.DataFrame(), confusion, pd.DataFrame())


DATASET = Dataset(
    "x", {"title": "A & B", "classes": ["p", "q"], "image": [4, 3]}, np.zeros((0, 4, 3), np.uint8), {}, []
)
COUNTS = pd.DataFrame({"actual": ["p", "p", "q", "q"], "predicted": ["p", "q", "p", "q"], "count": [5, 4, 2, 9]})


@pytest.mark.parametrize(("share", "text"), [(0.8388, "83.88 %"), (1.0, "100.00 %"), (0.0, "0.00 %")])
def test_percent(share, text):
    assert page.percent(share) == text


def test_the_network_is_named_by_its_widths():
    assert page.network(DATASET, run(COUNTS)) == "12-20-30-2"


def test_curves_are_described_in_words():
    label = ET.fromstring(page.learning_curves(DATASET, run(COUNTS)).replace("xlink:", "")).get("aria-label")
    assert label.startswith("Learning curves of mlp on A & B")
    assert "test loss goes from 2.5000 to 0.2500" in label
    assert "test accuracy from 12.50 % to 90.00 %" in label


@pytest.mark.parametrize(
    ("wrong", "words"),
    [((4, 2), "Most often p is taken for q: 4 times."), ((0, 0), "No class is taken for another.")],
)
def test_matrix_is_described_in_words(wrong, words):
    confusion = COUNTS.assign(count=[5, *wrong, 9])
    label = ET.fromstring(page.confusion_matrix(DATASET, run(confusion)).replace("xlink:", "")).get("aria-label")
    assert f"14 of {14 + sum(wrong)} test images are on its diagonal" in label
    assert words in label


def test_an_inlined_chart_has_ids_of_its_own_and_refers_to_them():
    svg = '<svg style="x" viewBox="0 0 1 1" width="1"><path id="a"/><use xlink:href="#a" clip-path="url(#b)"/></svg>'
    assert page.inline(svg, "n", 'say "hi"') == (
        '<svg viewBox="0 0 1 1" role="img" aria-label="say &#34;hi&#34;">'
        '<path id="n-a"/><use xlink:href="#n-a" clip-path="url(#n-b)"/></svg>'
    )
