// A run: every seed, epoch by epoch, and what its history says of each.

import { judge } from "./judging.js";
import { network, pixelOperand, step } from "./network.js";
import { permutation } from "./numbers.js";
import { fsum } from "./sums.js";

// Yields after each epoch of each seed: the row of its history, and the layers as they are.
export function* train(run, data) {
  const widths = [data.train.size, ...run.hidden, data.classes.length];
  for (const seed of run.seeds) {
    const layers = network(widths, run.initStd, seed);
    for (let epoch = 1; epoch <= run.epochs; epoch++) {
      const during = learn(layers, data.train, permutation(data.train.labels.length, seed, `epoch${epoch}.order`), run);
      const after = judge(layers, data.test);
      yield { row: [seed, epoch, during.loss, during.accuracy, after.loss, after.accuracy], layers };
    }
  }
}

// One epoch: minibatches in the order given, the last of which may be short.
function learn(layers, { pixels, labels, size }, order, run) {
  const rates = { lr: Math.fround(run.lr), momentum: Math.fround(run.momentum), decay: 0 };
  const terms = [];
  let hits = 0;
  for (let start = 0; start < order.length; start += run.batchSize) {
    const rows = order.subarray(start, start + run.batchSize);
    const images = new Float64Array(rows.length * size);
    rows.forEach((row, i) => images.set(pixels.subarray(row * size, (row + 1) * size), i * size));
    const done = step(layers, pixelOperand(images, rows.length), Array.from(rows, (row) => labels[row]), rates);
    terms.push(rows.length * done.mean);
    hits += done.hits;
  }
  return { loss: fsum(terms) / order.length, accuracy: hits / order.length };
}
