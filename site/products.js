// Sums of products of whole numbers. Each stays below 2^53, so none is rounded and their order is free.

// C[i, j] = sum over t of A[i, t] B[j, t], for A [m, k] and B [n, k]. Three rows of A and three of B at a time, so that
// what was loaded is used three times; the last three may overlap those before, for the same sums.
export function product(A, m, B, n, k) {
  const C = new Float64Array(m * n);
  if (m < 3 || n < 3) return oneByOne(A, m, B, n, k, C);
  for (let i = 0; i < m; i += 3) {
    const row = Math.min(i, m - 3);
    for (let j = 0; j < n; j += 3) nineSums(A, row, B, Math.min(j, n - 3), k, C, n);
  }
  return C;
}

// Nine variables, which a processor's registers hold.
function nineSums(A, i, B, j, k, C, n) {
  let s00 = 0, s01 = 0, s02 = 0, s10 = 0, s11 = 0, s12 = 0, s20 = 0, s21 = 0, s22 = 0;
  const a0 = i * k, a1 = a0 + k, a2 = a1 + k, b0 = j * k, b1 = b0 + k, b2 = b1 + k;
  for (let t = 0; t < k; t++) {
    const x = B[b0 + t], y = B[b1 + t], z = B[b2 + t];
    const p = A[a0 + t], q = A[a1 + t], r = A[a2 + t];
    s00 += p * x; s01 += p * y; s02 += p * z;
    s10 += q * x; s11 += q * y; s12 += q * z;
    s20 += r * x; s21 += r * y; s22 += r * z;
  }
  const c0 = i * n + j, c1 = c0 + n, c2 = c1 + n;
  C[c0] = s00; C[c0 + 1] = s01; C[c0 + 2] = s02;
  C[c1] = s10; C[c1 + 1] = s11; C[c1 + 2] = s12;
  C[c2] = s20; C[c2 + 1] = s21; C[c2 + 2] = s22;
}

function oneByOne(A, m, B, n, k, C) {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += A[i * k + t] * B[j * k + t];
      C[i * n + j] = sum;
    }
  }
  return C;
}

// The same for operands of 8 and 7 bits, whose sums are below 2^25: two of them fit one float64, a + 2^26 b, so one
// product does the work of two. Whole numbers all the way, up to 2^51.
const SHIFT = 2 ** 26;
const LONGEST = 1036; // 255 * 127 * 1036 < 2^25

export function smallProduct(A, m, B, n, k) {
  if (k > LONGEST) throw new RangeError(`a sum of ${k} products: this program's sums have up to ${LONGEST}`);
  const sums = new Float64Array(m * n);
  const halved = (rows) => (rows + 1) >> 1;
  // The operand with fewer rows is paired: less to do.
  if (n <= m) unpaired(product(A, m, paired(B, n, k), halved(n), k), m, n, sums, n, 1);
  else unpaired(product(B, n, paired(A, m, k), halved(m), k), n, m, sums, 1, n);
  return sums;
}

// Rows 0 and 1 of B as one, 2 and 3 as one ...; the last alone where they are odd.
function paired(B, n, k) {
  const half = (n + 1) >> 1;
  const pairs = new Float64Array(half * k);
  for (let j = 0; j < half; j++) {
    const [row, alone] = [2 * j * k, 2 * j + 1 === n];
    for (let t = 0; t < k; t++) pairs[j * k + t] = B[row + t] + (alone ? 0 : B[row + k + t] * SHIFT);
  }
  return pairs;
}

// Of C's pairs the sums [i, j], each at i * across + j * down: in rows or, where the operands changed places, columns.
function unpaired(C, m, n, sums, across, down) {
  const half = (n + 1) >> 1;
  for (let j = 0; j < half; j++) {
    for (let i = 0; i < m; i++) {
      const both = C[i * half + j];
      const upper = Math.floor(both / SHIFT + 0.5); // the lower is less than half of 2^26
      const place = i * across + 2 * j * down;
      sums[place] = both - upper * SHIFT;
      if (2 * j + 1 < n) sums[place + down] = upper;
    }
  }
}

// [rows, columns] to [columns, rows], in squares of 16, which a cache holds.
export function transpose(x, rows, columns) {
  const y = new x.constructor(x.length);
  for (let i0 = 0; i0 < rows; i0 += 16) {
    for (let j0 = 0; j0 < columns; j0 += 16) {
      for (let i = i0; i < Math.min(i0 + 16, rows); i++) {
        for (let j = j0; j < Math.min(j0 + 16, columns); j++) y[j * rows + i] = x[i * columns + j];
      }
    }
  }
  return y;
}
