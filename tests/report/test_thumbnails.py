import base64
import io

import numpy as np
import pytest
from PIL import Image

from samebits.report.thumbnails import data_uri, png


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("side", [(1, 1), (8, 8), (28, 20), (64, 64)])
def test_another_reader_sees_the_same_pixels(side):
    image = noise(*side)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), image)


@pytest.mark.parametrize("side", [(8, 8), (28, 280), (200, 300)])  # the last takes more than one stored block
def test_another_reader_sees_the_same_colours(side):
    image = np.random.default_rng(0).integers(0, 256, (*side, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(image)))), image)


def test_no_bytes_are_left_to_a_compressor():
    image = noise(28, 28)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    assert rows in png(image)


def test_large_images_are_thinned_out():
    image = noise(1024, 40)
    kind, data = data_uri(image).split(",")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert kind == "data:image/png;base64"
    assert np.array_equal(shown, image[::16])
