"""The float32 operations of training on integers against IEEE 754, bit for bit, in every layout.

A sum, product, quotient or root of float32 numbers, computed in float64 and rounded to float32, is the correctly
rounded one (53 bits are more than 2 * 24 + 2), and Python's numbers are float64; rounding to float32 is spelled out in
integers.
"""

import dataclasses
import math
import operator
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from samebits import exact
from samebits.exact import random
from samebits.exact.integers import products
from samebits.exact.random import draws
from tests.exact import operations
from tests.exact.test_conformance import on_each_device
from tests.exact.test_faults import saturating
from tests.made.by_fractions import to_float32
from tests.made.inputs import junk, laid_out, threads

N = 60_000
F32, I32 = torch.float32, torch.int32
Way = Callable[..., Any]


def test_each_name_has_a_case():
    assert {*ELEMENTWISE, *CONVERSIONS, *REDUCTIONS} == operations.SINGLE
    assert {*PLACES, *NUMPYS, "torch.matmul", "torch.bmm"} == operations.ROOM_OPERATIONS  # of products, below


def bits32(count: int, tag: str) -> np.ndarray:
    """Float32 numbers of every magnitude and either sign, no NaN and no infinity."""
    x = (draws(count, 7, tag) >> np.uint64(32)).astype(np.uint32)
    return np.where((x >> 23) & 255 == 255, x & ~np.uint32(1 << 30), x).view(np.float32)


