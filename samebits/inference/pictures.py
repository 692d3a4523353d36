"""Any picture as the images that a model was trained on.

A picture that has their form already is taken as it is. Any other is treated as the dataset's authors treated theirs:
dark on light is inverted, paper or plain background is cut away, the rest is scaled to a box and put in the middle of
a black square (docs/predict.md has the rules in words). What then looks like none of them is doubted.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from samebits.base.errors import UserError
from samebits.datasets.pictures import decode
from samebits.inference import forms, paper
from samebits.inference.forms import Form

MOST_ON_BORDER = 0.3  # share of a written picture's border that is ink; cut out tightly, MNIST's have up to 0.25
NPY = b"\x93NUMPY"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """What a model sees of a picture: uint8 [H, W], light on dark; `inverted` if it was dark on light.

    `done` says what else was done to it; `doubt` why it cannot be answered, nothing if it can.
    """

    pixels: Pixels
    inverted: bool
    done: tuple[str, ...] = ()
    doubt: str = ""


def read(data: bytes, name: str, dataset: str, size: tuple[int, int], invert: bool | None = None) -> list[Picture]:
    """Turn the bytes of a picture or a .npy file into images of `size` (H, W); only a .npy may hold several.

    `invert` None looks at the border. Raises UserError, which begins with `name`, for whatever is no picture.
    """
    if data.startswith(NPY):
        return [Picture(255 - image if invert else image, bool(invert)) for image in _array(data, name, size)]
    return [picture(data, name, dataset, size, invert)]


def picture(data: bytes, name: str, dataset: str, size: tuple[int, int], invert: bool | None = None) -> Picture:
    """Turn the bytes of a picture into an image of `size` (H, W). Raises UserError."""
    if size[0] == 1:
        raise UserError(f"{name} is a picture, but {dataset} has rows of {size[1]} values: ask with numbers")
    grey, form = decode(data, name), forms.of(dataset)
    return _as_it_is(grey, form, size, invert) or fit(grey, name, form, size, invert)


def _as_it_is(grey: Image.Image, form: Form, size: tuple[int, int], invert: bool | None) -> Picture | None:
    """A picture of this size that has the form of the dataset's images, inverted or not; None if it has not."""
    if grey.size != size[::-1]:
        return None
    pixels = np.asarray(grey)
    if form is forms.UNKNOWN:  # perhaps they are dark on light
        return Picture(255 - pixels if invert else pixels, bool(invert))
    for inverted in (False, True) if invert is None else (invert,):
        seen = 255 - pixels if inverted else pixels
        if forms.has(form, seen):
            return Picture(seen, inverted)
    return None


def fit(grey: Image.Image, name: str, form: Form, size: tuple[int, int], invert: bool | None = None) -> Picture:
    """Bring what a grey picture shows to `size` (H, W). Raises UserError for a blank one."""
    page = (paper.read if form.written else _plain)(grey, form.background, invert)
    if not page.ink.any():
        raise UserError(
            f"{name} is blank: nothing in it is brighter than its border by {paper.LEAST_CONTRAST} of 255 levels"
        )
    drawn = _cut_out(page.ink)
    thick = paper.thickened(drawn, form.pen) if form.written else drawn
    ink = Image.fromarray(_cut_out(thick))
    done = page.done + (("strokes thickened",) if thick is not drawn else ())
    height, width = size
    ratio = form.box * min(width / ink.width, height / ink.height)
    scaled = (max(1, round(ink.width * ratio)), max(1, round(ink.height * ratio)))
    ink = ink.resize(scaled, Image.Resampling.BILINEAR)  # averages when it shrinks; the same integers everywhere
    brightest = max(level for level, count in enumerate(ink.histogram()) if count)
    if not brightest:
        raise UserError(f"{name} has lines too thin for {width} x {height} pixels: draw thicker ones")
    ink = ink.point([min((level * 255 + brightest // 2) // brightest, 255) for level in range(256)])
    frame = Image.new("L", (width, height))
    frame.paste(ink, _corner(np.asarray(ink), size, form.by_mass))
    pixels = np.asarray(frame)
    doubt = forms.doubt(form, pixels)
    if form.written and page.border > MOST_ON_BORDER:
        doubt = f"{100 * page.border:.0f} % of its border is ink"
    return Picture(pixels, page.inverted, done, doubt)


def _cut_out(ink: Pixels) -> Pixels:
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _plain(grey: Image.Image, background: float, invert: bool | None) -> paper.Page:
    """What stands out from a plain background, the median of the outermost pixels, which becomes 0."""
    levels = np.asarray(grey)
    inverted = paper.dark_on_light(levels) if invert is None else invert
    levels = (255 - levels if inverted else levels).astype(int)
    above = levels - int(np.median(paper.ring(levels)))
    contrast = int(above.max())
    if contrast < paper.LEAST_CONTRAST:
        return paper.Page(np.zeros(levels.shape, np.uint8), inverted)
    ink = np.where(above >= background * contrast, above * 255 // contrast, 0)
    return paper.Page(ink.astype(np.uint8), inverted)


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
