"""What a file is that should be a table in CSV and is none, and the way out."""

import re
from typing import BinaryIO

from samebits.base.errors import UserError

HEAD = 2048  # bytes that are looked at
DECLARE = "`samebits declare` makes it one"
PANDAS = "pandas can read it and write it by to_csv(..., index=False)"
SHEET = f"{DECLARE}, or save it as CSV UTF-8"
UNPACK = "unpack it first"
KINDS = {  # by how the file begins
    rb"version https://git-lfs": ("a Git LFS pointer in place of the file", "`git lfs pull` brings it"),
    rb"(\.git|\.\.)?[^\n,]*/annex/objects/": ("a git-annex pointer in place of the file", "`git annex get` brings it"),
    rb"(wdir:.*\s+)?outs:\s+- md5:": ("DVC's pointer to a file", "name the file itself, which `dvc pull` brings"),
    rb"\x1f\x8b": ("packed by gzip", UNPACK),
    rb"BZh\d": ("packed by bzip2", UNPACK),
    rb"\xfd7zXZ": ("packed by xz", UNPACK),
    rb"(?s)\x28\xb5\x2f\xfd": ("packed by zstd", UNPACK),
    rb"(?s)PK\x03\x04.*(\[Content_Types\]\.xml|xl/)": ("an Excel file", SHEET),
    rb"(?s)PK\x03\x04.*application/vnd\.oasis": ("an OpenDocument file", SHEET),
    rb"PK\x03\x04": ("a ZIP archive", UNPACK),
    rb"\xd0\xcf\x11\xe0": ("an old Excel file", SHEET),
    rb"PAR1": ("a Parquet file", DECLARE),
    rb"ARROW1|FEA1": ("a Feather file", DECLARE),
    rb"\x89HDF": ("an HDF5 file", PANDAS),
    rb"\x80[\x02-\x05]": ("a pickle", "load it where you trust it, and write it as CSV"),
    rb"SQLite format": ("an SQLite database", "export the table as CSV"),
    rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]": ("text in UTF-16", "save it as UTF-8"),
    rb"(?i)\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)": (
        "an HTML page",
        "download the file itself, not the page that shows it",
    ),
    rb"\s*<[?!a-zA-Z]": ("XML", PANDAS),
    rb'\s*(\{\s*"|\[\s*[\[{])': ("JSON", PANDAS),
    rb"(?i)(\s*%.*\n)*\s*@relation": ("an ARFF file", DECLARE),
    rb'(?i)"?sep=': ("headed by a line `sep=` of Excel's", "take that line out, and separate the cells by commas"),
}
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
COMMENT = ("#", "%", "//")


def kind(stream: BinaryIO) -> tuple[str, str] | None:
    """Return what the file is and the way out, if it is of a kind that is known and no CSV; nothing was read of it."""
    head = stream.read(HEAD).removeprefix(b"\xef\xbb\xbf")
    stream.seek(0)
    return next((found for start, found in KINDS.items() if re.match(start, head)), None)


def refuse(stream: BinaryIO, name: str) -> None:
    """Raise UserError if the file, of which nothing was read yet, is no CSV for all that can be seen."""
    if found := kind(stream):
        what, way_out = found
        raise UserError(f"{name} is {what}, not a table in CSV: {way_out}")


def hint(header: list[str]) -> str:
    """Return what may be wrong with a header that lacks a column, as the end of a sentence."""
    line = ",".join(header)
    if line.startswith(COMMENT):
        return "; its first line is a comment: take out what is above the header"
    for mark, name in SEPARATORS.items():
        if line.count(mark) > line.count(","):
            return (
                f"; its cells are separated by {name}, where commas are wanted: pandas can read it by "
                f"read_csv(..., sep={mark!r}, decimal=',') and write it by to_csv(..., index=False)"
            )
    return "; cells are to be separated by commas" if len(header) == 1 else ""
