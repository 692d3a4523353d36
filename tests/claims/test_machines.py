"""What is said of answers that agree, and of others; a planted fault is seen by the real command."""

import platform
import re
import sys
from pathlib import Path

import pytest

from samebits.claims.machines import compare, golden
from samebits.claims.machines.kinds import Witness
from tests.conftest import make_checkout, run

EXACT = {**golden.HASHES, "models/digits/mlp/model.safetensors": "aaaa"}


def witness(kind: str, float32: str = "", refused: str = "", **changes: str) -> Witness:
    return Witness(kind, "2.15.0", "x86_64 AVX2", {**EXACT, **changes}, refused, float32 or kind, 12.3)


def test_equal_answers_are_praised() -> None:
    found = [witness("this"), witness("EPYC")]
    assert compare.faults(found) == []
    assert (
        compare.praise(found)
        == f"the same: all {len(EXACT)} exact parts on 2 kinds of machine; float32 has 2 hashes there"
    )
    assert compare.table(found).splitlines() == [
        "kind          torch   CPU          exact             float32  seconds",
        f"this machine  2.15.0  x86_64 AVX2  {compare.whole(found[0])}  this     12",
        f"EPYC          2.15.0  x86_64 AVX2  {compare.whole(found[0])}  EPYC     12",
    ]


def test_a_part_that_differs_is_named_with_its_sides() -> None:
    found = [witness("this"), witness("EPYC", log="1234"), witness("arm64", log="1234")]
    assert compare.faults(found) == [
        f"log: {golden.HASHES['log']} committed, this; 1234 EPYC, arm64",
        "NOT the same: 1 exact part differs",
    ]
    assert compare.whole(found[0]) != compare.whole(found[1]) == compare.whole(found[2])


def test_all_may_agree_on_what_is_not_committed() -> None:
    found = [witness("this", log="1234"), witness("EPYC", log="1234")]
    assert compare.faults(found)[0] == f"log: {golden.HASHES['log']} committed; 1234 this, EPYC"


def test_a_part_that_is_missing_differs() -> None:
    found = [witness("this"), witness("EPYC", more="1")]
    assert compare.faults(found)[0] == "more: nothing this; 1 EPYC"


def test_many_parts_are_not_all_told() -> None:
    found = [witness("this"), witness("EPYC", **{f"part {i}": "1" for i in range(20)})]
    assert compare.faults(found)[-3:] == [
        "part 11: nothing this; 1 EPYC",
        "and 8 more",
        "NOT the same: 20 exact parts differ",
    ]


def test_a_control_that_does_not_split_is_a_fault() -> None:
    assert "float32 has one hash too" in compare.faults([witness("this", "x"), witness("EPYC", "x")])[0]
    assert compare.faults([witness("this", "x")]) == []


def test_a_machine_that_is_refused_is_a_fault() -> None:
    found = [witness("this", refused="no root"), witness("EPYC", more="1")]
    assert compare.faults(found) == ["NOT run to the end on this: no root"]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="torch's root is wrong on x86-64 only")
def test_torchs_root_is_seen(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path)
    random = checkout / "samebits/exact/random.py"
    source = random.read_text()
    planted = source.replace("torch.from_numpy(np.sqrt(x.numpy()))", "x.sqrt()")
    assert planted != source
    random.write_text(planted)
    done = run(sys.executable, "-m", "samebits", "machines", "--kind", "this", cwd=checkout, check=False)
    assert done.returncode == 1, done.stderr
    assert f"normal: {golden.HASHES['normal']} committed; " in done.stdout
    # beside it what else takes roots: Adam and AdamW, where this processor's are not IEEE's for float32 either
    assert re.search(r"NOT the same: [1-3] exact parts? differs?\nNOT run to the end on this: ", done.stdout)
