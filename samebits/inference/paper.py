"""What is written on a page: its ink, without the paper's shading and lines, a frame round it, or specks on it.

A pixel is ink where it is darker than the paper would be there. What the paper would be is seen in two ways, and the
darker counts: what is left where every stroke is filled up with what lies round it, and the mean of the paper near by.
Whatever decides is a whole number or a quotient of two, so that a picture gives the same image on every machine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LEAST_CONTRAST = 16  # levels of 255 between the paper and the ink: less is noise on an empty page
SMALLEST, LARGEST = 200, 1000  # pixels of the longer side at which a page is looked at
# Shares of a page's side:
FRAME = 0.25  # what reaches further into the page is no frame round it
STROKE = 0.3  # no stroke is as wide
NEAR = 0.2  # the paper near by
MARGIN, THIN, THICK = 0.15, 0.03, 0.1  # a line is thin; in the margin, from edge to edge, it may be thick
LONG, WHOLE = 0.9, 0.95  # a line is no shorter; from edge to edge
DIRT = 0.08  # so deep is what lies along an edge
SLOPE = 0.1  # of a line that should be level: 6 degrees
APART = 38  # levels of 255 between a frame and the page
# Other shares:
PAPER = 0.65  # of what lies along a frame
SPECK, EDGE_SPECK = 0.03, 0.1  # of the largest piece of ink; where it touches the page's edge
SHADED = 0.75  # of the lightest paper the darkest has less, or else it is even

Levels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Page:
    """The ink of a page, uint8 [H, W], 0 where there is none; `done` says what was left out to get it."""

    ink: Levels
    inverted: bool
    done: tuple[str, ...] = ()

    @property
    def border(self) -> float:
        """The share of the outermost pixels that are ink."""
        return float((ring(self.ink) > 0).mean())


def read(grey: Image.Image, background: float, invert: bool | None = None) -> Page:
    """Find the ink of a page: it stands out from the paper by `background` of the contrast, or more.

    `invert` says whether the page is dark on light; with None its border tells. A blank page has no ink at all.
    """
    whole = np.asarray(_at_working_size(grey))
    levels = _without_frame(whole)
    inverted = dark_on_light(levels) if invert is None else invert
    light = levels if inverted else 255 - levels
    paper, ink = _evened(light)
    contrast = _contrast(ink)
    if min(contrast, np.median(ring(light)) - light.min()) < LEAST_CONTRAST:
        return Page(np.zeros_like(ink), inverted)
    ink = np.minimum(ink.astype(int) * 255 // contrast, 255).astype(np.uint8)
    least = round(background * 255)
    without_lines = _without_lines(ink, least)
    clean = _without_specks(without_lines, least)
    done = {
        "a frame cut off": levels.shape != whole.shape,
        "shading evened": paper.min() < SHADED * paper.max(),
        "lines left out": not np.array_equal(without_lines, ink),
        "specks left out": bool((without_lines[clean == 0] >= least).any()),
    }
    return Page(clean, inverted, tuple(words for words, was_done in done.items() if was_done))


def thickened(ink: Levels, finest: float) -> Levels:
    """Bring the strokes of a page's ink to the share `finest` of its longer side; thicker ones are left alone."""
    from scipy import ndimage

    depths = ndimage.distance_transform_edt(np.pad(ink > 0, 1))
    thickness = 4 * depths[depths > 0].mean()  # of a bar the mean depth is a quarter
    lacking = int(np.ceil((finest * max(ink.shape) - thickness) / 2))  # on either side
    if lacking <= 0:
        return ink
    page = np.pad(ink, lacking)
    away, nearest = ndimage.distance_transform_edt(page == 0, return_indices=True)
    thick: Levels = np.where(away <= lacking, page[tuple(nearest)], 0)
    return thick


def dark_on_light(levels: Levels) -> bool:
    """Whether the median of the outermost pixels is nearer to the lightest of uint8 [H, W] than to the darkest."""
    from scipy import ndimage

    border, smooth = np.median(ring(levels)), ndimage.uniform_filter(levels.astype(np.int32), 3)
    darker, lighter = border - smooth.min(), smooth.max() - border
    return bool(border > 127 if darker == lighter else darker > lighter)


