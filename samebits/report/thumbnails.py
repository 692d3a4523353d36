"""Small images for a page, as bytes that are the same everywhere."""

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

LARGEST = 64  # pixels a side


def data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return image uint8 [H, W], or [H, W, 3] in colour, as a data: URI; a side above LARGEST is thinned out to it."""
    rows, columns = (np.arange(min(side, LARGEST)) * side // min(side, LARGEST) for side in image.shape[:2])
    return "data:image/png;base64," + base64.b64encode(png(image[np.ix_(rows, columns)])).decode()


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode image uint8 [H, W] or [H, W, 3] as PNG (RFC 2083) without compression, in which zlib's builds differ."""
    height, width = image.shape[:2]
    header = struct.pack(">2I5B", width, height, 8, 0 if image.ndim == 2 else 2, 0, 0, 0)  # 8 bits of grey, or of RGB
    pixels = b"".join(b"\0" + row.tobytes() for row in image)  # each row unfiltered
    chunks = {b"IHDR": header, b"IDAT": _stored(pixels), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(data: bytes) -> bytes:
    """Wrap `data` as a zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4), of at most 65535 bytes each."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    stored = [
        struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
        for block, last in zip(blocks, [0] * (len(blocks) - 1) + [1], strict=True)
    ]
    return b"\x78\x01" + b"".join(stored) + struct.pack(">I", zlib.adler32(data))
