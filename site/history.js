// history.csv, the table of all epochs of all seeds.

export const COLUMNS = ["seed", "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

export const historyFile = (rows) => `${[COLUMNS, ...rows.map(cells)].map((row) => row.join(",")).join("\n")}\n`;

const cells = ([seed, epoch, ...figures]) => [seed, epoch, ...figures.map(written)];

// The shortest decimal that reads back as the same float64, as Python writes it: 1.0, and 5e-05 below 0.0001.
export function written(x) {
  const text = x !== 0 && x < 1e-4 ? x.toExponential() : String(x);
  return text.replace(/e-(\d)$/, "e-0$1").replace(/^\d+$/, "$&.0");
}
