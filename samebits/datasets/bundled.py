"""Datasets that come inside a library, written in the same format as the downloaded ones."""

import struct

import numpy as np
import numpy.typing as npt

TEST_IMAGES = 360  # the last rows; the first 1437 are for training


def encode_idx(values: npt.NDArray[np.uint8]) -> bytes:
    """Write an array as an IDX file: magic number 0x0800 + dimensions, shape as big-endian int32, values."""
    return struct.pack(f">{1 + values.ndim}i", 0x0800 + values.ndim, *values.shape) + values.tobytes()


def digits() -> dict[str, bytes]:
    """scikit-learn's 1797 handwritten digits as four IDX files by name; its grey values 0..16 become 0..255."""
    from sklearn.datasets import (
        load_digits,
    )  # here, because it costs a second that the other datasets need not pay

    bunch = load_digits()
    images = ((bunch.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    labels = bunch.target.astype(np.uint8)
    return {
        "train-images-idx3-ubyte": encode_idx(images[:-TEST_IMAGES]),
        "train-labels-idx1-ubyte": encode_idx(labels[:-TEST_IMAGES]),
        "t10k-images-idx3-ubyte": encode_idx(images[-TEST_IMAGES:]),
        "t10k-labels-idx1-ubyte": encode_idx(labels[-TEST_IMAGES:]),
    }
