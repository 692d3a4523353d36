"""A machine that does not compute as IEEE 754 has it is refused at the door: each fault is really planted."""

import ctypes
import platform
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from samebits import exact
from samebits.exact import machine, random
from tests.made.inputs import threads

ROUNDING = {  # of <fenv.h>
    "x86_64": {"down": 0x400, "up": 0x800, "towards zero": 0xC00},
    "aarch64": {"up": 0x400000, "down": 0x800000, "towards zero": 0xC00000},
}.get(platform.machine(), {})


@pytest.fixture(autouse=True)
def tried_anew() -> Iterator[None]:
    """What is tried once is tried again."""
    machine.require_operations.cache_clear()
    yield
    machine.require_operations.cache_clear()


def test_nothing_is_refused_here() -> None:
    for _ in threads():
        machine.require_operations.cache_clear()
        exact.require_sizes(1, (10, 10))
        exact.require_device("cpu")


@pytest.mark.skipif(not ROUNDING or sys.platform != "linux", reason="how to set the rounding mode is not known here")
@pytest.mark.parametrize("mode", ["down", "up", "towards zero"])
def test_another_rounding_mode_is_refused(mode: str) -> None:
    libm = ctypes.CDLL("libm.so.6")
    assert libm.fesetround(ROUNDING[mode]) == 0
    try:
        with pytest.raises(exact.Refused, match="torch does not round to the nearest") as caught:
            exact.require_sizes(1, (10, 10))
    finally:
        libm.fesetround(0)
    assert "fesetround" in str(caught.value)
    exact.require_sizes(1, (10, 10))


def test_flushed_denormals_are_refused() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        for call in (lambda: exact.require_sizes(1, (10, 10)), lambda: exact.Linear(3, 2)):
            with pytest.raises(exact.Refused, match=r"denormals are flushed to zero here, by torch: .*False"):
                call()
    finally:
        torch.set_flush_denormal(False)
    exact.require_sizes(1, (10, 10))


IN_OTHER_THREADS = """
import torch
torch.set_num_threads(2)
if not torch.set_flush_denormal(True):
    raise SystemExit("cannot")
torch.ones(2**18).mul(2.0)  # another thread begins, and has the mode of the one that began it
torch.set_flush_denormal(False)
from samebits import exact
from samebits.exact import machine
machine.require_modes(1)  # this thread is well
try:
    exact.require_sizes(1, (10, 10))
except exact.Refused as error:
    raise SystemExit(str(error))
"""


def test_flushed_denormals_in_another_thread_are_refused() -> None:
    done = subprocess.run([sys.executable, "-c", IN_OTHER_THREADS], capture_output=True, text=True)
    if done.stderr == "cannot\n":
        pytest.skip("this processor cannot flush denormals")
    assert "denormals are flushed to zero here, by torch" in done.stderr


@pytest.mark.parametrize("case", ["sums", "products"])
@pytest.mark.parametrize("entry", [0, 1])
def test_each_case_counts(case: str, entry: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this one alone came out otherwise: in numpy's or torch's thread, as a result or as an operand."""
    table = {"sums": machine.SUMS, "products": machine.PRODUCTS}[case].clone()
    table[2, entry] *= 1.5
    monkeypatch.setattr(machine, case.upper(), table)
    with pytest.raises(exact.Refused, match={"sums": "nearest", "products": "denormals"}[case]):
        exact.require_device("cpu")


def test_a_division_by_reciprocals_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "__truediv__", lambda x, y: x * y.reciprocal())
    with pytest.raises(exact.Refused, match="division on cpu is not correctly rounded"):
        exact.require_sizes(1, (10, 10))


def nearly(x: Tensor) -> Tensor:
    """A root with two units of the last place too many once in five hundred numbers."""
    root = np.sqrt(x.numpy())
    root[7::500] = np.nextafter(root[7::500], np.inf)
    return torch.from_numpy(root)


def test_another_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "root", nearly)
    with pytest.raises(exact.Refused, match="the square root is not correctly rounded"):
        exact.require_sizes(1, (10, 10))


def test_the_root_of_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = exact.uniform((100_000,), 0, "x", 1).abs()
    if torch.equal(x.sqrt(), random.root(x)):
        pytest.skip("on this machine torch's root is correctly rounded")
    monkeypatch.setattr(random, "root", torch.sqrt)
    with pytest.raises(exact.Refused, match="the square root is not correctly rounded"):
        exact.require_sizes(1, (10, 10))


def test_cublas_may_not_emulate_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_EMULATE_DOUBLE_PRECISION", "1")
    with pytest.raises(exact.Refused, match="CUBLAS_EMULATE_DOUBLE_PRECISION=1 has cuBLAS emulate float64"):
        exact.require_sizes(1, (10, 10), device="cuda:0")
    exact.require_sizes(1, (10, 10))  # a CPU has no cuBLAS
    monkeypatch.setenv("CUBLAS_EMULATE_DOUBLE_PRECISION", "0")
    machine.require_plain_products()


def test_reduced_precision_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = torch.backends.cuda.matmul
    torch.set_float32_matmul_precision("medium")
    matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = True
    machine.require_plain_products()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not matmul.allow_tf32
    assert not matmul.allow_fp16_reduced_precision_reduction
    assert not matmul.allow_bf16_reduced_precision_reduction
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda _: None)
    torch._C._set_float32_matmul_precision("high")
    try:
        with pytest.raises(exact.Refused, match="rounded to TF32"):
            machine.require_plain_products()
    finally:
        torch._C._set_float32_matmul_precision("highest")


def test_devices_without_float64_are_refused() -> None:
    with pytest.raises(exact.Refused, match="no float64"):
        exact.require_sizes(1, (10, 10), device="mps")
    with pytest.raises(exact.Refused, match="no float64"):
        exact.Linear(3, 2, device="mps")
