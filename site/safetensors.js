// The file of a model: 8 bytes with the header's length, the header as JSON, the numbers, float32 and little-endian.

// tensors: {name, shape, values}; metadata: a text.
export function safetensors(tensors, metadata) {
  const header = { __metadata__: { samebits: metadata } };
  let end = 0;
  const ordered = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, shape, values } of ordered) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, (end += 4 * values.length)] };
  }
  return joined(headerBytes(header), ordered, end);
}

// Spaces fill it up to a multiple of 8.
function headerBytes(header) {
  const bytes = new TextEncoder().encode(JSON.stringify(header));
  return Uint8Array.from({ length: Math.ceil(bytes.length / 8) * 8 }, (_, i) => bytes[i] ?? 32);
}

function joined(header, tensors, size) {
  const file = new Uint8Array(8 + header.length + size);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  let place = 8 + header.length;
  for (const { values } of tensors) {
    for (const value of values) {
      view.setFloat32(place, value + 0, true); // -0.0 becomes 0.0
      place += 4;
    }
  }
  return file;
}

// The tensors of such a file, in their order.
export function readSafetensors(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, end)));
  return Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, { shape, data_offsets }]) => {
    const [from, to] = data_offsets;
    const values = Float32Array.from({ length: (to - from) / 4 }, (_, i) => view.getFloat32(end + from + 4 * i, true));
    return { name, shape, values };
  });
}
