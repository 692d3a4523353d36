// node site/verify.js [DATASET [RUN ...]]: the committed models again, without a line of the Python that made them.
// Reads dvc.lock in the folder it runs in, and nothing of the network. Exit code 0: all hashes came out; 1: not all.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { check } from "./check.js";
import { RUNS, catalogEntry, claim, readLock } from "./claims.js";
import { checkFile, dataset } from "./data.js";
import { md5 } from "./md5.js";

function main([name = "digits", ...runs]) {
  const lock = readLock(readFileSync("dvc.lock", "utf8"));
  const entry = catalogEntry(lock, name);
  for (const run of runs) if (!RUNS.includes(run)) throw new Error(`a run is one of ${RUNS.join(", ")}, not ${run}`);
  const claims = (runs.length ? runs : RUNS).map((run) => claim(lock, name, run));
  const data = dataset(readFiles(name, entry), entry);
  return claims.map((run) => verified(run, data)).every(Boolean);
}

function verified(run, data) {
  const start = performance.now();
  const result = check(run, data, committedFiles(run), progress(run));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const what = `${run.dataset} ${run.name}`;
  const hashes = `model ${result.found.model}, history ${result.found.history}`;
  console.log(`${what}: ${result.same ? "the same bits as in dvc.lock" : "DIFFERENT from dvc.lock"} (${seconds} s)`);
  console.log(`  MD5: ${hashes}\n  SHA-256 of the model: ${result.sha256}`);
  if (!result.same) console.log(`  dvc.lock has: model ${run.md5.model}, history ${run.md5.history}`);
  if (!result.same) console.log(`  first difference: ${result.first}`);
  return result.same;
}

// On a terminal alone.
function progress(run) {
  const stream = process.stderr;
  if (!stream.isTTY) return () => {};
  return ({ done, of, row }) => {
    const said = `${run.dataset} ${run.name}: ${done} of ${of} epochs, loss ${row[2].toFixed(4)}`;
    stream.write(`\r\x1b[K${done === of ? "" : said}`);
  };
}

// Files of an earlier run that really are the committed ones.
function committedFiles({ folder, md5: hashes }) {
  const read = (name, hash) => {
    const path = join(folder, name);
    const bytes = existsSync(path) ? new Uint8Array(readFileSync(path)) : null;
    return bytes && md5(bytes) === hash ? bytes : null;
  };
  const history = read("history.csv", hashes.history);
  return { history: history && new TextDecoder().decode(history), model: read("model.safetensors", hashes.model) };
}

// The four files by their part: from data/raw, where the pipeline has them, or from the folder DATASET_MIRROR.
function readFiles(name, { files }) {
  const folders = ["data/raw", ...(process.env.DATASET_MIRROR ? [process.env.DATASET_MIRROR] : [])];
  return Object.fromEntries(Object.entries(files).map(([part, file]) => [part, readFile(folders, name, file)]));
}

function readFile(folders, dataset, file) {
  const path = folders.map((folder) => join(folder, dataset, file.name)).find(existsSync);
  if (!path) {
    const hint = `python -m stages.download ${dataset}`;
    throw new Error(`no ${file.name} of ${dataset} in ${folders.join(" or ")}: \`${hint}\` puts it into data/raw`);
  }
  const raw = readFileSync(path);
  const bytes = new Uint8Array(raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw);
  checkFile(bytes, { ...file, name: path });
  return bytes;
}

try {
  process.exitCode = main(process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  if (process.env.DEBUG) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