@cache
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Operands of every magnitude, near each other, at ties of + and of *, and denormal results."""
    n = N // 5
    near = bits32(n, "near") * np.float32(1e-3)
    after = near * (1 + (draws(n, 7, "ulps") & np.uint64(7)).astype(np.float32) * np.float32(2.0**-23))
    one = 1 + (draws(n, 7, "ties") >> np.uint64(41)).astype(np.float32) * np.float32(2.0**-23)
    half = np.full(n, np.float32(2.0**-24))
    odd = ((draws(n, 7, "odd") >> np.uint64(51)) | np.uint64(4097)).astype(np.float32)  # 13 bits: 26 of *, a tie
    small = odd[::-1] * np.float32(2.0**-140)
    small[::2] = odd[::-2][: len(small[::2])]
    special = np.array([0.0, -0.0, 1.0, -1.0, 1e-45, 1.17549435e-38, 3.4028235e38, 2.5, 3.5, -0.5], np.float32)
    a = np.concatenate([np.repeat(special, 10), bits32(2 * n, "x"), near, one, odd])
    b = np.concatenate([np.tile(special, 10), bits32(2 * n, "y"), after, half, small])
    return a, b


def single(f: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """f of float32 numbers, rounded to float32 once."""

    def rounded(a: float, b: float) -> float:
        with np.errstate(all="ignore"):
            return float(np.float32(f(a, b)))

    return rounded


def divided(a: float, b: float) -> float:
    """A quotient, of which 53 bits are enough too; and what IEEE 754 says of 0."""
    return a / b if b else math.copysign(math.inf, a) * math.copysign(1.0, b) if a else math.nan


def whole(a: float, _: float) -> float:
    """To an integer, half to even."""
    return float(round(a)) if abs(a) < 2**24 else a


def same(got: Tensor, true: np.ndarray) -> bool:
    """The same bits, but for the sign of a zero, and for which NaN."""
    mine, true = got.detach().cpu().reshape(-1).numpy() + np.float32(0), true.reshape(-1) + np.float32(0)
    a, b = (np.where(np.isnan(x), np.float32(np.nan), x) for x in (mine, true))
    return mine.dtype == true.dtype and np.array_equal(a.view(I32N), b.view(I32N))


I32N = np.int32
ELEMENTWISE: dict[str, list[tuple[Any, Way]]] = {
    "+": [(single(operator.add), way) for way in (operator.add, operator.iadd)],
    ".add_": [(single(operator.add), Tensor.add_)],
    "/": [(single(divided), operator.truediv), (single(divided), operator.itruediv)],
    "negative": [(lambda a, _: -a, lambda x, y: -x)],
    "numpy.sqrt": [(single(lambda a, _: math.sqrt(abs(a))), lambda x, y: random.root(x.cpu().abs()).to(x.device))],
    "-": [(single(operator.sub), way) for way in (operator.sub, operator.isub)],
    ".sub_": [(single(operator.sub), Tensor.sub_)],
    "*": [(single(operator.mul), way) for way in (operator.mul, operator.imul)],
    ".mul_": [(single(operator.mul), Tensor.mul_)],
    "torch.mul": [(single(operator.mul), lambda x, y: torch.mul(x, y, out=junk(tuple(x.shape), x)))],
    ".round": [(whole, lambda x, y: x.round())],
    ".round_": [(whole, lambda x, y: x.round_())],
    ".abs": [(lambda a, _: abs(a), lambda x, y: x.abs())],
    ".neg_": [(lambda a, _: -a, lambda x, y: x.neg_())],
    ".clip": [(lambda a, _: max(a, 0.0), lambda x, y: x.clip(min=0))],
    "torch.maximum": [(max, torch.maximum)],
    "torch.where": [(lambda a, b: a if a < b else b, lambda x, y: torch.where(x < y, x, y))],
}


@on_each_device
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, device):
    a, b = pairs()
    for oracle, way in ELEMENTWISE[name]:
        true = np.array([oracle(p, q) for p, q in zip(a.tolist(), b.tolist(), strict=True)], np.float32)
        for _ in threads():
            for operands, piece in laid_out(a, b, device=device):
                assert same(way(*operands), true[piece]), name


@on_each_device
@pytest.mark.parametrize("value", [0.1, 0.5, 0.01, 1 / 255, 2.0**-30])
def test_a_number_of_pythons_is_rounded_to_float32_first(value, device):
    a, near = pairs()[0], float(np.float32(value))
    true = np.array([single(operator.mul)(p, near) for p in a.tolist()], np.float32)
    x = torch.from_numpy(a).to(device)
    for made in (x * value, x.clone().mul_(value), torch.mul(x, value, out=torch.empty_like(x))):
        assert same(made, true)


def test_rounding_to_float32_in_integers_is_cs():
    for x in [
        *pairs()[0][:3000].astype(np.float64) * 1.000000059,
        2.0**-150,
        1.5 * 2.0**-149,
        16777217.0,
        3.4028235e38,
    ]:
        assert to_float32(Fraction(float(x))) == struct.unpack("f", struct.pack("f", x))[0]


def ties(count: int) -> np.ndarray:
    """Float64 numbers at, and just beside, the middle of two float32 numbers; denormal ones among them."""
    middle = bits32(count, "middle").astype(np.float64)
    middle = middle + np.spacing(bits32(count, "middle")).astype(np.float64) / 2
    return np.concatenate([middle, np.nextafter(middle, 0), np.nextafter(middle, 1e300), middle * 2.0**-30])


INTEGERS = np.concatenate([
    (draws(N // 4, 7, "int") >> np.uint64(32)).astype(np.int64) - 2**31, np.arange(2**24 - 100, 2**24 + 200),
    2 ** np.arange(24, 31)[:, None] + np.arange(-40, 41) * 2 ** np.arange(0, 7)[:, None] // 2,
    [-(2**31), 2**31 - 1]], axis=None)  # fmt: skip
CONVERSIONS: dict[str, list[tuple[np.ndarray, torch.dtype]]] = {
    ".to": [(ties(N // 8), F32), (INTEGERS.astype(np.int32), F32), (INTEGERS.astype(np.float64), F32)],
}


@on_each_device
@pytest.mark.parametrize("place", range(3))
def test_conversions_to_float32_round_once(place, device):
    given, target = CONVERSIONS[".to"][place]
    true = np.array([to_float32(Fraction(x)) for x in given.tolist()], np.float32)
    for operands, piece in laid_out(given, device=device):
        assert same(operands[0].to(target), true[piece])


@on_each_device
@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float16, torch.int32, torch.float64])
def test_small_integers_survive_every_type(dtype, device):
    x = torch.arange(-128, 128, dtype=F32, device=device)
    assert torch.equal(x.to(dtype).to(F32), x)
    assert torch.equal(x[128:].to(torch.uint8).bitwise_xor(128).view(torch.int8).to(dtype).to(F32), x[128:] - 128)


REDUCTIONS: dict[str, Way] = {".amax": lambda x: x.amax(-1), ".amin": lambda x: x.amin(-1), ".sum": lambda x: x.sum(-1)}


@on_each_device
@pytest.mark.parametrize("n", [1, 2, 17, 130, 784, 5000])
def test_reductions(n, device):
    numbers = torch.from_numpy(bits32(7 * n, "reduced")).view(7, n).to(device)
    integers = (
        torch.from_numpy((draws(7 * n, 7, "sum") >> np.uint64(52)).astype(np.float32)).view(7, n).to(device) - 2048
    )
    rows, counts = numbers.tolist(), integers.tolist()
    for x, y in ((numbers, integers), (numbers.T.contiguous().T, integers.T.contiguous().T)):
        assert REDUCTIONS[".amax"](x).tolist() == [max(row) for row in rows]
        assert REDUCTIONS[".amin"](x).tolist() == [min(row) for row in rows]
        assert REDUCTIONS[".sum"](y).tolist() == [float(sum(map(int, row))) for row in counts]
        assert REDUCTIONS[".sum"](y.double()).tolist() == [float(sum(map(int, row))) for row in counts]
    numbers[3, n // 2] = torch.nan
    assert REDUCTIONS[".amax"](numbers).isnan().tolist() == [i == 3 for i in range(7)]


@on_each_device
def test_bits_move_between_float32_and_int32(device):
    x = bits32(N, "moved")
    there = torch.from_numpy(x).to(device).view(I32)
    assert there.tolist() == [struct.unpack("i", struct.pack("f", v))[0] for v in x.tolist()]
    up, down = (there + (1 << 16)) >> 23, (there & 0xFF) << 23
    assert up.tolist() == [(v + (1 << 16)) >> 23 for v in there.tolist()]
    assert down.tolist() == [(((v & 0xFF) << 23) + 2**31) % 2**32 - 2**31 for v in there.tolist()]
    assert there.view(F32).tolist() == x.tolist()


PLACES: dict[str, Callable[[Tensor], Tensor]] = {
    ".remainder": lambda x: x.remainder(7),
    ".remainder_": lambda x: x.remainder_(7),
    ".zero_": lambda x: torch.stack([x.clone(), x.zero_()])[0].remainder(7) + x,
    ".index_copy_": lambda x: junk(tuple(x.shape), x).index_copy_(0, torch.arange(len(x), device=x.device), x % 7),
}


@on_each_device
@pytest.mark.parametrize("name", PLACES)
def test_places_in_an_order_are_counted(name, device):
    given = np.concatenate([np.arange(1000), 2 ** np.arange(62, dtype=np.int64) + 5])
    for operands, piece in laid_out(given, device=device):
        assert PLACES[name](operands[0]).flatten().tolist() == [x % 7 for x in given[piece].tolist()]


NUMPYS: dict[str, tuple[Way, Way, np.ndarray]] = {
    "numpy.float32": (np.float32, lambda x: to_float32(Fraction(x)), ties(300)),
    "numpy.int32": (np.int32, int, np.array([0.0, 1.0, -1.0, 127.0, -128.0, 2.0**22, 1.0 - 2.0**31, 2.0**31 - 1])),
    "numpy.int8": (np.int8, int, np.arange(-128.0, 128.0)),
    "numpy.ldexp": (lambda n: np.ldexp(1.0, n), lambda n: 2.0**n, np.arange(-1074, 1024)),
}


@pytest.mark.parametrize("name", NUMPYS)
def test_numbers_of_numpys(name):
    made, true, given = NUMPYS[name]
    whole = given.tolist() if given.dtype != np.int64 else [int(x) for x in given]
    assert [made(x) for x in whole] == [true(x) for x in whole]
    if name != "numpy.ldexp":
        assert given.astype(cast(Any, made)).tolist() == [true(x) for x in whole]


LARGEST = (
    (-128, -128),
    (-128, 127),
    (-128, -127),
    (127, 127),
    (-127, 127),
)  # of odd ones no sum beyond 24 bits survives float32


def check_products(route: products.Route, m: int, k: int, n: int, where: torch.device) -> None:
    """A route's products [m, k] x [k, n], in every layout, of the largest entries and of mixed ones."""
    mixed = torch.from_numpy((draws((m + n) * k, 7, "p") >> np.uint64(56)).astype(np.int64)) - 128
    for p, q in (*LARGEST, (None, None)):
        a = (mixed[: m * k] if p is None else torch.full((m * k,), p)).view(m, k)
        b = (mixed[m * k :].clip(min=-127) if q is None else torch.full((k * n,), q)).view(k, n)
        true = torch.from_numpy(a.numpy() @ b.numpy())  # int64
        left, right = a.to(where, route.dtype), b.to(where, route.dtype)
        made = [route(x, y) for x in layouts(left) for y in layouts(right)]
        made += route(torch.stack([left, left]), torch.stack([right, right]))
        made += route(torch.stack([left, left]).mT.contiguous().mT, torch.stack([right, right]).mT.contiguous().mT)
        for x in layouts(left):
            for y in layouts(right):
                made.append(torch.full((m, n), 77, dtype=route.holding(k), device=where))
                route.into(x, y, made[-1])
        assert all(torch.equal(z.to(torch.int64).cpu(), true) for z in made), f"{route.name}: {m} x {k} x {n}, {p}, {q}"


