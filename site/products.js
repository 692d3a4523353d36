// Sums of products of whole numbers. Each stays below 2^53, so none is rounded and their order is free.

// C[i, j] = sum over t of A[i, t] B[j, t], for A [m, k] and B [n, k]: four rows of A and two of B at a time, so that
// what was loaded is used more than once.
export function product(A, m, B, n, k) {
  const C = new Float64Array(m * n);
  for (let i = 0; i < m; i += 4) {
    for (let j = 0; j < n; j += 2) {
      if (i + 4 <= m && j + 2 <= n) eightSums(A, i * k, B, j * k, k, C, i * n + j, n);
      else edge(A, i, Math.min(i + 4, m), B, j, Math.min(j + 2, n), k, C, n);
    }
  }
  return C;
}

function eightSums(A, a, B, b, k, C, c, n) {
  let [s00, s01, s10, s11, s20, s21, s30, s31] = [0, 0, 0, 0, 0, 0, 0, 0];
  const [a1, a2, a3, b1] = [a + k, a + 2 * k, a + 3 * k, b + k];
  for (let t = 0; t < k; t++) {
    const [x, y] = [B[b + t], B[b1 + t]];
    const [p, q, r, s] = [A[a + t], A[a1 + t], A[a2 + t], A[a3 + t]];
    s00 += p * x;
    s01 += p * y;
    s10 += q * x;
    s11 += q * y;
    s20 += r * x;
    s21 += r * y;
    s30 += s * x;
    s31 += s * y;
  }
  C[c] = s00;
  C[c + 1] = s01;
  C[c + n] = s10;
  C[c + n + 1] = s11;
  C[c + 2 * n] = s20;
  C[c + 2 * n + 1] = s21;
  C[c + 3 * n] = s30;
  C[c + 3 * n + 1] = s31;
}

function edge(A, i0, i1, B, j0, j1, k, C, n) {
  for (let i = i0; i < i1; i++) {
    for (let j = j0; j < j1; j++) {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += A[i * k + t] * B[j * k + t];
      C[i * n + j] = sum;
    }
  }
}

// The same for operands of 8 and 7 bits, whose sums are below 2^25: two of them fit one float64, a + 2^26 b, so one
// product does the work of two. Whole numbers all the way, up to 2^51.
const SHIFT = 2 ** 26;
const LONGEST = 1036; // 255 * 127 * 1036 < 2^25

export function smallProduct(A, m, B, n, k) {
  if (k > LONGEST) throw new RangeError(`a sum of ${k} products: this program's sums have up to ${LONGEST}`);
  if (m < n) return transpose(smallProduct(B, n, A, m, k), n, m);
  const half = (n + 1) >> 1;
  return unpaired(product(A, m, paired(B, n, k), half, k), m, n);
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

function unpaired(C, m, n) {
  const half = (n + 1) >> 1;
  const sums = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < half; j++) {
      const both = C[i * half + j];
      const upper = Math.floor(both / SHIFT + 0.5); // the lower is less than half of 2^26
      sums[i * n + 2 * j] = both - upper * SHIFT;
      if (2 * j + 1 < n) sums[i * n + 2 * j + 1] = upper;
    }
  }
  return sums;
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
