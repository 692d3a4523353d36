"""What reaches the decoder: enough for the same pixels, and nothing that makes it work for long."""

import contextlib
import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from samebits.base.errors import UserError
from samebits.datasets.pictures import _flat, decode
from samebits.datasets.pieces import MOST_CHUNKS, MOST_SEGMENTS, pieces

PIXELS = np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)
TURNED = 0x0112


def encode(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def needed(data):
    found = pieces(data, "it")
    assert found is not None
    return found.needed


def seen(data):
    return np.asarray(decode(data, "it"))


def held(orientation):
    exif = Image.Exif()
    exif[TURNED] = orientation
    exif[0x010F] = "a camera"
    return exif


def described():
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "t" * 300, zip=True)
    text.add_itxt("Comment", "c")
    return text


def segment(marker, data=b""):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def after_header(data, more):
    """Put something behind a PNG's header, or a JPEG's first two bytes."""
    at = 33 if data.startswith(b"\x89PNG") else 2
    return data[:at] + more + data[at:]


def scanned(data, more):
    """Repeat a JPEG's last scan: as small a file as is possible, and each scan goes over every pixel."""
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * more + data[-2:]


def kinds():
    for mode in ("L", "1", "P", "RGB", "RGBA", "LA", "I;16"):
        image = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else IMAGE.convert(mode)
        yield f"png {mode}", encode(image, "PNG", pnginfo=described(), dpi=(72, 72), icc_profile=b"no profile" * 99)
    yield "png transparent colour", encode(IMAGE.convert("P"), "PNG", transparency=7)
    for mode in ("L", "RGB", "CMYK"):
        yield f"jpeg {mode}", encode(IMAGE.convert(mode), "JPEG", comment=b"hello", icc_profile=b"no profile" * 9999)
        yield f"jpeg {mode} progressive", encode(IMAGE.convert(mode), "JPEG", progressive=True, subsampling=0)
    yield "jpeg restarts", encode(IMAGE, "JPEG", restart_marker_blocks=2)
    yield "jpeg as it is", encode(IMAGE, "JPEG", keep_rgb=True)
    yield "jpeg with a preview", encode(IMAGE, "MPO", save_all=True, append_images=[IMAGE.resize((10, 10))])
    for orientation in range(9):
        yield f"jpeg held {orientation}", encode(IMAGE, "JPEG", exif=held(orientation))
        yield f"png held {orientation}", encode(IMAGE, "PNG", exif=held(orientation))
    yield "jpeg held 6 and padded", after_header(encode(IMAGE, "JPEG", exif=held(6)), b"\xff" * 1000)


KINDS = dict(kinds())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_changes_no_pixel(kind):
    whole = Image.open(io.BytesIO(KINDS[kind]))
    assert np.array_equal(seen(KINDS[kind]), np.asarray(_flat(ImageOps.exif_transpose(whole))))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_all_that_is_no_pixel(kind):
    image = Image.open(io.BytesIO(needed(KINDS[kind])))
    image.load()
    assert not set(image.info) & {"exif", "icc_profile", "comment", "Title", "Comment", "mp", "xmp", "mpoffset"}
    assert needed(needed(KINDS[kind])) == needed(KINDS[kind])


FLAT = encode(Image.new("L", (3000, 2000), 9), "JPEG", progressive=True)
SMALL = encode(Image.new("L", (8, 8), 9), "JPEG", progressive=True)
PNG = encode(Image.new("L", (8, 8), 9), "PNG")
TOO_MANY = "it is in too many pieces: at most"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            scanned(FLAT, 94),
            "it is 3,000 x 2,000 pixels in 100 scans, too much work: at most 500,000,000 pixels x scans are read",
        ),
        (scanned(FLAT.replace(b"\xff\xda", b"\xff\xff\xff\xda"), 94), "it is 3,000 x 2,000 pixels in 100 scans, too"),
        (scanned(SMALL, MOST_SEGMENTS), f"{TOO_MANY} 1,000 segments of a JPEG are read"),
        (after_header(SMALL, segment(0xFE) * MOST_SEGMENTS), TOO_MANY),
        (after_header(SMALL, segment(0xDB) * MOST_SEGMENTS), TOO_MANY),
        (after_header(PNG, chunk(b"tEXt", b"a\0b") * MOST_CHUNKS), f"{TOO_MANY} 100,000 chunks of a PNG are read"),
        (PNG[:-12] + chunk(b"IDAT") * MOST_CHUNKS + PNG[-12:], TOO_MANY),
        (SMALL.replace(b"\xff\xc2", b"\xff\xca"), "it is a JPEG of a rare kind, without loss or by arithmetic coding"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is neither a PNG nor a JPEG, WebP or BMP, but a HEIC"),
        (PNG.replace(b"IHDR", b"IHDS"), "it is a broken picture"),
        (PNG[:30], "it is a broken picture"),
        (SMALL[:3], "it is a broken picture"),
    ],
)
def test_what_is_refused(data, reason):
    with pytest.raises(UserError, match=f"^{re.escape(reason)}"):
        decode(data, "it")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0\0\0\x18ftypheix\0\0\0\0", "a HEIC: phones and viewers save it as JPEG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF: phones and viewers save it as JPEG"),
        (b"II*\0", "a TIFF: save it as PNG"),
        (b"%PDF-1.4", "a PDF: save it as PNG, a page each"),
        (b"\n<!DOCTYPE html><html>404", "a page of HTML: fetch the picture itself"),
        (b"<html lang='en'>", "a page of HTML: fetch the picture itself"),
        (b'<?xml version="1.0"?>\n<svg/>', "an SVG: save it as PNG"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a pointer of Git LFS in place of the file: `git lfs pull` brings it",
        ),
        (b"/annex/objects/SHA256E-s9--0.png\n", "a pointer of git-annex: `git annex get` brings it"),
        (b"PK\3\4", "a ZIP archive: unpack it"),
        (b"RIFF\0\0\0\0WAVE", "something else"),
        (b"hello", "something else"),
    ],
)
def test_what_is_no_picture_is_named_with_the_way_out(data, what):
    with pytest.raises(UserError, match=f"^it is neither a PNG nor a JPEG, WebP or BMP, but {re.escape(what)}$"):
        decode(data, "it")


