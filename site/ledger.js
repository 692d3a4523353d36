// A line of claims/ledger.csv, as samebits/claims/ledger.py has it: which bits were seen, and by what; not by whom.

import { hex, sha256 } from "./sha256.js";

const MACHINE = ["implementation", "processor", "instructions", "system", "torch", "numpy", "device", "threads"];
const shortHash = (text, digits) => hex(sha256(new TextEncoder().encode(text))).slice(0, digits);
const UNSEEN = /[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb,"]/gu;
const plainName = (text) => text.replace(UNSEEN, " ").replace(/ +/g, " ").trim().slice(0, 100);

// runs: each with its claim, what came out, and seconds; code: the hash of this program; machine: what it runs on.
export function ledgerLine(runs, code, machine) {
  const pair = ({ dataset, name, folder }, md5) => `${dataset}/${name}=${namesHash(runFiles(folder, md5))}`;
  const claimed = runs.map(({ run }) => pair(run, run.md5)).join(" ");
  const others = runs.filter(({ result }) => !result.same).map(({ run, result }) => pair(run, result.found)).join(" ");
  const kind = { device: "cpu", threads: "1", ...machine };
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0).toFixed(1);
  const cells = [claimed, others || "same", code, ...MACHINE.map((column) => plainName(kind[column] ?? "")), seconds];
  return `${cells.join(",")},${shortHash(cells.join(","), 8)}`;
}

const runFiles = (folder, { history, model }) => [
  [`${folder}/history.csv`, history], [`${folder}/model.safetensors`, model],
];

// One hash for several, each with the name of what it is of, in the order of the names.
export const namesHash = (pairs) => shortHash(pairs.map(([name, hash]) => `${name} ${hash}\n`).join(""), 16);

// What a browser tells of itself, which is little: some say x86_64 on other processors too.
export function browserKind({ userAgent }) {
  const names = [["Firefox", /Firefox\/(\d+)/], ["Edge", /Edg\/(\d+)/], ["Chromium", /Chrome\/(\d+)/], ["Safari", /Version\/(\d+)/]];
  const [name, pattern] = names.find(([, pattern]) => pattern.test(userAgent)) ?? ["in a browser", /()/];
  const [instructions = ""] = userAgent.match(/x86_64|aarch64/) ?? [];
  const [system = ""] = userAgent.match(/Windows|Android|Linux|Mac/) ?? [];
  return { implementation: `JavaScript ${name} ${userAgent.match(pattern)?.[1] ?? ""}`, instructions, system };
}
