// A dataset from its four IDX files, each of which is known by the SHA-256 of its bytes.

import { hex, sha256 } from "./sha256.js";

// A wrong file is named, with the hash that was wanted.
export function checkFile(bytes, { name, sha256: wanted }) {
  const found = hex(sha256(bytes));
  if (found !== wanted) throw new Error(`${name}: its content has SHA-256 ${found}, and ${wanted} was wanted`);
}

// files: the bytes by their part, train_images, train_labels, test_images and test_labels.
export function dataset(files, entry) {
  const split = (part) => {
    const [images, labels] = [readIdx(files[`${part}_images`]), readIdx(files[`${part}_labels`])];
    return { pixels: images.values, labels: labels.values, size: images.shape[1] * images.shape[2] };
  };
  return { train: split("train"), test: split("test"), classes: entry.classes, image: entry.image };
}

// IDX: two zeros, the type 8 (bytes), the number of dimensions, each dimension in 4 bytes, big-endian, the values.
function readIdx(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dimensions = bytes[3];
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  return { shape, values: bytes.subarray(4 + 4 * dimensions) };
}
