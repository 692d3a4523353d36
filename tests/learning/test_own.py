"""A network of one's own: what its file may say, and that whatever is wrong with it is one sentence."""

import re
import sys
from pathlib import Path

import pytest
import torch

from samebits.base.errors import UserError
from samebits.base.params import Network
from samebits.datasets.split import Split
from samebits.learning.arithmetic import arithmetic
from samebits.learning.own import OwnCourse, asked, sizes, try_out
from samebits.learning.separate import build
from tests.learning.test_training import SPLITS

BLOCK = {"seeds": [3, 5], "epochs": 2, "batch_size": 250, "lr": 0.1, "optimizer": "SGD"}
FILE = Path("networks/a.py")
GOOD = "nn.Flatten(), nn.Linear(36, 10)"
HEAD = "import torch\nfrom collections import OrderedDict\nfrom samebits import exact\n"
BOTH = ("exact", "float32")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of networks, in which what runs there may import as a stage may."""
    (tmp_path / "networks").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def tried(body, name="exact", splits=SPLITS, classes=10, **block):
    """The course of the network of a file with `body`: lines, or the layers of a Sequential."""
    source = body if "\n" in body else f"def network(nn, image, classes):\n    return nn.Sequential({body})\n"
    FILE.write_text(source if "import" in source else HEAD + source)
    settings, ops, train = Network(**{**BLOCK, **block}), arithmetic(name), splits["train"]
    height, width = train.images.shape[1:]
    layers = asked(FILE, ops, (height, width), classes, settings.options)
    widths = [height * width, classes]
    course = OwnCourse("x a", name, settings, build, splits, widths, torch.device("cpu"), layers)
    for size in sizes(train, settings):
        try_out(FILE, course, ops, train, size)
    return course


def said(body, name="exact", **more):
    """The one sentence that comes of it."""
    with pytest.raises(UserError) as error:
        tried(body, name, **more)
    text = str(error.value)
    assert text.startswith("networks/a.py")
    assert "\n" not in text
    return text


def of(lines, layers=GOOD):
    """A file whose function does `lines` first."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    return f"{HEAD}def network(nn, image, classes):\n{indented}    return nn.Sequential({layers})\n"


@pytest.mark.parametrize("name", ["exact", "wide", "float32"])
@pytest.mark.parametrize(
    "layers",
    [GOOD, "nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(36, 8), nn.ReLU())), nn.Linear(8, 10)",
     "OrderedDict(flat=nn.Flatten(), out=nn.Linear(36, 10))", "nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(36, 10)",
     "nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(9, 10)",
     "nn.MaxPool2d(2), nn.Conv2d(1, 2, 3, padding='same'), nn.Flatten(), nn.LayerNorm(18), nn.Linear(18, 10)"],
)  # fmt: skip
def test_what_may_be_written(layers, name):
    assert tried(layers, name).weights() > 0


@pytest.mark.parametrize("name", BOTH)
def test_a_lambda_and_a_function_with_options(name):
    assert tried("network = lambda nn, image, classes: nn.Sequential(nn.Flatten(), nn.Linear(36, 10))\n", name)
    body = "def network(nn, image, classes, wide=2):\n    return nn.Sequential(nn.Flatten(), nn.Linear(36, wide))\n"
    assert tried(body, name, options={"wide": 10}).weights() == 370


def test_numbers_of_numpy_are_numbers():
    layers = "nn.Flatten(), nn.Dropout(np.float64(0.3)), nn.Linear(np.int64(36), np.int64(10))"
    [_, dropout, linear] = tried("import numpy as np\n" + of("pass", layers)).layers
    assert (dropout["arguments"], linear["arguments"]) == ({"p": 0.3}, {"in_features": 36, "out_features": 10})


