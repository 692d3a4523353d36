// First weights: uniform, PyTorch's default, or normal, as the book has them.

import { horner, log } from "./elementary.js";
import { draws } from "./numbers.js";

// A layer's first weights [out, in], row by row, and biases, float32.
export function firstLayer(index, into, out, initStd, seed) {
  const [weight, bias] = [`layer${index}.weight`, `layer${index}.bias`];
  if (initStd === null) return { w: uniform(out * into, seed, weight, into), b: uniform(out, seed, bias, into) };
  return { w: normal(out * into, seed, weight, initStd), b: new Float32Array(out) };
}

// Between -1 / sqrt(fanIn) and 1 / sqrt(fanIn), multiples of 2^-24.
export function uniform(count, seed, tag, fanIn) {
  const r = Math.floor(Math.sqrt(Math.floor(2 ** 48 / fanIn)));
  const steps = (draw) => Number(((draw >> 32n) * BigInt(2 * r)) >> 32n) - r;
  return Float32Array.from(draws(count, seed, tag), (draw) => steps(draw) / 2 ** 24);
}

export function normal(count, seed, tag, std) {
  const p = (draw) => Number(2n * (draw >> 12n) + 1n) / 2 ** 53; // the high 52 bits of a draw
  return Float32Array.from(draws(count, seed, tag), (draw) => quantile(p(draw)) * std);
}

// The normal quantile of Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988).
function quantile(p) {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(0.180625 - q * q, CENTRE);
  const r = Math.sqrt(-log(Math.min(p, 1 - p)));
  const outer = r <= 5 ? ratio(r - 1.6, SIDE) : ratio(r - 5, TAIL);
  return q < 0 ? -outer : outer;
}

const ratio = (x, [top, bottom]) => horner(x, top) / horner(x, bottom);

const CENTRE = [
  [3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3],
  [1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3],
];

const SIDE = [
  [1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
    1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4],
  [1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9],
];

const TAIL = [
  [6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7],
  [1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15],
];