def layouts(x: Tensor) -> tuple[Tensor, ...]:
    """Rows together, columns together; and part of something larger."""
    return x, x.T.contiguous().T, torch.cat([x, x])[: len(x)]


TERMS = [1, 2, 17, 784, 1023, 1024, 1025, 2047, 3000]


@on_each_device
@pytest.mark.parametrize("k", TERMS)
@pytest.mark.parametrize(("m", "n"), [(5, 6), (1, 6), (5, 1), (1, 1), (33, 18)])
def test_products_of_small_integers(m, k, n, device):
    """By every route that calls itself exact here."""
    where = torch.device(device)
    for route in products.ROUTES[where.type]:
        if products.is_exact(route, where):
            check_products(route, m, k, n, where)


@on_each_device
@pytest.mark.parametrize("k", [2**16, 2**16 + 1])
def test_products_as_long_as_int32_holds(k, device):
    where = torch.device(device)
    for route in products.ROUTES[where.type]:
        if products.is_exact(route, where):
            check_products(route, 2, k, 3, where)


def test_the_terms_of_a_route_fit_its_sums():
    """With what the lift adds, 255 * 127 a term, for sums in int32; the lift of others is added in one rounding."""
    bits = {torch.float32: 24, torch.float64: 53}
    for route in (*products.ROUTES["cpu"], *products.ROUTES["cuda"]):
        if route.sums == torch.int32:
            assert 255 * 127 * route.terms < 2**31
        else:
            assert 128 * 128 * route.terms <= 2 ** bits[route.sums]


