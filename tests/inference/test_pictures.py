import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from samebits.base.errors import UserError
from samebits.datasets.pictures import LIMIT
from samebits.inference.pictures import picture, read

SIZE = (28, 28)
NOISE = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)  # with a bright border, as a T-shirt may have


def encode(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def see(image, dataset="mnist", format="PNG", invert=None, size=SIZE, **options):
    return picture(encode(image, format, **options), "it", dataset, size, invert)


def ring(side=400, paper=0, ink=255, box=(150, 120, 290, 320)):
    """A zero somewhere on a page."""
    page = Image.new("L", (side, side), paper)
    ImageDraw.Draw(page).ellipse(box, outline=ink, width=25)
    return page


def box(pixels):
    rows, columns = np.nonzero(pixels.any(1))[0], np.nonzero(pixels.any(0))[0]
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_of_ones_own_data_a_picture_of_their_size_is_left_alone(mode):
    """They may be dark on light, or have any border."""
    for pixels in (NOISE, 255 - NOISE, np.full(SIZE, 255, np.uint8)):
        seen = see(Image.fromarray(pixels).convert(mode), "mine")
        assert np.array_equal(seen.pixels, pixels)
        assert not seen.inverted
    assert np.array_equal(see(Image.fromarray(NOISE), "mine", invert=True).pixels, 255 - NOISE)


def test_a_digit_is_fitted_as_mnist_fits_its_own():
    pixels = see(ring()).pixels
    top, bottom, left, right = box(pixels)
    assert (bottom - top, right - left) == (20, 14)  # the ratio is kept
    assert pixels.max() == 255
    mass = pixels.astype(int)
    centre = [(mass.sum(1 - axis) @ np.arange(28)) / mass.sum() for axis in (0, 1)]
    assert all(abs(c - 14) <= 0.5 for c in centre), centre


def test_heavy_strokes_at_one_end_are_centred_by_mass_and_never_cut():
    page = ring(box=(10, 10, 60, 60))
    ImageDraw.Draw(page).line([(35, 60), (35, 380)], fill=255, width=8)
    top, bottom, *_ = box(see(page).pixels)
    assert bottom - top == 20
    assert top > 4  # by its box it would begin at 4


@pytest.mark.parametrize(("dataset", "extent"), [("fashion_mnist", 28), ("digits", 28), ("mnist", 20)])
def test_other_datasets_fill_their_frame(dataset, extent):
    top, bottom, left, right = box(see(ring(), dataset).pixels)
    assert bottom - top == extent
    assert dataset == "mnist" or abs((left + right) / 2 - 14) <= 0.5


def test_dark_on_light_is_recognised_by_the_border():
    light, dark = see(ring()), see(ring(paper=255, ink=0))
    assert (light.inverted, dark.inverted) == (False, True)
    assert np.array_equal(light.pixels, dark.pixels)
    assert np.array_equal(see(ring(paper=100, ink=20), invert=True).pixels, light.pixels)
    with pytest.raises(UserError, match=r"^it is blank"):  # nothing is brighter than a white page
        see(ring(paper=255, ink=0), invert=False)


def test_a_photograph_on_grey_uneven_paper_comes_out_on_black():
    page = np.asarray(ring(paper=0, ink=150)).astype(int)
    page = 190 - page - np.linspace(0, 25, 400).astype(int)[None] + np.random.default_rng(1).integers(-5, 6, page.shape)
    seen = see(Image.fromarray(page.clip(0, 255).astype(np.uint8)), format="JPEG", quality=80)
    assert seen.inverted
    assert np.abs(np.subtract(box(seen.pixels), box(see(ring()).pixels))).max() <= 1
    assert seen.pixels[12:16, 12:16].max() == 0  # the paper inside the ring


@pytest.mark.parametrize("ink", [0, 255])
def test_transparency_becomes_the_paper_that_the_ink_shows_on(ink):
    page = Image.new("LA", (400, 400), (ink, 0))
    page.putalpha(ring())
    seen = see(page)
    assert np.array_equal(seen.pixels, see(ring()).pixels)
    assert seen.inverted == (ink == 0)


def test_colour_palette_and_sixteen_bits():
    wanted = see(ring()).pixels
    wide = Image.fromarray(np.asarray(ring()).astype(np.uint16) * 257)
    for image in (ring().convert("RGB"), ring().convert("P"), ring().convert("1"), wide):
        assert np.array_equal(see(image).pixels, wanted), image.mode
    faint = Image.fromarray(
        np.asarray(ring()).astype(np.uint16) * 20
    )  # 5100 of 65535: Pillow alone would clip it white
    assert np.array_equal(see(faint).pixels, wanted)


def test_a_camera_held_sideways():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = see(ring().rotate(90), format="JPEG", exif=exif, quality=100)
    assert np.abs(turned.pixels.astype(int) - see(ring()).pixels).mean() < 2


def test_a_line_that_is_thin_on_a_large_page_is_still_bright():
    page = Image.new("L", (3000, 3000), 255)
    ImageDraw.Draw(page).line([(500, 500), (2500, 2400)], fill=0, width=12)
    assert see(page).pixels.max() == 255


def test_extreme_shapes():
    line = Image.new("L", (9000, 3))
    line.putpixel((100, 1), 255)
    line.putpixel((8900, 1), 255)
    with pytest.raises(UserError, match=r"^it has lines too thin for 28 x 28 pixels"):
        see(line, "fashion_mnist")
    with pytest.raises(UserError, match=r"^it is blank"):  # looked at in a ninth of its size
        see(line)
    dot = Image.new("L", (300, 300))
    dot.putpixel((5, 290), 255)
    assert see(dot).pixels.max() == 255


@pytest.mark.parametrize("page", [Image.new("L", (100, 80), 200), Image.new("RGBA", (100, 80)), Image.new("1", (1, 1))])
def test_a_blank_page(page):
    with pytest.raises(UserError, match=r"^it is blank"):
        see(page)


def header(width, height):
    """A PNG that says it is large, in 60 bytes."""
    chunk = b"IHDR" + struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"hello", "it is neither a PNG nor a JPEG, WebP or BMP, but something else"),
        (b"<svg/>", "it is neither a PNG nor a JPEG"),
        (encode(ring(), "GIF"), "it is neither a PNG nor a JPEG, WebP or BMP, but a GIF"),
        (
            encode(ring(), "GIF", save_all=True, append_images=[ring(ink=200)]),
            "neither a PNG nor a JPEG, WebP or BMP, but a GIF",
        ),
        (encode(ring(), save_all=True, append_images=[ring(ink=200)]), r"it is animated \(2 frames\)"),
        (encode(ring())[:200], "it is a broken picture"),
        (encode(ring(), "JPEG")[:2000], "it is a broken picture"),
        (encode(ring())[:60], "it is a broken picture"),
        (encode(Image.new("1", (40_000, 1))), r"it is 40,000 x 1 pixels, too large: at most 10,000 pixels a side"),
        (header(9_000, 9_000), "it is 9,000 x 9,000 pixels, too large"),
        (header(9_999, 9_999), "too large"),
        (header(60_000, 60_000), "it is too large: at most 10,000 pixels a side and 50,000,000 in all"),
        (header(0, 5), "it is "),
    ],
)
def test_what_is_refused(data, reason, recwarn):
    with pytest.raises(UserError, match=reason):
        read(data, "it", "mnist", SIZE)
    assert not recwarn.list


