"""Is this machine's arithmetic IEEE 754's? Asked at the door, by trying it, since nothing later would show."""

import math
import os
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from . import random
from .guard import CLASSES, SIGNIFICAND, Refused, ceil_log2, product_bits, whole

SHARED = 2**15  # entries from which on torch gives work to one thread more, and each rounds in a mode of its own
TRIED = 2048  # random inputs: of a thousand roots, torch's on a CPU gets 6 to 13 wrong
EMULATION = "CUBLAS_EMULATE_DOUBLE_PRECISION"

# What a sum or a product must give. Halfway cases go to the even neighbour: rounding up, down or towards zero misses
# one of them at least. A denormal number is one as a result and as an operand.
ULP = math.ldexp(1.0, -52)
SUMS = torch.tensor([
    [1.0, ULP * 0.5, 1.0], [1.0 + ULP, ULP * 0.5, 1.0 + 2.0 * ULP],
    [-1.0, ULP * -0.5, -1.0], [-1.0 - ULP, ULP * -0.5, -1.0 - 2.0 * ULP],
], dtype=torch.float64, device="cpu").mT  # fmt: skip
PRODUCTS = torch.tensor([
    [math.ldexp(1.0, -1022), 0.5, math.ldexp(1.0, -1023)], [math.ldexp(1.0, -1074), math.ldexp(1.0, 1023), 2 * ULP],
], dtype=torch.float64, device="cpu").mT  # fmt: skip


def require_sizes(batch: int, widths: Sequence[int], device: torch.device | str = "cpu") -> None:
    """Refuse, before training, a batch, layer widths or a device that is not exact.

    Args:
        batch: images in a minibatch.
        widths: of the layers, inputs first, classes last.
        device: where it is to be computed.

    Raises:
        Refused: with the arithmetic that does not fit into 53 bits, or what the device does wrong.

    Example:
        >>> exact.require_sizes(batch=256, widths=(784, 10))
    """
    if len(widths) < 2:
        raise Refused(f"widths {list(widths)}: a network has two at least, those of its inputs and of its classes")
    for name, given in (("batch", batch), *(("width", width) for width in widths)):
        count = whole(given, name)
        product_bits(count, what=f"a product over a {name} of {count}")
    if widths[-1] > CLASSES:
        raise Refused(
            f"{widths[-1]} classes: a row of softmax sums integers up to 2^40, and 40 + "
            f"{ceil_log2(widths[-1])} bits exceed {SIGNIFICAND}; at most {CLASSES} classes"
        )
    require_device(device)


def require_device(device: torch.device | str) -> None:
    """Refuse a device or a process whose arithmetic is not IEEE 754's.

    What a library or a device does once and for all, division and root, is tried once (a millisecond), and what may
    change while a process lives, rounding and denormals, at each call (50 microseconds).

    Args:
        device: where it is to be computed.

    Raises:
        Refused: saying what the device, or a setting of this process, does otherwise.

    Example:
        >>> exact.require_device("cpu")
    """
    where = torch.device(device)
    if where.type == "mps":
        raise Refused("device mps has no float64, and exact arithmetic is float64; use cpu or cuda")
    if where.type not in ("cpu", "cuda"):
        raise Refused(f"nothing is proven of device {where}; use cpu or cuda")
    if where.type == "cuda":
        require_plain_products()
    require_modes(1)
    require_operations(where)


def require_modes(rows: int) -> None:
    """Refuse a rounding mode other than to nearest, and flushed denormals, in the threads that share so many rows."""
    (a, b, true), (x, y, small) = SUMS, PRODUCTS
    for library, added, multiplied in (
        ("torch", a.expand(rows, 4) + b, x.expand(rows, 2) * y),
        ("numpy", torch.from_numpy(a.numpy() + b.numpy()), torch.from_numpy(x.numpy() * y.numpy())),
    ):
        if not bool((added == true).all()):
            raise Refused(
                f"{library} does not round to the nearest number here: something changed the rounding mode of this "
                "process; set it back (fesetround(FE_TONEAREST))"
            )
        if not bool((multiplied == small).all()):
            raise Refused(
                f"denormals are flushed to zero here, by {library}: call torch.set_flush_denormal(False) before "
                "anything is computed, and load no library that was built with -ffast-math"
            )


@cache
def require_operations(device: torch.device) -> None:
    """Refuse modes that differ in other threads; a division on this device or a root, the one that is used, that differ
    from Python's own.
    """
    require_modes(SHARED // 2 * torch.get_num_threads())
    x = torch.from_numpy(random.draws(2 * TRIED, 0, "machine").astype(np.float64))
    a, b = x[:TRIED], x[TRIED:]
    if (a.to(device) / b.to(device)).tolist() != [p / q for p, q in zip(a.tolist(), b.tolist(), strict=True)]:
        raise Refused(f"division on {device} is not correctly rounded: use another device or version of torch")
    if random.root(a).tolist() != [math.sqrt(p) for p in a.tolist()]:
        raise Refused("the square root is not correctly rounded: use another version of numpy")


def require_plain_products() -> None:
    """See to it that products on a GPU are what they are called.

    Those of float64, today's, must not be put together from smaller ones by cuBLAS. Those of small integers in float32,
    bfloat16 or float16 are exact as long as their sums are kept in float32: so no TF32 and no reduced-precision sums.
    """
    if os.environ.get(EMULATION, "0") not in ("", "0"):
        raise Refused(f"{EMULATION}={os.environ[EMULATION]} has cuBLAS emulate float64 products: unset it")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    for name, off in (
        ("TF32", torch.get_float32_matmul_precision() == "highest"),
        ("float16", not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction),
        ("bfloat16", not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction),
    ):
        if not off:
            raise Refused(f"products on this GPU may be rounded to {name} on the way, and that cannot be switched off")
