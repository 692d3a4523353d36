// A network and one step of its training: the roundings of docs/exact.md, "Training on 8-bit integers", by number.

import { exponential, log } from "./elementary.js";
import { inputBits, snapRows } from "./grids.js";
import { smallProduct, transpose } from "./products.js";
import { firstLayer } from "./starts.js";
import { gridSum } from "./sums.js";

const f32 = Math.fround; // rounds to float32: after one float64 operation on float32 numbers, as that operation would
export const PIXEL = f32(1 / 255);

// Layers between each two of `widths`, with weights, biases and their velocities (0).
export function network(widths, initStd, seed) {
  return widths.slice(1).map((out, index) => {
    const into = widths[index];
    const { w, b } = firstLayer(index, into, out, initStd, seed);
    return { into, out, w, b, vw: new Float32Array(w.length), vb: new Float32Array(out) };
  });
}

// Rule 3. Pixels are whole numbers already, and 1/255 stays in the scale; of other inputs each sample has a grid.
export const pixelOperand = (pixels, rows) => ({ q: pixels, scale: new Float64Array(rows).fill(1), c: PIXEL });
export const realOperand = (x, rows, columns) => ({ ...snapRows(x, rows, columns, inputBits), c: 1 });

// One step; returns the minibatch's mean loss and its hits.
export function step(layers, input, labels, rates) {
  const rows = labels.length;
  const passes = [];
  for (const layer of layers) {
    passes.push(forward(layer, input, rows));
    if (layer !== layers.at(-1)) input = realOperand(rectified(passes.at(-1).z), rows, layer.out);
  }
  let { g, losses, hits } = lossSide(passes.at(-1).z, labels, layers.at(-1).out);
  for (let l = layers.length - 1; l >= 0; l--) {
    const [layer, pass] = [layers[l], passes[l]];
    const gradients = { w: weightGradient(g, pass, layer, rows), b: biasGradient(g, layer.out, rows) };
    if (l > 0) g = gradientBelow(g, pass, layer, rows, passes[l - 1].z);
    update(layer.w, layer.vw, gradients.w, rates);
    update(layer.b, layer.vb, gradients.b, rates);
  }
  return { mean: gridSum(losses) / rows, hits };
}

// Rules 2 and 4: logits z [rows, out], with the operands that the way back needs again.
function forward(layer, input, rows) {
  const weight = snapRows(layer.w, layer.out, layer.into, 7);
  const sums = smallProduct(input.q, rows, weight.q, layer.out, layer.into);
  const z = new Float32Array(sums.length);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let unit = 0; unit < layer.out; unit++, i++) {
      const scale = f32(f32(weight.scale[unit] * input.c) * input.scale[r]);
      z[i] = f32(f32(f32(sums[i]) * scale) + layer.b[unit]);
      if (!Number.isFinite(z[i])) throw new RangeError(`an output is ${z[i]}`); // rule 11
    }
  }
  return { input, weight, z };
}

const rectified = (z) => z.map((value) => Math.max(value, 0));

// Rules 5 and 10: the gradient at the logits, each row's loss, and how many rows are right.
function lossSide(z, labels, classes) {
  const g = new Float32Array(z.length);
  const losses = new Float64Array(labels.length);
  let hits = 0;
  for (let row = 0; row < labels.length; row++) {
    const { loss, first, powers, sum } = rowLoss(z, row * classes, classes, labels[row]);
    losses[row] = loss;
    hits += first === labels[row];
    for (let k = 0; k < classes; k++) {
      const p = powers[k] / sum;
      g[row * classes + k] = f32((k === labels[row] ? p - 1 : p) / labels.length);
    }
  }
  return { g, losses, hits };
}

// Of the row of logits from `start` on: the loss, the first of its greatest entries, the exponentials and their sum.
export function rowLoss(z, start, classes, label) {
  let first = 0;
  for (let k = 1; k < classes; k++) if (z[start + k] > z[start + first]) first = k;
  const powers = new Float64Array(classes);
  let sum = 0;
  for (let k = 0; k < classes; k++) sum += powers[k] = exponential(z[start + k] - z[start + first]);
  return { loss: log(sum / 2 ** 40) - (z[start + label] - z[start + first]), first, powers, sum };
}

// Rule 6.
function biasGradient(g, out, rows) {
  const { q, scale } = snapRows(transpose(g, rows, out), out, rows, 22);
  return scale.map((power, unit) => {
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += q[unit * rows + r];
    return f32(f32(sum) * power);
  });
}

// Rule 7: the samples' scales lie on the axis that is summed, so they are multiplied in first.
function weightGradient(g, { input }, layer, rows) {
  const h = g.map((value, i) => f32(value * input.scale[Math.floor(i / layer.out)]));
  const { q, scale } = snapRows(transpose(h, rows, layer.out), layer.out, rows, 7);
  const sums = smallProduct(q, layer.out, transpose(input.q, rows, layer.into), layer.into, rows);
  const gradient = new Float32Array(sums.length);
  for (let unit = 0, i = 0; unit < layer.out; unit++) {
    const power = f32(scale[unit] * input.c);
    for (let t = 0; t < layer.into; t++, i++) gradient[i] = f32(f32(sums[i]) * power);
  }
  return gradient;
}

// Rule 8: with the weights' integers of the way there; 0 where the unit below was off.
function gradientBelow(g, { weight }, layer, rows, below) {
  const h = g.map((value, i) => f32(value * weight.scale[i % layer.out]));
  const { q, scale } = snapRows(h, rows, layer.out, 7);
  const columns = transpose(weight.q, layer.out, layer.into);
  const sums = smallProduct(q, rows, columns, layer.into, layer.out);
  return below.map((z, i) => (z > 0 ? f32(f32(sums[i]) * scale[Math.floor(i / layer.into)]) : 0));
}

// Rule 9, for weights and biases alike.
function update(w, v, g, { lr, momentum, decay }) {
  for (let i = 0; i < w.length; i++) {
    const slope = decay ? f32(g[i] + f32(w[i] * decay)) : g[i];
    v[i] = momentum ? f32(f32(v[i] * momentum) + slope) : slope;
    w[i] = f32(w[i] - f32(v[i] * lr));
  }
}
