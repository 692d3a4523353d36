"""Each operation on the list against IEEE 754 itself, bit for bit, in every way that a tensor can lie in memory.

The oracles are Python's own numbers (whose + - * / are the processor's scalar instructions), math.sqrt, fractions and
lists. What each is tried on is in inputs.py.
"""

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product as every
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from samebits.exact import product, random
from tests.exact import operations
from tests.made.inputs import bits, junk, laid_out, numbers, pairs, same, threads

F64, I64 = torch.float64, torch.int64
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"))
on_each_device = pytest.mark.parametrize("device", ["cpu", CUDA])
Oracle = Callable[..., Any]
Way = Callable[..., Any]  # to write an operation


def test_each_operation_has_a_case():
    assert {group: set(table) for group, table in CASES.items()} == operations.GROUPS


# ------------------------------------------------------------------ elementwise: at most one rounding of each number


def divided(a: float, b: float) -> float:
    """a / b where Python raises too."""
    if b:
        return a / b
    return math.copysign(math.inf, a) * math.copysign(1.0, b) if a else math.nan


def rounded(a: float) -> float:
    """Half to even, with the sign of a."""
    return math.copysign(round(a), a) if math.isfinite(a) else a


def root(a: float) -> float:
    """The root, NaN below zero."""
    return math.sqrt(a) if a > 0 else a if a == 0 else math.nan


def larger(a: float, b: float) -> float:
    """The maximum; of two zeros, 0.0."""
    return max(a, b) + 0.0


def smaller(a: float, b: float) -> float:
    """The minimum; of two zeros, 0.0."""
    return min(a, b) + 0.0


def clipped(a: float) -> float:
    """Between two bounds."""
    return min(max(a, -1.5), 1e9)


def chosen(a: float, b: float) -> float:
    """The one or the other."""
    return a if a < b else b


def fraction(a: float) -> float:
    """frexp's first."""
    return math.frexp(a)[0]


def exponent(a: float) -> int:
    """frexp's second; there is none of an infinity."""
    return math.frexp(a)[1] if math.isfinite(a) else 0


ONE_OPERAND = {operator.neg, abs, rounded, root, clipped, fraction, exponent, math.isfinite}


def over_junk(f: Way) -> Way:
    """f with out=."""
    return lambda *x: f(*x, out=junk(tuple(x[0].shape), x[0]))


