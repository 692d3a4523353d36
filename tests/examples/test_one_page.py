"""The page for learners is the pipeline's scratch, to the bit, and is one page."""

import runpy

import torch
from safetensors.torch import load_file

from samebits import exact
from tests.conftest import ROOT
from tests.made.trained import digits

PAGE = ROOT / "examples/one_page.py"


def test_it_is_one_page():
    assert len(PAGE.read_text().splitlines()) <= 60


def test_it_ends_in_the_bits_of_the_pipeline():
    state = load_file(digits() / "models/digits/scratch/model.safetensors")
    W, b = runpy.run_path(str(PAGE))["train"](seed=7, epochs=2, lr=0.5)
    first = {name: tensor[0] for name, tensor in state.items()}  # seeds are [7, 5]
    assert exact.digest({"weight": W, "bias": b}) == exact.digest(first)


def test_its_loss_and_gradient_are_those_of_autograd():
    page = runpy.run_path(str(PAGE))
    X, y, _, _ = page["load"]()
    W, b = (part.clone().requires_grad_() for part in page["start"](64, 10, seed=3))
    exact.cross_entropy(page["net"](X, W, b), y).backward()
    with torch.no_grad():
        P = page["softmax"](page["net"](X, W, b))
        torch.testing.assert_close(page["loss"](P, y), exact.cross_entropy(page["net"](X, W, b), y))
        for by_hand, part in zip(page["gradient"](X, P, y), (W, b), strict=True):
            torch.testing.assert_close(by_hand, part.grad)
