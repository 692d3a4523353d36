// Random numbers as functions of (seed, tag, place): SplitMix64 in 64-bit integers that wrap around.

import { sha256 } from "./sha256.js";

const wrap = (x) => BigInt.asUintN(64, x);
const GAMMA = 0x9e3779b97f4a7c15n;
const INDEX = 0xfffffn; // the low 20 bits of a draw, which an order gives to the index

// The first 8 bytes of the SHA-256 of "seed/tag", little-endian.
function key(seed, tag) {
  const digest = sha256(new TextEncoder().encode(`${seed}/${tag}`));
  return new DataView(digest.buffer).getBigUint64(0, true);
}

function mix(x) {
  x = wrap((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = wrap((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

// Draws 1 ... count.
export function draws(count, seed, tag) {
  const drawn = new BigUint64Array(count);
  let counter = key(seed, tag);
  for (let i = 0; i < count; i++) {
    counter = wrap(counter + GAMMA);
    drawn[i] = mix(counter);
  }
  return drawn;
}

// An order of 0 ... count - 1: draws whose low bits are their index, sorted.
export function permutation(count, seed, tag) {
  const keys = draws(count, seed, tag).map((draw, i) => (draw & ~INDEX) | BigInt(i));
  return Uint32Array.from(keys.sort(), (key) => Number(key & INDEX));
}
