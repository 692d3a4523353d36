// A split as a float64 model has it: products that keep 21 bits of each operand and more (docs/exact.md, "The idea").

import { greatest, round } from "./grids.js";
import { rowLoss } from "./network.js";
import { product } from "./products.js";
import { fsum, wideGrid } from "./sums.js";

// Mean loss and share of hits over all images of a split.
export function judge(layers, split) {
  const z = logits(layers, split);
  const losses = new Float64Array(split.labels.length);
  let hits = 0;
  split.labels.forEach((label, row) => {
    const { loss, first } = rowLoss(z, row * layers.at(-1).out, layers.at(-1).out, label);
    losses[row] = loss;
    hits += first === label;
  });
  return { loss: fsum(losses) / losses.length, accuracy: hits / losses.length };
}

function logits(layers, split) {
  const rows = split.labels.length;
  let z = split.pixels;
  layers.forEach((layer, index) => {
    z = index ? realLayer(layer, z.map((value) => Math.max(value, 0)), rows) : pixelLayer(layer, z, rows);
  });
  return z;
}

// Pixels are exact with 8 bits, and the weights have the rest. Divided by 255 after the sum, then the bias.
function pixelLayer(layer, pixels, rows) {
  const weight = onGrid(layer.w, 45 - termBits(layer));
  const sums = product(Float64Array.from(pixels), rows, weight.q, layer.out, layer.into);
  return sums.map((sum, i) => (sum * weight.scale) / 255 + layer.b[i % layer.out]);
}

// Both share evenly; each image has a grid of its own, so that it does not depend on those beside it.
function realLayer(layer, x, rows) {
  const bits = Math.floor((53 - termBits(layer)) / 2);
  const weight = onGrid(layer.w, bits);
  const scales = new Float64Array(rows);
  const q = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    const image = onGrid(x.subarray(row * layer.into, (row + 1) * layer.into), bits);
    scales[row] = image.scale;
    q.set(image.q, row * layer.into);
  }
  const sums = product(q, rows, weight.q, layer.out, layer.into);
  return sums.map((sum, i) => sum * (scales[Math.floor(i / layer.out)] * weight.scale) + layer.b[i % layer.out]);
}

const termBits = (layer) => Math.ceil(Math.log2(layer.into));

function onGrid(x, bits) {
  const scale = wideGrid(greatest(x, 0, x.length), bits);
  return { q: Float64Array.from(x, (value) => round(value / scale)), scale };
}
