"""A second implementation, in plain Python integers, fractions and floats; it shares nothing with samebits.exact."""

import hashlib
import math
from fractions import Fraction

MASK = 2**64 - 1
EXP2 = [float.fromhex(c) for c in (
    "0x1.0000000000000p+0", "0x1.62e42fef9cc69p-1", "0x1.ebfbdff82a734p-3", "0x1.c6b08da70cce3p-5",
    "0x1.3b2ab70ad2565p-7", "0x1.5d877598350dep-10", "0x1.4308c7183d6a2p-13", "0x1.00c0e4e15189cp-16",
    "0x1.63b2d7971923fp-20",
)]  # fmt: skip
LOG = [float.fromhex(c) for c in (
    "0x1.5555555555558p-1", "0x1.99999999952e2p-2", "0x1.2492492df148dp-2", "0x1.c71c62e5800a1p-3",
    "0x1.7462b4ab2ef6bp-3", "0x1.39fe606542ddep-3", "0x1.2b584aae78a57p-3",
)]  # fmt: skip


def gridded(values: list[list[float]], bits: int) -> list[list[Fraction]]:
    """Every value rounded half to even onto the grid 2^e, the smallest power of two >= max / 2^bits."""
    top = max((abs(Fraction(v)) for row in values for v in row), default=Fraction(0))
    if not top:
        return [[Fraction(0) for _ in row] for row in values]
    step = Fraction(1)
    while step * 2**bits < top:
        step *= 2
    while step / 2 * 2**bits >= top:
        step /= 2
    return [[round(Fraction(v) / step) * step for v in row] for row in values]


def product(a: list[list[float]], b: list[list[float]], bits: tuple[int, int] | None = None) -> list[list[float]]:
    """The exact product of two gridded matrices of floats (of ints: taken as they are, as 8 bits)."""
    length = len(b)
    growth = 0
    while 2**growth < length:
        growth += 1
    whole = [all(isinstance(v, int) for row in x for v in row) for x in (a, b)]
    if bits is None:
        each = (53 - growth - 8 * sum(whole)) // (2 - sum(whole)) if sum(whole) < 2 else 0
        bits = (each, each)
    x, y = ([[Fraction(v) for v in row] for row in m] if w else gridded(m, p)
            for m, w, p in zip((a, b), whole, bits, strict=True))  # fmt: skip
    columns = list(zip(*y, strict=True))
    return [[float(sum((p * q for p, q in zip(row, column, strict=True)), Fraction(0))) for column in columns]
            for row in x]  # fmt: skip


def exp2(t: float, extra: int = 0) -> float:
    """2^(t + extra) by the polynomial, for results in float64's normal range."""
    n = round(t)
    f = t - n
    y = EXP2[8]
    for i in range(7, -1, -1):
        y = y * f
        y = y + EXP2[i]
    return math.ldexp(y, n + extra)


def softmax(row: list[float]) -> list[float]:
    """Softmax of one row."""
    top = max(row)
    numerators = [round(exp2(max((z - top) * float.fromhex("0x1.71547652b82fep+0"), -64.0), 40)) for z in row]
    return [e / sum(numerators) for e in numerators]


def log(x: float) -> float:
    """Natural logarithm of a positive float."""
    m, k = math.frexp(x)
    if m < float.fromhex("0x1.6a09e667f3bcdp-1"):
        m, k = 2 * m, k - 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    y = LOG[6]
    for c in reversed(LOG[:6]):
        y = y * z + c
    tail = 2 * s + s * z * y
    return k * float.fromhex("0x1.62e42fefa3800p-1") + (k * float.fromhex("0x1.ef35793c76730p-45") + tail)


def draw(i: int, seed: int, tag: str) -> int:
    """Value i, from 1, of SplitMix64."""
    key = int.from_bytes(hashlib.sha256(f"{seed}/{tag}".encode()).digest()[:8], "little")
    x = (key + i * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
    return x ^ x >> 31


def permutation(n: int, seed: int, tag: str) -> list[int]:
    """Indices in the order of their draws."""
    return [k & 0xFFFFF for k in sorted((draw(i + 1, seed, tag) >> 20 << 20) | i for i in range(n))]


def uniform(n: int, seed: int, tag: str, fan_in: int) -> list[float]:
    """Uniform weights."""
    r = math.isqrt(2**48 // fan_in)
    return [((draw(i, seed, tag) >> 32) * 2 * r // 2**32 - r) / 2**24 for i in range(1, n + 1)]
