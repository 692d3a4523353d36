import pytest

from samebits.learning import scratch
from samebits.learning.arithmetic import arithmetic
from samebits.measures.shared_start import compare
from tests.learning.test_training import BLOCK, SPLITS


def verdict(name):
    return compare(arithmetic(name), SPLITS["train"], BLOCK, classes=10, name="shared start")


def test_exact_arithmetic_ends_in_the_same_bits():
    result = verdict("exact")
    assert result["identical"]
    assert result["largest_difference"] == 0
    assert list(result["sha256"]) == ["scratch", "concise", "fused"]
    assert len(set(result["sha256"].values())) == 1


def test_float32_comes_close_and_is_told_apart():
    result = verdict("float32")
    assert not result["identical"]
    assert 0 < result["largest_difference"] < 1e-5
    assert result["sha256"]["scratch"] != result["sha256"]["concise"]


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("gradient", lambda dW, db: (dW, -db)),
        ("gradient", lambda dW, db: (dW * (1 + 2**-22), db)),
    ],
)
def test_a_fault_in_one_route_is_seen(monkeypatch, function, fault):
    right = getattr(scratch, function)
    monkeypatch.setattr(scratch, function, lambda *arguments: fault(*right(*arguments)))
    result = verdict("exact")
    assert not result["identical"]
    assert result["largest_difference"] > 0
