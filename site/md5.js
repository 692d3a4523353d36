// MD5 (RFC 1321) of bytes: the hash by which DVC, and so dvc.lock, names a file.

import { digest, hex } from "./sha256.js";

const TURNS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]]; // of the four rounds
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

export function md5(bytes) {
  return hex(digest(bytes, Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476), mixWords, true));
}

function mixWords(state, words) {
  let [a, b, c, d] = state;
  for (let i = 0; i < 64; i++) {
    const [mixed, place] = chosenBits(i, b, c, d);
    const sum = (a + mixed + SINES[i] + words[place]) | 0;
    const turn = TURNS[i >> 4][i & 3];
    [a, d, c, b] = [d, c, b, (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0];
  }
  [a, b, c, d].forEach((word, i) => (state[i] += word));
}

function chosenBits(i, b, c, d) {
  if (i < 16) return [(b & c) | (~b & d), i];
  if (i < 32) return [(d & b) | (~d & c), (5 * i + 1) & 15];
  if (i < 48) return [b ^ c ^ d, (3 * i + 5) & 15];
  return [c ^ (b | ~d), (7 * i) & 15];
}
