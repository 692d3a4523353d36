import numpy as np
import pandas as pd

from samebits.report.gallery import gallery

PREDICTIONS = pd.DataFrame(
    [
        (0, "a", "a", 0.5),
        (1, "a", "b", 0.9),
        (2, "b", "a", 0.99),
        (3, "b", "b", 0.4),
        (4, "a", "b", 0.95),
        (5, "a", "b", 0.95),
        (6, "c", "a", 0.6),
        (7, "a", "b", 0.3),
        (8, "a", "a", 0.4),
    ],
    columns=["index", "actual", "predicted", "probability"],
)
IMAGES = np.arange(9, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)


def test_the_surest_mistakes_and_the_least_certain_hits_come_first_with_their_images():
    found = gallery(PREDICTIONS, IMAGES)
    assert [example.index for example in found.mistakes] == [2, 4, 5, 1, 6, 7]
    assert [example.index for example in found.doubts] == [3, 8, 0]
    first = found.mistakes[0]
    assert (first.actual, first.predicted, first.probability) == ("b", "a", 0.99)
    assert np.array_equal(first.image, IMAGES[2])


def test_pairs_are_directed_and_the_most_frequent_comes_first():
    found = gallery(PREDICTIONS, IMAGES).confused
    assert [(pair.actual, pair.predicted, pair.count) for pair in found] == [
        ("a", "b", 4),
        ("b", "a", 1),
        ("c", "a", 1),
    ]
    assert [example.index for example in found[0].examples] == [4, 5, 1]


def test_a_perfect_run_has_nothing_to_show():
    right = PREDICTIONS[PREDICTIONS["actual"] == PREDICTIONS["predicted"]]
    found = gallery(right, IMAGES)
    assert (found.mistakes, found.confused) == ([], [])
