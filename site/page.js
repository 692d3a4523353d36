// What the page shows: a card for each run, its curves and templates drawn as it trains, and the verdict.

const element = (id) => document.getElementById(id);
const page = JSON.parse(element("content").textContent);
const RUN_NAMES = ["scratch", "concise", "mlp"];
const TITLES = {
  scratch: "softmax regression from raw tensors", concise: "the same with nn.Module", mlp: "a network of five layers",
};
const cards = new Map(); // "DATASET RUN" -> its card
let worker;

function begin() {
  try {
    worker = new Worker(URL.createObjectURL(new Blob([element("program").textContent])));
  } catch {
    return say("This browser lets no page compute in the background (no workers), which this one needs.");
  }
  worker.onmessage = ({ data }) => heard[data.kind](data);
  worker.onerror = (event) => say(`The program failed: ${event.message}`);
  const files = Object.fromEntries(Object.entries(page.files).map(([name, text]) => [name, bytes(text)]));
  const committed = Object.fromEntries(Object.entries(page.committed).map(([run, kept]) => [run, unpacked(kept)]));
  worker.postMessage({ order: "begin", page: { ...page, files, committed } });
}

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const unpacked = (kept) => ({ ...kept, ...(kept.model ? { model: bytes(kept.model) } : {}) });

function say(text) {
  const line = document.createElement("p");
  line.className = "wrong";
  line.textContent = text;
  element("said").append(line);
}

// What the worker tells.
const heard = {
  taken({ name, file, complete }) {
    if (name !== "digits") element("taken").textContent += `${file}: ${name}. `;
    if (complete) addCards(name);
  },
  refused: ({ text }) => say(text),
  failed({ text, name, run }) {
    say(text);
    if (run) cards.get(`${name} ${run}`).button.disabled = false;
  },
  epoch({ name, run, row, done, of, units, image }) {
    const card = cards.get(`${name} ${run}`);
    card.rows.push(row);
    card.progress.max = of;
    card.progress.value = done;
    card.status.textContent = `seed ${row[0]}, epoch ${row[1]}: loss ${row[2].toFixed(4)}, test accuracy ${(100 * row[5]).toFixed(2)} %`;
    drawCurves(card.curves, card.rows);
    drawUnits(card.units, units, image);
  },
  line({ text }) {
    element("record").hidden = false;
    element("line").value = text;
  },
  result({ name, run, same, found, wanted, sha256, seconds, first }) {
    const card = cards.get(`${name} ${run}`);
    card.button.disabled = false;
    card.verdict.className = same ? "verdict right" : "verdict wrong";
    card.verdict.textContent = same
      ? `✓ The same bits as in dvc.lock, in ${seconds.toFixed(1)} s.`
      : `✗ Other bits than in dvc.lock. First difference: ${first}.`;
    card.hashes.textContent =
      `MD5 of the model ${found.model}${same ? "" : `, in dvc.lock ${wanted.model}`}; ` +
      `of the history ${found.history}${same ? "" : `, in dvc.lock ${wanted.history}`}. SHA-256 of the model ${sha256}.`;
  },
};

function addCards(name) {
  const section = document.createElement("section");
  section.innerHTML = `<h2></h2><p><button class="all">Train all three</button></p><div class="cards"></div>`;
  section.querySelector("h2").textContent = name;
  section.querySelector(".all").onclick = () => RUN_NAMES.forEach((run) => train(name, run));
  section.querySelector(".cards").append(...RUN_NAMES.map((run) => addCard(name, run)));
  element("runs").append(section);
}

function addCard(name, run) {
  const card = element("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => card.querySelector(selector);
  card.id = `${name}-${run}`;
  part("h3").textContent = run;
  part(".what").textContent = TITLES[run];
  part(".units").setAttribute("aria-label", run === "mlp" ? "weights of the first ten units" : "the ten templates");
  part(".drawn").textContent = run === "mlp" ? "weights of the first ten units" : "the templates: a class's weights";
  part("button").onclick = () => train(name, run);
  cards.set(`${name} ${run}`, {
    button: part("button"), progress: part("progress"), status: part(".status"), verdict: part(".verdict"),
    hashes: part(".hashes"), curves: part(".curves"), units: part(".units"), rows: [],
  });
  return card;
}

function train(name, run) {
  const card = cards.get(`${name} ${run}`);
  if (card.button.disabled) return;
  card.button.disabled = true;
  card.rows = [];
  card.progress.value = 0;
  card.verdict.textContent = card.hashes.textContent = "";
  card.status.textContent = "waits for the others, or trains its first epoch";
  worker.postMessage({ order: "train", name, run });
}

// ---------------------------------------------------------------------------------------------------------- drawing

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

// Loss by epoch: of each seed a line in training, and a thinner one on the test images.
function drawCurves(canvas, rows) {
  const pen = canvas.getContext("2d");
  const losses = rows.flatMap((row) => [row[2], row[4]]);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const last = Math.max(2, ...rows.map((row) => row[1]));
  const x = (epoch) => 44 + ((epoch - 1) / (last - 1)) * (canvas.width - 56);
  const y = (loss) => 12 + ((high - loss) / (high - low || 1)) * (canvas.height - 40);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  writeAxes(pen, canvas, low, high, last);
  for (const seed of new Set(rows.map((row) => row[0]))) {
    const own = rows.filter((row) => row[0] === seed);
    drawLine(pen, own.map((row) => [x(row[1]), y(row[2])]), color("--train"), 2);
    drawLine(pen, own.map((row) => [x(row[1]), y(row[4])]), color("--test"), 1);
  }
}

function drawLine(pen, points, style, width) {
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.stroke();
}

function writeAxes(pen, canvas, low, high, last) {
  pen.fillStyle = color("--quiet");
  pen.font = "13px system-ui, sans-serif";
  pen.fillText(high.toFixed(3), 4, 18);
  pen.fillText(low.toFixed(3), 4, canvas.height - 24);
  pen.fillText("epoch 1", 44, canvas.height - 6);
  pen.fillText(String(last), canvas.width - 24, canvas.height - 6);
}

// Ten units' weights as pictures, two rows of five with a line between: light where a pixel speaks for the unit.
function drawUnits(canvas, weights, [height, width]) {
  [canvas.width, canvas.height] = [5 * (width + 1) - 1, 2 * (height + 1) - 1];
  const pen = canvas.getContext("2d");
  for (let unit = 0; unit < 10; unit++) {
    const own = weights.subarray(unit * height * width, (unit + 1) * height * width);
    pen.putImageData(picture(own, width, height), (unit % 5) * (width + 1), Math.floor(unit / 5) * (height + 1));
  }
}

function picture(weights, width, height) {
  const image = new ImageData(width, height);
  const top = weights.reduce((most, w) => Math.max(most, Math.abs(w)), 1e-9);
  weights.forEach((w, i) => {
    image.data.fill(127.5 + (127.5 * w) / top, 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  });
  return image;
}

// ---------------------------------------------------------------------------------------------------- files of others

const give = (files) => worker?.postMessage({ order: "files", files: [...files] });
const zone = element("zone");
element("archives").onchange = (event) => give(event.target.files);
element("line").onfocus = (event) => event.target.select();
zone.ondragover = (event) => (event.preventDefault(), zone.classList.add("over"));
zone.ondragleave = () => zone.classList.remove("over");
zone.ondrop = (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  give(event.dataTransfer.files);
};

begin();
