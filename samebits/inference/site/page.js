// Draw, ask the server, show the bars. One question at a time: while one is out, only the newest drawing waits.
"use strict";

const element = (id) => document.getElementById(id);
const drawing = element("drawing"), pen = element("pen"), brush = drawing.getContext("2d");
const SIDE = drawing.width, WIDTH = 0.08 * SIDE, STEP = SIDE / 28; // a stroke as thick as MNIST's
const rows = new Map(); // class -> its row of the table
let cursor = { x: SIDE / 2, y: SIDE / 2 }, empty = true, asking = false, changed = false, round = 0;

brush.lineWidth = WIDTH;
brush.lineCap = brush.lineJoin = "round";
brush.strokeStyle = "#fff";
clear();
describe();

async function describe() {
  try {
    const model = await (await fetch("/model")).json();
    const digits = ["mnist", "digits"].includes(model.dataset);
    element("title").textContent = digits ? "Draw a digit" : "Draw, or open a picture";
    element("about").textContent =
      `${model.run} on ${model.dataset}, seed ${model.seed}, ${model.arithmetic} arithmetic, ${model.image[1]} × ${model.image[0]} pixels`;
    [element("seen").height, element("seen").width] = model.image;
    model.classes.forEach(addRow);
  } catch {
    problem("The server does not answer.");
  }
}

function addRow(name) {
  const row = element("classes").insertRow(), heading = document.createElement("th");
  const bar = document.createElement("span"), filled = document.createElement("i");
  heading.scope = "row";
  heading.textContent = name;
  bar.className = "bar";
  bar.append(filled);
  row.append(heading);
  row.insertCell().append(bar);
  row.insertCell().textContent = "0.0 %";
  rows.set(name, row);
}

// ---- drawing

function line(from, to) {
  brush.beginPath();
  brush.moveTo(from.x, from.y);
  brush.lineTo(to.x + 0.01, to.y); // a line of no length at all would draw no dot
  brush.stroke();
  movePen(to);
  empty = false;
  ask();
}

function movePen(to) {
  cursor = to;
  pen.style.left = `${(100 * to.x) / SIDE}%`;
  pen.style.top = `${(100 * to.y) / SIDE}%`;
}

function clear() {
  brush.fillStyle = "#000";
  brush.fillRect(0, 0, SIDE, SIDE);
  empty = true;
  round += 1; // an answer that is still on its way is about what is gone
  movePen({ x: SIDE / 2, y: SIDE / 2 });
  show(null);
}

function place(event) {
  const box = drawing.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * SIDE) / box.width, y: ((event.clientY - box.top) * SIDE) / box.height };
}

drawing.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  drawing.setPointerCapture(event.pointerId);
  line(place(event), place(event));
});
drawing.addEventListener("pointermove", (event) => {
  if (!drawing.hasPointerCapture(event.pointerId)) return;
  const points = event.getCoalescedEvents?.() ?? [];
  for (const point of points.length ? points : [event]) line(cursor, place(point));
});
drawing.addEventListener("keydown", (event) => {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  const clears = ["Delete", "Backspace", "Escape"].includes(event.key);
  if (!(dx || dy || clears) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (clears) return clear();
  const within = (value) => Math.min(Math.max(value, 0), SIDE);
  const to = { x: within(cursor.x + dx * STEP), y: within(cursor.y + dy * STEP) };
  if (event.shiftKey) line(cursor, to);
  else movePen(to);
});
element("clear").addEventListener("click", clear);

// ---- asking

async function ask() {
  if (asking) return void (changed = true);
  asking = true;
  do {
    changed = false;
    if (!empty) await send(await new Promise((done) => drawing.toBlob(done, "image/png")));
  } while (changed);
  asking = false;
}

async function send(picture) {
  const asked = round;
  try {
    const reply = await fetch("/predict", { method: "POST", headers: { "Content-Type": picture.type }, body: picture });
    const answer = await reply.json();
    if (asked !== round) return;
    if (reply.ok) show(answer.predictions[0]);
    else problem(`Refused: ${answer.error}.`);
  } catch {
    problem("The server does not answer.");
  }
}

element("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // so that the same file can be opened again
  if (!file) return;
  clear();
  try {
    const bitmap = await createImageBitmap(file), scale = SIDE / Math.max(bitmap.width, bitmap.height);
    const width = bitmap.width * scale, height = bitmap.height * scale;
    brush.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height); // to look at: the file itself is sent
  } catch {} // the server says what is wrong with it
  await send(file);
});

// ---- showing

function show(prediction) {
  problem(prediction?.doubt ? `Unlike the training images: ${prediction.doubt}.` : "");
  element("answer").textContent = prediction ? (prediction.class ?? "?") : "–";
  for (const [name, row] of rows) {
    const probability = prediction ? prediction.probabilities[name] : 0;
    row.classList.toggle("best", name === prediction?.class);
    row.querySelector("i").style.transform = `scaleX(${probability})`;
    row.cells[2].textContent = `${(100 * probability).toFixed(1)} %`;
  }
  const seen = element("seen"), dots = seen.getContext("2d");
  const image = dots.createImageData(seen.width, seen.height);
  const levels = prediction ? prediction.pixels.flat() : Array(seen.width * seen.height).fill(0);
  levels.forEach((level, i) => image.data.set([level, level, level, 255], 4 * i));
  dots.putImageData(image, 0, 0);
}

function problem(text) {
  element("problem").textContent = text;
}
