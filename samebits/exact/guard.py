"""What exact arithmetic refuses, and how the refusal says where."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral

import torch

SIGNIFICAND = 53  # bits of a float64 integer
LEAST = 16  # fewer bits than this and a real operand is no longer worth multiplying
CLASSES = 2**13  # softmax: a row sum of integers up to 2^40 must stay within 2^53


class Refused(ValueError):  # noqa: N818
    """A width, a batch, a type or a device for which exactness cannot be promised.

    Example:
        >>> exact.softmax(torch.zeros(1, 2**14, dtype=torch.float64))
        Traceback (most recent call last):
        samebits.exact.guard.Refused: 16384 classes: 40 bits and their sum exceed 53; at most 8192
    """


class NonFinite(ArithmeticError):  # noqa: N818
    """A NaN or an infinity.

    Args:
        what: the tensor's name.
        place: the layer, epoch, step ... as far as known; `at` adds to it.

    Attributes:
        what: as given.
        place: all that was given, by name.

    Example:
        >>> exact.finite(torch.tensor([0.0, torch.nan]), "the loss", epoch=3)
        Traceback (most recent call last):
        samebits.exact.guard.NonFinite: NaN or infinity in the loss (epoch 3)
    """

    def __init__(self, what: str, **place: object) -> None:
        super().__init__(what)
        self.what = what
        self.place: dict[str, object] = place

    def __str__(self) -> str:
        place = ", ".join(f"{key} {value}" for key, value in self.place.items())
        return f"NaN or infinity in {self.what}" + (f" ({place})" if place else "")


@contextmanager
def at(**place: object) -> Iterator[None]:
    """Complete the NonFinite errors of a block with where they happened; blocks may nest.

    Args:
        place: what the error is to say: epoch=3, step=17.

    Example:
        >>> with exact.at(epoch=3, step=17):
        ...     exact.finite(torch.tensor(torch.inf), "the loss")
        Traceback (most recent call last):
        samebits.exact.guard.NonFinite: NaN or infinity in the loss (epoch 3, step 17)
    """
    try:
        yield
    except NonFinite as error:
        error.place = {**place, **error.place}
        raise


def finite(x: torch.Tensor, what: str, **place: object) -> torch.Tensor:
    """Return x, or raise NonFinite. Reads the answer back, so on a GPU ask once an epoch (NaN never heals).

    Args:
        x: a tensor of any type and shape.
        what: what it is, for the error.
        place: where, for the error: layer="output".

    Returns:
        x itself.

    Raises:
        NonFinite: if a number of x is a NaN or an infinity.

    Example:
        >>> exact.finite(torch.tensor([0.5]), "the loss").item()
        0.5
    """
    # not isfinite, which makes large tensors; a NaN is the least and the most, and no comparison with it holds
    if x.is_floating_point() and x.numel():
        least, most = x.detach().amin().item(), x.detach().amax().item()
        if not -torch.inf < least <= most < torch.inf:
            raise NonFinite(what, **place)
    return x


def whole(count: object, what: str) -> int:
    """A number of things, as an int. Raises ValueError for less than one, TypeError for what is no whole number."""
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise TypeError(f"{what} is {count!r}, but must be a whole number")
    if count < 1:
        raise Refused(f"{what} {count}: must be at least 1")
    return int(count)


def ceil_log2(count: int) -> int:
    """Bits that a sum of `count` terms may grow by: the smallest n with 2^n >= count."""
    return max(count - 1, 0).bit_length()


def product_bits(terms: int, operands: str = "rr", what: str = "a product") -> int:
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