def arrays(f: Way) -> Way:
    """A function of numpy's, on views of CPU tensors."""

    def seen(*x: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            return torch.from_numpy(np.asarray(f(*(v.cpu().numpy() for v in x))))

    return seen


def with_zeros_alike(f: Way) -> Way:
    """f of two, which of 0.0 and -0.0 may return either."""
    return lambda *x: f(*x) + 0.0


def exponents(frexp: Way, where: Way, isfinite: Way) -> Way:
    """What frexp says of finite numbers."""
    return lambda x: where(isfinite(x), frexp(x)[1], 0)


ELEMENTWISE: dict[str, list[tuple[Oracle, Way]]] = {
    "+": [(operator.add, way) for way in (operator.add, operator.iadd, arrays(operator.add))],
    "torch.add": [(operator.add, way) for way in (torch.add, over_junk(torch.add))],
    ".add_": [(operator.add, Tensor.add_)],
    "-": [(operator.sub, way) for way in (operator.sub, operator.isub, arrays(operator.sub))],
    ".sub_": [(operator.sub, Tensor.sub_)],
    "*": [(operator.mul, way) for way in (operator.mul, operator.imul, arrays(operator.mul))],
    "torch.mul": [(operator.mul, way) for way in (torch.mul, over_junk(torch.mul))],
    ".mul": [(operator.mul, Tensor.mul)],
    ".mul_": [(operator.mul, Tensor.mul_)],
    "/": [(divided, way) for way in (operator.truediv, operator.itruediv, arrays(operator.truediv))],
    ".div_": [(divided, Tensor.div_)],
    "negative": [(operator.neg, way) for way in (operator.neg, arrays(operator.neg))],
    ".neg_": [(operator.neg, Tensor.neg_)],
    ".abs": [(abs, Tensor.abs)],
    ".round": [(rounded, way) for way in (Tensor.round, arrays(np.round))],
    "torch.round": [(rounded, torch.round)],
    ".clip": [(clipped, way) for way in (lambda x: x.clip(-1.5, 1e9), arrays(lambda x: x.clip(-1.5, 1e9)))],
    "torch.maximum": [(larger, with_zeros_alike(torch.maximum))],
    "torch.minimum": [(smaller, with_zeros_alike(torch.minimum))],
    "numpy.sqrt": [(root, way) for way in (arrays(np.sqrt), arrays(lambda x: random.root(torch.from_numpy(x))))],
    "torch.frexp": [(fraction, lambda x: torch.frexp(x)[0]),
                    (exponent, exponents(torch.frexp, torch.where, torch.isfinite))],
    "numpy.frexp": [(fraction, arrays(lambda x: np.frexp(x)[0])),
                    (exponent, arrays(exponents(np.frexp, np.where, np.isfinite)))],
    "torch.where": [(chosen, lambda x, y: torch.where(x < y, x, y))],
    "numpy.where": [(chosen, arrays(lambda x, y: np.where(x < y, x, y)))],
    "torch.isfinite": [(math.isfinite, torch.isfinite)],
    "numpy.isfinite": [(math.isfinite, arrays(np.isfinite))],
}  # fmt: skip


@cache
def answers(oracle: Oracle) -> np.ndarray:
    """What an oracle says of the million."""
    a, b = (x.tolist() for x in pairs())
    said = list(map(oracle, a) if oracle in ONE_OPERAND else map(oracle, a, b))
    return np.array(said, np.int32 if oracle is exponent else None)


def conforms(oracle: Oracle, way: Way, device: str = "cpu") -> bool:
    """Whether a way to write an operation gives the oracle's bits however its operands lie."""
    true, inputs = answers(oracle), pairs()[: 1 if oracle in ONE_OPERAND else 2]
    return all(
        same(way(*operands), true[piece]) for _ in threads() for operands, piece in laid_out(*inputs, device=device)
    )


@on_each_device
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, device):
    assert all(conforms(oracle, way, device) for oracle, way in ELEMENTWISE[name])


@on_each_device
@pytest.mark.parametrize("name", ["+", "-", "*"])
def test_a_number_or_a_row_or_a_column_beside_a_matrix(name, device):
    f = {"+": operator.add, "-": operator.sub, "*": operator.mul}[name]
    x, y = (v[-1000:] for v in pairs())
    matrix, number = torch.from_numpy(x).view(40, 25).to(device), y.tolist()[3]
    row, column = torch.from_numpy(y[:25]).to(device), torch.from_numpy(y[:40])[:, None].to(device)
    rows = [x.tolist()[25 * i : 25 * i + 25] for i in range(40)]
    assert same(f(matrix, number), [f(v, number) for v in x.tolist()])
    assert same(f(number, matrix), [f(number, v) for v in x.tolist()])
    assert same(f(matrix, row), [[f(v, w) for v, w in zip(r, row.tolist(), strict=True)] for r in rows])
    assert same(f(matrix, column), [[f(v, w) for v in r] for r, w in zip(rows, column[:, 0].tolist(), strict=True)])


@on_each_device
def test_division_by_a_tensor_of_one_number(device):
    x, n = pairs()[0], torch.tensor(255.0, dtype=F64, device=device)
    for operands, piece in laid_out(x, device=device):
        true = [v / 255.0 for v in x[piece].tolist()]
        assert same(operands[0] / n, true)
        assert same(operands[0].div_(n), true)


# ------------------------------------------------------------------------------------------------- integers, types

WRAP = 2**64


