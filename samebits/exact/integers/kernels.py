"""The passes of `plain`, compiled for this CPU by numba: one reading of memory where torch's operations take several.

Rounding for rounding they are the same: float32 operations one by one, since numba fuses no multiplication and
addition unless it is told to (fastmath), and half to even by adding and taking off 1.5 * 2^23. Maxima are taken of the
numbers' bits, whose order is that of the magnitudes, with a NaN above all. Types are spelled out because numba makes
64 bits of whatever it can, and half as many of those fit into a register.

Arrays have the seeds' axis first. A kernel returns the first seed whose maxima hold a NaN or an infinity, or -1.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from numba.core.caching import FunctionCache

from ..elementary import EXP2, LN2_HIGH, LN2_LOW, LOG, LOG2E, SQRT_HALF
from .interrupts import INTERRUPTED

Array = Any
Int = Any  # int32
ROUND = np.float32(1.5 * 2.0**23)  # added and taken off again it leaves a whole number, for magnitudes up to 2^22
ROUND64 = 1.5 * 2.0**52
MAGNITUDE = np.int32(0x7FFFFFFF)  # the bits of a float32 without its sign
INFINITE = np.int32(0x7F800000)
MAGNITUDE64 = np.int64(0x7FFFFFFFFFFFFFFF)
POLYNOMIAL, LOGARITHM = np.array(EXP2), np.array(LOG)
NUMERATOR = np.ldexp(1.0, np.arange(-64, 1) + 40)  # 2^(n + 40) of n = -64 ... 0
ONE, ZERO = np.float32(1.0), np.float32(0.0)


class Cache(FunctionCache):
    """Compiled code on disk, without which only time is lost: where a place is full, damaged, or gone in the middle
    of a training, code is compiled again.
    """

    def load_overload(self, *args: Any) -> Any:
        """What is kept for some types, or None."""
        with suppress(Exception):  # whatever a damaged file raises
            return super().load_overload(*args)  # type: ignore[no-untyped-call]

    def save_overload(self, *args: Any) -> None:
        """Keep it, if that can be. Raises KeyboardInterrupt for a Ctrl-C that was held while it was compiled."""
        with suppress(Exception):
            super().save_overload(*args)  # type: ignore[no-untyped-call]
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled when it is first called, and kept on disk where a place for that can be written."""
    kernel: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # no place to write to
        kernel._cache = Cache(function)  # type: ignore[no-untyped-call]  # what cache=True sets, but forgiving
    return kernel


@compiled
def exponent(top: int, bits: int) -> Int:
    """`plain.exponents` of one maximum's bits."""
    return np.int32(max(((top + (1 << (23 - bits))) >> 23) - 126 - bits, -100))


@compiled
def power(e: int) -> Int:
    """The bits of 2^e."""
    return np.int32((e + 127) << 23)


@compiled
def rounded(x: float) -> Int:
    """A float32 up to 2^22, half to even."""
    return np.int32((x + ROUND) - ROUND)


@compiled
def top_of(bits: Array) -> Int:
    """The largest magnitude's bits of a row."""
    top = np.int32(0)
    for j in range(len(bits)):
        top = np.int32(max(top, np.int32(bits[j] & MAGNITUDE)))
    return top


@compiled
def on_grid(x: Array, inverse: float, lift: int, q: Array) -> Int:
    """q = round(x 2^-e) - lift of a row; returns the sum of what was rounded."""
    total = np.int32(0)
    for j in range(len(x)):
        r = rounded(x[j] * inverse)
        total = np.int32(total + r)
        q[j] = np.int32(r - lift)
    return total


