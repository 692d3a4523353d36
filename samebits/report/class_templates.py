"""What softmax regression looks for: the weights of each class as a picture of the size of an image."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from samebits.outcome.finished import Run

SMALLEST = 4  # pixels a side: what is lower or narrower, say a row of a table, is no picture
MOST = 2**17  # weights of all classes: more would make the page too large to send


def of(run: Run, image: Sequence[int]) -> npt.NDArray[np.float64] | None:
    """Return a run's templates [K, H, W]: its first seed's weight, if it is one layer and sees images worth a look."""
    if run.weight is None or not drawable(len(run.weight), image):
        return None
    return run.weight.reshape(-1, *image)


def drawable(classes: int, image: Sequence[int]) -> bool:
    """Whether weights of so many classes for images of this size make pictures, and not too many."""
    return min(image) >= SMALLEST and classes * math.prod(image) <= MOST


def pictures(templates: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Colour weights [K, H, W] by sign and size, uint8 [K, H, W, 3]: white is 0, full blue or red the largest of all.

    Blue pixels speak for the class, red ones against it. Single operations only, so that every machine draws the same.
    """
    size = np.rint(np.abs(templates) / (np.abs(templates).max() or 1.0) * 200).astype(np.uint8)
    pale = 255 - size
    less = 255 - size // 2
    blue, red = np.stack([pale, pale, less], -1), np.stack([less, pale, pale], -1)
    return np.where((templates > 0)[..., None], blue, red)


def table(templates: npt.NDArray[np.float64], classes: list[str]) -> pd.DataFrame:
    """One row for each weight: class, row, column, weight."""
    k, y, x = (axis.ravel() for axis in np.indices(templates.shape))
    return pd.DataFrame({"class": [classes[i] for i in k.tolist()], "row": y, "column": x, "weight": templates.ravel()})
