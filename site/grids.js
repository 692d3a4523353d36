// Powers of two, rounding to whole numbers, and grids: the places where training rounds what it multiplies.

const view = new DataView(new ArrayBuffer(8));

// 2^e, put together from its bits: no library's power is asked.
export function power(e) {
  view.setUint32(0, (e + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}

// The exponent e of a float64: 2^e <= x < 2^(e + 1).
export function exponent(x) {
  view.setFloat64(0, x);
  return ((view.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

// To the nearest whole number, halves to even, for |x| < 2^51. Beside 1.5 * 2^52 a float64 has no bits behind the
// point, so the addition rounds as IEEE 754 says; the subtraction is exact.
const MAGIC = 1.5 * 2 ** 52;
export const round = (x) => x + MAGIC - MAGIC;

// The least exponent e >= -100 for which round(top / 2^e) < 2^bits.
export function grid(top, bits) {
  if (!Number.isFinite(top)) throw new RangeError(`a row's greatest magnitude is ${top}`);
  if (top === 0) return -100;
  const e = Math.max(exponent(top) + 1 - bits, -100);
  return round(top / power(e)) < power(bits) ? e : e + 1;
}

// Each row of x, a [rows, columns] matrix, on a grid of its own: q = round(x / 2^e). `bits` may depend on the row.
export function snapRows(x, rows, columns, bits) {
  const q = new Float64Array(rows * columns);
  const scale = new Float64Array(rows); // 2^e
  for (let row = 0; row < rows; row++) {
    const [start, end] = [row * columns, (row + 1) * columns];
    scale[row] = power(grid(greatest(x, start, end), typeof bits === "number" ? bits : bits(x, start, end)));
    const inverse = 1 / scale[row]; // exact
    for (let i = start; i < end; i++) q[i] = round(x[i] * inverse);
  }
  return { q, scale };
}

// The greatest magnitude; Math.max hands on a NaN.
export function greatest(x, start, end) {
  let top = 0;
  for (let i = start; i < end; i++) top = Math.max(top, Math.abs(x[i]));
  return top;
}

// Rule 3: eight bits for a row without an entry below 0, seven for another.
export function inputBits(x, start, end) {
  for (let i = start; i < end; i++) if (x[i] < 0) return 7;
  return 8;
}