@compiled
def rows(x: Array, q: Array, step: Array, total: Array) -> int:
    """`plain.rows` of x [s, n, k]."""
    bad, bits, step_bits = -1, x.view(np.int32), step.view(np.int32)
    for s in range(x.shape[0]):
        for i in range(x.shape[1]):
            top = top_of(bits[s, i])
            if top >= INFINITE and bad < 0:
                bad = s
            step_bits[s, i] = power(exponent(top, 7))
            total[s, i] = on_grid(x[s, i], ONE / step[s, i], np.int32(0), q[s, i])
    return bad


@compiled
def folded(g: Array, by: Array, q: Array, step: Array) -> int:
    """`plain.folded` of g [s, n, m] and the steps of the weights' rows [s, m]."""
    h = np.empty(g.shape[2], np.float32)
    bad, bits, step_bits = -1, h.view(np.int32), step.view(np.int32)
    for s in range(g.shape[0]):
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                h[j] = g[s, i, j] * by[s, j]
            top = top_of(bits)
            if top >= INFINITE and bad < 0:
                bad = s
            step_bits[s, i] = power(exponent(top, 7))
            on_grid(h, ONE / step[s, i], np.int32(0), q[s, i])
    return bad


@compiled
def pixels(x: Array, q: Array) -> None:
    """uint8 x [s, n, k] less 128."""
    for s in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                q[s, i, j] = np.int32(np.int32(x[s, i, j]) - np.int32(128))


@compiled
def inputs(x: Array, q: Array, step: Array, lift: Array) -> int:
    """`plain.inputs` of x [s, n, k]."""
    bad, bits, step_bits = -1, x.view(np.int32), step.view(np.int32)
    for s in range(x.shape[0]):
        for i in range(x.shape[1]):
            top, below = np.int32(0), np.int32(0)  # the largest magnitude's bits, and the largest one's below 0
            for j in range(x.shape[2]):
                size = np.int32(bits[s, i, j] & MAGNITUDE)
                top = np.int32(max(top, size))
                below = np.int32(max(below, np.int32((bits[s, i, j] >> 31) & size)))
            if top >= INFINITE and bad < 0:
                bad = s
            signed = below > 0
            lift[s, i] = 0 if signed else 128
            step_bits[s, i] = power(exponent(top, 7 if signed else 8))
            on_grid(x[s, i], ONE / step[s, i], np.int32(lift[s, i]), q[s, i])
    return bad


@compiled
def affine(
    sums: Array, total: Array, w_step: Array, share: float, step: Array, lift: Array, bias: Array, z: Array
) -> int:
    """`plain.affine`: logits z [s, n, m]; `step` and `lift` [s or 1, n]."""
    bad, bits = -1, z.view(np.int32)
    for s in range(z.shape[0]):
        of = s % step.shape[0]
        for i in range(z.shape[1]):
            x, up = step[of, i], np.int32(lift[of, i])
            for j in range(z.shape[2]):
                whole = np.int32(np.int32(sums[s, i, j]) + np.int32(np.int32(total[s, j]) * up))
                z[s, i, j] = np.float32(whole) * ((w_step[s, j] * share) * x) + bias[s, j]
            if top_of(bits[s, i]) >= INFINITE and bad < 0:
                bad = s
    return bad


@compiled
def hidden(
    sums: Array, total: Array, w_step: Array, share: float, step: Array, bias: Array,
    a: Array, q: Array, next_step: Array,
) -> int:  # fmt: skip
    """A hidden layer in one pass: `affine`, a = max(z, 0), and its integers q less 128 as the next layer's inputs."""
    bad, bits, next_bits = -1, a.view(np.int32), next_step.view(np.int32)
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            x = step[s, i]
            for j in range(a.shape[2]):
                whole = np.int32(np.int32(sums[s, i, j]) + np.int32(np.int32(total[s, j]) * np.int32(128)))
                a[s, i, j] = np.float32(whole) * ((w_step[s, j] * share) * x) + bias[s, j]
            top, worst = np.int32(0), np.int32(0)
            for j in range(a.shape[2]):
                z = bits[s, i, j]
                worst = np.int32(max(worst, np.int32(z & MAGNITUDE)))  # -inf too
                z = np.int32(z & ~(z >> 31))  # 0 where the sign is set
                top = np.int32(max(top, z))
                bits[s, i, j] = z
            if worst >= INFINITE and bad < 0:
                bad = s
            next_bits[s, i] = power(exponent(top, 8))
            on_grid(a[s, i], ONE / next_step[s, i], np.int32(128), q[s, i])
    return bad


