"""How often is a picture of a digit read rightly, by the way in which it was drawn, scanned or photographed?

    python -m benchmarks.scans --before 60e5d0f

Prints for each kind of picture, made of the first 300 test images of MNIST, how many `models/mnist/mlp` answers
rightly, and how many are flagged, or refused, instead. `--before` asks the package of a commit about the same pictures.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFilter
from safetensors.numpy import load_file
from scipy import ndimage

from samebits.base.errors import UserError
from samebits.inference.classifier import Classifier
from samebits.inference.pictures import read

MODEL, IMAGES = Path("models/mnist/mlp/model.safetensors"), Path("data/processed/mnist/test.safetensors")
DIGITS = 300
SIDE = 400  # pixels of a page
SIZE = (28, 28)
NOTHING = "no digit: "

Levels = npt.NDArray[np.float64]
Make = Callable[[Image.Image, np.random.Generator], Image.Image]
KINDS: dict[str, Make] = {}


def _kind(name: str) -> Callable[[Make], Make]:
    """Enter a maker of pictures, from a test image (28 x 28, light on dark), under this name."""

    def enter(make: Make) -> Make:
        KINDS[name] = make
        return make

    return enter


def _levels(image: Image.Image) -> Levels:
    return np.asarray(image, float)


def _picture(values: Levels) -> Image.Image:
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def _page(digit: Image.Image, side: int = SIDE, paper: int = 255, ink: int = 0) -> Image.Image:
    """Return the digit, dark on light unless said otherwise, at this size."""
    large = _levels(digit.resize((side, side), Image.Resampling.BILINEAR)) / 255
    return _picture(paper + (ink - paper) * large)


# ---- sizes and colours


@_kind("28 x 28, light on dark: MNIST's own")
def _own(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return digit


@_kind("28 x 28, dark on light")
def _small(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _page(digit, 28)


@_kind("28 x 28, black strokes on transparent")
def _canvas(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    strokes = Image.new("LA", digit.size)
    strokes.putalpha(digit)
    return strokes


@_kind("29 x 29, dark on light")
def _next_size(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _page(digit, 29)


@_kind("400 x 400, dark on light")
def _large(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _page(digit)


@_kind("400 x 400, light on dark")
def _dark(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _page(digit, paper=0, ink=255)


@_kind("28 x 28, dark on light, out of the middle")
def _moved(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    x, y = (int(n) for n in random.integers(-4, 5, 2))
    return _picture(255 - np.roll(_levels(digit), (y, x), (0, 1)))


@_kind("small on a large page")
def _corner(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = Image.new("L", (900, 600), 255)
    sheet.paste(_page(digit, 120), (int(random.integers(40, 440)), int(random.integers(40, 440))))
    return sheet


@_kind("cut out tightly")
def _tight(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    box = digit.point([255 * (level > 100) for level in range(256)]).getbbox()
    assert box
    left, upper, right, lower = (round(side * SIDE / 28) for side in box)
    return _page(digit).crop((left, upper, right, lower))


@_kind("pencil: grey on grey paper, with noise")
def _pencil(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _picture(_levels(_page(digit, paper=215, ink=140)) + random.normal(0, 6, (SIDE, SIDE)))


@_kind("a fine pen: a third of the thickness")
def _fine(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    depths = ndimage.distance_transform_edt(_levels(_page(digit, ink=255, paper=0)) > 100)
    core = (depths > 1) & (depths >= 0.7 * ndimage.maximum_filter(depths, 41))
    return _picture(np.where(core, 0.0, 255.0))


# ---- scans


def _framed(sheet: Image.Image, inset: int, width: int) -> Image.Image:
    box = (inset, inset, sheet.width - 1 - inset, sheet.height - 1 - inset)
    ImageDraw.Draw(sheet).rectangle(box, outline=0, width=width)
    return sheet


@_kind("a black frame round the page")
def _frame(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _framed(_page(digit), inset=0, width=12)


@_kind("a thin black frame")
def _thin_frame(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _framed(_page(digit), inset=0, width=2)


@_kind("a black frame, 28 x 28")
def _small_frame(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _framed(_page(digit, 28), inset=0, width=1)


@_kind("a page that lies askew on a black ground")
def _askew(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = Image.new("L", (SIDE + 60, SIDE + 60), 0)
    turned = _page(digit).convert("LA").rotate(random.uniform(-4, 4), Image.Resampling.BILINEAR, expand=True)
    grey, alpha = turned.split()
    sheet.paste(grey, ((sheet.width - grey.width) // 2, (sheet.height - grey.height) // 2), alpha)
    return sheet


@_kind("a frame drawn a little inside the edge")
def _box(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _framed(_page(digit), inset=14, width=3)


@_kind("black along one edge")
def _one_edge(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = _page(digit)
    ImageDraw.Draw(sheet).rectangle((0, 0, 20, SIDE), fill=0)
    return sheet


@_kind("light on dark in a white frame")
def _white_frame(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = _dark(digit, random)
    ImageDraw.Draw(sheet).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=255, width=12)
    return sheet


def _ruled(digit: Image.Image, level: int, width: int, across: bool = False) -> Image.Image:
    lines = Image.new("L", (SIDE, SIDE), 255)
    for at in range(25, SIDE, 40):
        ImageDraw.Draw(lines).line((0, at, SIDE, at), fill=level, width=width)
        if across:
            ImageDraw.Draw(lines).line((at, 0, at, SIDE), fill=level, width=width)
    return _picture(np.minimum(_levels(_page(digit)), _levels(lines)))


@_kind("ruled paper, grey lines")
def _grey_lines(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _ruled(digit, 150, 2)


@_kind("ruled paper, black lines")
def _black_lines(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _ruled(digit, 0, 2)


@_kind("squared paper, grey lines")
def _squares(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _ruled(digit, 150, 2, across=True)


@_kind("ruled paper, askew by 2 degrees")
def _askew_lines(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _ruled(digit, 150, 2).rotate(2, Image.Resampling.BILINEAR, fillcolor=255)


def _specked(sheet: Image.Image, random: np.random.Generator, share: float, size: int = 1) -> Image.Image:
    values = _levels(sheet)
    for y, x in random.integers(0, SIDE, (round(share * SIDE**2 / size**2), 2)):
        values[y : y + size, x : x + size] = 255 - values[0, 0]
    return _picture(values)


@_kind("specks on 0.1 % of the pixels")
def _specks(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _specked(_page(digit), random, 0.001)


@_kind("specks of 3 x 3 on 1 % of the pixels")
def _large_specks(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _specked(_page(digit), random, 0.01, 3)


@_kind("light specks on a dark page")
def _light_specks(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _specked(_dark(digit, random), random, 0.001)


@_kind("pencil with black specks")
def _pencil_specks(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _specked(_pencil(digit, random), random, 0.001)


def _lit(digit: Image.Image, light: Levels) -> Image.Image:
    return _picture(_levels(_page(digit, paper=245, ink=30)) * light)


Y, X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)


@_kind("a shadow, from one side")
def _gradient(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _lit(digit, 1 - 0.7 * X)


@_kind("a shadow over half the page")
def _half(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _lit(digit, np.where(X + 0.3 * Y > 0.65, 0.4, 1))


@_kind("a shadow over a corner")
def _dark_corner(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _lit(digit, 0.35 + 0.65 * (np.hypot(X - 1, Y - 1) / np.sqrt(2)).clip(0, 1))


@_kind("the shadow of a hand, soft")
def _hand(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _lit(digit, 1 - 0.6 * np.exp(-((X - 0.3) ** 2 + (Y - 0.7) ** 2) / 0.08))


@_kind("a photograph: shadow, blur, noise, JPEG")
def _photograph(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = Image.new("L", (SIDE, SIDE), 255)
    sheet.paste(_page(digit, 260), (90, 50))
    soft = _levels(sheet.filter(ImageFilter.GaussianBlur(2))) * 0.8 + 10
    soft *= 1 - 0.5 * (0.6 * X + 0.4 * Y)
    file = io.BytesIO()
    _picture(soft + random.normal(0, 5, soft.shape)).save(file, "JPEG", quality=60)
    return Image.open(file)


@_kind("grey lines, specks and a shadow together")
def _together(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _specked(_picture(_levels(_ruled(digit, 150, 2)) * (1 - 0.5 * X)), random, 0.001)


# ---- nothing that was learned


def _nothing(name: str) -> Callable[[Make], Make]:
    return _kind(f"{NOTHING}{name}")


@_nothing("noise")
def _noise(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _picture(random.integers(0, 256, (200, 200)).astype(float))


@_nothing("noise, 28 x 28")
def _small_noise(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _picture(random.integers(0, 256, SIZE).astype(float))


@_nothing("a chessboard")
def _chessboard(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    squares = int(random.integers(3, 10))
    return _picture(255.0 * ((X * squares).astype(int) + (Y * squares).astype(int) & 1))


@_nothing("half black, half white")
def _halves(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    return _picture(np.where(random.uniform(0.35, 0.65) < X, 255.0, 0.0))


@_nothing("clouds")
def _clouds(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    coarse = _picture(random.integers(0, 256, (6, 6)).astype(float))
    return coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@_nothing("a large disc")
def _disc(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = Image.new("L", (SIDE, SIDE), 255)
    radius = int(random.integers(80, 190))
    ImageDraw.Draw(sheet).circle((SIDE / 2, SIDE / 2), radius, fill=0)
    return sheet


@_nothing("lines of text")
def _text(digit: Image.Image, random: np.random.Generator) -> Image.Image:
    sheet = Image.new("L", (SIDE, SIDE), 255)
    for y in range(20, SIDE - 20, 24):
        letters = "".join(random.choice(list("abcdefghij klmnop"), 40))
        ImageDraw.Draw(sheet).text((20, y), letters, fill=0, font_size=18)
    return sheet


# ---- measured


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _measured() -> Iterator[tuple[str, int, int]]:
    """Yield each kind with how many were answered rightly, and how many flagged or refused instead of answered."""
    classifier, data = Classifier.load(MODEL), load_file(IMAGES)
    labels = data["labels"][:DIGITS].tolist()
    for number, (name, make) in enumerate(KINDS.items()):
        random, right, flagged = np.random.default_rng(number), 0, 0
        for image, label in zip(data["images"], labels, strict=False):
            try:
                [seen] = read(_encoded(make(Image.fromarray(image), random)), "it", "mnist", SIZE)
            except UserError:
                flagged += 1
                continue
            if getattr(seen, "doubt", ""):
                flagged += 1
            else:
                P = classifier.probabilities(torch.from_numpy(seen.pixels.copy())[None])
                right += int(P.argmax()) == label
        yield name, right, flagged


def _measured_at(commit: str) -> list[tuple[str, int, int]]:
    """Ask the package as it was at a commit, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        package = subprocess.run(["git", "archive", commit, "samebits"], check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", folder], check=True, input=package)
        environ = os.environ | {"PYTHONPATH": folder, "PYTHONSAFEPATH": "1"}  # the older package, not the one here
        line = [sys.executable, __file__, "--json"]
        done = subprocess.run(line, check=True, env=environ, stdout=subprocess.PIPE)
    return [(name, right, flagged) for name, right, flagged in json.loads(done.stdout)]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", metavar="COMMIT", help="with a column of what the code at COMMIT answers rightly")
    parser.add_argument("--json", action="store_true", help="bare counts")
    options = parser.parse_args()
    found = list(_measured())
    if options.json:
        print(json.dumps(found))
        return
    before = [right for _, right, _ in _measured_at(options.before)] if options.before else [None] * len(found)
    print("| kind of picture | right before | right | flagged |\n|---|--:|--:|--:|")
    for (name, right, flagged), was in zip(found, before, strict=True):
        answered = (_percent(None if name.startswith(NOTHING) else count) for count in (was, right))
        print(f"| {name} | {' | '.join(answered)} | {_percent(flagged)} |")


def _percent(count: int | None) -> str:
    return "-" if count is None else f"{100 * count / DIGITS:.1f} %"


if __name__ == "__main__":
    main()
