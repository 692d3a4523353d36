import numpy as np

from samebits.report import class_templates as weights

TEMPLATES = np.array([[[2.0, -1.0], [0.0, 0.5]], [[-2.0, 0.0], [0.0, 1.0]]])


def test_sign_is_colour_and_size_is_saturation_on_one_scale():
    pictures = weights.pictures(TEMPLATES)
    assert pictures.shape == (2, 2, 2, 3)
    assert pictures.dtype == np.uint8
    assert pictures[0, 0, 0].tolist() == [55, 55, 155]
    assert pictures[1, 0, 0].tolist() == [155, 55, 55]
    assert pictures[0, 1, 0].tolist() == [255, 255, 255]
    red, green, blue = pictures[0, 0, 1].tolist()
    assert (red, green, blue) == (205, 155, 155)


def test_rows_of_a_table_and_too_many_weights_are_not_drawn():
    assert weights.drawable(10, (28, 28))
    assert weights.drawable(9, (4, 4))
    assert not weights.drawable(9, (1, 93))
    assert not weights.drawable(256, (28, 28))


def test_no_weights_are_white():
    assert (weights.pictures(np.zeros((3, 4, 4))) == 255).all()


def test_the_table_says_where_each_weight_is():
    table = weights.table(TEMPLATES, ["p", "q"])
    assert table.iloc[3].to_dict() == {"class": "p", "row": 1, "column": 1, "weight": 0.5}
    assert table.iloc[4].to_dict() == {"class": "q", "row": 0, "column": 0, "weight": -2.0}
    assert len(table) == TEMPLATES.size