@compiled
def loss_side(z: Array, y: Array, g: Array, sums: Array, gaps: Array, hits: Array) -> int:
    """The loss side of logits z [s, n, m] and labels y [s, n]: the mean loss's gradient g, and of each row the sum of
    its numerators and d[label], from which its loss follows; hits [s].
    """
    n, m = z.shape[1:]
    e = np.empty(m, np.float64)
    for s in range(z.shape[0]):
        hits[s] = 0
        for i in range(n):
            top, best, label = np.float64(z[s, i, 0]), 0, y[s, i]
            for j in range(m):
                if not abs(z[s, i, j]) < np.inf:
                    return s
                if z[s, i, j] > top:
                    top, best = np.float64(z[s, i, j]), j
            total = 0.0
            for j in range(m):
                t = min(max((np.float64(z[s, i, j]) - top) * LOG2E, -64.0), 0.0)
                whole = (t + ROUND64) - ROUND64
                f = t - whole
                p = f * POLYNOMIAL[8]
                for c in range(7, 0, -1):
                    p = (p + POLYNOMIAL[c]) * f
                p = (p + POLYNOMIAL[0]) * NUMERATOR[np.int64(whole) + 64]
                e[j] = (p + ROUND64) - ROUND64
                total += e[j]
            sums[s, i], gaps[s, i] = total, np.float64(z[s, i, label]) - top
            hits[s] += best == label
            for j in range(m):
                p = e[j] / total
                if j == label:
                    p -= 1.0
                g[s, i, j] = np.float32(p / np.float64(n))
    return -1


@compiled
def mean_losses(sums: Array, gaps: Array, bits: int, means: Array) -> None:
    """The means [s] of log(sum 2^-40) - gap over rows [s, n]: `samebits.exact.log`, and an exact sum with `bits` for
    each term.
    """
    n = sums.shape[1]
    rows, top = np.empty(n, np.float64), np.empty(1, np.float64)
    row_bits, top_bits = rows.view(np.int64), top.view(np.int64)
    for s in range(sums.shape[0]):
        top[0] = 0.0
        for i in range(n):
            rows[i] = sums[s, i] * 2.0**-40  # from 1 to 2^13
            k = (row_bits[i] >> 52) - 1022
            row_bits[i] = (row_bits[i] & 0xFFFFFFFFFFFFF) | (1022 << 52)
            m = rows[i]
            if m < SQRT_HALF:
                m, k = m + m, k - 1
            t = (m - 1.0) / (m + 1.0)
            z = t * t
            p = z * LOGARITHM[6]
            for c in range(5, 0, -1):
                p = (p + LOGARITHM[c]) * z
            p = p + LOGARITHM[0]
            rows[i] = k * LN2_HIGH + (k * LN2_LOW + ((t + t) + (t * z) * p)) - gaps[s, i]
            top[0] = max(top[0], abs(rows[i]))
        e = 0 if top[0] == 0.0 else (top_bits[0] >> 52) - 1022 - ((top_bits[0] & 0xFFFFFFFFFFFFF) == 0)
        top_bits[0] = (e - bits + 1023) << 52
        grid, total = top[0] * ROUND64, 0.0
        for i in range(n):
            total += (rows[i] + grid) - grid
        means[s] = total / np.float64(n)


