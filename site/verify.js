// node site/verify.js [DATASET [RUN ...]] [--line]: the committed models again, without a line of the Python that made
// them. Reads dvc.lock in the folder it runs in, and nothing of the network. Exit code 0: all hashes came out; 1: not all,
// or an error, which is a sentence.
// --line: stdout gets the ledger's line alone, for `samebits ledger --add -`, and stderr what is said.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { cpus, type } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { check } from "./check.js";
import { RUNS, catalogEntry, claim, readLock } from "./claims.js";
import { checkFile, dataset } from "./data.js";
import { ledgerLine, namesHash } from "./ledger.js";
import { md5 } from "./md5.js";
import { hex, sha256 } from "./sha256.js";

const USAGE = `usage: node site/verify.js [DATASET [RUN ...]] [--line]
DATASET is digits unless given, RUN one of ${RUNS.join(", ")}, all unless given; --line prints the ledger's line alone.`;

function main(given) {
  const options = given.filter((argument) => argument.startsWith("-"));
  if (options.includes("--help")) return console.log(USAGE) ?? true;
  const unknown = options.find((option) => option !== "--line");
  if (unknown) throw new Error(`unknown option ${unknown}: there are --line and --help`);
  const [name = "digits", ...named] = given.filter((argument) => !options.includes(argument));
  const [wantsLine, runs] = [options.length > 0, [...new Set(named)]];
  const lock = readLock(textOf("dvc.lock"));
  const entry = catalogEntry(lock, name);
  for (const run of runs) if (!RUNS.includes(run)) throw new Error(`a run is one of ${RUNS.join(", ")}, not ${run}`);
  const claims = (runs.length ? runs : RUNS).map((run) => claim(lock, name, run));
  const data = dataset(readFiles(name, entry), entry);
  const done = claims.map((run) => verified(run, data, wantsLine ? console.error : console.log));
  if (wantsLine) console.log(ledgerLine(done, programHash(), machine()));
  return done.every(({ result }) => result.same);
}

function verified(run, data, say) {
  const start = performance.now();
  const result = check(run, data, committedFiles(run), progress(run));
  const seconds = (performance.now() - start) / 1000;
  const what = `${run.dataset} ${run.name}`;
  const hashes = `model ${result.found.model}, history ${result.found.history}`;
  say(`${what}: ${result.same ? "the same bits as in dvc.lock" : "DIFFERENT from dvc.lock"} (${seconds.toFixed(1)} s)`);
  say(`  MD5: ${hashes}\n  SHA-256 of the model: ${result.sha256}`);
  if (!result.same) say(`  dvc.lock has: model ${run.md5.model}, history ${run.md5.history}`);
  if (!result.same) say(`  first difference: ${result.first}`);
  return { run, result, seconds };
}

// Over all files of this program.
function programHash() {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const names = readdirSync(folder).filter((name) => name.endsWith(".js")).sort();
  return namesHash(names.map((name) => [name, hex(sha256(new Uint8Array(readFileSync(join(folder, name)))))]));
}

function machine() {
  const instructions = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
  const processor = cpus()[0]?.model ?? "";
  return { implementation: `JavaScript Node ${process.versions.node}`, processor, instructions, system: type() };
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
    const bytes = existsSync(path) ? new Uint8Array(bytesOf(path)) : null;
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
  const bytes = new Uint8Array(unpacked(path, bytesOf(path)));
  checkFile(bytes, { ...file, name: path });
  return bytes;
}

function unpacked(path, raw) {
  if (raw[0] !== 0x1f || raw[1] !== 0x8b) return raw;
  try {
    return gunzipSync(raw);
  } catch (error) {
    throw new Error(`${path} is no whole gzip file (${error.message}): it should be fetched again`);
  }
}

function textOf(path) {
  const bytes = bytesOf(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${path} is no text: \`git checkout ${path}\` brings the committed one back`);
  }
}

function bytesOf(path) {
  try {
    return readFileSync(path);
  } catch ({ code }) {
    throw new Error(`${path} ${REASONS[code] ?? `cannot be read (${code})`}`);
  }
}

const REASONS = {
  ENOENT: "is missing: run this in the root of the project",
  EISDIR: "is a folder, where a file should be",
  EACCES: "cannot be read: permission denied",
};

try {
  process.exitCode = main(process.argv.slice(2)) ? 0 : 1;
} catch (error) {
  if (process.env.DEBUG) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
