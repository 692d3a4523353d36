import json

import pytest

from samebits.base.errors import UserError
from samebits.inference import endpoint
from samebits.inference.classifier import Classifier
from tests.made.trained import digits

BLACK = [[0] * 8] * 8


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(digits() / "models/digits/mlp/model.safetensors")


def with_level(level):
    return json.dumps({"images": [BLACK, [[0] * 8] * 7 + [[0] * 7 + ["LEVEL"]]]}).replace('"LEVEL"', level).encode()


def test_every_class_has_its_probability(classifier):
    [prediction] = endpoint.images(json.dumps({"images": [BLACK]}).encode(), classifier)["predictions"]
    assert list(prediction["probabilities"]) == classifier.description.classes
    assert prediction["probability"] == max(prediction["probabilities"].values())
    assert prediction["probability"] == prediction["probabilities"][prediction["class"]]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\xfd", "not valid JSON"),
        (with_level("NaN"), "NaN is no number"),
        (with_level("-Infinity"), "-Infinity is no number"),
        (with_level("9" * 5000), "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"images":' * 100_000, "nested too deeply"),
        (b"[]", r'must be \{"images"'),
        (b"null", r'must be \{"images"'),
        (b'{"images": 1}', r'must be \{"images"'),
        (b'{"images": [], "more": 1}', r'must be \{"images"'),
        (b'{"images": []}', "images holds 0 images: 1 to 1,000"),
        (json.dumps({"images": [0] * 1001}).encode(), "images holds 1,001 images"),
        (b'{"images": [{}]}', r"images\[0\] is not a list of 8 rows"),
        (json.dumps({"images": [BLACK[:7]]}).encode(), r"images\[0\] is not a list of 8 rows"),
        (json.dumps({"images": [BLACK, [*BLACK[:7], [0] * 7]]}).encode(), r"images\[1\]\[7\] is not a row of 8"),
        (json.dumps({"images": BLACK}).encode(), r"images\[0\]\[0\] is not a row of 8 pixels"),
        *(
            (with_level(level), r"images\[1\]\[7\] holds something else than whole numbers from 0 to 255")
            for level in ("256", "-1", "1.0", "1e400", '"1"', "true", "null", "[0]", "{}", "1" * 400)
        ),
    ],
)
def test_what_makes_no_sense_is_refused(classifier, body, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        endpoint.images(body, classifier)
    assert len(str(refusal.value)) < 200  # what was sent is not sent back
