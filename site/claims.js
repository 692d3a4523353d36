// What dvc.lock claims: with which parameters and of which data a run's files have which hashes.

import { readYaml } from "./yaml.js";

export const RUNS = ["scratch", "concise", "mlp"];
const STAGES = { scratch: "train-scratch@D", concise: "train-concise@D-concise", mlp: "train-concise@D-mlp" };

export const readLock = (text) => readYaml(text).stages;

// The dataset's entry of the catalog: its files with their SHA-256, its classes and the size of its images.
export function catalogEntry(lock, dataset) {
  const stage = lock[`download@${dataset}`];
  if (!stage) throw new Error(`dvc.lock says nothing of ${dataset}`);
  return stage.params["data/catalog.yaml"][dataset];
}

export function claim(lock, dataset, run) {
  const stage = lock[STAGES[run].replace("D", dataset)];
  if (!stage) throw new Error(`dvc.lock says nothing of ${dataset} ${run}`);
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