@pytest.mark.parametrize(("format", "options"), [("WEBP", {"lossless": True}), ("BMP", {})])
def test_other_kinds_that_are_read(format, options):
    assert np.array_equal(seen(encode(IMAGE, format, **options)), seen(encode(IMAGE, "PNG")))


def test_other_kinds_have_the_same_limits():
    with pytest.raises(UserError, match=r"^it is animated"):
        decode(encode(IMAGE, "WEBP", save_all=True, append_images=[IMAGE.rotate(90)]), "it")
    with pytest.raises(UserError, match=r"^it is 10,001 x 1 pixels, too large"):
        decode(encode(Image.new("L", (10_001, 1)), "BMP"), "it")
    large = bytearray(encode(IMAGE.convert("RGBA"), "WEBP", save_all=True, append_images=[IMAGE.rotate(90)]))
    assert large[12:16] == b"VP8X"
    large[24:30] = b"\xff\xff\0" * 2  # says that it is 65,536 x 65,536
    with pytest.raises(UserError, match=r"^it is too large"):
        decode(bytes(large), "it")


def test_as_many_scans_as_are_usual_on_the_largest_picture():
    assert decode(scanned(FLAT, 77), "it").size == (3000, 2000)
    assert len(re.findall(rb"\xff\xda", encode(IMAGE, "JPEG", progressive=True))) == 10


BOMB = chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1_048_575), 9))


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (after_header(PNG, BOMB * 6000), PNG),  # each unpacked for itself: 4 s
        (after_header(PNG, chunk(b"eXIf", bytes(10**6)) + chunk(b"zTXt", b"a\0\0no zlib") * 9), PNG),
        (after_header(PNG, b"\0\0\0\3tEXta\0b" + b"sum?"), PNG),  # a wrong checksum
        (after_header(SMALL, segment(0xE1, b"Exif\0\0\0\x08\0\2\1\x12\0\3")), SMALL),  # no TIFF
        (after_header(SMALL, segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")), SMALL),
        (after_header(SMALL, segment(0xE2, b"MPF\0MM\0*\xff\xff\xff\xff")), SMALL),
        (after_header(SMALL, b"\xff" * 8_000_000), SMALL),  # read one by one: 4 s
        (
            SMALL[:-2] + b"\xff" * 16_000_000 + SMALL[-2:],
            SMALL,
        ),  # begun anew with each 64 KiB: 2 s
    ],
)
def test_what_is_no_pixel_reaches_no_decoder(data, plain, recwarn):
    assert needed(data) == needed(plain)
    assert np.array_equal(seen(data), seen(plain))
    assert not recwarn.list


def test_what_follows_a_picture_is_not_looked_at():
    assert np.array_equal(seen(SMALL + SMALL * MOST_SEGMENTS), seen(SMALL))


def test_whatever_bytes_come_it_ends_in_a_picture_or_a_sentence():
    random = np.random.default_rng(1)
    for whole in KINDS.values():
        for _ in range(20):
            data = bytearray(whole[: random.integers(1, len(whole))] if random.integers(2) else whole)
            for at in random.integers(0, min(len(data), 400), 3):
                data[at] = random.integers(256)
            with contextlib.suppress(UserError):
                assert decode(bytes(data), "it").mode == "L"
