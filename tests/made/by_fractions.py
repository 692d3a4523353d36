"""Training on 8-bit integers, number by number: Python's integers and fractions, from the list of roundings alone.

A float32 number is a float that holds one; each operation on it is done in fractions and rounded once. Nothing here
comes from samebits, nor from numpy or torch.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

Row = list[float]
Matrix = list[Row]
Wholes = list[int]

LOG2E = float.fromhex("0x1.71547652b82fep+0")
EXP2 = list(map(float.fromhex, (
    "0x1.0p+0", "0x1.62e42fef9cc69p-1", "0x1.ebfbdff82a734p-3", "0x1.c6b08da70cce3p-5", "0x1.3b2ab70ad2565p-7",
    "0x1.5d877598350dep-10", "0x1.4308c7183d6a2p-13", "0x1.00c0e4e15189cp-16", "0x1.63b2d7971923fp-20",
)))  # fmt: skip


def to_float32(x: Fraction) -> float:
    """A number rounded to float32, half to even, in integers; beyond its largest number an infinity."""
    if not x:
        return 0.0
    size = abs(x)
    e = size.numerator.bit_length() - size.denominator.bit_length()
    e = max(e - (size < Fraction(2) ** e), -126) - 23  # of the last place
    q = round(size / Fraction(2) ** e)  # half to even
    value = Fraction(q) * Fraction(2) ** e
    made = float(value) if value < Fraction(2) ** 128 else math.inf
    return -made if x < 0 else made


def add(a: float, b: float) -> float:
    return to_float32(Fraction(a) + Fraction(b))


def subtract(a: float, b: float) -> float:
    return to_float32(Fraction(a) - Fraction(b))


def multiply(a: float, b: float) -> float:
    return to_float32(Fraction(a) * Fraction(b))


def single(x: float) -> float:
    """A number of Python's, as float32."""
    return to_float32(Fraction(x))


def power(e: int) -> float:
    """2^e."""
    return to_float32(Fraction(2) ** e)


def grid(top: float, p: int) -> int:
    """The least e >= -100 with round(top / 2^e) < 2^p: rule 1."""
    e = -100
    while whole(top, e) >= 2**p:
        e += 1
    return e


def whole(x: float, e: int) -> int:
    """round(x / 2^e), half to even."""
    return round(Fraction(x) / Fraction(2) ** e)


def on_grid(row: Row, p: int) -> tuple[int, Wholes]:
    """A row's exponent and integers."""
    e = grid(max(map(abs, row)), p)
    return e, [whole(x, e) for x in row]


