import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.patches import Rectangle

from samebits.report import charts
from tests.conftest import fullmatch

CLASSES = ["T-shirt/top", "a $5$ <bag> & co", "7"]


def history(seeds=1, splits=("train", "test")):
    rows = [
        {"seed": seed, "epoch": epoch, **{f"{split}_loss": (3 + seed**2) / epoch for split in splits}}
        | {f"{split}_accuracy": 1 - (0.5 + seed / 10) ** epoch for split in splits}
        for seed in range(seeds)
        for epoch in (1, 2, 3)
    ]
    return pd.DataFrame(rows)


def confusion(*counts):
    pairs = [(actual, predicted) for actual in CLASSES for predicted in CLASSES]
    return pd.DataFrame(
        [(*pair, n) for pair, n in zip(pairs, counts, strict=True)], columns=["actual", "predicted", "count"]
    )


def words(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_curves_name_their_panels_and_the_splits_that_there_are():
    named = words(charts.to_svg(charts.learning_curves(history())))
    assert {"loss", "accuracy", "epoch", "train", "test"} < set(named)
    assert "validation" not in named
    assert "validation" in words(charts.to_svg(charts.learning_curves(history(splits=("train", "validation", "test")))))


@pytest.mark.parametrize(("seeds", "bands"), [(1, 0), (3, 4)])  # two quantities of two splits
def test_several_seeds_make_a_band(seeds, bands):
    assert charts.to_svg(charts.learning_curves(history(seeds))).count("fill-opacity: 0.15") == bands


def test_the_line_is_the_mean_of_the_seeds():
    panel = charts.learning_curves(history(seeds=3)).axes[0]
    assert panel.lines[-1].get_ydata() == pytest.approx([14 / 3, 14 / 6, 14 / 9])


def test_the_mean_is_that_of_an_exact_sum():
    big = history(seeds=3).assign(test_loss=[2.0**60] * 3 + [1.0] * 3 + [-(2.0**60)] * 3)
    panel = charts.learning_curves(big).axes[0]
    assert np.asarray(panel.lines[-1].get_ydata()).tolist() == [1 / 3] * 3


def test_the_band_goes_from_the_least_to_the_most():
    panel = charts.learning_curves(history(seeds=3)).axes[0]
    (corners,) = [np.asarray(path.vertices).tolist() for path in panel.collections[-1].get_paths()]
    for epoch in (1, 2, 3):
        heights = [y for x, y in corners if x == epoch]
        assert [min(heights), max(heights)] == pytest.approx([3 / epoch, 7 / epoch])


def test_matrix_shows_every_class_as_it_is_written_and_every_count_but_zero():
    named = words(charts.to_svg(charts.confusion_matrix(confusion(5, 0, 1, 2, 42, 0, 0, 0, 17), CLASSES)))
    assert sorted(set(named) - {"actual ↓", "predicted →"}) == sorted({*CLASSES, "5", "1", "2", "42", "17"})
    assert named.count("7") == named.count(CLASSES[1]) == 2
    assert "0" not in named


def test_matrix_has_the_actual_class_in_the_row_and_shades_shares():
    figure = charts.confusion_matrix(confusion(0, 0, 9, 0, 0, 0, 1, 3, 0), CLASSES)
    cells = {}
    for cell in figure.axes[0].patches:
        assert isinstance(cell, Rectangle)
        cells[cell.get_xy()] = cell.get_alpha()
    assert cells == {(2, 0): 1, (0, 2): 0.5, (1, 2): 0.75**0.5}  # (column, row): root of the row's share


def test_classes_that_pandas_reads_as_numbers_are_found():
    numbers = pd.DataFrame({"actual": [0, 0, 1, 1], "predicted": [0, 1, 0, 1], "count": [31, 2, 3, 44]})
    assert "44" in words(charts.to_svg(charts.confusion_matrix(numbers, numbers["actual"].unique().tolist())))


def test_bytes_do_not_depend_on_the_users_style_and_leave_it_alone():
    plain = charts.to_svg(charts.learning_curves(history()))
    with matplotlib.rc_context({"font.size": 20, "xtick.labelsize": 20, "svg.hashsalt": None, "svg.fonttype": "path"}):
        assert charts.to_svg(charts.learning_curves(history())) == plain
        assert matplotlib.rcParams["font.size"] == 20


def test_text_is_measured_with_the_font_that_matplotlib_brings():
    assert font_manager.findfont("DejaVu Sans").startswith(matplotlib.get_data_path())


def test_svg_tells_no_date_or_version_and_no_more_than_hundredths():
    svg = charts.to_svg(charts.confusion_matrix(confusion(5, 0, 1, 2, 42, 0, 0, 0, 17), CLASSES))
    assert "Matplotlib" not in svg
    assert "dc:date" not in svg
    assert charts.INK not in svg
    assert not re.search(r"\d\.\d{3}", svg)


def test_rounding_spares_text_and_has_no_negative_zero():
    figure = charts.learning_curves(history())
    figure.axes[0].set_title("-0.0001 and 0.12345")
    svg = charts.to_svg(figure)
    assert "-0.0001 and 0.12345" in words(svg)
    assert charts._rounded(fullmatch(".*", "-0.0001")) == "0"
    assert charts._rounded(fullmatch(".*", "-12.346")) == "-12.35"
