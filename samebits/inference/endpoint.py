"""What POST /predict reads and answers; knows of no sockets. A body that makes no sense raises UserError."""

import json
from typing import Any, Never

import numpy as np
import torch
from torch import Tensor

from samebits.base.errors import UserError
from samebits.inference import pictures
from samebits.inference.classifier import Classifier

MOST_IMAGES = 1000  # in one request


def model(classifier: Classifier) -> dict[str, Any]:
    """Describe the model that answers."""
    about = classifier.description
    return {
        "dataset": about.dataset,
        "run": about.run,
        "arithmetic": about.arithmetic,
        "classes": list(about.classes),
        "image": list(about.image),
        "seed": classifier.seed,
    }


def images(body: bytes, classifier: Classifier) -> dict[str, Any]:
    """Answer the JSON {"images": [[[0..255, ...], ...], ...]}: N images of H rows of W whole numbers."""
    return {"predictions": predictions(_pixels(_parse(body), *classifier.description.image), classifier)}


def picture(body: bytes, classifier: Classifier) -> dict[str, Any]:
    """Answer the bytes of a picture; `pixels` is what the model saw of it, `inverted` and `done` how that came about.

    Where there is a `doubt`, class and probability are null.
    """
    about = classifier.description
    height, width = about.image
    seen = pictures.picture(body, "the picture", about.dataset, (height, width))
    [prediction] = predictions(torch.from_numpy(seen.pixels.copy())[None], classifier)
    unanswered = {"class": None, "probability": None} if seen.doubt else {}
    how = {"inverted": seen.inverted, "done": list(seen.done), "doubt": seen.doubt or None}
    return {"predictions": [prediction | unanswered | how | {"pixels": seen.pixels.tolist()}]}


def predictions(pixels: Tensor, classifier: Classifier) -> list[dict[str, Any]]:
    """Return for each image, uint8 [N, H, W], its class, that one's probability, and all by class."""
    names, P = classifier.description.classes, classifier.probabilities(pixels)
    best = P.argmax(1).tolist()
    return [
        {"class": names[i], "probability": row[i], "probabilities": dict(zip(names, row, strict=True))}
        for i, row in zip(best, P.tolist(), strict=True)
    ]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise UserError("the JSON is nested too deeply") from None
    except ValueError as error:  # also what is not UTF-8, and numbers of thousands of digits
        raise UserError(f"the body is not valid JSON ({error})") from None


def _no_number(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def _pixels(value: Any, height: int, width: int) -> Tensor:
    """Check and convert in one pass; the reasons say where, and never repeat what was sent."""
    if not (isinstance(value, dict) and list(value) == ["images"] and isinstance(value["images"], list)):
        raise UserError('the JSON must be {"images": [...]} and nothing else')
    images = value["images"]
    if not 1 <= len(images) <= MOST_IMAGES:
        raise UserError(f"images holds {len(images):,} images: 1 to {MOST_IMAGES:,} are answered at a time")
    pixels = np.empty((len(images), height, width), np.uint8)
    for n, image in enumerate(images):
        if not _is_list(image, height):
            raise UserError(f"images[{n}] is not a list of {height} rows")
        for y, row in enumerate(image):
            if not _is_list(row, width):
                raise UserError(f"images[{n}][{y}] is not a row of {width} pixels")
            if not all(type(level) is int and 0 <= level <= 255 for level in row):
                raise UserError(f"images[{n}][{y}] holds something else than whole numbers from 0 to 255")
            pixels[n, y] = row
    return torch.from_numpy(pixels)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, list) and len(value) == length
