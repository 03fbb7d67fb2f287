// Draws a graph on a canvas: x is the frame, y the lane. Knows places, kinds and moments; knows no memory.
//
// 20,000 nodes are drawn one by one in a few milliseconds, so that nothing needs a scene or a library.

import { colour, sharp } from "./dom.js";

const PAD = 16;
const NEAR = 14; // pixels from a node that still hit it
const SIZE = { step: 5, unit: 5.5, cluster: 7.5, atom: 6, recall: 5, episode: 9, entity: 6.5 };
const CORNERS = { cluster: [6, Math.PI / 6], atom: [4, 0], recall: [3, Math.PI / 2], entity: [5, -Math.PI / 2] }; // and the turn
const OTHERS = "other episodes";
const LANES = ["steps", "units", "clusters", "atoms", "entities"];

// Of nodes in columns, what is looked up often; lanes in which nothing ever stands are left out. Units take in their steps from the frame on at which they are formed.
export function prepare(graph) {
  const made = { ...graph, at_id: new Map(graph.id.map((id, at) => [id, at])), taken: new Int32Array(graph.id.length).fill(-1), below: new Map(), shownTo: new Map(), about: new Map() };
  const gather = (map, key, value) => (map.has(key) ? map.get(key).push(value) : map.set(key, [value]));
  for (const [from, to, kind] of graph.link) {
    const name = graph.links[kind];
    if (name === "sources") {
      gather(made.below, from, to);
      if (graph.kinds[graph.kind[from]] === "unit" && (made.taken[to] < 0 || graph.at[from] < made.taken[to])) made.taken[to] = graph.at[from];
    } else if (name === "recalled_by") gather(made.shownTo, to, from);
    else if (name === "about") gather(made.about, to, from);
  }
  made.y = graph.y.map((y) => (y < 1 ? y : 1 + graph.lanes.indexOf(Math.floor(y)) + (y % 1)));
  made.low = graph.y.reduce((least, y) => Math.min(least, y), 0);
  made.high = Math.max(2, 1 + graph.lanes.length);
  return made;
}

// view: first and last frame in sight. now: the frame up to which nodes are there; at: the one that is shown. grown: 0 to 1, of those that form now.
export function place(view, width, height, graph) {
  const { low, high } = graph || { low: 0, high: 4 };
  const bottom = Math.max(low, -6) - 0.6;
  const scale = (height - 2 * PAD) / (high - bottom);
  return {
    x: (value) => PAD + ((value - view.first) / Math.max(1e-9, view.last - view.first)) * (width - 2 * PAD),
    y: (value) => height - PAD - (Math.max(value, bottom) - bottom) * scale,
    frame: (x) => view.first + ((x - PAD) / (width - 2 * PAD)) * (view.last - view.first),
  };
}

// Returns how many nodes are in sight.
export function draw(canvas, graph, look) {
  const { pen, width, height } = sharp(canvas);
  const to = place(look.view, width, height, graph);
  if (!graph) return 0;
  lanes(pen, to, width, graph.lanes, look.at);
  const dense = (look.view.last - look.view.first) / width;
  const shown = [];
  for (let at = 0; at < graph.id.length; at += 1) {
    if (graph.at[at] <= look.now && graph.x[at] >= look.view.first - 1 && graph.x[at] <= look.view.last + 1) shown.push(at);
  }
  const spot = (at) => spotOf(graph, at, to, look);
  abroad(pen, graph, to, height);
  tracks(pen, graph, shown, to, dense);
  for (const at of lined(graph, look)) lines(pen, graph, at, spot, look);
  for (const at of shown) node(pen, graph, at, spot(at), look, dense);
  for (const at of shown) ring(pen, graph, at, spot(at), look);
  labels(pen, graph, shown, spot, look);
  return shown.length;
}

// A crystal that forms now moves from the middle of its sources to its own place.
function spotOf(graph, at, to, look) {
  const own = [to.x(graph.x[at]), to.y(graph.y[at])];
  const below = graph.below.get(at);
  if (look.grown >= 1 || graph.at[at] !== look.now || !below) return own;
  const middle = [0, 0];
  for (const source of below) {
    middle[0] += to.x(graph.x[source]) / below.length;
    middle[1] += to.y(graph.y[source]) / below.length;
  }
  return own.map((value, axis) => middle[axis] + (value - middle[axis]) * look.grown);
}

