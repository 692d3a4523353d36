// As much of YAML as DVC writes into dvc.lock: mappings, lists, plain texts over several lines, and no more.

export function readYaml(text) {
  const written = text.split("\n").filter((line) => line.trim());
  const lines = written.map((line) => ({ indent: line.search(/\S/), text: line.trim() }));
  return block(lines, { at: 0 }, 0);
}

const PAIR = /^("[^"]*"|'[^']*'|[^\s"'][^:]*|[^\s"']\S*?):(?:\s+(.*))?$/;

// What stands at this indent: a list, or a mapping.
function block(lines, place, indent) {
  return lines[place.at].text.startsWith("- ") ? list(lines, place, indent) : mapping(lines, place, indent);
}

const here = (lines, place, indent) => place.at < lines.length && lines[place.at].indent === indent;

function list(lines, place, indent) {
  const items = [];
  while (here(lines, place, indent) && lines[place.at].text.startsWith("- ")) {
    const line = lines[place.at];
    line.text = line.text.slice(2); // what follows the dash is a block of its own, two further in
    line.indent += 2;
    items.push(PAIR.test(line.text) ? block(lines, place, indent + 2) : scalar(lines, place, indent));
  }
  return items;
}

function mapping(lines, place, indent) {
  const entries = {};
  while (here(lines, place, indent) && !lines[place.at].text.startsWith("- ")) {
    const match = PAIR.exec(lines[place.at].text);
    if (!match) throw new Error(`dvc.lock has a line that this program cannot read: ${shown(lines[place.at].text)}`);
    entries[plain(match[1])] = value(lines, place, indent, match[2] ?? "");
  }
  return entries;
}

// No control character of a damaged file may reach a terminal.
const shown = (text) => JSON.stringify(text.slice(0, 100)).replace(/[^\x20-\x7e]/g, "?");

// Behind a colon: a text, or a block in the lines below; a list may stand as far out as its key.
function value(lines, place, indent, rest) {
  const next = lines[place.at + 1];
  const isList = next?.indent >= indent && next.text.startsWith("- ");
  const isMapping = next?.indent > indent && PAIR.test(next.text);
  if (!rest && (isList || isMapping)) {
    place.at++;
    return block(lines, place, next.indent);
  }
  lines[place.at].text = rest;
  return scalar(lines, place, indent);
}

// A text that may go on in the lines below, further in.
function scalar(lines, place, indent) {
  const words = [lines[place.at++].text];
  while (place.at < lines.length && lines[place.at].indent > indent) words.push(lines[place.at++].text);
  return plain(words.join(" ").trim());
}

function plain(text) {
  if (text === "" || text === "null") return null;
  if (text === "[]") return [];
  if (/^(".*"|'.*')$/.test(text)) return text.slice(1, -1);
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(text) ? Number(text) : text;
}
