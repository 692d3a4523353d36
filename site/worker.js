// The page's other thread, which trains while the page draws. It is given what the page holds, then files and orders.

import { check } from "./check.js";
import { catalogEntry, claim, readLock } from "./claims.js";
import { dataset } from "./data.js";
import { browserKind, ledgerLine } from "./ledger.js";
import { hex, sha256 } from "./sha256.js";

const known = new Map(); // SHA-256 of a file's content -> the dataset and the part that it is
const parts = {}; // dataset -> part -> bytes
const done = new Map(); // "DATASET RUN" -> how it came out
let lock, committed, program;

const tell = (kind, message) => self.postMessage({ kind, ...message });

const orders = {
  // What the page holds: dvc.lock, the files of digits, committed histories and models, the hash of this program.
  begin({ page }) {
    lock = readLock(page.lock);
    ({ committed, program } = page);
    for (const name of page.datasets) {
      parts[name] = {};
      for (const [part, file] of Object.entries(catalogEntry(lock, name).files)) known.set(file.sha256, { name, part });
    }
    for (const [name, bytes] of Object.entries(page.files)) take(name, bytes);
  },

  async files({ files }) {
    for (const file of files) {
      try {
        take(file.name, await content(file));
      } catch (error) {
        tell("refused", { text: `${file.name}: ${error.message}` });
      }
    }
  },

  train({ name, run }) {
    const entry = catalogEntry(lock, name);
    const promise = claim(lock, name, run);
    const started = performance.now();
    const result = check(promise, dataset(parts[name], entry), committed[`${name} ${run}`] ?? {}, (epoch) => {
      const units = epoch.layers[0].w.slice(0, 10 * epoch.layers[0].into); // pictures of the first ten
      tell("epoch", { name, run, row: epoch.row, done: epoch.done, of: epoch.of, units, image: entry.image });
    });
    const seconds = (performance.now() - started) / 1000;
    tell("result", { name, run, ...result, wanted: promise.md5, seconds });
    done.set(`${name} ${run}`, { run: promise, result, seconds });
    tell("line", { text: ledgerLine([...done.values()], program, browserKind(navigator)) });
  },
};

// A file is known by its content alone, whatever its name.
function take(name, bytes) {
  const found = hex(sha256(bytes));
  const place = known.get(found);
  if (!place) throw new Error(`its content has SHA-256 ${found}, and wanted was ${wanted(name)}`);
  parts[place.name][place.part] = bytes;
  tell("taken", { ...place, file: name, complete: Object.keys(parts[place.name]).length === 4 });
}

// The hashes of the files that are called so, or of all.
function wanted(name) {
  const same = [...known].filter(([, { name: owner, part }]) => {
    return catalogEntry(lock, owner).files[part].name.replace(/\.gz$/, "") === name.replace(/\.gz$/, "");
  });
  return (same.length ? same : [...known]).map(([hash, { name, part }]) => `${hash} (${name}, ${part})`).join(" or ");
}

async function content(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  if (!self.DecompressionStream) throw new Error("this browser cannot unpack .gz; give it the unpacked file");
  try {
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  } catch {
    throw new Error("it is cut or damaged: it cannot be unpacked");
  }
}

self.onmessage = async ({ data }) => {
  try {
    await orders[data.order](data);
  } catch (error) {
    tell("failed", { text: error.message, name: data.name, run: data.run });
  }
};
