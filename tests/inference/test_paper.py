"""Pages as scanners and cameras leave them: what is on them must be seen as on a clean one."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from samebits.inference import forms, paper
from samebits.inference.pictures import picture

SIDE = 400
Y, X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)


def clean(paper=255, ink=0):
    """A seven with a bar through it: a level stroke, a slanting one, and a crossing."""
    page = Image.new("L", (SIDE, SIDE), paper)
    for line in ([(110, 90), (290, 90)], [(290, 90), (180, 320)], [(170, 200), (280, 215)]):
        ImageDraw.Draw(page).line(line, fill=ink, width=30)
    return page


def see(page, dataset="mnist"):
    file = io.BytesIO()
    page.save(file, "PNG")
    return picture(file.getvalue(), "it", dataset, (28, 28))


CLEAN = see(clean())


def apart(seen):
    """The mean difference from the clean page's pixels; being rounded, the middle may be a pixel elsewhere."""
    shifts = (np.roll(seen.pixels.astype(int), (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1))
    return min(np.abs(shifted - CLEAN.pixels).mean() for shifted in shifts)


def framed(width, page=None):
    page = page or clean()
    ImageDraw.Draw(page).rectangle((0, 0, SIDE - 1, SIDE - 1), outline=0, width=width)
    return page


def ruled(level=150, across=False):
    page = np.asarray(clean()).copy()
    for at in range(25, SIDE, 40):
        page[at : at + 2] = np.minimum(page[at : at + 2], level)
        if across:
            page[:, at : at + 2] = np.minimum(page[:, at : at + 2], level)
    return Image.fromarray(page)


def specked(page=None):
    levels, random = np.asarray(page or clean()).copy(), np.random.default_rng(0)
    y, x = random.integers(0, SIDE, (2, SIDE**2 // 1000))
    levels[y, x] = 255 - levels[0, 0]
    return Image.fromarray(levels)


def lit(light):
    return Image.fromarray((np.asarray(clean(245, 30)) * light).astype(np.uint8))


def on_the_desk():
    desk = Image.new("L", (SIDE + 60, SIDE + 60), 0)
    grey, alpha = clean().convert("LA").rotate(2, expand=True).split()
    desk.paste(grey, (20, 20), alpha)
    return desk


PAGES = {
    "clean": (clean(), ()),
    "light on dark": (clean(0, 255), ()),
    "grey": (clean(120, 60), ()),  # darker than 127, and yet dark on light
    "framed": (framed(12), ("a frame cut off",)),
    "framed thinly": (framed(2), ("a frame cut off",)),
    "in a light frame": (Image.fromarray(255 - np.asarray(framed(12))), ("a frame cut off",)),
    "on a dark desk, askew": (on_the_desk(), ("a frame cut off",)),
    "dark along an edge": (Image.fromarray(np.where(X < 0.05, 0, np.asarray(clean()))), ("lines left out",)),
    "ruled": (ruled(), ("lines left out",)),
    "ruled in black": (ruled(0), ("lines left out",)),
    "squared": (ruled(across=True), ("lines left out",)),
    "ruled, askew": (ruled().rotate(2, Image.Resampling.BILINEAR, fillcolor=255), ("lines left out",)),
    "specked": (specked(), ("specks left out",)),
    "specked, light on dark": (specked(clean(0, 255)), ("specks left out",)),
    "shaded from the side": (lit(1 - 0.7 * X), ("shading evened",)),
    "shaded over a half": (lit(np.where(X + 0.3 * Y > 0.65, 0.4, 1)), ("shading evened",)),
    "shaded by a hand": (lit(1 - 0.6 * np.exp(-((X - 0.3) ** 2 + (Y - 0.7) ** 2) / 0.08)), ("shading evened",)),
    "all of it": (specked(lit(1 - 0.5 * X)), ("shading evened", "specks left out")),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_ink_of_a_page_is_that_of_a_clean_one(page):
    image, done = PAGES[page]
    seen = see(image)
    assert seen.inverted == (page not in ("light on dark", "in a light frame", "specked, light on dark"))
    assert seen.doubt == ""
    assert set(done) <= set(seen.done)
    turned = "askew" in page  # the digit as well, by two degrees
    assert apart(seen) < (12 if turned else 7)


@pytest.mark.parametrize("page", ["clean", "light on dark", "grey"])
def test_nothing_is_left_out_of_a_clean_page(page):
    assert see(PAGES[page][0]).done == ()


def test_a_stroke_from_top_to_bottom_is_no_line():
    page = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(page).line([(60, 15), (60, 385)], fill=0, width=9)
    ImageDraw.Draw(page).ellipse((60, 20, 160, 120), outline=0, width=9)
    assert "lines left out" not in see(page).done


def test_a_fine_pen_writes_as_a_thick_one():
    fine = Image.new("L", (SIDE, SIDE), 255)
    for line in ([(110, 90), (290, 90)], [(290, 90), (180, 320)], [(170, 200), (280, 215)]):
        ImageDraw.Draw(fine).line(line, fill=0, width=5)
    seen = see(fine)
    assert (seen.done, seen.doubt) == (("strokes thickened",), "")
    assert apart(seen) < 12
    assert np.array_equal(CLEAN.pixels, see(clean()).pixels)
    assert CLEAN.done == ()


def test_a_thick_zero_is_no_page_in_a_frame():
    for page in (Image.new("L", (200, 240)), Image.new("L", (260, 300))):
        box = ((page.width - 196) // 2, (page.height - 236) // 2, (page.width + 196) // 2, (page.height + 236) // 2)
        ImageDraw.Draw(page).ellipse(box, outline=255, width=45)
        seen = see(page)
        assert (seen.inverted, seen.done, seen.doubt) == (False, (), "")
        assert seen.pixels[14, 14] == 0


@pytest.mark.parametrize("side", [28, 29, 56, 90, 400, 1300])
def test_no_size_is_a_cliff(side):
    """Out of the middle, so that at no size the form is MNIST's already."""
    page = clean().transform((SIDE, SIDE), Image.Transform.AFFINE, (1, 0, 30, 0, 1, -20), fillcolor=255)
    seen = see(page.resize((side, side), Image.Resampling.BOX))
    assert seen.inverted
    assert seen.doubt == ""
    assert apart(seen) < (16 if side < 30 else 8)


NOISE = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
LIKE_NOTHING = {
    "noise": Image.fromarray(NOISE),
    "noise of the images' size": Image.fromarray(NOISE[:28, :28]),
    "a chessboard": Image.fromarray((255 * ((X * 7).astype(int) + (Y * 7).astype(int) & 1)).astype(np.uint8)),
    "a disc": Image.fromarray(np.where(np.hypot(X - 0.5, Y - 0.5) < 0.3, 0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("page", LIKE_NOTHING)
def test_what_is_like_nothing_in_the_training_images_is_doubted(page):
    assert see(LIKE_NOTHING[page]).doubt


def test_noise_is_no_garment():
    assert see(LIKE_NOTHING["noise"], "fashion_mnist").doubt


def test_the_largest_page_takes_a_moment():
    page = Image.new("L", (9000, 5500), 255)
    page.paste(clean().resize((3000, 3000)), (1000, 500))
    assert apart(see(page)) < 8


def test_otsu_parts_two_heaps():
    levels = np.array([[3, 3, 5, 5, 200, 210]], np.uint8)
    assert 5 < paper._otsu(levels) <= 200


def test_of_the_digits_next_to_none_is_doubted_and_each_has_the_form():
    from sklearn.datasets import load_digits

    form, images = forms.of("digits"), (load_digits().images * 255 / 16).round().astype(np.uint8)
    assert all(forms.has(form, image) for image in images)
    assert sum(bool(forms.doubt(form, image)) for image in images) < 0.01 * len(images)