@compiled
def columns(g: Array, step: Array, lift: Array, h: Array, q: Array, q_step: Array, lifted: Array) -> int:
    """`plain.columns` of g [s, n, m]; `step` and `lift` [s or 1, n]; h [n, m] is memory."""
    tops = np.empty(g.shape[2], np.int32)
    bad, bits, q_bits = -1, h.view(np.int32), q_step.view(np.int32)
    for s in range(g.shape[0]):
        of = s % step.shape[0]
        tops[:] = 0
        for i in range(g.shape[1]):
            x = step[of, i]
            for j in range(g.shape[2]):
                h[i, j] = g[s, i, j] * x
            for j in range(g.shape[2]):
                tops[j] = np.int32(max(tops[j], np.int32(bits[i, j] & MAGNITUDE)))
        if top_of(tops) >= INFINITE and bad < 0:
            bad = s
        for j in range(g.shape[2]):
            q_bits[s, j] = power(exponent(tops[j], 7))
            lifted[s, j] = 0
            tops[j] = power(np.int32(-exponent(tops[j], 7)))
        inverse = tops.view(np.float32)
        for i in range(g.shape[1]):
            up = np.int32(lift[of, i])
            for j in range(g.shape[2]):
                r = rounded(h[i, j] * inverse[j])
                q[s, i, j] = r
                lifted[s, j] = np.int32(lifted[s, j] + np.int32(r * up))
    return bad


@compiled
def bias_gradient(g: Array, out: Array) -> int:
    """`plain.bias_gradient` of g [s, n, m]."""
    tops, sums = np.empty(g.shape[2], np.int32), np.empty(g.shape[2], np.int64)
    bad, bits = -1, g.view(np.int32)
    for s in range(g.shape[0]):
        tops[:] = 0
        sums[:] = 0
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                tops[j] = np.int32(max(tops[j], np.int32(bits[s, i, j] & MAGNITUDE)))
        if top_of(tops) >= INFINITE and bad < 0:
            bad = s
        for j in range(g.shape[2]):
            tops[j] = power(np.int32(-exponent(tops[j], 22)))
        inverse = tops.view(np.float32)
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                sums[j] += rounded(g[s, i, j] * inverse[j])
        for j in range(g.shape[2]):
            out[s, j] = np.float32(sums[j]) * (ONE / inverse[j])
    return bad


@compiled
def gradient(
    g: Array, step: Array, lift: Array, h: Array, q: Array, q_step: Array, lifted: Array, db: Array,
    w_step: Array, delta: Array, delta_step: Array, for_input: bool, for_weight: bool, for_bias: bool,
) -> int:  # fmt: skip
    """All that a layer's gradients g are turned into: `columns`, `bias_gradient`, `folded`, as far as wanted."""
    bad = -1
    if for_weight:
        bad = columns(g, step, lift, h, q, q_step, lifted)
    if for_bias and bad < 0:
        bad = bias_gradient(g, db)
    if for_input and bad < 0:
        bad = folded(g, w_step, delta, delta_step)
    return bad


@compiled
def scaled(sums: Array, lifted: Array, step: Array, share: float, out: Array) -> None:
    """float32(sum + lifted) * (2^e c) of rows [s, n, m]: `plain.weight_gradient` and `plain.input_gradient`."""
    for s in range(out.shape[0]):
        for i in range(out.shape[1]):
            scale, up = step[s, i] * share, np.int32(lifted[s, i])
            for j in range(out.shape[2]):
                out[s, i, j] = np.float32(np.int32(np.int32(sums[s, i, j]) + up)) * scale


@compiled
def below(sums: Array, step: Array, a: Array, g: Array) -> None:
    """The gradient for a hidden layer in one pass: `plain.input_gradient`, 0 where the unit was off."""
    for s in range(g.shape[0]):
        for i in range(g.shape[1]):
            scale = step[s, i]
            for j in range(g.shape[2]):
                v = np.float32(np.int32(sums[s, i, j])) * scale
                g[s, i, j] = v if a[s, i, j] > ZERO else ZERO