def columns(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def inputs(x: Matrix, levels: int | None) -> list[tuple[int, Wholes]]:
    """Each sample's exponent and integers: rule 3. `levels` for pixels, None for real inputs."""
    if levels is not None:
        return [(0, [int(p) for p in row]) for row in x]
    return [on_grid(row, 7 if min(row) < 0 else 8) for row in x]


def worth(levels: int | None) -> float:
    """The constant c."""
    return 1.0 if levels is None else to_float32(Fraction(1, levels))


def logits(x: Matrix, w: Matrix, b: Row, levels: int | None) -> Matrix:
    """Rules 2 and 4, before max(z, 0)."""
    rows, c = [on_grid(row, 7) for row in w], worth(levels)
    return [[add(multiply(single(dot(qx, qw)), multiply(multiply(power(ew), c), power(ex))), bias)
             for (ew, qw), bias in zip(rows, b, strict=True)] for ex, qx in inputs(x, levels)]  # fmt: skip


def dot(a: Wholes, b: Wholes) -> int:
    return sum(p * q for p, q in zip(a, b, strict=True))


def loss_gradient(z: Matrix, y: Wholes) -> Matrix:
    """Of the mean loss for the logits: rule 5. Python's floats are the float64 it asks for."""
    gradient = []
    for row, label in zip(z, y, strict=True):
        e = [numerator(v - max(row)) for v in row]
        p = [float(each) / float(sum(e)) for each in e]
        p[label] -= 1.0
        gradient.append([single(v / float(len(z))) for v in p])
    return gradient


def numerator(d: float) -> int:
    """round(2^40 e^d)."""
    t = max(d * LOG2E, -64.0)
    n = round(t)
    f = t - n
    y = f * EXP2[8]
    for c in EXP2[7:0:-1]:
        y = (y + c) * f
    return round(Fraction(y + EXP2[0]) * Fraction(2) ** (n + 40))


def losses(z: Matrix, y: Wholes) -> Row:
    """With the library's logarithm, so to some digits only."""
    return [math.log(sum(numerator(v - max(row)) for v in row) * 2.0**-40) - (row[label] - max(row))
            for row, label in zip(z, y, strict=True)]  # fmt: skip


def bias_gradient(g: Matrix) -> Row:
    """Rule 6."""
    return [multiply(single(sum(q)), power(e)) for e, q in (on_grid(column, 22) for column in columns(g))]


def weight_gradient(g: Matrix, x: Matrix, levels: int | None) -> Matrix:
    """Rule 7."""
    samples, c = inputs(x, levels), worth(levels)
    h = [[multiply(v, power(ex)) for v in row] for row, (ex, _) in zip(g, samples, strict=True)]
    made = []
    for e, q in (on_grid(column, 7) for column in columns(h)):
        sums = [dot(q, list(inputs_of)) for inputs_of in zip(*(qx for _, qx in samples), strict=True)]
        made.append([multiply(single(k), multiply(power(e), c)) for k in sums])
    return made


def input_gradient(g: Matrix, w: Matrix) -> Matrix:
    """Rule 8, before zeros where the unit was off."""
    rows = [on_grid(row, 7) for row in w]
    made = []
    for sample in g:
        e, q = on_grid([multiply(v, power(ew)) for v, (ew, _) in zip(sample, rows, strict=True)], 7)
        sums = [dot(q, list(weights)) for weights in zip(*(qw for _, qw in rows), strict=True)]
        made.append([multiply(single(k), power(e)) for k in sums])
    return made


def updated(w: Row, g: Row, v: Row, lr: float, momentum: float, decay: float) -> tuple[Row, Row]:
    """The weights and their velocity: rule 9. The first velocity is all 0, and g after the first step."""
    lr, momentum, decay = map(single, (lr, momentum, decay))
    if decay:
        g = [add(each, multiply(old, decay)) for each, old in zip(g, w, strict=True)]
    if momentum:
        g = v = [add(multiply(old, momentum), each) for old, each in zip(v, g, strict=True)]
    return [subtract(old, multiply(each, lr)) for old, each in zip(w, g, strict=True)], v


@dataclass
class Layer:
    """Weight [m][k], bias [m] and their velocities."""

    w: Matrix
    b: Row
    vw: Matrix = field(init=False)
    vb: Row = field(init=False)

    def __post_init__(self) -> None:
        self.vw, self.vb = [[0.0] * len(row) for row in self.w], [0.0] * len(self.b)


def step(layers: list[Layer], x: Matrix, y: Wholes, levels: int | None, *rates: float) -> float:
    """Learn from a minibatch; the mean loss before, to some digits."""
    seen: list[tuple[Matrix, int | None]] = []
    for layer in layers:
        seen.append((x, levels))
        z = logits(x, layer.w, layer.b, levels)
        x, levels = [[max(v, 0.0) for v in row] for row in z], None
    g, mean = loss_gradient(z, y), math.fsum(losses(z, y)) / len(y)
    for layer, (x, levels) in zip(layers[::-1], seen[::-1], strict=True):
        dw, db = weight_gradient(g, x, levels), bias_gradient(g)
        if layer is not layers[0]:
            below = input_gradient(g, layer.w)
            g = [[v if a > 0 else 0.0 for v, a in zip(*rows, strict=True)] for rows in zip(below, x, strict=True)]
        for i, row in enumerate(layer.w):
            layer.w[i], layer.vw[i] = updated(row, dw[i], layer.vw[i], *rates)
        layer.b, layer.vb = updated(layer.b, db, layer.vb, *rates)
    return mean
