"""Files that are no tables in CSV: each is named, with the way out."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import zipfile

import numpy as np
import pandas as pd
import pytest

from samebits.base.errors import UserError
from samebits.datasets import table

FRAME = pd.DataFrame({"a": [1, 2], "y": ["u", "v"]})
CSV = FRAME.to_csv(index=False)


def packed(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def npz():
    data = io.BytesIO()
    np.savez(data, a=np.ones(3))
    return data.getvalue()


def database():
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table x (a)")
    return connection.serialize()


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
CASES = {
    "a Git LFS pointer in place of the file, not a table in CSV: `git lfs pull` brings it": LFS,
    "a git-annex pointer in place of the file": "/annex/objects/SHA256E-s12--ab.csv\n",
    "DVC's pointer to a file": "outs:\n- md5: 0123\n  size: 5\n",
    "packed by gzip, not a table in CSV: unpack it first": gzip.compress(CSV.encode()),
    "packed by bzip2": bz2.compress(CSV.encode()),
    "packed by xz": lzma.compress(CSV.encode()),
    "packed by zstd": b"\x28\xb5\x2f\xfd\n",
    "an Excel file, not a table in CSV: `samebits declare` makes it one, or save": packed(
        **{"[Content_Types].xml": "", "xl/workbook.xml": ""}
    ),
    "an OpenDocument file": packed(mimetype="application/vnd.oasis.opendocument.spreadsheet"),
    "a ZIP archive": packed(**{"my.csv": CSV}),
    "a ZIP archive, ": npz(),
    "an old Excel file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a Parquet file, not a table in CSV: `samebits declare` makes it one": FRAME.to_parquet(index=False),
    "a Feather file": b"ARROW1\0\0",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n",
    "a pickle": pickle.dumps(FRAME),
    "an SQLite database": database(),
    "text in UTF-16, not a table in CSV: save it as UTF-8": CSV.encode("utf-16"),
    "text in UTF-16, ": CSV.encode("utf-16-le"),
    "text in UTF-16, not": CSV.encode("utf-16-be"),
    "an HTML page, not a table in CSV: download the file itself": "\n<!DOCTYPE html>\n<html>",
    "an HTML page, ": "<!-- x -->\n<html lang='de'>",
    "XML": "<?xml version='1.0'?>",
    "JSON": FRAME.to_json(),
    "JSON, ": FRAME.to_json(orient="records"),
    "an ARFF file": "% Title: Iris\n%\n@RELATION iris\n",
    "headed by a line `sep=` of Excel's, not a table in CSV: take that line out": "\ufeffsep=;\na;y\n1;u\n",
}


@pytest.mark.parametrize("kind", CASES)
def test_what_it_is_and_the_way_out(kind):
    data = CASES[kind]
    with pytest.raises(UserError) as refusal:
        table.read(io.BytesIO(data.encode() if isinstance(data, str) else data), "my.csv", "y")
    assert str(refusal.value).startswith(f"my.csv is {kind}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# made by hand, in May\na,y\n1,u\n", "; its first line is a comment: take out what is above the header"),
        ("// a, b\na,y\n1,u\n", "; its first line is a comment"),
        ("a;b, in cm;y\n1;2;u\n", "; its cells are separated by semicolons, where commas are wanted: pandas can read "
         "it by read_csv(..., sep=';', decimal=',')"),
        ("a\ty\n1\tu\n", "; its cells are separated by tabs"),
        ("a y\n1 u\n", "; cells are to be separated by commas"),
    ],
)  # fmt: skip
def test_headers_that_are_none(text, said):
    with pytest.raises(UserError) as refusal:
        table.read(io.BytesIO(text.encode()), "my.csv", "z")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "header", ["#,y", "# a,y", "sepal,y", "separation=x,y", "[a],y", "{a},y", "PAR,y", "PK,y", "%,y", "<,y"]
)
def test_names_of_columns_may_look_odd(header):
    assert table.read(io.BytesIO(f"{header}\n1,u\n".encode()), "my.csv", "y").columns == [header[:-2]]
