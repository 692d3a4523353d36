"""What the images of a dataset look like, and what of a picture does not look like them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
DARK, DARK_CORNERS = 16, 64  # levels of 255: no brighter are the background, and the median of the corners


@dataclass(frozen=True)
class Form:
    """How a dataset's images sit in their frame, and what is usual among them."""

    box: float  # share of the frame that the longer side of the content fills
    by_mass: bool  # the centre of mass goes to the middle; else the middle of the content's box
    background: float  # what stands out by less than this share of the contrast is background
    written: bool = False  # with a pen, on paper
    pen: float = 0  # the finest, as a share of the longer side of what it wrote
    short: int = 0  # pixels that an image's longer side may lack of the box
    usual: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # by the names of `measures`


# The boxes are from LeCun's page (MNIST), its paper's section 2 (Fashion-MNIST) and NIST's normalised bitmaps (digits).
# On either side of what is usual lie 0.05 % of the training images; but a picture's pen may be finer, and being scaled
# it has more half-tones.
FORMS = {
    "mnist": Form(
        box=20 / 28,
        by_mass=True,
        background=0.3,
        written=True,
        pen=0.12,
        short=1,
        usual={
            "ink": (0.02, 0.3),
            "spread": (0.18, 0.32),
            "border": (0, 0.04),
            "largest piece": (0.5, 1),
            "holes": (0, 4),
            "half-tones": (0, 0.92),
            "half the thickest stroke": (0, 5.4),
        },
    ),
    "digits": Form(
        box=1,
        by_mass=False,
        background=0.3,
        written=True,
        pen=0.12,
        usual={"ink": (0.1, 0.45), "spread": (0.26, 0.39), "border": (0.03, 0.43), "largest piece": (0.54, 1)},
    ),
    "fashion_mnist": Form(
        box=1,
        by_mass=False,
        background=0.05,
        short=2,
        usual={"ink": (0.04, 0.67), "spread": (0.21, 0.4), "border": (0, 0.49), "holes": (0, 43)},
    ),
}
UNKNOWN = Form(box=1, by_mass=False, background=0.05)


def of(dataset: str) -> Form:
    """Return the form of a dataset's images; of one's own data nothing is known."""
    return FORMS.get(dataset, UNKNOWN)


def has(form: Form, pixels: Pixels) -> bool:
    """Whether uint8 [H, W] has the form already: light on dark, as large as its box, and in the middle."""
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    if not rows.size or np.median(corners) > DARK_CORNERS:
        return False
    frame = np.array(pixels.shape)
    lacking = (form.box * frame).round() - [np.ptp(rows) + 1, np.ptp(columns) + 1]
    fills = lacking.min() >= 0 and lacking.min() <= form.short
    in_the_middle = not form.by_mass or np.abs(centre(pixels) - frame / 2).max() <= 0.6  # pixels; the authors rounded
    return bool(fills and in_the_middle)


def centre(pixels: Pixels) -> npt.NDArray[np.float64]:
    """Return the centre of mass (y, x) of uint8 [H, W], which must not be all 0."""
    mass = pixels.astype(np.int64)
    moments = [int(mass.sum(1 - axis) @ np.arange(mass.shape[axis])) for axis in (0, 1)]
    return np.array(moments, float) / int(mass.sum())


def doubt(form: Form, pixels: Pixels) -> str:
    """Say in what uint8 [H, W] is unlike the training images; nothing where it is not, or nothing is known."""
    if not form.usual:
        return ""
    found = measures(pixels)
    unlike = [
        f"{name} {found[name]:.2g}, theirs {low:g} to {high:g}"
        for name, (low, high) in form.usual.items()
        if not low <= found[name] <= high
    ]
    return "; ".join(unlike)


def measures(pixels: Pixels) -> dict[str, float]:
    """Return what can be measured of uint8 [H, W], which must not be all 0."""
    from scipy import ndimage

    share, light = pixels / 255, np.pad(pixels >= 128, 1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    pieces, _ = ndimage.label(light, np.ones((3, 3)))
    _, grounds = ndimage.label(~light)
    y, x = np.indices(pixels.shape) - centre(pixels)[:, None, None]
    return {
        "ink": float(share.mean()),
        "spread": float(np.sqrt(((y**2 + x**2) * share).sum() / share.sum())) / max(pixels.shape),
        "border": float((border > DARK).mean()),
        "largest piece": float(np.bincount(pieces[light], minlength=2).max() / max(light.sum(), 1)),
        "holes": grounds - 1,
        "half-tones": float((np.abs(share - 0.5) < 0.3).sum() / max((share > 0.2).sum(), 1)),
        "half the thickest stroke": float(ndimage.distance_transform_edt(light).max()),
    }
