"""Pictures as people have them, decoded to grey."""

import io
import re
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from samebits.base.errors import UserError
from samebits.datasets.pieces import Pieces, pieces

LARGEST_SIDE = 10_000  # pixels; a photograph has 4,000 to 9,000
LARGEST_AREA = 50_000_000  # pixels; decoded, 200 MB
LIMIT = f"at most {LARGEST_SIDE:,} pixels a side and {LARGEST_AREA:,} in all are read"
MOST_WORK = 500_000_000  # pixels x scans: a progressive JPEG of the largest area has the usual 10
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp")  # of what is read
NEITHER = "neither a PNG nor a JPEG, WebP or BMP"
# More kinds Pillow reads, but a small file can make it work long: a GIF by its comments, a TIFF by its table of tags.
PLAIN = {"WEBP": (b"RIFF", b"WEBP"), "BMP": (b"BM", b"")}  # read whole: how they begin, and go on at byte 8
AS_PNG = "save it as PNG"
AS_JPEG = "phones and viewers save it as JPEG"
OTHERS = (  # where it begins, with what, and what that is; the first that fits
    (0, rb"GIF8", "a GIF", AS_PNG),
    (0, rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "a TIFF", AS_PNG),
    (0, rb"%PDF", "a PDF", f"{AS_PNG}, a page each"),
    (4, rb"ftypavi[fs]", "an AVIF", AS_JPEG),
    (4, rb"ftyp(hei|hev|mif1|msf1)", "a HEIC", AS_JPEG),
    (4, rb"JXL |jP  ", "a JPEG XL or JPEG 2000", AS_PNG),
    (0, rb"\xff\x0a|\xff\x4f\xff\x51", "a JPEG XL or JPEG 2000", AS_PNG),
    (0, rb"8BPS", "a Photoshop file", AS_PNG),
    (0, rb"P[1-7]\s", "a PNM", AS_PNG),
    (0, rb"version https://git-lfs", "a pointer of Git LFS in place of the file", "`git lfs pull` brings it"),
    (0, rb"(/annex/objects|\.\./)*\.git/annex|/annex/objects", "a pointer of git-annex", "`git annex get` brings it"),
    (0, rb"PK\x03\x04", "a ZIP archive", "unpack it"),
    (0, rb"\x1f\x8b", "packed by gzip", "unpack it"),
    (0, rb"(?is)(\xef\xbb\xbf)?\s*(<\?xml.{0,300})?(<!--.{0,300})?<svg", "an SVG", AS_PNG),
    (0, rb"(?is)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", "a page of HTML", "fetch the picture itself"),
)
UPRIGHT = {  # by Exif's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, name: str) -> Image.Image:
    """Decode a PNG, JPEG, WebP or BMP to grey, as its camera was held and without transparency. Raises UserError."""
    if not data:
        raise UserError(f"{name} is empty: a picture is wanted")
    if parts := pieces(data, name):
        return _decoded(parts, ("PNG", "JPEG"), name)
    for kind, (start, more) in PLAIN.items():
        if data.startswith(start) and data.startswith(more, 8):
            return _decoded(Pieces(data, 1, 1), (kind,), name)
    for at, start, what, way_out in OTHERS:
        if re.compile(start).match(data, at):
            raise UserError(f"{name} is {NEITHER}, but {what}: {way_out}")
    raise UserError(f"{name} is {NEITHER}, but something else")


def _decoded(parts: Pieces, formats: tuple[str, ...], name: str) -> Image.Image:
    try:
        with warnings.catch_warnings(action="ignore"):  # a picture is read, or refused in a sentence
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(parts.needed), formats=formats)
            _refuse_large(picture, parts.scans, name)
            if getattr(picture, "is_animated", False):
                raise UserError(f"{name} is animated: one still picture is wanted")
            picture.load()
        grey = _flat(picture)
        turn = UPRIGHT.get(parts.orientation)
        return grey if turn is None else grey.transpose(turn)
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} is too large: {LIMIT}") from None
    except UnidentifiedImageError:
        raise UserError(f"{name} is a broken picture (its header makes no sense)") from None
    except Exception as error:  # Pillow has no one error for the many ways in which a picture can be broken
        raise UserError(f"{name} is a broken picture ({error or type(error).__name__})") from None


def _refuse_large(picture: Image.Image, scans: int, name: str) -> None:
    """Look at the header before anything is unpacked: a small file can hold a huge picture, or draw one many times."""
    (width, height), size = picture.size, f"{name} is {picture.width:,} x {picture.height:,} pixels"
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise UserError(f"{size}, too large: {LIMIT}")
    if width * height * scans > MOST_WORK:
        raise UserError(f"{size} in {scans:,} scans, too much work: at most {MOST_WORK:,} pixels x scans are read")


def _flat(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scaling
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("L")
    grey, alpha = picture.convert("LA").split()
    paper = Image.new("L", grey.size, 0 if _mean(grey, alpha) > 127 else 255)  # the one that its ink shows on
    paper.paste(grey, mask=alpha)
    return paper


def _mean(grey: Image.Image, alpha: Image.Image) -> float:
    """The brightness of what can be seen."""
    counts = grey.histogram(mask=alpha)
    return sum(level * count for level, count in enumerate(counts)) / max(sum(counts), 1)
