"""Any picture as the images that a model was trained on.

A picture of exactly the dataset's size is taken as it is. Any other is treated as the dataset's authors treated
theirs: dark on light is inverted, the plain background is cut away, the rest is scaled to a box and put in the
middle of a black square (docs/predict.md has the rules in words).
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from samebits.base.errors import UserError
from samebits.datasets.pictures import decode

LEAST_CONTRAST = 16  # levels of 255 between a background and the ink: less is noise on an empty page
NPY = b"\x93NUMPY"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Rule:
    """How a dataset's images sit in their frame."""

    box: float  # share of the frame that the longer side of the content fills
    by_mass: bool  # the centre of mass goes to the middle; else the middle of the content's box
    background: float  # what stands out by less than this share of the contrast is background


RULES = {  # MNIST: LeCun's page; Fashion-MNIST: its paper, section 2; digits: NIST's normalised bitmaps
    "mnist": Rule(box=20 / 28, by_mass=True, background=0.3),
    "digits": Rule(box=1, by_mass=False, background=0.3),
}
OTHERWISE = Rule(box=1, by_mass=False, background=0.05)


@dataclass(frozen=True)
class Picture:
    """What a model sees of a picture: uint8 [H, W], light on dark; `inverted` if it was dark on light."""

    pixels: Pixels
    inverted: bool


def read(data: bytes, name: str, dataset: str, size: tuple[int, int], invert: bool | None = None) -> list[Picture]:
    """Turn the bytes of a PNG, a JPEG or a .npy file into images of `size` (H, W); only a .npy may hold several.

    `invert` None looks at the border. Raises UserError, which begins with `name`, for whatever is no picture.
    """
    if data.startswith(NPY):
        return [Picture(255 - image if invert else image, bool(invert)) for image in _array(data, name, size)]
    return [picture(data, name, dataset, size, invert)]


def picture(data: bytes, name: str, dataset: str, size: tuple[int, int], invert: bool | None = None) -> Picture:
    """Turn the bytes of a PNG or a JPEG into an image of `size` (H, W). Raises UserError."""
    if size[0] == 1:
        raise UserError(f"{name} is a picture, but {dataset} has rows of {size[1]} values: ask with numbers")
    return fit(decode(data, name), name, RULES.get(dataset, OTHERWISE), size, invert)


def fit(grey: Image.Image, name: str, rule: Rule, size: tuple[int, int], invert: bool | None = None) -> Picture:
    """Bring a grey picture to `size` (H, W); one that has it is left alone, unless `invert` says so."""
    height, width = size
    same = grey.size == (width, height)
    inverted = invert if invert is not None else not same and _border(grey) > 127
    if inverted:
        grey = ImageOps.invert(grey)
    if same:
        return Picture(np.asarray(grey), inverted)
    ink = _ink(grey, name, rule.background)
    ratio = rule.box * min(width / ink.width, height / ink.height)
    scaled = (max(1, round(ink.width * ratio)), max(1, round(ink.height * ratio)))
    ink = ink.resize(scaled, Image.Resampling.BILINEAR)  # averages when it shrinks; the same integers everywhere
    brightest = _brightest(ink)
    if not brightest:
        raise UserError(f"{name} has lines too thin for {width} x {height} pixels: draw thicker ones")
    ink = ink.point([min((level * 255 + brightest // 2) // brightest, 255) for level in range(256)])
    frame = Image.new("L", (width, height))
    frame.paste(ink, _corner(np.asarray(ink), size, rule.by_mass))
    return Picture(np.asarray(frame), inverted)


def _array(data: bytes, name: str, size: tuple[int, int]) -> Pixels:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # its header is Python: it can fail as any line does, or ask for any memory
        raise UserError(f"{name} is not a whole .npy file of numbers ({error})") from None
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[-2:] != size:
        held = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"{name} holds {held}, but the model takes uint8 {list(size)} or [N, {size[0]}, {size[1]}]")
    if not array.size:
        raise UserError(f"{name} holds no image: its shape is {list(array.shape)}")
    images: Pixels = array.reshape(-1, *size)
    return images


def _border(grey: Image.Image) -> float:
    """The median brightness of the outermost pixels, which are taken for background."""
    right, bottom = grey.size
    edges = [(0, 0, right, 1), (0, bottom - 1, right, bottom), (0, 0, 1, bottom), (right - 1, 0, right, bottom)]
    return float(np.median(np.concatenate([np.asarray(grey.crop(edge)).ravel() for edge in edges])))


def _brightest(grey: Image.Image) -> int:
    return max(level for level, count in enumerate(grey.histogram()) if count)


def _ink(grey: Image.Image, name: str, least: float) -> Image.Image:
    """Cut out what stands out from the background, which becomes 0; the brightest becomes 255."""
    dark, bright = int(_border(grey)), _brightest(grey)
    contrast = bright - dark
    if contrast < LEAST_CONTRAST:
        raise UserError(f"{name} is blank: nothing in it is brighter than its border by {LEAST_CONTRAST} of 255 levels")
    levels = [max(level - dark, 0) / contrast for level in range(256)]
    ink = grey.point([0 if level < least else round(255 * min(level, 1)) for level in levels])
    return ink.crop(ink.getbbox())


def _corner(ink: Pixels, size: tuple[int, int], by_mass: bool) -> tuple[int, int]:
    """Where the upper left corner goes (x, y), so that the centre is in the middle and nothing is cut off."""
    corner = []
    for axis in (1, 0):
        side, frame = ink.shape[axis], size[axis]
        weights = ink.sum(axis=1 - axis, dtype=np.int64)
        # by mass to the middle of pixel 14 of 0..27: there MNIST's images have theirs, to half a pixel
        centre = (weights @ np.arange(side)) / weights.sum() if by_mass else side / 2
        corner.append(min(max(round(frame / 2 - centre), 0), frame - side))
    return corner[0], corner[1]
