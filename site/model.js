// What a run leaves: its model's file, all seeds side by side.

import { safetensors } from "./safetensors.js";

// all: the layers of each seed.
export function modelFile(run, data, all) {
  return safetensors(modelTensors(run, all), description(run, data));
}

// Of scratch "weight" and "bias"; else a layer's place among nn.Sequential's modules: Flatten, Linear, ReLU, Linear ...
function modelTensors(run, all) {
  return all[0].flatMap(({ into, out }, index) => {
    const prefix = run.name === "scratch" ? "" : `${2 * index + 1}.`;
    const stacked = (part) => all.flatMap((layers) => Array.from(layers[index][part]));
    return [
      { name: `${prefix}weight`, shape: [all.length, out, into], values: stacked("w") },
      { name: `${prefix}bias`, shape: [all.length, out], values: stacked("b") },
    ];
  });
}

// Its metadata: JSON with its keys sorted, and with the spaces that Python's has.
function description(run, data) {
  const { classes, image } = data;
  const entries = { arithmetic: "exact 2", classes, dataset: run.dataset, image, run: run.name, seeds: run.seeds };
  return `{${Object.entries(entries).map(([key, value]) => `"${key}": ${spaced(value)}`).join(", ")}}`;
}

const spaced = (value) => (Array.isArray(value) ? `[${value.map(spaced).join(", ")}]` : JSON.stringify(value));
