"""Products of small integers by whichever route is fastest here among those that are exact here.

Operands are integers of magnitude <= 128, so a sum of k products is an integer of magnitude <= 2^14 k: in float32,
which holds every integer up to 2^24, each partial sum is exact up to k = 1024, in int32 below 2^17. Longer sums are cut
into blocks and joined in float64, whose 53 bits no sum here fills.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..guard import Refused
from ..product import int8_is_exact

Multiply = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Route:
    """A way to multiply: operands in `dtype`, results in `sums`; `multiply` makes [..., m, n] of [..., m, k] and
    [..., k, n], exact for k up to `terms`.
    """

    name: str
    dtype: torch.dtype
    sums: torch.dtype
    terms: int
    multiply: Multiply

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """a @ b, exact, in the type that `holding` says."""
        if a.shape[-1] <= self.terms:
            return self.multiply(a, b)
        blocks = zip(a.split(self.terms, -1), b.split(self.terms, -2), strict=True)
        total = torch.zeros((), dtype=torch.float64, device=a.device)
        for left, right in blocks:
            total = total + self.multiply(left, right).double()
        return total

    def holding(self, terms: int) -> torch.dtype:
        """The type that holds sums of so many products."""
        return self.sums if terms <= self.terms else torch.float64

    def into(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """The product of two matrices, written to `out`, of the type that `holding` says."""
        if a.shape[-1] > self.terms or (self.dtype == torch.int8 and 1 in (*a.shape, b.shape[1])):
            out.copy_(self(a, b))
        elif self.dtype == torch.int8:
            torch._int_mm(a, b, out=out)
        else:
            torch.mm(a, b, out=out)


def int8(a: Tensor, b: Tensor) -> Tensor:
    """Through int8 products, one for each batch entry; int32."""
    if 1 in (*a.shape[-2:], b.shape[-1]):  # torch up to 2.11 leaves some results of an axis of one unwritten
        return (a.double() @ b.double()).to(torch.int32)
    if a.ndim == 2:
        return torch._int_mm(a, b)
    out = torch.empty(*a.shape[:-1], b.shape[-1], dtype=torch.int32, device=a.device)
    entries = (x.reshape(-1, *x.shape[-2:]).unbind() for x in (a, b, out))
    for left, right, place in zip(*entries, strict=True):
        torch._int_mm(left, right, out=place)
    return out


def bfloat16(a: Tensor, b: Tensor) -> Tensor:
    """Through tensor cores, float32: integers up to 256 are exact in bfloat16, their sums are kept in float32."""
    if a.ndim == 2:
        return torch.mm(a, b, out_dtype=torch.float32)
    left, right = (x.reshape(-1, *x.shape[-2:]) for x in (a, b))
    return torch.bmm(left, right, out_dtype=torch.float32).view(*a.shape[:-1], b.shape[-1])


ROUTES = {
    "cpu": (
        Route("int8", torch.int8, torch.int32, 2**16, int8),
        Route("float32", torch.float32, torch.float32, 2**10, torch.matmul),
        Route("float64", torch.float64, torch.float64, 2**30, torch.matmul),
    ),
    "cuda": (
        Route("bfloat16", torch.bfloat16, torch.float32, 2**10, bfloat16),
        Route("float32", torch.float32, torch.float32, 2**10, torch.matmul),
        Route("float64", torch.float64, torch.float64, 2**30, torch.matmul),
    ),
}  # fmt: skip
PROBES = ((64, 1024, 48), (10, 784, 64), (3, 17, 5), (1, 2, 1))
LONG = 2**16 - 1  # terms of the longest product that is tried
TIMED = {"cpu": (1, 64, 512, 256), "cuda": (16, 64, 784, 520)}  # batch, m, k, n of the product that decides
TRIES, TOGETHER = 15, {"cpu": 1, "cuda": 20}  # so many calls are timed as one: a GPU's first is a wait
LOCK = threading.Lock()


def route(device: torch.device) -> Route:
    """The fastest exact route on a device; found once a process, in some milliseconds. Raises Refused: also within
    torch.autocast, which would round operands and sums to 16 bits.
    """
    if torch.is_autocast_enabled(device.type):
        raise Refused("torch.autocast is on, which rounds products to 16 bits: exact layers must stay outside it")
    with LOCK:
        return _route(device)


@cache
def _route(device: torch.device) -> Route:
    proven = [each for each in ROUTES.get(device.type, ROUTES["cpu"][2:]) if is_exact(each, device)]
    if not proven:
        raise Refused(f"no product of small integers is exact on {device}: use another device or version of torch")
    rounds = [[seconds(each, device) for each in proven] for _ in range(TRIES)]  # taking turns: others may be at work
    best = [min(times) for times in zip(*rounds, strict=True)]
    return proven[best.index(min(best))]


def is_exact(candidate: Route, device: torch.device) -> bool:
    """Whether a route gives the integers' own products here: the largest entries and mixed ones, in each layout."""
    if candidate.dtype == torch.int8 and not int8_is_exact():
        return False
    try:
        longest = (3, min(candidate.terms, LONG) - 1 | 1, 2)  # an odd number: even sums need fewer bits
        return all(_multiplies(candidate, m, k, n, device) for m, k, n in (*PROBES, longest))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _multiplies(candidate: Route, m: int, k: int, n: int, device: torch.device) -> bool:
    mixed = torch.arange(max(m, n) * k, device="cpu").mul(2654435761).bitwise_right_shift(7).to(torch.int8)
    low = torch.full_like(mixed, -128)
    for x, y in ((low, low), (low, ~low), (~low, ~low), (mixed, mixed.clip(min=-127)), (low, mixed.clip(min=-127))):
        left, right = x[: m * k].view(m, k), y[: k * n].view(n, k)
        true = left.double() @ right.double().mT
        a, b = (t.to(device).to(candidate.dtype) for t in (left, right))
        made = (candidate(a, b.mT), candidate(a.mT.contiguous().mT, b.mT.contiguous()))
        batch = candidate(torch.stack([a, a]), torch.stack([b, b]).mT)
        if not all(torch.equal(z.cpu().double(), true) for z in (*made, *batch)):
            return False
    return True


def seconds(candidate: Route, device: torch.device) -> float:
    """The time of one product; what wins changes no bit."""
    s, m, k, n = TIMED.get(device.type, TIMED["cpu"])
    a, b = (torch.ones(shape, dtype=candidate.dtype, device=device) for shape in ((s, m, k), (s, n, k)))
    start = time.perf_counter()
    for _ in range(TOGETHER.get(device.type, 1)):
        product = candidate(a, b.mT)
    product[0, 0, 0].item()
    return time.perf_counter() - start