// And where in them the frame that is shown is, under all words.
function lanes(pen, to, width, there, at) {
  pen.fillStyle = colour("lane");
  there.forEach((_, row) => pen.fillRect(0, to.y(row + 1.88), width, to.y(row + 0.9) - to.y(row + 1.88)));
  pen.fillStyle = colour("ink");
  pen.globalAlpha = 0.35;
  pen.fillRect(to.x(at) - 0.5, 0, 1, pen.canvas.clientHeight);
  pen.globalAlpha = 1;
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "bottom";
  pen.fillStyle = colour("quiet");
  [0, ...there].forEach((lane, row) => written(pen, LANES[lane], 4, to.y(row + 0.6)));
}

// Words that no line strikes out.
function written(pen, text, x, y) {
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = colour("paper");
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
  pen.lineWidth = 1;
}

// Where what was recalled of other episodes ends, and the frames begin.
const ABROAD = -0.75;

function abroad(pen, graph, to, height) {
  if (graph.begins > ABROAD) return;
  const x = to.x(ABROAD);
  pen.strokeStyle = colour("line");
  pen.setLineDash([2, 4]);
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, height);
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colour("quiet");
  pen.textBaseline = "top"; // over all of them: below is no lane of theirs
  if (pen.measureText(OTHERS).width < x - 8) written(pen, OTHERS, 4, 3);
}

function tracks(pen, graph, shown, to, dense) {
  if (dense > 1) return;
  pen.strokeStyle = colour("line");
  pen.beginPath();
  const last = new Map();
  for (const at of shown) {
    if (graph.kinds[graph.kind[at]] !== "step" || graph.x[at] < ABROAD) continue;
    const y = graph.y[at];
    if (last.has(y)) {
      pen.moveTo(to.x(last.get(y)), to.y(y));
      pen.lineTo(to.x(graph.x[at]), to.y(y));
    }
    last.set(y, graph.x[at]);
  }
  pen.stroke();
}

// What a node has lines to: a recall to what it showed, an entity to what is about it, a crystal to its sources.
const ends = (graph, at) => ({ recall: graph.shownTo, entity: graph.about })[graph.kinds[graph.kind[at]]]?.get(at) || graph.below.get(at) || [];

// Nodes whose lines are drawn: what is selected, what forms now, and the recalls of this frame.
function lined(graph, look) {
  const found = new Set();
  if (graph.at_id.has(look.selected)) found.add(graph.at_id.get(look.selected));
  for (let at = 0; at < graph.id.length; at += 1) if (graph.at[at] === look.now && graph.below.has(at)) found.add(at);
  for (const id of look.recalls) if (graph.at_id.has(id)) found.add(graph.at_id.get(id));
  return found;
}

function lines(pen, graph, at, spot, look) {
  const kind = graph.kinds[graph.kind[at]];
  const recall = kind === "recall";
  pen.strokeStyle = colour(recall || kind === "entity" ? kind : "quiet");
  pen.globalAlpha = graph.id[at] === look.selected ? 0.9 : 0.5;
  pen.beginPath();
  for (const end of ends(graph, at)) {
    if (graph.at[end] > look.now) continue;
    const [x, y] = spot(at);
    const [toX, toY] = spot(end);
    pen.moveTo(x, y);
    if (recall) pen.quadraticCurveTo((x + toX) / 2, Math.max(y, toY) + 26, toX, toY);
    else pen.lineTo(toX, toY);
  }
  pen.stroke();
  pen.globalAlpha = 1;
}

