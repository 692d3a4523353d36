"""Random numbers as functions of (seed, tag, place): 64-bit integers on the CPU, the same on every machine.

SplitMix64 (Steele, Lea and Flood 2014) over a key: value i, from 1, is mix(key + i * 0x9E3779B97F4A7C15).
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .elementary import log

GAMMA, MIX1, MIX2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
INDEX = 20  # low bits of a draw that a permutation gives to the index

# The normal quantile of Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988): ratios of degree 7.
CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
SIDE = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def draws(count: int, seed: int, tag: str) -> NDArray[np.uint64]:
    """SplitMix64's values 1 ... count under the key of f"{seed}/{tag}", uint64."""
    key = np.uint64(int.from_bytes(hashlib.sha256(f"{seed}/{tag}".encode()).digest()[:8], "little"))
    x = key + np.arange(1, count + 1, dtype=np.uint64) * GAMMA
    x = (x ^ (x >> np.uint64(30))) * MIX1
    x = (x ^ (x >> np.uint64(27))) * MIX2
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def permutation(n: int, seed: int, tag: str) -> Tensor:
    """A permutation of 0 ... n-1: draws whose low 20 bits are replaced by their index, sorted.

    Args:
        n: how many, at most 2^20.
        seed: any integer.
        tag: what it is for; another tag, another order.

    Returns:
        int64 [n], on the CPU, the same on every machine.

    Raises:
        ValueError: for another n.

    Example:
        >>> exact.permutation(6, seed=0, tag="epoch 1").tolist()
        [4, 3, 0, 1, 2, 5]
    """
    if not 0 <= n <= 2**INDEX:
        raise ValueError(f"a permutation of {n}: between 0 and 2^{INDEX} = {2**INDEX} entries")
    low = np.uint64(2**INDEX - 1)
    keys = (draws(n, seed, tag) & ~low) | np.arange(n, dtype=np.uint64)
    keys.sort()
    return torch.from_numpy((keys & low).astype(np.int64))


def uniform(shape: Sequence[int], seed: int, tag: str, fan_in: int) -> Tensor:
    """Uniform on [-1/sqrt(fan_in), 1/sqrt(fan_in)), multiples of 2^-24: PyTorch's default first weights.

    With R = isqrt(2^48 // fan_in) and u the high 32 bits of a draw: ((u * 2R) >> 32) - R, times 2^-24.

    Args:
        shape: of the result.
        seed: any integer.
        tag: what it is for; another tag, other numbers.
        fan_in: inputs of the layer.

    Returns:
        float64 [*shape], on the CPU, filled in row-major order.

    Raises:
        ValueError: for a fan_in below 1.

    Example:
        >>> exact.uniform((2,), seed=0, tag="weight", fan_in=4).tolist()
        [-0.1821383833885193, 0.2098025679588318]
    """
    if fan_in < 1:
        raise ValueError(f"fan_in {fan_in}: must be at least 1")
    r = math.isqrt(2**48 // fan_in)
    u = draws(math.prod(shape), seed, tag) >> np.uint64(32)
    steps = ((u * np.uint64(2 * r)) >> np.uint64(32)).astype(np.int64) - r
    return torch.from_numpy(steps).double().mul_(2.0**-24).reshape(*shape)


def ratio(x: Tensor, polynomials: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    """Quotient of two polynomials, each by Horner's rule in single operations."""
    top, bottom = (torch.full_like(x, p[-1]) for p in polynomials)
    for c, d in zip(polynomials[0][-2::-1], polynomials[1][-2::-1], strict=True):
        top, bottom = top.mul_(x).add_(c), bottom.mul_(x).add_(d)
    return top.div_(bottom)


def root(x: Tensor) -> Tensor:
    """Square root of a CPU tensor, correctly rounded: numpy's. torch's own goes through a vector library that is not,
    and that picks its code, and so its last bits, by the processor.
    """
    return torch.from_numpy(np.sqrt(x.numpy()))


def normal(shape: Sequence[int], std: float, seed: int, tag: str) -> Tensor:
    """Normal with mean 0: the quantile of a uniform draw, times std.

    p = (2j + 1) / 2^53 for j the high 52 bits of a draw; q = p - 1/2 is exact; |x| <= 8.3. AS 241 is
    q A(0.180625 - q^2) where |q| <= 0.425, else +-B(r - 1.6) for r = sqrt(-log min(p, 1-p)) <= 5, else +-C(r - 5), with
    A, B, C ratios of polynomials. Every step is one operation; the logarithm is this package's.

    Args:
        shape: of the result.
        std: the standard deviation.
        seed: any integer.
        tag: what it is for; another tag, other numbers.

    Returns:
        float64 [*shape], on the CPU, filled in row-major order.

    Example:
        >>> exact.normal((2,), 0.01, seed=0, tag="weight").tolist()
        [-0.004736867501067043, 0.005528081673552097]
    """
    j = (draws(math.prod(shape), seed, tag) >> np.uint64(12)).astype(np.int64)
    p = torch.from_numpy(2 * j + 1).double().mul_(2.0**-53)
    q = p - 0.5
    r = root(log(torch.minimum(p, 1.0 - p)).neg_())
    outer = torch.where(r <= 5.0, ratio(r - 1.6, SIDE), ratio(r - 5.0, TAIL))
    x = torch.where(q.abs() <= 0.425, q * ratio(0.180625 - q * q, CENTRE), torch.where(q < 0, -outer, outer))
    return x.mul_(std).reshape(*shape)
