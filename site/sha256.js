// SHA-256 (FIPS 180-4) of bytes: the identity of a dataset's files, and the key of every series of random numbers.

const ROTATE = (x, n) => (x >>> n) | (x << (32 - n));

// The first 32 bits behind the point of the cube roots of the first 64 primes, and of the square roots of the first 8.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const behindPoint = (bits) => Number(BigInt.asUintN(32, bits)) | 0;
const CUBES = Int32Array.from(PRIMES, (p) => behindPoint(root(BigInt(p) << 96n, 3n)));
const SQUARES = Int32Array.from(PRIMES.slice(0, 8), (p) => behindPoint(root(BigInt(p) << 64n, 2n)));

// The whole part of the n-th root, by bisection: integers, for a library's root may be off by its last bit.
function root(x, n) {
  let [low, high] = [0n, 1n << 40n];
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** n <= x) low = middle;
    else high = middle;
  }
  return low;
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function sha256(bytes) {
  return digest(bytes, Int32Array.from(SQUARES), mixBlock, false);
}

// What SHA-256 and MD5 share: the bytes in blocks of 16 words, each mixed into the state, which is the digest at the end.
export function digest(bytes, state, mix, littleEndian) {
  const whole = new DataView(padded(bytes, littleEndian).buffer);
  const words = new Int32Array(64);
  for (let place = 0; place < whole.byteLength; place += 64) {
    for (let i = 0; i < 16; i++) words[i] = whole.getInt32(place + 4 * i, littleEndian);
    mix(state, words);
  }
  const found = new DataView(new ArrayBuffer(4 * state.length));
  state.forEach((word, i) => found.setInt32(4 * i, word, littleEndian));
  return new Uint8Array(found.buffer);
}

// The bytes, a bit 1, zeros up to whole blocks of 64 bytes, the last 8 of which hold the length in bits.
function padded(bytes, littleEndian) {
  const blocks = Math.floor((bytes.length + 8) / 64) + 1;
  const whole = new Uint8Array(64 * blocks);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  new DataView(whole.buffer).setBigUint64(whole.length - 8, BigInt(bytes.length) * 8n, littleEndian);
  return whole;
}

function mixBlock(state, words) {
  for (let i = 16; i < 64; i++) {
    const [x, y] = [words[i - 15], words[i - 2]];
    const first = ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x >>> 3);
    const second = ROTATE(y, 17) ^ ROTATE(y, 19) ^ (y >>> 10);
    words[i] = words[i - 16] + first + words[i - 7] + second;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const chosen = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const one = (h + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + chosen + CUBES[i] + words[i]) | 0;
    const two = ((ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + majority) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
}
