import os
import re
import time
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.params import load
from samebits.base.yaml import read_yaml
from samebits.datasets import catalog
from tests.made.mutations import mutated

TEXT = Path("params.yaml").read_text()
MANY = int(os.environ.get("FAULTS", "300"))
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def told(tmp_path, text, read=load, name="params.yaml"):
    """The one sentence that a file gets, soon."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        read(path)
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 3000
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x: " + "9" * 5000, r"line LAST, column 4: 9{50}\.\.\. (is no value of its kind|has more than 1,000 digits)"),
        ("x: 0x" + "f" * 4000, r"line LAST, column 4: 0xf{48}\.\.\. has more than 1,000 digits"),
        ("x: 2001-13-45", r"line LAST, column 4: 2001-13-45 is no value of its kind \(month must be in 1\.\.12"),
        ("x: !!int x", r"line LAST, column 4: x is no value of its kind"),
        ("x: !!binary a", "is no value of its kind|not valid YAML"),
        ("x: !mine y", "not valid YAML: line LAST"),
        ("x: " + "[" * 1000 + "]" * 1000, "nested too deeply: at most 50 deep is read"),
        ("x: " + "[" * 60 + "]" * 60, "line LAST.*nested too deeply: at most 50"),
        ("x: &a [*a]", "it holds itself, by an alias|undefined alias"),
        (BOMB, "its aliases make more than 1,000,000 values of it"),
        ("datasets: [mnist]", "line LAST, column 1: the key .datasets. is there twice"),
        ("x: y: z", "not valid YAML: line LAST"),
        ("\tx: 1", "not valid YAML: line LAST"),
        ("x: 'no end", "not valid YAML: line"),
        ("x: \x07", "not valid YAML"),
    ],
)
def test_what_no_value_is_is_named_with_its_line(tmp_path, line, said):
    last = TEXT.count("\n") + 1
    text = told(tmp_path, f"{TEXT}{line}\n", read_yaml)
    assert re.search(said.replace("LAST", str(last)), text), text


@pytest.mark.parametrize("data", [b"\xff\xfea\0", b"a: \xe9\n", b"\0", b"a: 1\n\xc3\x28"])
def test_what_is_no_text(tmp_path, data):
    assert "not valid YAML" in told(tmp_path, data, read_yaml)


def test_a_file_that_is_too_large(tmp_path):
    assert "more than 10,485,760 bytes" in told(tmp_path, b"#" * (10 * 2**20 + 1), read_yaml)


def test_an_alias_that_is_honest_is_read(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &a {x: 1e-3}\nb: *a\nc:\n  <<: *a\n  y: 2\n")
    assert read_yaml(path) == {"a": {"x": 0.001}, "b": {"x": 0.001}, "c": {"x": 0.001, "y": 2}}


def test_a_value_in_a_sentence_is_cut(tmp_path):
    assert len(told(tmp_path, TEXT.replace("lr: 0.1\n", f"lr: {'x' * 5000}\n"))) < 800
    assert len(told(tmp_path, TEXT.replace("lr: 0.1\n", f"lr: [{', '.join(['x'] * 5000)}]\n"))) < 800
    assert "and 40 more" in told(tmp_path, TEXT + "".join(f"key{i}: 1\n" for i in range(50)))
    assert len(told(tmp_path, TEXT + f"{'k' * 5000}: 1\n", read=load)) < 1000


CONFLICT = "<<<<<<< HEAD\ndatasets: [mnist]\n{base}=======\ndatasets: [digits]\n>>>>>>> other\n"


@pytest.mark.parametrize("base", ["", "||||||| 1234567\ndatasets: []\n"])
def test_a_conflict_of_a_merge_is_named_with_its_lines_and_the_way_out(tmp_path, base):
    text = CONFLICT.format(base=base)
    last = 1 + text.count("\n")
    said = told(tmp_path, f"# x\n{text}a: 1\n{text}")
    assert (
        f"params.yaml holds a conflict of a merge, lines 2 to {last}, {last + 2} to {2 * last}: keep one side" in said
    )
    assert "holds a conflict of a merge, lines 1 to" in told(tmp_path, text, catalog.load, "catalog.yaml")
    said = told(tmp_path, text, read_yaml, "dvc.lock")
    assert re.search(
        r"take either side \(`git checkout --ours \S+dvc.lock`, or --theirs\), and `make repro` makes it", said
    )


@pytest.mark.parametrize(
    ("name", "read"), [("params.yaml", load), ("data/catalog.yaml", catalog.load), ("dvc.lock", read_yaml)]
)
def test_whatever_is_wrong_with_a_file_it_is_a_sentence(tmp_path, name, read):
    """FAULTS=2000 tries more."""
    data, path = Path(name).read_bytes()[:6000], tmp_path / "mutated"
    refused = longest = 0
    for number in range(MANY):
        path.write_bytes(mutated(data, number))
        started = time.monotonic()
        try:
            read(path)
        except UserError as error:
            refused += 1
            longest = max(longest, len(str(error)))
        except Exception as error:
            pytest.fail(f"mutation {number}: {type(error).__name__}: {error}")
        assert time.monotonic() - started < 20, number
    assert refused > MANY / 3
    assert longest < 5000
