// The first number that differs from what is committed, in words, or null.

import { COLUMNS } from "./history.js";
import { readSafetensors } from "./safetensors.js";

export function historyDifference(here, committed) {
  const [mine, theirs] = [here, committed].map((text) => text.trim().split("\n").map((line) => line.split(",")));
  for (let i = 1; i < Math.max(mine.length, theirs.length); i++) {
    const [a, b] = [mine[i] ?? [], theirs[i] ?? []];
    const place = COLUMNS.findIndex((_, k) => a[k] !== b[k]);
    const where = `seed ${b[0] ?? a[0]}, epoch ${b[1] ?? a[1]}: ${COLUMNS[place]}`;
    if (place >= 0) return `${where} is ${a[place] ?? "missing"}, committed is ${b[place] ?? "none"}`;
  }
  return null;
}

export function modelDifference(here, committed) {
  const theirs = new Map(readSafetensors(committed).map((tensor) => [tensor.name, tensor]));
  for (const { name, shape, values } of readSafetensors(here)) {
    const other = theirs.get(name);
    if (String(other?.shape) !== String(shape)) return `${name} has shape [${shape}], committed is [${other?.shape}]`;
    const place = values.findIndex((value, i) => !Object.is(value, other.values[i]));
    if (place >= 0) return `${name}[${indices(place, shape)}] is ${values[place]}, committed is ${other.values[place]}`;
  }
  return null;
}

function indices(place, shape) {
  const found = [];
  for (const length of [...shape].reverse()) {
    found.unshift(place % length);
    place = Math.floor(place / length);
  }
  return found;
}
