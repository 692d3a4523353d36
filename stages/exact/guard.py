"""What exact arithmetic refuses, and how the refusal says where."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

SIGNIFICAND = 53  # bits of a float64 integer
LEAST = 16  # fewer bits than this and a real operand is no longer worth multiplying
CLASSES = 2**13  # softmax: a row sum of integers up to 2^40 must stay within 2^53


class Refused(ValueError):  # noqa: N818
    """A width, a batch, a type or a device for which exactness cannot be promised."""


class NonFinite(ArithmeticError):  # noqa: N818
    """A NaN or an infinity; `what` is the tensor, `place` the layer, epoch, step ... that callers add."""

    def __init__(self, what: str, **place: object) -> None:
        super().__init__(what)
        self.what = what
        self.place: dict[str, object] = place

    def __str__(self) -> str:
        place = ", ".join(f"{key} {value}" for key, value in self.place.items())
        return f"NaN or infinity in {self.what}" + (f" ({place})" if place else "")


@contextmanager
def where(**place: object) -> Iterator[None]:
    """Complete the NonFinite errors of a block: `with where(epoch=3, step=17): ...`; blocks may nest."""
    try:
        yield
    except NonFinite as error:
        error.place = {**place, **error.place}
        raise


def finite(x: torch.Tensor, what: str, **place: object) -> torch.Tensor:
    """Return x, or raise NonFinite. Reads the answer back, so on a GPU ask once an epoch (NaN never heals)."""
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise NonFinite(what, **place)
    return x


def ceil_log2(count: int) -> int:
    """Bits that a sum of `count` terms may grow by: the smallest n with 2^n >= count."""
    return max(count - 1, 0).bit_length()


def room(terms: int, operands: str = "rr", what: str = "a product") -> int:
    """Bits left for each real operand ('r') of a sum of `terms` products, beside 8 for an integer one ('i').

    Raises Refused with the arithmetic when fewer than 16 are left for a real one.
    """
    growth, integers, reals = ceil_log2(terms), operands.count("i"), operands.count("r")
    left = SIGNIFICAND - growth - 8 * integers
    each = left // reals if reals else left
    if each < (LEAST if reals else 0):
        raise Refused(
            f"{what} sums {terms} terms: {SIGNIFICAND} bits - {growth} for the sum - {8 * integers} for integers "
            f"leave {left}, {each} for each real operand; at least {LEAST} are needed"
        )
    return each


def check(batch: int, widths: Sequence[int], device: torch.device | str = "cpu") -> None:
    """Refuse, before training, a batch, layer widths (inputs first, classes last) or a device that is not exact."""
    for name, count in (("batch", batch), *(("width", width) for width in widths)):
        if count < 1:
            raise Refused(f"{name} {count}: must be at least 1")
        room(count, what=f"a product over a {name} of {count}")
    if widths and widths[-1] > CLASSES:
        raise Refused(
            f"{widths[-1]} classes: a row of softmax sums integers up to 2^40, and 40 + "
            f"{ceil_log2(widths[-1])} bits exceed {SIGNIFICAND}; at most {CLASSES} classes"
        )
    able(device)


def able(device: torch.device | str) -> None:
    """Refuse a device or a process whose float64 is not IEEE 754's."""
    if torch.device(device).type == "mps":
        raise Refused("device mps has no float64, and exact arithmetic is float64; use cpu or cuda")
    if not bool(torch.tensor(math.ldexp(1.0, -1073), dtype=torch.float64).mul(0.5) > 0):
        raise Refused("denormals are flushed to zero here: call torch.set_flush_denormal(False)")