def test_one_layer_without_weights_may_be_there_twice():
    lines = "relu, drop = nn.ReLU(), nn.Dropout(0.5)\na, b = nn.Linear(36, 36), nn.Linear(36, 10)"
    course = tried(of(lines, "nn.Flatten(), drop, a, relu, drop, b, relu"))
    assert [each["name"] for each in course.layers] == list("0123456")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("def network(nn, image, classes):\n    return nn.Sequential(\n", " line 5: '(' was never closed"),
        ("x = '\0'\n", ": source code string cannot contain null bytes"),
        ("\nimport not_here\n", " line 2: ModuleNotFoundError: No module named 'not_here'"),
        ("\nx = 1\n", " has no network: it should have a function network(nn, image, classes) that"),
        ("import sys\nsys.exit(3)\n", " line 2: SystemExit: 3"),
        ("import sys\ndef network(nn, image, classes):\n    raise ValueError('a\\nb')\n", " line 3: ValueError: a"),
        ("def network(nn):\n    return 3\n", ": TypeError: network() takes 1 positional argument but 3 were given"),
        ("def network(nn, image, classes):\n    nn.Sequential()\n", " gives NoneType, but it should have a function"),
        ("def network(nn, image, classes):\n    yield nn.Flatten()\n", " gives generator, but it should have"),
    ],
)
def test_a_file_that_gives_no_network(body, text):
    for name in BOTH:
        assert said(body, name).startswith(f"{FILE}{text}")


def test_no_file():
    with pytest.raises(UserError, match=r"^networks/b.py is missing: it should have a function network\(nn, image"):
        asked(Path("networks/b.py"), arithmetic("exact"), (6, 6), 10, {})
    FILE.mkdir()
    with pytest.raises(UserError, match=r"^networks/a.py cannot be read"):
        asked(FILE, arithmetic("exact"), (6, 6), 10, {})


