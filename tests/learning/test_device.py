import pytest
import torch

from samebits.base.errors import UserError
from samebits.learning import device


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "cuda:-1", "cuda 0"])
def test_what_is_not_a_device_is_refused_with_what_is(monkeypatch, name):
    monkeypatch.setenv("DEVICE", name)
    with pytest.raises(UserError, match=f"DEVICE={name} is not a device: set it to auto, cpu, cuda or cuda:N"):
        device.chosen()


def test_a_device_without_float64_is_refused_with_that_reason(monkeypatch):
    monkeypatch.setenv("DEVICE", "mps")
    with pytest.raises(UserError, match="no float64"):
        device.chosen()


def test_a_gpu_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("DEVICE", "cuda:99")
    with pytest.raises(UserError, match=r"DEVICE=cuda:99: this machine has \d+ CUDA devices"):
        device.chosen()


@pytest.mark.parametrize("name", ["", "auto", "cpu"])
def test_devices(monkeypatch, name):
    monkeypatch.setenv("DEVICE", name)
    expected = "cuda" if torch.cuda.is_available() and name != "cpu" else "cpu"
    assert device.chosen() == torch.device(expected)
