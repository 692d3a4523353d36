// The exponentials and the logarithm, spelled out in float64 operations that IEEE 754 rounds in one way. Math.exp and
// Math.log may differ between browsers in the last bit; +, -, *, / and Math.sqrt do not.

import { exponent, power, round } from "./grids.js";

// A number as C writes it in hexadecimal, "0x1.8p-1": JavaScript has no such literals.
export function hexFloat(text) {
  const [, sign, whole, digits, e] = /^(-?)0x([01])\.([0-9a-f]+)p([+-]\d+)$/.exec(text);
  const value = parseInt(whole + digits, 16) * power(Number(e) - 4 * digits.length);
  return sign ? -value : value;
}

const hexFloats = (text) => text.split(" ").map(hexFloat);

const LOG2E = hexFloat("0x1.71547652b82fep+0");
const EXP2 = hexFloats(
  "0x1.0p+0 0x1.62e42fef9cc69p-1 0x1.ebfbdff82a734p-3 0x1.c6b08da70cce3p-5 0x1.3b2ab70ad2565p-7 " +
    "0x1.5d877598350dep-10 0x1.4308c7183d6a2p-13 0x1.00c0e4e15189cp-16 0x1.63b2d7971923fp-20",
);
const SQRT_HALF = hexFloat("0x1.6a09e667f3bcdp-1");
const HIGH = hexFloat("0x1.62e42fefa3800p-1");
const LOW = hexFloat("0x1.ef35793c76730p-45");
const LOG = hexFloats(
  "0x1.5555555555558p-1 0x1.99999999952e2p-2 0x1.2492492df148dp-2 0x1.c71c62e5800a1p-3 0x1.7462b4ab2ef6bp-3 " +
    "0x1.39fe606542ddep-3 0x1.2b584aae78a57p-3",
);

// A polynomial by Horner's rule, from the highest degree. JavaScript rounds the product, then the sum; it fuses none.
export function horner(x, coefficients) {
  let y = coefficients[coefficients.length - 1];
  for (let i = coefficients.length - 2; i >= 0; i--) y = y * x + coefficients[i];
  return y;
}

// E = round(e^d 2^40) for d <= 0, a whole number: what softmax sums.
export function exponential(d) {
  const t = Math.max(d * LOG2E, -64);
  const n = round(t);
  return round(horner(t - n, EXP2) * power(n + 40));
}

export function log(x) {
  let k = exponent(x);
  let m = x / power(k);
  if (m >= 2 * SQRT_HALF) [m, k] = [m / 2, k + 1];
  const t = (m - 1) / (m + 1);
  const z = t * t;
  return k * HIGH + (k * LOW + ((t + t) + (t * z) * horner(z, LOG)));
}
