"""Exact arithmetic is made of proven operations alone: by its source, and by what torch really calls."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from samebits import exact
from samebits.exact import operands, product
from samebits.exact.integers import passes, products, whole
from samebits.learning import arithmetic, concise, fused, initial, scratch
from tests.conftest import ROOT
from tests.exact import operations, reader
from tests.made import layers, small

LEARNING = sorted((ROOT / "samebits/learning").glob("*.py"))
# The control; what goes from files to files and shares out seeds; what asks for layers and writes them down: `steps`,
# `initial` and `separate` compute
APART = ("float32.py", "run.py", "own.py", "layers.py", "wiring.py")
FILES = [ROOT / "samebits/exact", *(file for file in LEARNING if file.name not in APART)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_source_uses_nothing_else(file):
    assert reader.unproven(file) == []


def test_the_control_would_not_pass():
    assert len(reader.unproven(ROOT / "samebits/learning" / "float32.py")) > 10


START = "import math\nimport numpy as np\nimport torch\nfrom torch import Tensor, nn\nfrom samebits import exact\n"


@pytest.mark.parametrize("line", [
    # the fault that was found, in each form
    "x.sqrt_()", "x.sqrt()", "torch.sqrt(x)", "y = map(torch.sqrt, xs)", "f = x.sqrt", "x ** 0.5", "x **= 0.5",
    "from torch import sqrt", "torch.Tensor.sqrt(x)", "getattr(x, 'sqrt')()", "r = torch if t else np\nr.cbrt(x)",
    "t = torch\nt.cdist(x, y)", "a, t = 1, torch\nt.cdist(x, y)", "(t := torch).cdist(x, y)\nt.cdist(x, y)",
    "def f(x, t=torch):\n    return t.cdist(x, x)", "t: Any = torch.special\nt.erfcx(x)", "torch.ops.aten.exp(x)",
    "x.__pow__(0.5)", "from torch import *", "from torch import Tensor as T\nT.sqrt(x)", "import numpy as n\nn.cbrt(x)",
    "from torch.special import log1p as mul", "import torch.special as s\ns.log1p(x)",
    # fused, unequal or unordered sums
    "x.add_(y, alpha=2)", "torch.addcmul(a, b, c)", "torch.lerp(a, b, c)", "torch.addmm(a, b, c)", "x.mean()",
    "torch._foreach_add_(a, b)", "x.cumsum(0)", "x.prod()", "x.index_add_(0, i, y)", "torch.einsum('ij->i', x)",
    "y = sum(xs)", "x.scatter_(0, i, y, reduce='add')", "np.add(x, y, where=m)", "x.var(correction=0)", "x.norm()",
    # what a library computes in its own way
    "x.exp()", "torch.log(x)", "np.exp(x)", "math.exp(x)", "math.pow(x, 2)", "x.softmax(-1)", "x.tanh_()", "pow(x, y)",
    "nn.functional.softmax(x)", "nn.GELU()", "from scipy.special import expit", "import random", "x.reciprocal()",
    "torch.linalg.norm(x)", "np.linalg.inv(x)", "np.sum(x)", "x.dot(y)", "x.floor_divide_(y)", "math.log(2)",
    # chance
    "torch.randn(3)", "np.random.default_rng(0)", "x.normal_()", "nn.Dropout()",
    # fewer digits, other compilers
    "x.float()", "x.half()", "x.to(torch.float32)", "torch.compile(f)", "torch.set_flush_denormal(True)",
    "torch.backends.cuda.matmul.allow_tf32 = True", "torch.optim.SGD(p, fused=True)", "np.float32(x)",
    # a GPU multiplies by the rounded reciprocal
    "x / 255", "x /= 255.0", "x.div_(255.0)", "x.div_(-(2 * 3))",
    # a keyword of a function that was imported by name
    "from torch import add\nadd(x, y, alpha=2)", "from torch import add as plus\nplus(x, y, alpha=2)",
    # what the room of integers may use, anywhere else
    "import numba", "from numba import njit", "torch.float32", "torch.bfloat16", "torch.matmul(x, y)", "np.int8(x)",
    "torch.bmm(x, y)", "x.sum(out_dtype=y)", "x.remainder(2)", "type(x)(y)", "np.ldexp(x, 2)",
])  # fmt: skip
def test_whatever_else_is_noticed(line):
    found = reader.read(START + line)
    assert found, line


ROOM = reader.allowed(Path("samebits/exact/integers/kernels.py"))


@pytest.mark.parametrize("line", [
    # compilers that fuse, reorder, or have mathematics of their own
    "numba.njit(fastmath=True)(f)", "numba.njit(parallel=True)(f)", "numba.njit(**how)(f)", "numba.vectorize(f)",
    "@numba.njit(fastmath={'contract'})\ndef f(x):\n    return x", "from numba import njit\nnjit(fastmath=True)(f)",
    "numba.prange(3)", "from numba import cuda", "numba.jit(f)", "torch.compile(f, mode='max-autotune')",
    "torch._inductor.config.x = 1", "import cffi", "import ctypes",
    # other types, and everything that is noticed elsewhere
    "x.float()", "x.half()", "np.float16(x)", "torch.float16", "x.exp()", "np.exp(x)", "math.exp(x)", "x ** 0.5",
    "x.sqrt()", "np.sum(x)", "np.dot(x, y)", "x.mean()", "x.cumsum(0)", "torch.addmm(a, b, c)", "torch.randn(3)",
    "x / 255", "x.add_(y, alpha=2)", "pow(x, 2)", "y = sum(xs)", "x.addcmul_(a, b)", "np.add(x, y, where=m)",
])  # fmt: skip
def test_it_is_noticed_in_the_room_of_integers_too(line):
    assert reader.read(f"{START}import numba\n{line}", ROOM), line


@pytest.mark.parametrize("line", [
    "numba.njit(nogil=True, error_model='numpy', cache=True)(f)", "x.to(torch.float32)", "np.float32(1.0)",
    "x.round_()", "torch.mm(a, b, out_dtype=torch.float32)", "x.clip(min=0)",
])  # fmt: skip
def test_what_the_room_of_integers_is_made_of_is_not(line):
    assert not reader.read(f"{START}import numba\n{line}", ROOM)


def test_the_name_of_float32_is_allowed_where_the_arithmetics_part_alone():
    places = set()
    for file in (ROOT / "samebits/exact").rglob("*.py"):
        may = reader.allowed(file)
        assert (may == ROOM) == (file.parent.name == "integers")
        if not reader.read("import torch\ntorch.float32", may):
            places.add(file.name if file.parent.name == "exact" else file.parent.name)
    assert places == {"integers", *operations.PARTING}


def test_the_refusal_says_what_to_use():
    [(line, what)] = reader.read("def f(x):\n    return x.sqrt_()")
    assert (line, what) == (
        2,
        ".sqrt_: not on the list of proven operations; use numpy's, as exact.random.root does: torch's on a CPU is not "
        "correctly rounded",
    )


@pytest.mark.parametrize("line", [
    "exact.softmax(z)", "y = x / torch.tensor(255.0)", "z = 2.0**-e", "self.weight.mul_(y).add_(z)", "a = 1 / 3",
    "import json\njson.dumps([])", "y = not x", "E = ops.exp(Z)", "s = np.sqrt(x)",
])  # fmt: skip
def test_the_list_and_the_projects_own_are_not(line):
    assert not reader.read(START + line)


class Calls(TorchDispatchMode):
    """The names of the kernels that torch calls, and divisions by a number of Python's that is no power of two."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.by_a_number: list[str] = []

    def __torch_dispatch__(self, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(kernel.overloadpacket).removeprefix("aten.")
        self.names.add(name)
        if name.startswith("div") and not isinstance(args[1], torch.Tensor) and math.frexp(args[1])[0] != 0.5:
            self.by_a_number.append(f"{kernel} of {args[1]}")
        return kernel(*args, **(kwargs or {}))


PIXELS, LABELS = (x[:60] for x in small.data())


def learn(name: arithmetic.Name) -> None:
    """A step of each kind of learner on exact arithmetic, two seeds side by side."""
    ops = arithmetic.arithmetic(name)
    X, y = PIXELS.view(60, 14, 14).expand(2, 60, 14, 14), LABELS.expand(2, 60)
    for std, hidden in ((0.01, []), (None, [20])):
        layers = initial.first_layers([196, *hidden, 10], std, [0, 1])
        by_library = concise.Concise(ops, concise.network(ops, layers), 0.1, 0.5)
        learners: list[concise.Concise | scratch.Scratch] = [by_library]
        if not hidden:
            learners.append(scratch.Scratch(ops, *layers[0], 0.1, 0.5))
        for learner in learners:
            learner.step(X, y)
            learner.step(X, y)


def use() -> None:
    """What the package offers, small and large, on every route."""
    x, long = exact.normal((4, 5), 1.0, 0, "x"), exact.uniform((300, 200), 0, "y", 1)
    extreme = exact.normal((5, 3), 1.0, 0, "z") * 1e-300
    for f in (exact.softmax, exact.log_softmax, exact.exp2, exact.sum, lambda x: exact.log(x * x)):
        for each in (x, long):
            f(each.clone().requires_grad_()).sum().backward()
    exact.exp(long - 1.0), exact.digest({"x": x})
    exact.matmul(x, extreme), exact.matmul(x[None], extreme[None])
    exact.require_sizes(3, (3, 4))
    exact.permutation(9, 0, "p")
    product.int8_is_exact.__wrapped__()
    weight = x.clone().requires_grad_()
    exact.cross_entropy(exact.matmul(x.mT, weight), torch.arange(5), "none").sum().backward()
    exact.SGD([weight], 0.1, 0.9, weight_decay=0.1).step(), exact.SGD([weight], 0.1, 0.9, nesterov=True).step()
    exact.Adam([weight], weight_decay=0.1, amsgrad=True).step(), exact.AdamW([weight], maximize=True).step()


def learn_whole() -> None:
    """The step that a GPU captures."""
    layers = [
        whole.Layer(w.float(), b.float(), w.float() * 0, b.float() * 0)
        for w, b in initial.first_layers([196, 20, 10], None, [0, 1])
    ]
    pixels, labels = PIXELS.expand(2, 60, 196), LABELS.expand(2, 60)
    count, [route] = torch.tensor(60.0, dtype=torch.float64), [r for r in products.ROUTES["cpu"] if r.name == "float32"]
    for _ in range(2):
        whole.step(layers, pixels, labels, count, operands.share(255.0), whole.Rates(0.1, 0.5, 0.01), route)


RUNS = {
    "exact": lambda: learn("exact"),
    "wide": lambda: learn("wide"),
    "a GPU's steps": learn_whole,
    "layers": layers.trained,
    "wide layers": lambda: layers.trained(torch.float64),
    "all else": use,
}


@pytest.mark.parametrize("run", RUNS.values(), ids=list(RUNS))
def test_torch_calls_nothing_else(run):
    with Calls() as calls:
        run()
    assert calls.names <= operations.KERNELS
    assert calls.by_a_number == []
    assert len(calls.names) > 30


@pytest.mark.usefixtures("route")
def test_torch_calls_nothing_else_around_kernels():
    """Each learner by compiled passes, and fused steps."""
    pytest.importorskip("numba")
    from samebits.exact.integers import fast

    with Calls() as calls:
        passes.use(fast)
        learn("exact")
        ops = arithmetic.arithmetic("exact")
        net = concise.network(ops, initial.first_layers([196, 20, 10], None, [0, 1]))
        fused.Fused(ops, net, 0.1, 0.5).epoch(PIXELS.view(60, 14, 14), LABELS, torch.arange(60).expand(2, 60), 32)
    assert calls.names <= operations.KERNELS
    assert calls.by_a_number == []


def test_a_call_by_another_name_is_noticed(monkeypatch):
    monkeypatch.setattr(exact.random, "root", lambda x: x.sqrt())
    with Calls() as calls:
        exact.normal((3,), 1.0, 0, "x")
    assert calls.names - operations.KERNELS == {"sqrt"}