@compiled
def sgd(w: Array, g: Array, v: Array, lr: float, momentum: float, decay: float) -> None:
    """The update of flat arrays: each product, sum and difference a rounding; v and w in place."""
    for j in range(len(w)):
        step = g[j]
        if decay != ZERO:
            step = step + w[j] * decay
        if momentum != ZERO:
            step = v[j] * momentum + step
            v[j] = step
        w[j] = w[j] - step * lr


@compiled
def update(
    sums: Array, lifted: Array, g_step: Array, share: float, w: Array, v: Array,
    q: Array, step: Array, total: Array, lr: float, momentum: float, decay: float,
) -> int:  # fmt: skip
    """Rows of weights [n, k] in one pass: their gradient from its sums, the update, and their integers anew."""
    bad, bits, step_bits = -1, w.view(np.int32), step.view(np.int32)
    for i in range(w.shape[0]):
        scale, up = g_step[i] * share, np.int32(lifted[i])
        for j in range(w.shape[1]):
            g = np.float32(np.int32(np.int32(sums[i, j]) + up)) * scale
            if decay != ZERO:
                g = g + w[i, j] * decay
            if momentum != ZERO:
                g = v[i, j] * momentum + g
                v[i, j] = g
            w[i, j] = w[i, j] - g * lr
        top = top_of(bits[i])
        if top >= INFINITE:
            bad = 0
        step_bits[i] = power(exponent(top, 7))
        total[i] = on_grid(w[i], ONE / step[i], np.int32(0), q[i])
    return bad


@compiled
def gather(images: Array, rows: Array, q: Array) -> None:
    """The pixels [n, k] of some rows of images [N, k], uint8, less 128."""
    for i in range(len(rows)):
        image = images[rows[i]]
        for j in range(q.shape[1]):
            q[i, j] = np.int32(np.int32(image[j]) - np.int32(128))


@compiled
def transposed(q: Array, out: Array) -> None:
    """out [s, k, n] = q [s, n, k] turned over."""
    for s in range(q.shape[0]):
        for j in range(q.shape[2]):
            for i in range(q.shape[1]):
                out[s, j, i] = q[s, i, j]


@compiled
def sum_on_grid(x: Array, grid: float) -> Any:
    """The sum of float64 x, which is overwritten, in steps of the grid that `grid` = 1.5 * 2^(52 + e) rounds to: added
    to that, numbers have consecutive bits for consecutive multiples of 2^e, and integers are summed in any order.
    """
    one, bits, total = np.empty(1, np.float64), x.view(np.int64), np.int64(0)
    one[0] = grid
    for j in range(len(x)):
        x[j] = x[j] + grid
    for j in range(len(x)):
        total += bits[j]
    return total - one.view(np.int64)[0] * len(x)


@compiled
def top_of64(x: Array) -> Any:
    """The largest magnitude's bits of float64 x."""
    bits, top = x.view(np.int64), np.int64(0)
    for j in range(len(x)):
        top = max(top, bits[j] & MAGNITUDE64)
    return top


@compiled
def deviations(x: Array, mean: Array, squared: bool, grid: Array, out: Array) -> None:
    """Sums out [m], in steps of their grids, of d = x - mean, or of d d, for the rows x[:, c] of x [a, m, l]."""
    d = np.empty(x.shape[2], np.float64)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for j in range(len(d)):
                d[j] = np.float64(x[i, c, j]) - mean[c]
            if squared:
                for j in range(len(d)):
                    d[j] = d[j] * d[j]
            out[c] += sum_on_grid(d, grid[c])


