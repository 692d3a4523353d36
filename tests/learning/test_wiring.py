"""Modules with a forward of their own: written down step by step, built again, and learned from."""

import pytest
import torch
from torch import nn

from samebits import exact
from samebits.base.errors import UserError
from samebits.learning.arithmetic import arithmetic
from samebits.learning.layers import UnknownError, built, described, first_network
from samebits.learning.own import asked

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, nn, image, classes):
        super().__init__()
        self.below = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.beside = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.out = nn.Linear(8 * image[0] * image[1], classes)

    def forward(self, images):
        x = self.relu(self.below(images))
        y = self.relu(self.beside(x)) + x
        return self.out(torch.flatten(torch.cat([x, y], 1), 1))

def network(nn, image, classes):
    return Net(nn, image, classes)
"""
STEPS = ["Conv2d", "ReLU", "ReLU", "Conv2d", "ReLU", "Add", "Cat", "Flatten", "Linear"]
BLOCKS = """
def network(nn, image, classes):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())

        def forward(self, x):
            return x + self.body(x)

    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), Block(), Block(), nn.Flatten(), nn.Linear(108, classes))
"""


@pytest.fixture
def layers(tmp_path):
    def of(text, name="exact"):
        (tmp_path / "net.py").write_text(text)
        return asked(tmp_path / "net.py", arithmetic(name), (6, 6), 5, {})

    return of


def images(count=7):
    return torch.randint(0, 256, (count, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["exact", "wide", "float32"])
def test_every_step_is_written(layers, name):
    found = layers(NET, name)
    assert [each["layer"] for each in found] == STEPS
    assert [each["inputs"] for each in found][:2] == [[""], ["below_0"]]
    assert first_network(found, arithmetic(name), None, 0)(images()).shape == (7, 5)


def test_blocks_in_a_sequential(layers):
    found = layers(BLOCKS)
    assert [each["layer"] for each in found].count("Add") == 2
    assert [each["inputs"] for each in found if each["layer"] == "Add"] == [["0", "1_body_2"], ["add", "2_body_2"]]


class ByHand(nn.Module):
    """NET's forward in torch's float64, on the weights of a network that was built from what is written."""

    def forward(self, net, X):
        w = {name: p.double() for name, p in net.state_dict().items()}
        conv, relu = nn.functional.conv2d, torch.relu
        x = relu(conv(X[:, None].double() / 255, w["below_0.weight"], w["below_0.bias"], padding=1))
        y = relu(conv(x, w["beside.weight"], w["beside.bias"], padding=1)) + x
        return torch.cat([x, y], 1).flatten(1) @ w["out.weight"].mT + w["out.bias"]


def test_what_is_built_computes_what_was_written(layers):
    net = first_network(layers(NET), arithmetic("wide"), None, 3)
    X = images()
    torch.testing.assert_close(net(X), ByHand()(net, X), rtol=0, atol=1e-3)


def test_gradients_come_through_every_way(layers):
    net = first_network(layers(NET), arithmetic("wide"), None, 3)
    twin = first_network(layers(NET), arithmetic("wide"), None, 3)
    net(images()).square().sum().backward()
    X, w = images(), {name: p.detach().clone().requires_grad_() for name, p in twin.named_parameters()}
    conv, relu = nn.functional.conv2d, torch.relu
    x = relu(conv(X[:, None].double() / 255, w["below_0.weight"], w["below_0.bias"], padding=1))
    y = relu(conv(x, w["beside.weight"], w["beside.bias"], padding=1)) + x
    (torch.cat([x, y], 1).flatten(1) @ w["out.weight"].mT + w["out.bias"]).square().sum().backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.grad, w[name].grad, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("text", [NET, BLOCKS], ids=["net", "blocks"])
def test_one_digest_over_threads_and_again(layers, text):
    found, before, digests = layers(text), torch.get_num_threads(), set()
    for count in (1, 2, 1):
        torch.set_num_threads(count)
        net = first_network(found, arithmetic("exact"), None, 0)
        optimizer = exact.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            exact.CrossEntropyLoss()(net(images()), torch.arange(7) % 5).backward()
            optimizer.step()
        digests.add(exact.digest(net.state_dict()))
    torch.set_num_threads(before)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("+ x\n", "* x\n", "the forward of Net has the call of mul: between layers go x + y, torch.cat"),
        ("+ x\n", "+ 1\n", "a forward adds 1 to an output: between layers go x + y, torch.cat"),
        ("+ x\n", "+ x.mean()\n", "the forward of Net has the call of mean: between layers"),
        (
            "self.beside(x)",
            "torch.sigmoid(self.beside(x))",
            "the forward of Net has the call of sigmoid",
        ),
        ("        y =", "        if x.sum() > 0: x = x\n        y =", "the forward of Net cannot be followed: "),
        ("(self, images):\n", "(self, images, more):\n", "the forward of Net takes more than the images"),
        ("return self.out(", "return x, self.out(", "the forward of Net should return what its last layer gives"),
        ("self.beside(x)", "self.beside(self.beside(x))", "layer beside_1 is layer beside again"),
        ("torch.cat([x, y], 1)", "torch.cat([x, y], 1, out=x)", "with arguments of another kind"),
    ],
)
def test_what_a_forward_cannot_do_is_a_sentence(layers, old, new, said):
    assert old in NET
    with pytest.raises(UserError, match=r"net\.py: ") as error:
        layers(NET.replace(old, new))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_shapes_that_cannot_be_added(layers):
    text = NET.replace("self.beside = nn.Conv2d(4, 4, 3, padding=1)", "self.beside = nn.Conv2d(4, 4, 3)")
    net = first_network(layers(text), arithmetic("exact"), None, 0)
    with pytest.raises(ValueError, match=r"\[7, 4, 4, 4\] and \[7, 4, 6, 6\] cannot be added"):
        net(images())


@pytest.mark.parametrize("inputs", [["out"], ["nobody"], [], "0", [3], None])
def test_forged_inputs_are_refused(layers, inputs):
    found = layers(NET)
    forged = [{**each, "inputs": inputs} if each["name"] == "relu" else each for each in found]
    with pytest.raises(UnknownError, match="relu"):
        built(forged, arithmetic("exact"))


def test_a_sequential_alone_needs_no_wires():
    net = exact.Sequential(exact.Flatten(), exact.Linear(36, 5))
    assert all("inputs" not in each for each in described(net, arithmetic("exact")))
