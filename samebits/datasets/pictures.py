"""Pictures as people have them, decoded to grey."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from samebits.base.errors import UserError

LARGEST_SIDE = 10_000  # pixels; a photograph has 4,000 to 9,000
LARGEST_AREA = 50_000_000  # pixels; decoded, 200 MB
LIMIT = f"at most {LARGEST_SIDE:,} pixels a side and {LARGEST_AREA:,} in all are read"
OTHERS = {b"GIF8": "a GIF", b"BM": "a BMP", b"RIFF": "a WebP", b"II*": "a TIFF", b"MM\0*": "a TIFF", b"%PDF": "a PDF"}


def decode(data: bytes, name: str) -> Image.Image:
    """Decode one PNG or JPEG to grey: turned as its camera was held, without transparency. Raises UserError."""
    if not data:
        raise UserError(f"{name} is empty: a picture is wanted")
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        _refuse_large(picture, name)
        frames = getattr(picture, "n_frames", 1) if picture.format == "PNG" else 1  # a JPEG's are previews of itself
        if frames > 1:
            raise UserError(f"{name} is animated ({frames} frames): one still picture is wanted")
        picture.load()
        return _flat(ImageOps.exif_transpose(picture))
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} is too large: {LIMIT}") from None
    except UnidentifiedImageError:
        kind = next((kind for start, kind in OTHERS.items() if data.startswith(start)), "something else")
        raise UserError(f"{name} is neither a PNG nor a JPEG, but {kind}") from None
    except Exception as error:  # Pillow has no one error for the many ways in which a picture can be broken
        raise UserError(f"{name} is a broken picture ({error or type(error).__name__})") from None


def _refuse_large(picture: Image.Image, name: str) -> None:
    """Look at the header before anything is unpacked: a small file can hold a huge picture."""
    width, height = picture.size
    if max(width, height) > LARGEST_SIDE or width * height > LARGEST_AREA:
        raise UserError(f"{name} is {width:,} x {height:,} pixels, too large: {LIMIT}")


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