def test_every_kind_of_damage_is_a_sentence():
    """One byte changed, anywhere: a picture or a refusal, never another error."""
    random = np.random.default_rng(2)
    for whole in (encode(ring()), encode(ring(), "JPEG")):
        for _ in range(150):
            data = bytearray(whole)
            data[random.integers(len(data))] = random.integers(256)
            with contextlib.suppress(UserError):
                assert picture(bytes(data), "it", "mnist", SIZE).pixels.shape == SIZE


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_arrays_go_through_unchanged():
    stack = np.stack([NOISE, 255 - NOISE])
    assert np.array_equal([seen.pixels for seen in read(npy(stack), "it", "mnist", SIZE)], stack)
    assert np.array_equal([seen.pixels for seen in read(npy(stack), "it", "mnist", SIZE, invert=True)], stack[::-1])
    [one] = read(npy(NOISE), "it", "mnist", SIZE)
    assert np.array_equal(one.pixels, NOISE)
    fortran = np.asfortranarray(stack)
    assert np.array_equal([seen.pixels for seen in read(npy(fortran), "it", "mnist", SIZE)], stack)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(NOISE)[:-1], "it is not a whole .npy file"),
        (npy(NOISE)[:20], "it is not a whole .npy file"),
        (npy(NOISE / 255), r"it holds float64 \[28, 28\], but the model takes uint8 \[28, 28\] or \[N, 28, 28\]"),
        (npy(NOISE[:27]), r"it holds uint8 \[27, 28\]"),
        (npy(NOISE.ravel()), r"it holds uint8 \[784\]"),
        (npy(np.empty((0, 28, 28), np.uint8)), "it holds no image"),
        (npy(NOISE).replace(b"{", b"("), "it is not a whole .npy file of numbers"),
        (npy(NOISE).replace(b"{'descr'", b",'descr' "), "it is not a whole .npy file of numbers"),
        (npy(np.array([{}]), allow_pickle=True), "it is not a whole .npy file of numbers"),
        (npy(NOISE).replace(b"(28, 28), }" + b" " * 12, b"(9999999999, 28, 28), }"), "it is not a whole .npy file"),
    ],
)
def test_arrays_that_are_refused(data, reason):
    with pytest.raises(UserError, match=reason):
        read(data, "it", "mnist", SIZE)


