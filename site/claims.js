// What dvc.lock claims: with which parameters and of which data a run's files have which hashes.

import { readYaml } from "./yaml.js";

export const RUNS = ["scratch", "concise", "mlp"];
const STAGES = { scratch: "train-scratch@D", concise: "train-concise@D-concise", mlp: "train-concise@D-mlp" };

const DAMAGED = "dvc.lock is empty, cut or otherwise not as DVC writes it: `git checkout dvc.lock` brings the committed one back";

export function readLock(text) {
  const at = text.split("\n").findIndex((line) => /^(<{7}|\|{7}|={7}|>{7})/.test(line));
  if (at >= 0) throw new Error(`dvc.lock, line ${at + 1} is a conflict marker of Git: resolve the conflict first`);
  return whole(() => readYaml(text).stages, (stages) => stages && typeof stages === "object");
}

// What `look` finds in dvc.lock, if that has all it looks at, and is right.
function whole(look, isRight) {
  try {
    const found = look();
    if (isRight(found)) return found;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw new Error(DAMAGED);
}

const isHash = (text) => /^([0-9a-f]{32}){1,2}$/.test(text);
const PARTS = ["train_images", "train_labels", "test_images", "test_labels"];
const isEntry = ({ files, classes, image }) =>
  classes.length && image.length === 2 && PARTS.every((part) => files[part].name && isHash(files[part].sha256));
const isClaim = ({ md5, seeds, hidden, epochs, batchSize, lr, momentum }) =>
  Object.values(md5).every(isHash) && [...seeds, ...hidden, epochs, batchSize, lr, momentum].every(Number.isFinite);

// The dataset's entry of the catalog: its files with their SHA-256, its classes and the size of its images.
export function catalogEntry(lock, dataset) {
  const stage = lock[`download@${dataset}`];
  if (!stage) throw new Error(`dvc.lock says nothing of ${dataset}`);
  return whole(() => stage.params["data/catalog.yaml"][dataset], isEntry);
}

export function claim(lock, dataset, run) {
  const stage = lock[STAGES[run].replace("D", dataset)];
  if (!stage) throw new Error(`dvc.lock says nothing of ${dataset} ${run}`);
  return whole(() => claimOf(lock, stage, dataset, run), isClaim);
}

function claimOf(lock, stage, dataset, run) {
  const params = stage.params["params.yaml"];
  const preparing = lock[`preprocess@${dataset}`].params["params.yaml"].preprocess;
  refuseOthers(params.arithmetic, preparing);
  const folder = `models/${dataset}/${run}`;
  const md5Of = (name) => stage.outs.find(({ path }) => path === `${folder}/${name}`).md5;
  return { dataset, name: run, folder, ...settings(params[run]), md5: hashes(md5Of) };
}

const hashes = (md5Of) => ({ history: md5Of("history.csv"), model: md5Of("model.safetensors") });

function settings({ seeds, epochs, batch_size, lr, momentum, init_std, hidden }) {
  const all = typeof seeds === "number" ? Array.from({ length: seeds }, (_, seed) => seed) : seeds;
  return { seeds: all, epochs, batchSize: batch_size, lr, momentum, initStd: init_std, hidden };
}

// This program knows one arithmetic, and images as they are.
function refuseOthers(arithmetic, { resize, validation_size }) {
  if (arithmetic !== "exact") throw new Error(`dvc.lock has arithmetic: ${arithmetic}; this program knows exact alone`);
  if (resize !== null || validation_size !== 0) {
    throw new Error("dvc.lock has images resized or held out, which this program does not do");
  }
}