def wrapped(f: Oracle) -> Oracle:
    """f of Python's integers, as 64 bits with a sign hold it."""
    return lambda a, b: (f(a, b) + WRAP // 2) % WRAP - WRAP // 2


def shifted(f: Oracle) -> Oracle:
    """f by 0 to 63 places."""
    return wrapped(lambda a, b: f(a, b & 63))


INTEGER: dict[str, list[tuple[Oracle, Way]]] = {
    "&": [(operator.and_, operator.and_)],
    "|": [(operator.or_, operator.or_)],
    "^": [(operator.xor, operator.xor)],
    "~": [(lambda a, _: ~a, lambda x, _: ~x)],
    "<<": [(shifted(operator.lshift), lambda x, n: x << (n & 63))],
    ">>": [(shifted(operator.rshift), lambda x, n: x >> (n & 63))],
    ".bitwise_xor": [(operator.xor, Tensor.bitwise_xor)],
    ".bitwise_xor_": [(operator.xor, Tensor.bitwise_xor_)],
    ".bitwise_right_shift": [(shifted(operator.rshift), lambda x, n: x.bitwise_right_shift(n & 63))],
}


@on_each_device
@pytest.mark.parametrize("name", INTEGER)
def test_integers(name, device):
    n = 20_000
    x, y = bits(n, "m"), bits(n, "n")
    for oracle, way in INTEGER[name]:
        true = np.array([oracle(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])
        assert all(same(way(*operands), true[piece]) for operands, piece in laid_out(x, y, device=device))


@on_each_device
@pytest.mark.parametrize("f", [operator.add, operator.sub, operator.mul])
def test_integers_wrap_around(f, device):
    """Of int64 tensors and of numpy's uint64, in which random numbers are made."""
    x, y = bits(20_000, "m"), bits(20_000, "n")
    true = np.array([wrapped(f)(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])
    assert all(same(f(*operands), true[piece]) for operands, piece in laid_out(x, y, device=device))
    assert np.array_equal(f(x.view(np.uint64), y.view(np.uint64)).view(np.int64), true)


@pytest.mark.parametrize("f", [operator.rshift, operator.lshift])
def test_numpys_unsigned_integers_shift(f):
    x = bits(20_000, "m").view(np.uint64)
    for n in (0, 1, 12, 27, 30, 31, 32, 63):
        assert f(x, np.uint64(n)).tolist() == [f(v, n) % WRAP for v in x.tolist()]


HELD = {torch.uint8: (0, 255), torch.int8: (-128, 127), torch.int32: (-(2**31), 2**31 - 1), I64: (-(2**53), 2**53)}
CONVERSIONS: dict[str, tuple[torch.dtype, Way]] = {
    ".double": (F64, Tensor.double),
    ".long": (I64, Tensor.long),
    ".int": (torch.int32, Tensor.int),
    ".to": (F64, lambda x: x.to(F64)),
    ".astype": (F64, arrays(lambda x: x.astype(np.float64))),
}


@on_each_device
@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.parametrize("source", [*HELD, F64, torch.bool], ids=str)
def test_conversions_of_what_both_types_hold(name, source, device):
    target, way = CONVERSIONS[name]
    low, high = (0, 1) if source == torch.bool else HELD.get(source, HELD[I64])
    low, high = (max(low, HELD[target][0]), min(high, HELD[target][1])) if target in HELD else (low, high)
    whole = [low, high, *(low + v % (high - low + 1) for v in bits(9998, "c").tolist())]
    x = torch.tensor(whole, dtype=I64).to(source)
    for operands, piece in laid_out(x.numpy(), device=device):
        assert same(way(operands[0]), torch.tensor(whole[piece]).to(target))
    if source == F64 and target in HELD:  # towards zero: draws are shifted right before, but an exponent is not
        assert way(torch.tensor([2.0, -3.0], dtype=F64, device=device)).tolist() == [2, -3]


# --------------------------------------------------------------------------------------------- sums and products


def gridded(count: int, tag: str, top: int) -> np.ndarray:
    """Integers up to `top` in magnitude, as floats, times a power of two."""
    return (bits(count, tag) % (2 * top + 1) - top) * 2.0**-30


def summed(rows: list[list[float]]) -> list[float]:
    """The exact sums."""
    return [float(sum(map(Fraction, row))) for row in rows]


REDUCTIONS: dict[str, tuple[Oracle, Way]] = {
    ".sum": (summed, lambda x: x.sum(-1)),
    ".amax": (lambda rows: [max(row) for row in rows], lambda x: x.amax(-1)),
    ".amin": (lambda rows: [min(row) for row in rows], lambda x: x.amin(-1)),
    ".max": (lambda rows: [max(row) for row in rows], arrays(lambda x: x.max(-1, initial=-math.inf))),
    ".min": (lambda rows: [min(row) for row in rows], arrays(lambda x: x.min(-1))),
    ".any": (lambda rows: [any(v > 0 for v in row) for row in rows], lambda x: (x > 0).any(-1)),
    ".all": (lambda rows: [all(v > 0 for v in row) for row in rows], lambda x: (x > 0).all(-1)),
    ".argmax": (lambda rows: [row.index(max(row)) for row in rows], lambda x: x.argmax(-1)),  # the first of equals
    "torch.equal": (lambda rows: [row == rows[0] for row in rows],
                    lambda x: torch.tensor([torch.equal(row, x[0]) for row in x])),
}  # fmt: skip
SIZES = [*((3, n) for n in range(1, 131)), (130, 10), (2, 5000), (1, 300_000)]


@on_each_device
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, device):
    oracle, way = REDUCTIONS[name]
    for rows, n in SIZES:
        x = gridded(rows * n, name, 2**52 // n).reshape(rows, n) + 0.0
        x[-1, n // 2 :] = x[0, 0]  # equals, to choose between
        true = np.array(oracle(x.tolist()))
        y = torch.from_numpy(x).to(device)
        for layout in (y, junk((n, rows), y).T.copy_(y)):
            assert all(same(way(layout), true) for _ in threads()), (rows, n)


@on_each_device
def test_sums_of_every_axis_and_kind(device):
    x = torch.from_numpy(gridded(24_000, "axes", 2**30)).view(20, 30, 40).to(device)
    whole = x.double().mul(2.0**30).long().tolist()
    for dim in range(3):
        moved = np.moveaxis(np.array(whole, dtype=object), dim, -1)
        true = torch.tensor((moved.sum(-1)).astype(np.float64) * 2.0**-30)
        assert same(x.sum(dim), true)
        assert same(x.sum(dim, keepdim=True), true)
        assert same((x > 0).sum(dim), torch.tensor((moved > 0).sum(-1).astype(np.int64)))
    assert same(x.sum(), [sum(v for a in whole for b in a for v in b) * 2.0**-30])


SMALL = (0, 1, 2, 3, 17)
SHAPES = [*every(SMALL, SMALL, SMALL), (64, 784, 10), (10, 256, 784), (130, 129, 131)]


def layouts_of(x: Tensor) -> list[Tensor]:
    """A matrix by rows, by columns, with every stride 1 where it may be, and out of larger ones."""
    (m, n), made = x.shape, [x.clone()]
    made.append(junk((n, m), x).T.copy_(x))
    made.append(junk((m, n + 3), x)[:, 1 : n + 1].copy_(x))
    made.append(junk((n + 2, m), x)[1 : n + 1].T.copy_(x))
    return made


def multiplied(a: Tensor, b: Tensor) -> Tensor:
    """The product in Python's integers."""
    columns = list(zip(*b.tolist(), strict=True)) or [()] * b.shape[1]
    rows = a.tolist() if a.numel() else [[]] * a.shape[0]
    return torch.tensor(
        [[sum(int(p) * int(q) for p, q in zip(row, column, strict=True)) for column in columns] for row in rows],
        dtype=I64,
    ).view(a.shape[0], b.shape[1])


PRODUCTS: dict[str, Way] = {
    "@": operator.matmul,
    "torch.mm": lambda a, b: torch.mm(a, b, out=junk((a.shape[0], b.shape[1]), a)),
    "torch._int_mm": lambda a, b: product.int8(a, b, junk((a.shape[0], b.shape[1]), a.int())),
}


@on_each_device
@pytest.mark.parametrize("name", ["@", "torch.mm"])
def test_products_in_every_layout_over_junk(name, device):
    for m, k, n in SHAPES:
        top = 2 ** ((53 - max(k - 1, 0).bit_length()) // 2)
        a, b = whole_numbers(m, k, top, F64, "a").to(device), whole_numbers(k, n, top, F64, "b").to(device)
        true = multiplied(a, b).double()
        for _ in threads():
            for x, y in every(layouts_of(a), layouts_of(b)):
                assert same(PRODUCTS[name](x, y) + 0.0, true), (m, k, n, x.stride(), y.stride())


def test_int8_products_in_every_layout_over_junk():
    """On a CPU, of something, the left operand by rows: that is all that they are used for."""
    exact_or_skip()
    for m, k, n in [shape for shape in SHAPES if 0 not in shape]:
        a, b = whole_numbers(m, k, 128, torch.int8, "a"), whole_numbers(k, n, 128, torch.int8, "b")
        true = multiplied(a, b).int()
        for _ in threads():
            for x, y in every(with_any_stride(a), [v for laid in layouts_of(b) for v in with_any_stride(laid)]):
                assert same(PRODUCTS["torch._int_mm"](x, y), true), (m, k, n, x.stride(), y.stride())


def test_int8_products_of_the_largest_numbers():
    exact_or_skip()
    for k in (1, 2, 784, 60_000):
        for a, b in every((-128, 127), repeat=2):
            x, y = torch.full((3, k), a, dtype=torch.int8), torch.full((k, 2), b, dtype=torch.int8)
            for right in layouts_of(y):
                assert product.int8(x, right, junk((3, 2), x.int())).unique().tolist() == [k * a * b]


def with_any_stride(x: Tensor) -> list[Tensor]:
    """A matrix, and itself again with the strides that an axis of one may have, for nothing lies there."""
    strides = every(*((step, 0, 1) if n == 1 else (step,) for n, step in zip(x.shape, x.stride(), strict=True)))
    return [x.as_strided(x.shape, stride, x.storage_offset()) for stride in strides]


def whole_numbers(rows: int, columns: int, top: int, dtype: torch.dtype, tag: str) -> Tensor:
    """Integers from -top to top - 1."""
    return (torch.from_numpy(bits(rows * columns, tag)) % (2 * top) - top).view(rows, columns).to(dtype)


def exact_or_skip() -> None:
    """Where int8 products are not exact they are not used."""
    if not product.int8_is_exact():
        pytest.skip("int8 products are not exact on this processor, and not used")


@on_each_device
def test_products_of_batches(device):
    a, b = (torch.from_numpy(bits(3 * 6 * 5, tag) >> 44).double().to(device) for tag in "ab")
    for left, right in ((a.view(3, 6, 5), b.view(3, 5, 6)), (a.view(3, 5, 6).mT, b.view(3, 6, 5).mT)):
        each = [multiplied(x, y).double() for x, y in zip(left, right, strict=True)]
        assert same(left @ right, torch.stack(each))
        assert same(left[0] @ right, torch.stack([multiplied(left[0], y).double() for y in right]))


# ------------------------------------------------------------------------------------------ bits from place to place

ROWS, COLUMNS = 4, 6
Rows = list[list[float]]


def flat(rows: Rows) -> list[float]:
    return [v for row in rows for v in row]


def turned(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)]


def whole(rows: Rows) -> Rows:
    return rows


INDEX = torch.tensor([[5, 0], [1, 1], [2, 4], [0, 3]])
MOVES: dict[str, tuple[Oracle, Way]] = {
    ".view": (lambda rows: [int.from_bytes(np.float64(v).tobytes(), "little", signed=True) for v in flat(rows)],
              lambda x: x.contiguous().view(I64)),
    ".reshape": (flat, lambda x: x.reshape(3, 8)),
    ".flatten": (flat, Tensor.flatten),
    ".ravel": (flat, arrays(np.ndarray.ravel)),
    ".expand": (lambda rows: [rows, rows], lambda x: x.expand(2, ROWS, COLUMNS)),
    ".unsqueeze": (whole, lambda x: x.unsqueeze(-1)),
    ".squeeze": (whole, lambda x: x[:, None].squeeze(1)),
    ".mT": (turned, lambda x: x.mT),
    ".T": (turned, lambda x: x.T),
    ".transpose": (turned, lambda x: x.transpose(0, 1)),
    ".unbind": (turned, lambda x: torch.stack(x.unbind(1))),
    ".split": (whole, lambda x: torch.cat(x.split(4, dim=1), dim=1)),
    ".contiguous": (whole, Tensor.contiguous),
    ".clone": (whole, Tensor.clone),
    ".copy_": (whole, lambda x: junk((ROWS, COLUMNS), x).copy_(x)),
    ".fill_": (lambda rows: [rows[0][0]] * 24, lambda x: junk((24,), x).fill_(x[0, 0].item())),
    ".gather": (lambda rows: [[row[i] for i in index] for row, index in zip(rows, INDEX.tolist(), strict=True)],
                lambda x: x.gather(1, INDEX.to(x.device))),
    ".scatter_": (lambda rows: [[7.0 if i == index[0] else v for i, v in enumerate(row)]
                                for row, index in zip(rows, INDEX.tolist(), strict=True)],
                  lambda x: x.clone().scatter_(1, INDEX[:, :1].to(x.device), torch.full_like(x, 7.0))),
    ".index_select": (lambda rows: [rows[i] for i in (3, 0, 3)],
                      lambda x: x.index_select(0, torch.tensor([3, 0, 3], device=x.device))),
    ".sort": (lambda rows: sorted(flat(rows)), lambda x: torch.from_numpy(in_place(x.cpu().numpy().ravel().copy()))),
    ".nonzero": (lambda rows: [i for i, v in enumerate(flat(rows)) if v > 0],
                 arrays(lambda x: (x.ravel() > 0).nonzero()[0])),
    ".detach": (whole, Tensor.detach),
    ".cpu": (whole, Tensor.cpu),
    ".numpy": (whole, lambda x: torch.from_numpy(x.cpu().numpy().copy())),
    ".item": (whole, lambda x: torch.tensor([v.item() for v in x.flatten()], dtype=F64)),
    ".tolist": (whole, lambda x: torch.tensor(x.tolist(), dtype=F64)),
    ".tobytes": (whole, lambda x: torch.frombuffer(bytearray(x.cpu().numpy().tobytes()), dtype=F64)),
    ".new_zeros": (lambda rows: [0.0] * 24, lambda x: x.new_zeros(24)),
    "torch.cat": (lambda rows: [*rows, *rows], lambda x: torch.cat([x, x])),
    "torch.stack": (lambda rows: [rows, rows], lambda x: torch.stack([x, x])),
    "torch.full": (lambda rows: [1e-310] * 9, lambda x: torch.full((9,), 1e-310, dtype=F64, device=x.device)),
    "torch.full_like": (lambda rows: [1e-310] * 24, lambda x: torch.full_like(x, 1e-310)),
    "torch.zeros": (lambda rows: [0.0] * 9, lambda x: torch.zeros(9, dtype=F64, device=x.device)),
    "torch.zeros_like": (lambda rows: [0.0] * 24, torch.zeros_like),
    "torch.arange": (lambda rows: list(range(1000)), lambda x: torch.arange(1000, device=x.device)),
    "numpy.arange": (lambda rows: list(range(7, 1000)), lambda x: torch.from_numpy(np.arange(7, 1000, dtype=np.int64))),
    "torch.tensor": (whole, lambda x: torch.tensor(x.tolist(), dtype=F64, device=x.device)),
    "torch.as_tensor": (whole, lambda x: torch.as_tensor(x, dtype=F64, device=x.device)),
    "torch.from_numpy": (whole, lambda x: torch.from_numpy(x.cpu().numpy())),
    "torch.nn.functional.one_hot": (lambda rows: [[int(i == j) for j in range(6)] for pair in INDEX.tolist()
                                                  for i in pair],
                                    lambda x: one_hot(INDEX.to(x.device), 6)),
    "torch.nn.Flatten": (whole, lambda x: nn.Flatten(-2)(x[None])),
}  # fmt: skip


def in_place(x: np.ndarray) -> np.ndarray:
    """Sorted."""
    x.sort()
    return x


@on_each_device
@pytest.mark.parametrize("name", MOVES)
def test_moves(name, device):
    oracle, way = MOVES[name]
    x = numbers(ROWS * COLUMNS, "moved").reshape(ROWS, COLUMNS)
    true = np.array(oracle(x.tolist()))
    for layout in layouts_of(torch.from_numpy(x).to(device)):
        assert same(way(layout), true)


@on_each_device
def test_indexing(device):
    x = torch.from_numpy(numbers(24, "moved")).view(ROWS, COLUMNS).to(device)
    rows = x.tolist()
    assert x[:, 1:5:2].tolist() == [row[1:5:2] for row in rows]
    assert x[torch.tensor([2, 0, 2], device=device)].tolist() == [rows[2], rows[0], rows[2]]
    assert x[..., None, :].tolist() == [[row] for row in rows]
    assert x[x > 0].tolist() == [v for v in flat(rows) if v > 0]
    assert (x == x.T.clone().T).all()


# ---------------------------------------------------------------------------------------------- gradients, Python

GRADIENTS = {"torch.nn.ReLU", "torch.autograd.Function", ".backward"}


@on_each_device
def test_relu_and_its_gradient(device):
    a, g = pairs()
    relu = np.array([max(v, 0.0) + 0.0 for v in a.tolist()])
    passed = np.array([w if v > 0 else 0.0 for v, w in zip(a.tolist(), g.tolist(), strict=True)])
    for _ in threads():
        for (x, upstream), piece in laid_out(a, g, device=device):
            x.requires_grad_()
            y = nn.ReLU()(x)
            y.backward(upstream)
            assert same(y.detach() + 0.0, relu[piece])
            assert x.grad is not None
            assert same(x.grad, passed[piece])


def test_gradients_of_two_uses_are_added_once():
    a, b = (torch.from_numpy(x.copy()) for x in pairs())

    class Passes(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g

    x = torch.zeros(len(a), dtype=F64, requires_grad=True)
    torch.autograd.backward([Passes.apply(x), Passes.apply(x)], [a, b])
    assert x.grad is not None
    assert same(x.grad, answers(operator.add))


def exact_root(a: float) -> bool:
    """Whether math.sqrt is the float next to the true root: the halves around it, squared, are on either side."""
    r, x = Fraction(math.sqrt(a)), Fraction(a)
    ulp = Fraction(math.ulp(math.sqrt(a)))
    return (r - ulp / 2) ** 2 <= x <= (r + ulp / 2) ** 2


WHOLE = [(n, d or 1) for n, d in zip(bits(3000, "m").tolist(), bits(3000, "n").tolist(), strict=True)]


def floor(n: int, d: int) -> bool:
    """Whether n // d is the largest integer up to n / d."""
    return n // d <= Fraction(n, d) < n // d + 1


def rest(n: int, d: int) -> bool:
    """Whether n % d is what is missing to a multiple of d, between 0 and d."""
    return Fraction(n - n % d, d).denominator == 1 and 0 <= Fraction(n % d, d) < 1


NUMBERS: dict[str, Callable[[list[float]], bool]] = {
    "//": lambda x: all(floor(n, d) for n, d in WHOLE),
    "%": lambda x: all(rest(n, d) for n, d in WHOLE),
    "math.fsum": lambda x: math.fsum(x) == float(sum(map(Fraction, x))),
    "math.sqrt": lambda x: all(exact_root(abs(v)) for v in x),
    "math.frexp": lambda x: all(Fraction(f) * Fraction(2) ** e == v for v in x for f, e in [math.frexp(v)]),
    "math.ldexp": lambda x: all(math.ldexp(v, -40) == float(Fraction(v) / 2**40) for v in x),
    "math.isqrt": lambda x: all(math.isqrt(n) ** 2 <= n < (math.isqrt(n) + 1) ** 2 for n in range(2**48, 2**48 + 99)),
    "math.prod": lambda x: math.prod(range(1, 30)) == math.factorial(29),
    "math.isfinite": lambda x: all(map(math.isfinite, x)) and not math.isfinite(math.inf + x[0]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_python(name):
    x = [v for v in numbers(3000, "python").tolist() if abs(v) < 1e305]
    assert NUMBERS[name](x)


def test_the_oracle_itself():
    """Python's own + - * / are the correctly rounded ones: against fractions."""
    a, b = (v[-3000:].tolist() for v in pairs())
    for f in (operator.add, operator.sub, operator.mul, operator.truediv):
        for x, y in zip(a, b, strict=True):
            if y and math.isfinite(f(x, y)):
                assert f(x, y) == float(f(Fraction(x), Fraction(y)))


CASES: dict[str, Any] = {
    "elementwise": ELEMENTWISE, "integer": INTEGER, "conversions": CONVERSIONS, "reductions": REDUCTIONS,
    "products": PRODUCTS, "moves": MOVES, "gradients": GRADIENTS, "numbers": NUMBERS,
}  # fmt: skip
