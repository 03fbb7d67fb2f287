// The timeline: how dense the episode is, where one is in it, and playing.

import { button, byId, colour, fill, h, many, number, sharp } from "./dom.js";
import { isFile } from "./source.js";
import { go, on, state } from "./state.js";

const SPEEDS = [1, 2, 4, 8, 16];
const LAYERS = ["observation", "action", "message"];
let canvas, range, told, play, title, speed;
let timer = null;

export function makeTimeline() {
  canvas = h("canvas", { id: "density", role: "img", "aria-label": "Tokens of each part of the episode by kind of step, recalls and crystals" });
  range = h("input", { type: "range", id: "scrub", min: 0, max: 0, value: 0, "aria-label": "Frame", oninput: () => go(Number(range.value)) });
  told = h("output", { id: "where", for: "scrub" });
  play = button("Play", toggle, { id: "play", "aria-pressed": "false", title: "Space" });
  title = h("h2", { id: "title" });
  speed = h("select", { "aria-label": "Frames a second" }, SPEEDS.map((one) => h("option", { value: one, selected: one === 2 }, `${one}/s`)));
  const jump = (text, name, to) => button(text, () => go(to()), { "aria-label": name, title: name });
  const controls = h("div", { class: "row" },
    jump("|◀", "First frame (Home)", () => 0), jump("◀", "Frame before (←)", () => state.number - 1), play,
    jump("▶", "Next frame (→)", () => state.number + 1), jump("▶|", "Last frame (End)", () => state.replay.frames - 1), speed, told);
  fill(byId("timeline"), h("div", { class: "row spread" }, title, controls), canvas, range, legend());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    scrubTo(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && scrubTo(event));
  on("opened", opened);
  on("moved", moved);
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function legend() {
  const one = (name, text) => h("span", {}, h("i", { class: `mark ${name}` }), text);
  return h("p", { class: "legend quiet" }, one("observation", "observed"), one("action", "acted"), one("message", "said"), one("recall", "recalled"), one("atom", "crystals, where their steps end"));
}

function scrubTo(event) {
  const box = canvas.getBoundingClientRect();
  const share = (event.clientX - box.left) / box.width;
  if (state.replay) go(Math.floor(share * state.replay.frames));
}

function opened() {
  const { episode, goal, agent, frames, recalls, held = frames } = state.replay;
  stop();
  range.max = Math.max(0, frames - 1);
  range.disabled = frames < 2;
  const about = [episode === null ? "all episodes, as they interleave" : episode, agent && `of ${agent.text}`].filter(Boolean).join(" ");
  const part = held < frames ? `, ${number(held)} of them in this file` : "";
  fill(title, h("span", {}, about), h("span", { class: "quiet" }, ` ${many(frames, "steps")}${part}, ${many(recalls, "recalls")}`), goal ? h("span", { class: "goal" }, goal.text) : null);
  draw();
}

function moved() {
  range.value = state.number;
  const n = state.replay.frames;
  told.textContent = n ? `${number(state.number + 1)} of ${number(n)}` : isFile ? "no steps here" : "no steps yet";
  range.setAttribute("aria-valuetext", told.textContent);
  draw();
}

function draw() {
  if (!state.replay || !canvas.isConnected) return;
  const { pen, width, height } = sharp(canvas);
  const { density, frames } = state.replay;
  const floor = height - 14;
  const totals = density.observation.map((value, at) => value + density.action[at] + density.message[at]);
  const most = Math.max(1, ...totals);
  const step = width / density.bins;
  for (let at = 0; at < density.bins; at += 1) {
    let y = floor;
    for (const layer of LAYERS) {
      const tall = (density[layer][at] / most) * (floor - 4);
      pen.fillStyle = colour(layer);
      pen.fillRect(at * step, y - tall, Math.max(1, step - (step > 4 ? 1 : 0)), tall);
      y -= tall;
    }
    if (density.recalls[at]) mark(pen, (at + 0.5) * step, floor + 4, "recall");
    if (density.formed[at]) mark(pen, (at + 0.5) * step, floor + 10, "atom");
  }
  const x = frames > 1 ? ((state.number + 0.5) / frames) * width : width / 2;
  pen.fillStyle = colour("ink");
  pen.fillRect(Math.round(x) - 1, 0, 2, height);
}

function mark(pen, x, y, what) {
  pen.fillStyle = colour(what);
  pen.beginPath();
  if (what === "recall") {
    pen.moveTo(x - 3, y - 2.5);
    pen.lineTo(x + 3, y - 2.5);
    pen.lineTo(x, y + 3);
  } else {
    pen.moveTo(x, y - 3);
    pen.lineTo(x + 3, y);
    pen.lineTo(x, y + 3);
    pen.lineTo(x - 3, y);
  }
  pen.fill();
}

export function toggle() {
  if (timer !== null) stop();
  else {
    if (state.number >= state.replay.frames - 1) go(0);
    timer = setTimeout(next, pause());
    shown(true);
  }
}

const pause = () => 1000 / Number(speed.value);

function next() {
  if (state.number >= state.replay.frames - 1) return stop();
  go(state.number + 1);
  timer = setTimeout(next, pause());
  return undefined;
}

function stop() {
  clearTimeout(timer);
  timer = null;
  shown(false);
}

function shown(plays) {
  play.textContent = plays ? "Pause" : "Play";
  play.setAttribute("aria-pressed", String(plays));
}