@compiled
def normalise(x: Array, mean: Array, s: Array, w: Array, b: Array, y: Array) -> None:
    """y = ((x - mean) / s) w + b."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for j in range(x.shape[2]):
                y[i, c, j] = ((np.float64(x[i, c, j]) - mean[c]) / s[c]) * w[c] + b[c]


@compiled
def normal_tops(g: Array, x: Array, mean: Array, s: Array, w: Array, tops: Array) -> None:
    """The greatest magnitudes tops [2, m] of g X and of h X, with X = (x - mean) / s and h = g w."""
    a, b, bits = np.empty(x.shape[2], np.float64), np.empty(x.shape[2], np.float64), tops.view(np.int64)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for j in range(len(a)):
                upstream, X = np.float64(g[i, c, j]), (np.float64(x[i, c, j]) - mean[c]) / s[c]
                a[j], b[j] = upstream * X, (upstream * w[c]) * X
            bits[0, c] = max(bits[0, c], top_of64(a))
            bits[1, c] = max(bits[1, c], top_of64(b))


@compiled
def normal_sums(g: Array, x: Array, mean: Array, s: Array, w: Array, grid: Array, out: Array) -> None:
    """Sums out [4, m], in steps of their grids, of g X, g, h and h X."""
    t = np.empty((4, x.shape[2]), np.float64)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for j in range(t.shape[1]):
                upstream, X = np.float64(g[i, c, j]), (np.float64(x[i, c, j]) - mean[c]) / s[c]
                h = upstream * w[c]
                t[0, j], t[1, j], t[2, j], t[3, j] = upstream * X, upstream, h, h * X
            for k in range(4):
                out[k, c] += sum_on_grid(t[k], grid[k, c])


@compiled
def normal_below(
    g: Array, x: Array, mean: Array, s: Array, w: Array, first: Array, second: Array, out: Array
) -> None:  # fmt: skip
    """out = ((h - first) - X second) / s."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            for j in range(x.shape[2]):
                X = (np.float64(x[i, c, j]) - mean[c]) / s[c]
                out[i, c, j] = ((np.float64(g[i, c, j]) * w[c] - first[c]) - X * second[c]) / s[c]


@compiled
def convolved(
    sums: Array, total: Array, w_step: Array, share: float, step: Array, lift: Array, bias: Array, z: Array
) -> None:  # fmt: skip
    """`plain.affine` of a convolution's sums [m, n, l], turned over to z [n, m, l]."""
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            scale, up = (w_step[c] * share) * step[i], np.int32(np.int32(total[c]) * np.int32(lift[i]))
            for j in range(z.shape[2]):
                z[i, c, j] = np.float32(np.int32(np.int32(sums[c, i, j]) + up)) * scale + bias[c]


@compiled
def sliced(g: Array, scale: Array, inverse: Array, lift: Array, both: Array, lifted: Array) -> None:
    """Integers of 14 bits of g [n, m, l], as `convolution.slices` both [2, m, n, l]; lifted [m] is their sum times the
    samples' lifts.
    """
    for i in range(g.shape[0]):
        for c in range(g.shape[1]):
            total = np.int64(0)
            for j in range(g.shape[2]):
                q = rounded((g[i, c, j] * scale[i]) * inverse[c])
                high = np.int32(np.int32(q + np.int32(128)) >> np.int32(8))
                both[0, c, i, j] = high
                both[1, c, i, j] = np.int32(q - np.int32(high << np.int32(8)))
                total += q
            lifted[c] += total * np.int64(lift[i])


@compiled
def added(patches: Array, strides: Array, dilations: Array, whole: Array) -> None:
    """`windows.added` of patches [c, rows, columns, n, *out], to padded pictures whole [c, n, ...] of zeros."""
    channels, rows, columns, n, down, across = patches.shape
    for c in range(channels):
        for i in range(n):
            for a in range(rows):
                for b in range(columns):
                    for r in range(down):
                        place = whole[c, i, a * dilations[0] + r * strides[0], b * dilations[1] :]
                        entries = patches[c, a, b, i, r]
                        if strides[1] == 1:
                            for j in range(across):
                                place[j] += entries[j]
                        else:
                            for j in range(across):
                                place[j * strides[1]] += entries[j]