def test_bytes_that_are_no_text():
    FILE.write_bytes(b"x = '\xff'\n")
    with pytest.raises(UserError, match=r"^networks/a.py line 1: .*utf-8"):
        asked(FILE, arithmetic("exact"), (6, 6), 10, {})


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ("", "there are no weights to learn"),
        ("nn.Flatten(), nn.ReLU()", "there are no weights to learn"),
        ("nn.Flatten(), nn.Linear(36, 7)", "gives 7 logits for each image, but there are 10 classes"),
        ("nn.Linear(6, 10)", "gives 1 x 6 x 10 logits for each image"),
        ("nn.Flatten(), nn.Linear(35, 10)", "on images of 6 x 6: layer 1, Linear: "),
        ("nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 10)", "on images of 6 x 6: layer 0, Conv2d: "),
        ("nn.Conv2d(1, 4, 9), nn.Flatten(), nn.Linear(4, 10)", "on images of 6 x 6: layer 0, Conv2d: "),
        ("nn.MaxPool2d(9), nn.Flatten(), nn.Linear(4, 10)", "on images of 6 x 6: layer 0, MaxPool2d: "),
        ("nn.Flatten(), 3", "line 5: TypeError: int is not a Module subclass"),
        ("nn.Flatten(), nn.Linear(36, 10, foo=3)", "line 5: TypeError: "),
        ("nn.Flatten(), nn.Dropout(1.3), nn.Linear(36, 10)", "line 5: ValueError: dropout"),
        ("OrderedDict(flat=nn.Flatten(), _pixels=nn.Linear(36, 10))", "the name _pixels of a layer is taken"),
        ("OrderedDict(flat=nn.Flatten(), entrance=nn.Linear(36, 10))", "the name entrance of a layer is taken"),
        ("OrderedDict([('f', nn.Flatten()), ('a', nn.Sequential(OrderedDict(b=nn.Linear(36, 10)))), "
         "('a_b', nn.Linear(10, 10))])", "the name a_b of a layer is taken"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit(layers, text, name):
    assert text in said(layers, name)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("global n\nn = globals().get('n', 0) + 1\na = nn.Linear(36, 10, bias=n == 1)",
         "network gives another network when it is called again"),
        ("b = a = nn.Linear(36, 36)", "layer 2 is layer 1 again: each has weights of its own here"),
        ("a, b = nn.Linear(36, 10), nn.Linear(10, 10)\na.bias = b.bias", "layer 2 is layer 1 again"),
        ("a = nn.Linear(36, 10)\na.requires_grad_(False)", "layer 1 has weights that are not to be learned"),
        ("a = nn.Linear(36, 10)\na.forward = lambda x: x", "layer 1 has a forward of its own"),
        ("a = nn.Linear(36, 10)\na.register_forward_hook(lambda m, i, o: 2 * o)", "layer 1 has hooks"),
        ("a = nn.Linear(36, 10)\ntorch.nn.init.constant_(a.weight, 0.1)", "layer 1 has another first weight than"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_said(lines, text, name):
    assert text in said(of(lines, f"nn.Flatten(), a{', b' if 'b =' in lines else ''}"), name)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("a = nn.Linear(36, 10)\na.normal_(0.01)", "layer 1 has another first weight than it was made with"),
        ("a = nn.Linear(36, 10)\na.weight.data.fill_(0.1)", "init_std in params.yaml makes weights normal"),
        ("a = nn.Linear(36, 10)\na.bias.data.fill_(0.1)", "layer 1 has another first bias"),
        ("a = nn.Linear(36, 10)\ntorch.rand(3)", "draws random numbers of torch, which the run's seeds do not decide"),
        ("a = torch.nn.Linear(36, 10)", "layer 1 is Linear of torch, not of exact arithmetic: take it from the nn"),
        ("a = torch.nn.GELU()", "layer 1: exact arithmetic has no GELU: there are AvgPool2d, BatchNorm1d, "),
        ("a = nn.GELU()", "line 5: exact arithmetic has no GELU: there are AvgPool2d, "),
    ],
)
def test_what_exact_arithmetic_does_not_take(lines, text):
    assert text in said(of(lines, "nn.Flatten(), a"))


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ("nn.Flatten(), exact.Linear(36, 10)", "layer 1 is Linear, which torch.nn has not; layers of samebits.exact"),
        ("nn.Flatten(), nn.LSTM(36, 10)", "layer 1, LSTM, cannot be made again from its attributes"),
        ("nn.Flatten(), nn.LazyLinear(10)", "layer 1, LazyLinear, has no size yet"),
        ("nn.Flatten(), nn.Bilinear(6, 6, 6)", "layer 1, Bilinear: "),
        ("nn.MaxPool2d(2, return_indices=True), nn.Flatten(), nn.Linear(9, 10)", "layer 1, Flatten: "),
        ("nn.Conv2d(1, 1, 1), nn.MaxPool2d(2, return_indices=True)", "it gives tuple, not one tensor of logits"),
    ],
)
def test_what_float32_does_not_take(layers, text):
    assert text in said(layers, "float32")


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("module", ["networks.beside", "above"])
def test_a_second_file_of_ones_own_is_refused(module, within):
    """DVC would not train again when it changes; wherever it lies, and wherever it is imported."""
    path = Path(*module.split(".")).with_suffix(".py")
    path.write_text("WIDTH = 10\n")
    line = f"from {module} import WIDTH"
    text = said(of(line) if within else f"{line}\n{of('pass')}")
    del sys.modules[module]
    assert f"imports {path}, of which DVC knows nothing" in text


@pytest.mark.parametrize("name", BOTH)
def test_a_last_minibatch_of_one_image(name):
    """499 images in minibatches of 83 leave one, whose variance there is not."""
    train = Split(*(x[:499] for x in vars(SPLITS["train"]).values()))
    layers = "nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)"
    assert tried(layers, name, batch_size=83)
    assert "layer 2, BatchNorm1d: " in said(layers, name, splits={"train": train}, batch_size=83)


@pytest.mark.parametrize("name", BOTH)
def test_a_table_is_an_image_of_one_row(name):
    table = {key: Split(split.images.view(-1, 1, 36), split.labels) for key, split in SPLITS.items()}
    text = said("nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 10)", name, splits=table)
    assert "on images of 1 x 36: layer 0, Conv2d: " in text
    assert tried(GOOD, name, splits=table)


def test_an_option_that_the_function_has_not():
    text = said(GOOD, options={"depth": 3})
    assert re.search(r"TypeError: .*unexpected keyword argument 'depth'", text)


def test_torchs_own_random_numbers_go_on_as_they_were():
    before = torch.get_rng_state()
    said(of("torch.rand(3)"))
    assert torch.equal(before, torch.get_rng_state())