function node(pen, graph, at, [x, y], look, dense) {
  const kind = graph.kinds[graph.kind[at]];
  const taken = kind === "step" && graph.taken[at] >= 0 && graph.taken[at] <= look.now;
  const retired = graph.gone[at] >= 0 && graph.gone[at] <= look.now;
  const open = taken && look.open.has(at);
  if (dense > 1.5 && kind === "step") {
    pen.fillStyle = colour("step");
    pen.globalAlpha = taken ? 0.35 : 1;
    pen.fillRect(x, y - 3, 1, 6);
    pen.globalAlpha = 1;
    return;
  }
  const size = Math.min(SIZE[kind] * (taken && !open ? 0.62 : 1), kind === "step" ? Math.max(1.2, 0.42 / dense) : 99);
  pen.globalAlpha = taken && !open ? 0.5 : 1;
  shape(pen, kind, x, y, size);
  pen.fillStyle = retired ? colour("paper") : colour(kind === "episode" ? "ink" : kind);
  pen.fill();
  pen.lineWidth = retired ? 1.8 : 1;
  pen.strokeStyle = retired ? colour(kind) : colour("paper");
  if (retired || dense < 0.2) pen.stroke();
  pen.lineWidth = 1;
  pen.globalAlpha = 1;
}

function shape(pen, kind, x, y, size) {
  pen.beginPath();
  if (kind === "step") pen.arc(x, y, size, 0, 7);
  else if (kind === "unit") pen.rect(x - size, y - size, 2 * size, 2 * size);
  else if (kind === "episode") pen.rect(x - 1, y - size, 2.5, 2 * size);
  else {
    const [corners, turn] = CORNERS[kind];
    for (let corner = 0; corner < corners; corner += 1) {
      const angle = turn + (corner / corners) * 2 * Math.PI;
      pen.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
    }
    pen.closePath();
  }
}

// Around what was recalled a whole ring, around what just missed a broken one, around what is selected a thick one.
function ring(pen, graph, at, [x, y], look) {
  const id = graph.id[at];
  const chosen = id === look.selected || id === look.step;
  if (!chosen && !look.hits.has(id) && !look.missed.has(id)) return;
  pen.beginPath();
  pen.setLineDash(!chosen && look.missed.has(id) ? [3, 3] : []);
  pen.lineWidth = chosen ? 3 : 2;
  pen.strokeStyle = chosen ? colour("ink") : colour("recall");
  pen.arc(x, y, 10, 0, 7);
  pen.stroke();
  pen.setLineDash([]);
  pen.lineWidth = 1;
}

// Of crystals, entities and episodes, as much of each as finds room before what stands next to it.
function labels(pen, graph, shown, spot, look) {
  if (!graph.label) return;
  pen.fillStyle = colour("ink");
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const rows = new Map();
  for (const at of shown) {
    const kind = graph.kinds[graph.kind[at]];
    if (kind === "step" || kind === "recall") continue;
    const [x, own] = spot(at);
    const y = kind === "episode" ? own - SIZE.episode - 11 : own; // over the steps that follow it, and their rings
    const row = Math.round(y / 6);
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push({ at, x, y });
  }
  for (const row of rows.values()) {
    row.sort((one, other) => one.x - other.x);
    row.forEach(({ at, x, y }, place) => {
      const ring = graph.id[at] === look.selected ? 13 : 10;
      const room = Math.min(place + 1 < row.length ? row[place + 1].x - 10 : Infinity, pen.canvas.clientWidth - 6) - x - ring;
      const text = fitted(pen, graph.label[at], room);
      if (text) written(pen, text, x + ring, y);
    });
  }
}

// The beginning of a text that fits into a width; nothing where it would say too little.
function fitted(pen, text, room) {
  if (room < 44) return "";
  const wide = pen.measureText(text).width;
  return wide <= room ? text : `${text.slice(0, Math.max(1, Math.floor((text.length * room) / wide) - 2))}…`;
}

// The node at a place on the canvas, or -1.
export function hit(graph, look, canvas, x, y) {
  const to = place(look.view, canvas.clientWidth, canvas.clientHeight, graph);
  let best = -1;
  let least = NEAR * NEAR;
  for (let at = 0; at < graph.id.length; at += 1) {
    if (graph.at[at] > look.now) continue;
    const distance = (to.x(graph.x[at]) - x) ** 2 + (to.y(graph.y[at]) - y) ** 2;
    if (distance < least) {
      least = distance;
      best = at;
    }
  }
  return best;
}
