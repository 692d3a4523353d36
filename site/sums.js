// Sums of float64 that no order can change.

import { exponent, greatest, power, round } from "./grids.js";

// Of a minibatch's losses: each rounded to a multiple of 2^e, with 2^e the smallest power of two of which the greatest
// is at most 2^bits times; then no partial sum is rounded.
export function gridSum(x) {
  const scale = wideGrid(greatest(x, 0, x.length), 53 - Math.ceil(Math.log2(x.length)));
  let sum = 0;
  for (const value of x) sum += round(value / scale);
  return sum * scale;
}

// The smallest power of two >= top / 2^bits.
export function wideGrid(top, bits) {
  if (!Number.isFinite(top)) throw new RangeError(`the greatest magnitude is ${top}`);
  if (top === 0) return 1;
  const scale = power(exponent(top) - bits);
  return scale * power(bits) === top ? scale : 2 * scale;
}

// The true sum, rounded once: in integers, as multiples of 2^-200.
export function fsum(x) {
  const whole = x.reduce((sum, value) => sum + BigInt(value * power(200)), 0n);
  return Number(whole) / power(200);
}
