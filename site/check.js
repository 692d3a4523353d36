// One run from its first draw to its file, and whether that is what dvc.lock claims.

import { hex, sha256 } from "./sha256.js";
import { historyDifference, modelDifference } from "./difference.js";
import { historyFile } from "./history.js";
import { md5 } from "./md5.js";
import { modelFile } from "./model.js";
import { train } from "./training.js";

// committed: the run's files where they are at hand, history (text) and model (bytes); tell is called after each epoch.
export function check(run, data, committed, tell) {
  const [rows, all] = [[], []];
  for (const epoch of train(run, data)) {
    rows.push(epoch.row);
    if (epoch.row[1] === run.epochs) all.push(epoch.layers);
    tell({ ...epoch, done: rows.length, of: run.seeds.length * run.epochs });
  }
  const model = modelFile(run, data, all);
  const history = historyFile(rows);
  const found = { model: md5(model), history: md5(new TextEncoder().encode(history)) };
  const same = found.model === run.md5.model && found.history === run.md5.history;
  return { found, sha256: hex(sha256(model)), same, first: same ? null : first(history, model, committed) };
}

// In the order in which it was computed: a history tells of every epoch, a model of the last.
function first(history, model, committed) {
  const difference =
    (committed.history && historyDifference(history, committed.history)) ||
    (committed.model && modelDifference(model, committed.model));
  return difference || "no committed file is at hand to say which number";
}