def test_the_limits_are_those_that_the_text_states():
    assert "10,000 pixels a side and 50,000,000" in LIMIT


CASES = Path(__file__).parent / "cases"


def case(name):
    return picture((CASES / name).read_bytes(), name, "mnist", SIZE)


def test_dark_on_light_and_on_transparent_of_the_datasets_size():
    white, canvas = case("white28.png"), case("canvas28.png")
    assert white.inverted
    assert canvas.inverted
    for seen in (white, canvas):
        assert np.array_equal(seen.pixels[[0, -1]], np.zeros((2, 28)))
        assert (seen.pixels.max(), seen.doubt) == (255, "")


def test_what_has_the_form_already_keeps_every_pixel():
    mnist = see(ring()).pixels
    for pixels, inverted in ((mnist, False), (255 - mnist, True)):
        seen = see(Image.fromarray(pixels))
        assert np.array_equal(seen.pixels, mnist)
        assert (seen.inverted, seen.done, seen.doubt) == (inverted, (), "")
    moved = see(Image.fromarray(np.roll(mnist, 4, 1)))
    assert np.abs(moved.pixels.astype(int) - mnist).mean() < 5


def test_a_garment_that_touches_the_border_keeps_every_pixel():
    shirt = np.zeros(SIZE, np.uint8)
    shirt[:, 4:24] = 180
    shirt[2:10] = 200
    shirt[5:20, 12:16] = 90
    shirt[[0, 0, -1, -1], [0, -1, 0, -1]] = 50  # as Fashion-MNIST's own have them at most
    for pixels, inverted in ((shirt, False), (255 - shirt, True)):
        seen = see(Image.fromarray(pixels), "fashion_mnist")
        assert np.array_equal(seen.pixels, shirt)
        assert seen.inverted == inverted


@pytest.mark.parametrize("name", ["exif_bad.png", "png_bad_crc_text.png"])
def test_what_is_no_pixel_may_be_malformed(name, recwarn):
    seen = case(name)
    assert (seen.doubt, seen.pixels.max()) == ("", 255)
    assert not recwarn.list


def test_a_heic_under_another_name():
    with pytest.raises(UserError, match=r"^heic.jpg is neither .*, but a HEIC: phones and viewers save it as JPEG$"):
        case("heic.jpg")