def _at_working_size(grey: Image.Image) -> Image.Image:
    side = max(grey.size)
    if side > LARGEST:
        return grey.reduce(-(-side // LARGEST))
    larger = -(-SMALLEST // side)
    return grey.resize((grey.width * larger, grey.height * larger), Image.Resampling.NEAREST)


def ring(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the outermost values of [H, W]."""
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])


# ---- frames


def _without_frame(levels: Levels) -> Levels:
    """Cut off what lies round a page that is lighter, or darker, if the border is such a frame."""
    difference = levels.astype(int) - int(np.median(ring(levels)))
    for other in (difference > APART, difference < -APART):
        rows, columns = _inside(other), _inside(other.T)
        if _is_page(other[rows, columns]):
            return levels[rows, columns]
    return levels


def _is_page(paper: Mask) -> bool:
    """Whether what is within a frame is a page: a rectangle of paper, not quite blank, and no thick zero."""
    height, width = (max(side // 12, 1) for side in paper.shape)
    corners = [paper[y, x] for y in (slice(height), slice(-height, None)) for x in (slice(width), slice(-width, None))]
    return bool(
        paper.size
        and 0.5 < paper.mean() < 1
        and ring(paper).mean() >= PAPER
        and min(corner.mean() for corner in corners) >= 0.5
    )


def _inside(other: Mask) -> slice:
    """The rows within a frame's upper and lower part; none where these reach too far."""
    height, width = other.shape
    middle = other[:, width // 4 : width - width // 4].mean(1) >= 0.9  # the frame's other parts are not in it
    start, end = int(middle.argmax()), height - int(middle[::-1].argmax())
    return slice(start, end) if middle.any() and max(start, height - end) <= FRAME * height else slice(0)


# ---- shading


def _evened(levels: Levels) -> tuple[Levels, Levels]:
    """Return of a page, dark on light, what its paper would be, and its ink as a share of that, in levels of 255."""
    from scipy import ndimage

    closed = ndimage.grey_closing(levels, _odd(STROKE * max(levels.shape)))
    ink = _darker(levels, closed)
    blank = ~ndimage.binary_dilation(ink >= max(_otsu(ink), LEAST_CONTRAST), iterations=max(levels.shape) // 60)
    window = _odd(NEAR * max(levels.shape))
    share, seen = (ndimage.uniform_filter(x.astype(float), window) for x in (blank, levels * blank))
    near = np.where(share > 0.01, seen / np.maximum(share, 0.01), closed)
    paper = np.minimum(near.round(), closed).astype(np.uint8)
    return paper, _darker(levels, paper)


def _darker(levels: Levels, paper: Levels) -> Levels:
    wide = paper.astype(int)
    share: Levels = ((wide - np.minimum(levels, paper)) * 255 // np.maximum(wide, 1)).astype(np.uint8)
    return share


def _odd(size: float) -> int:
    return 2 * int(size / 2) + 1


def _otsu(levels: Levels) -> int:
    """The threshold between two classes of levels that leaves least variance within them (Otsu, 1979)."""
    counts = np.bincount(levels.ravel(), minlength=256)
    below, sums = counts.cumsum()[:-1], (counts * np.arange(256)).cumsum()
    apart = sums[-1] / levels.size * below - sums[:-1]
    return int((apart**2 / np.maximum(below * (levels.size - below), 1)).argmax()) + 1


def _contrast(ink: Levels) -> int:
    """By how much the ink stands out; nine tenths of it by no more, so that a few specks decide nothing."""
    return int(np.percentile(ink[ink >= _otsu(ink)], 90)) if ink.any() else 0


# ---- lines


def _without_lines(ink: Levels, least: int) -> Levels:
    """Leave out straight lines from edge to edge, level or upright, unless nothing else is there."""
    rest = _without_level_lines(_without_level_lines(ink, least).T, least).T
    return rest if (rest >= least).any() else ink


def _without_level_lines(ink: Levels, least: int) -> Levels:
    """Level the lines by shifting column after column, fill their rows with what runs through them, shift back."""
    from scipy import ndimage

    height, width = ink.shape
    margin = int(SLOPE * width) + 2  # rows, so that none comes back at the other end
    padded = np.pad(ink, ((margin, margin), (0, 0)))
    wide = ndimage.binary_dilation(padded >= least, np.ones((3, 1)))  # a line that is not quite straight
    slope = _slope(wide, margin)
    rows, columns = _shifted(len(padded), np.arange(width), slope), np.arange(width)
    level = padded[rows, columns]
    for start, end in _lines(_covered(wide[rows, columns], rows, margin), height, margin):
        level[start:end] = np.minimum(level[start - 1], level[end])
    padded[rows, columns] = level
    return padded[margin:-margin]


def _shifted(height: int, columns: npt.NDArray[np.int_], slope: float) -> npt.NDArray[np.int_]:
    """Which row of each column, [height, columns], belongs to a line of this slope."""
    rows: npt.NDArray[np.int_] = (np.arange(height)[:, None] + np.rint(slope * columns).astype(int)) % height
    return rows


def _slope(mask: Mask, margin: int) -> float:
    """The slope at which most lies in lines."""
    width = mask.shape[1]
    columns = np.arange(0, width, -(-width // 100))
    steps = np.arange(-(margin - 2), margin - 1, 2) / width

    def in_lines(slope: float) -> float:
        rows = _shifted(len(mask), columns, slope)
        return float(np.maximum(_covered(mask[rows, columns], rows, margin) - LONG, 0).sum())

    slopes: list[float] = sorted(steps.tolist(), key=abs)
    return max(slopes, key=in_lines)


def _covered(mask: Mask, rows: npt.NDArray[np.int_], margin: int) -> npt.NDArray[np.float64]:
    """The share of ink in each shifted row's part of the page, if three quarters are on it."""
    on_page = ((rows >= margin) & (rows < len(mask) - margin)).sum(1)
    return np.where(4 * on_page >= 3 * mask.shape[1], mask.sum(1) / np.maximum(on_page, 1), 0)


def _lines(covered: npt.NDArray[np.float64], height: int, margin: int) -> list[tuple[int, int]]:
    """Return first and last row, exclusive, of what is covered and thin. One alone may be a stroke, if not whole."""
    edges = np.flatnonzero(np.diff(np.pad(covered >= LONG, 1).astype(int)))
    found = []
    for start, end in edges.reshape(-1, 2).tolist():
        in_margin = end - margin <= MARGIN * height or start - margin >= (1 - MARGIN) * height
        whole = bool(np.median(covered[start:end]) >= WHOLE)
        if end - start <= max(3, (THICK if in_margin and whole else THIN) * height):
            found.append((start, end, whole))
    return [(start, end) for start, end, whole in found if whole or len(found) > 1]


# ---- specks


def _without_specks(ink: Levels, least: int) -> Levels:
    """Leave out what is too faint, specks, and what lies along the page's edge."""
    from scipy import ndimage

    pieces, count = ndimage.label(ink >= least, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=count + 1)
    boxes = dict(enumerate(ndimage.find_objects(pieces), 1))
    inner = [n for n, box in boxes.items() if not _along_edge(box, ink.shape)] or list(boxes)
    largest = max((areas[n] for n in inner), default=0)
    kept = [n for n in inner if areas[n] >= (EDGE_SPECK if _depths(boxes[n], ink.shape) else SPECK) * largest]
    return np.where(np.isin(pieces, kept), ink, 0)


def _along_edge(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a box touches an edge of the page and is only as deep as dirt there is."""
    return any(depth <= DIRT for depth in _depths(box, shape))


def _depths(box: Box, shape: tuple[int, ...]) -> list[float]:
    """How deep a box is, as a share of the page's side, at each pair of edges of which it touches one."""
    return [
        (part.stop - part.start) / side
        for part, side in zip(box, shape, strict=True)
        if part.start == 0 or part.stop == side
    ]
