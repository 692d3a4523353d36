"""Pictures as people have them, decoded to grey."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from samebits.base.errors import UserError
from samebits.datasets.pieces import pieces

LARGEST_SIDE = 10_000  # pixels; a photograph has 4,000 to 9,000
LARGEST_AREA = 50_000_000  # pixels; decoded, 200 MB
LIMIT = f"at most {LARGEST_SIDE:,} pixels a side and {LARGEST_AREA:,} in all are read"
MOST_WORK = 500_000_000  # pixels x scans: a progressive JPEG of the largest area has the usual 10
OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP",
    b"II*": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"ftyphei": "a HEIC, which most phones can save as JPEG",
    b"ftypmif1": "a HEIC, which most phones can save as JPEG",
    b"ftypavif": "an AVIF",
}
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
    """Decode one PNG or JPEG to grey: turned as its camera was held, without transparency. Raises UserError."""
    if not data:
        raise UserError(f"{name} is empty: a picture is wanted")
    parts = pieces(data, name)
    if not parts:
        starts = (data[:12], data[4:12])  # a HEIC first says how long its first part is
        kind = next((kind for start, kind in OTHERS.items() if any(x.startswith(start) for x in starts)), None)
        raise UserError(f"{name} is neither a PNG nor a JPEG, but {kind or 'something else'}")
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            picture = Image.open(io.BytesIO(parts.needed), formats=("PNG", "JPEG"))
        _refuse_large(picture, parts.scans, name)
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
