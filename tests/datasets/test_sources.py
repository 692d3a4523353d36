import gzip
import hashlib
import subprocess
import sys
import tracemalloc

import pytest

from samebits.datasets.catalog import Catalog, IdxFile
from samebits.datasets.sources import Folder, read_archive
from samebits.datasets.transfer import FailedError, MissingError, UnreachableError

DATA = bytes(range(256)) * 4
FILE = IdxFile("a-idx1-ubyte.gz", (1016,), hashlib.sha256(DATA).hexdigest())
EMPTY = Catalog({})


def test_the_size_follows_from_the_shape():
    assert FILE.size == len(DATA)
    assert IdxFile("a", (60000, 28, 28), "").size == 47040016


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(FailedError, match="more than the 1,024 bytes"):
        read_archive(path, FILE, EMPTY)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 2, 12, 100])
def test_a_truncated_archive(tmp_path, length):
    path = tmp_path / "short.gz"
    path.write_bytes(gzip.compress(DATA)[:length])
    with pytest.raises(FailedError, match=r"truncated|it holds"):
        read_archive(path, FILE, EMPTY)


def test_no_single_wrong_bit_passes(tmp_path):
    path = tmp_path / "a.gz"
    archive = gzip.compress(DATA, mtime=0)
    for position in range(10, len(archive)):  # before that is a header that says nothing of the data
        path.write_bytes(archive[:position] + bytes([archive[position] ^ 4]) + archive[position + 1 :])
        with pytest.raises(FailedError):
            read_archive(path, FILE, EMPTY)


def test_a_folder_tells_what_is_not_there(tmp_path):
    with pytest.raises(MissingError, match="not there"):
        Folder("mirror", tmp_path).get("a", FILE, EMPTY)
    with pytest.raises(UnreachableError, match="no such folder"):
        Folder("mirror", tmp_path / "absent").get("a", FILE, EMPTY)
    (tmp_path / "a").mkdir()
    with pytest.raises(FailedError, match="Is a directory"):
        Folder("mirror", tmp_path).get("a", FILE, EMPTY)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("stages.download", ("torch", "sklearn")),
        ("samebits.datasets.arrays", ("torchvision", "sklearn", "requests")),
    ],
)
def test_a_stage_imports_only_what_it_uses(module, heavy):
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({heavy!r})))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