def cpu_route(name: str, **changes: Any) -> products.Route:
    [route] = [each for each in products.ROUTES["cpu"] if each.name == name]
    return dataclasses.replace(route, **changes)


def test_a_route_of_too_many_terms_is_caught():
    where = torch.device("cpu")
    check_products(cpu_route("float32"), 5, 2047, 6, where)
    with pytest.raises(AssertionError):
        check_products(cpu_route("float32", terms=2**11), 5, 2047, 6, where)


def test_a_saturating_int8_product_is_refused(monkeypatch):
    """As on processors without VNNI: by the look at int8 products, and by that at the route itself."""
    where, plain = torch.device("cpu"), torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b, out=None: (
        saturating(a, b, torch.empty(len(a), b.shape[1], dtype=I32) if out is None else out)))  # fmt: skip
    monkeypatch.setattr(products, "int8_is_exact", lambda: True)
    assert not products.is_exact(cpu_route("int8"), where)
    with pytest.raises(AssertionError):
        check_products(cpu_route("int8"), 5, 784, 6, where)
    monkeypatch.setattr(torch, "_int_mm", plain)
    monkeypatch.setattr(products, "int8_is_exact", lambda: False)
    assert not products.is_exact(cpu_route("int8"), where)


@pytest.mark.parametrize("wrong", [
    lambda a, b: a @ b + 1,
    lambda a, b: (a @ b).to(torch.bfloat16).to(F32),
    lambda a, b: (a @ b).half().float(),
    lambda a, b: a.to(torch.float16) @ b.to(torch.float16),
    lambda a, b: (a @ b)[..., :1, :],
    lambda a, b: torch.empty(0).missing(),  # type: ignore[attr-defined]  # where a version of torch lacks something
])  # fmt: skip
def test_a_route_that_is_not_exact_is_refused(wrong):
    assert not products.is_exact(cpu_route("float32", multiply=wrong), torch.device("cpu"))


def test_a_route_that_takes_on_too_much_is_refused():
    """Of even products float32 holds longer sums than of odd ones."""
    assert products.is_exact(cpu_route("float32"), torch.device("cpu"))
    for terms in (2**10 + 2**5, 2**11):
        assert not products.is_exact(cpu_route("float32", terms=terms), torch.device("cpu"))


@pytest.mark.parametrize("quickest", ["int8", "float32", "float64"])
def test_the_quickest_route_is_taken_though_others_are_at_work(quickest, monkeypatch):
    """They hold up whatever runs in their time, most of it."""
    calls = iter(range(1000))
    monkeypatch.setattr(products, "is_exact", lambda candidate, device: True)
    monkeypatch.setattr(products, "seconds", lambda candidate, device: (
        (1.0 if candidate.name == quickest else 2.0) + (10.0 if next(calls) < 20 else 0.0)))  # fmt: skip
    assert products._route.__wrapped__(torch.device("cpu")).name == quickest


def test_without_an_exact_route_training_is_refused(monkeypatch):
    monkeypatch.setattr(products, "is_exact", lambda candidate, device: False)
    with pytest.raises(exact.Refused, match="no product of small integers is exact on cpu: use another device"):
        products._route.__wrapped__(torch.device("cpu"))
