"""What of a PNG's or a JPEG's bytes makes its pixels; nothing else is given to a decoder.

Profiles, texts, comments, previews and the tables of a camera are read by code that few attack and fewer test: a small
file can make it work for minutes, and a damaged one makes it fail although the pixels are whole. Of all that only the
orientation is wanted, two bytes.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from samebits.base.errors import UserError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MOST_CHUNKS = 100_000  # of a PNG; 50 million pixels in the usual 8 KiB each are 49,000
MOST_SEGMENTS = 1_000  # of a JPEG; 64 MiB of a camera's own in the largest possible

DRAWN = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # in compressed data 255 is followed by 0, or by a restart's D0 to D7
PADDING = re.compile(rb"\xff{2,}")  # is allowed before a marker; decoders begin it anew with each piece of a file
SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1
TABLES = (0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xEE)  # SOF0 to SOF2, DHT, DQT, DRI; colours by JFIF, Adobe
RARE = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # frames without loss, or by arithmetic coding
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112  # a tag of Exif


@dataclass(frozen=True)
class Pieces:
    """`needed` is a picture file by itself; a JPEG's `scans` each go over all of it; `orientation` is Exif's 1 to 8."""

    needed: bytes
    scans: int
    orientation: int


def pieces(data: bytes, name: str) -> Pieces | None:
    """Take apart a PNG or a JPEG, None if it is neither. Raises UserError for one that is not meant to be read."""
    if data.startswith(PNG):
        return _png(data, name)
    return _jpeg(data, name) if data.startswith(JPEG) else None


def _png(data: bytes, name: str) -> Pieces:
    needed, exif = [PNG], b""
    for count, (kind, start, end) in enumerate(_chunks(data)):
        if count == MOST_CHUNKS:
            raise UserError(f"{name} is in too many pieces: at most {MOST_CHUNKS:,} chunks of a PNG are read")
        if kind in DRAWN:
            needed.append(data[start:end])
        elif kind == b"acTL" and (frames := int.from_bytes(data[start + 8 : start + 12])) > 1:
            raise UserError(f"{name} is animated ({frames} frames): one still picture is wanted")
        elif kind == b"eXIf":
            exif = exif or data[start + 8 : end - 4]
    return Pieces(b"".join(needed), 1, _orientation(exif))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's kind, start and end; the last may be cut off."""
    start, kind = len(PNG), b""
    while start < len(data) and kind != b"IEND":
        kind, end = data[start + 4 : start + 8], start + 12 + int.from_bytes(data[start : start + 4])
        yield kind, start, end
        start = end


def _jpeg(data: bytes, name: str) -> Pieces:
    needed, exif, scans, compressed = [data[:2]], b"", 0, len(data)
    for count, (marker, start, end) in enumerate(_segments(data)):
        if count == MOST_SEGMENTS:
            raise UserError(f"{name} is in too many pieces: at most {MOST_SEGMENTS:,} segments of a JPEG are read")
        if marker in RARE:
            raise UserError(f"{name} is a JPEG of a rare kind, without loss or by arithmetic coding: save it anew")
        if marker == SOS:
            scans, compressed = scans + 1, min(start, compressed)
        elif marker in TABLES and not scans:
            needed.append(data[start:end])
        elif marker == APP1 and data.startswith(EXIF, start + 4):
            exif = exif or data[start + 4 + len(EXIF) : end]
    needed.append(PADDING.sub(b"\xff", data[compressed:]))
    return Pieces(b"".join(needed), scans, _orientation(exif))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield each segment's marker, start and end, to the end of the picture: a preview or a film may follow."""
    end, marker = 2, None
    while marker != EOI and (found := MARKER.search(data, end)):
        start, marker = found.start(), found[0][1]
        end = start + 2 + (0 if marker == EOI else int.from_bytes(data[start + 2 : start + 4]))
        yield marker, start, end


def _orientation(exif: bytes) -> int:
    """How the camera was held; 1, upright, where nothing that makes sense is said."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], ">")
    try:
        [first] = struct.unpack_from(f"{order}I", exif, 4)
        [count] = struct.unpack_from(f"{order}H", exif, first)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, first + 2 + 12 * entry)
            if tag == ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1
