// How memory does: tokens and ratios per layer, bytes by part, how it fades, how long a recall takes.

import { button, byId, colour, fill, fixed, h, many, number, ratio, sharp, size } from "./dom.js";
import { ask, isFile } from "./source.js";
import { here, on, tried } from "./state.js";

const DASHES = [[], [6, 4], [2, 3]];
const COLOURS = ["unit", "cluster", "recall"];

export function makeHealth() {
  on("show", (tab) => tab === "health" && show());
}

async function show() {
  const found = await tried(() => ask("health", here()));
  if (!found) return;
  const curve = h("canvas", { id: "decay", role: "img", "aria-label": "What is left of salience by age in tokens" });
  fill(byId("health"),
    h("div", { class: "card" }, h("h2", {}, "Memory health"), facts(found), layers(found)),
    h("div", { class: "card" }, h("h3", {}, "Bytes"), bytes(found)),
    h("div", { class: "card" }, h("h3", {}, "How it fades"), h("p", { class: "quiet" }, `What is left of salience, by tokens logged since: (1 + age / ${number(found.decay.tau)} (1 + salience) (1 + uses))^−${found.decay.lambda}. It lowers rank, and deletes nothing.`), curve, legend(found.decay)),
    isFile ? null : latency());
  curves(curve, found.decay);
  new ResizeObserver(() => curves(curve, found.decay)).observe(curve);
}

function facts(found) {
  const behind = found.end > found.watermark ? `crystallized up to position ${number(found.watermark)} of ${number(found.end)}` : "crystallized to its end";
  const codes = found.encoder ? `encoder ${found.encoder}${found.uncoded ? `, ${many(found.uncoded, "units")} without codes yet` : ""}` : "no encoder: recall goes by words alone";
  return h("p", {}, `${many(found.steps, "steps")}, ${many(found.episodes, "episodes")}, ${many(found.tokens, "tokens")}; ${behind}; keeps ${found.retain === "keep" ? "every step whole" : "crystals and the newest steps"}; ${codes}.`);
}

function table(names, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))));
}

function share(part, most) {
  const bar = h("i", { class: "bar" });
  bar.style.width = `${(part / Math.max(1, most)) * 9}em`;
  return bar;
}

function layers(found) {
  const rows = ["unit", "cluster", "atom"].map((name) => [name, found.layers[name]]).map(([name, one]) => [h("span", {}, h("i", { class: `mark ${name}` }), name), number(one.crystals), number(one.tokens), ratio(one.source_tokens, one.tokens), share(one.tokens, found.tokens)]);
  return table(["layer", "crystals", "tokens", "ratio", ""], [["steps", number(found.steps), number(found.tokens), "", share(found.tokens, found.tokens)], ...rows]);
}

function bytes(found) {
  const parts = Object.entries(found.parts).filter(([, value]) => value).sort((one, other) => other[1] - one[1]);
  return [h("p", {}, `${size(found.bytes.total)} in all files${found.comparable ? `, ${size(found.bytes_per_million_tokens)} per million tokens` : ""}.`), table(["part", "bytes", ""], parts.map(([name, value]) => [name, size(value), share(value, found.bytes.total)]))];
}

function legend(decay) {
  return h("p", { class: "legend quiet" }, decay.curves.map((one, at) => h("span", {}, h("i", { class: `curve ${COLOURS[at]}` }), `salience ${one.salience}, ${many(one.uses, "uses")}`)));
}

function curves(canvas, decay) {
  const { pen, width, height } = sharp(canvas);
  const [left, bottom] = [36, 22];
  const most = Math.log10(decay.ages[decay.ages.length - 1] + 1);
  const x = (age) => left + (Math.max(0, Math.log10(age + 1) - 2) / (most - 2)) * (width - left - 10);
  const y = (value) => 6 + (1 - value) * (height - bottom - 6);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("quiet");
  pen.strokeStyle = colour("line");
  for (const value of [0, 0.5, 1]) {
    pen.strokeRect(left, y(value), width - left - 10, 0);
    pen.fillText(String(value), 8, y(value) + 4);
  }
  for (const [age, said] of [[100, "100"], [1000, "1k"], [10000, "10k"], [100000, "100k"], [1000000, "1M"]]) pen.fillText(said, Math.min(x(age), width - 24), height - 6);
  decay.curves.forEach((one, at) => {
    pen.setLineDash(DASHES[at]);
    pen.strokeStyle = colour(COLOURS[at]);
    pen.lineWidth = 2;
    pen.beginPath();
    decay.ages.forEach((age, place) => pen.lineTo(x(age), y(one.left[place])));
    pen.stroke();
  });
  pen.setLineDash([]);
  pen.lineWidth = 1;
}

function latency() {
  const found = h("div", { "aria-live": "polite" });
  const measure = async () => {
    const said = await tried(() => ask("latency", here()));
    if (!said) return;
    const spent = [...said.milliseconds].sort((one, other) => one - other);
    if (!spent.length) fill(found, h("p", { class: "quiet" }, "There is nothing to recall yet."));
    else {
      const of = said.recorded ? "the last recalls of the log, asked again" : "the newest steps' texts as cues";
      fill(found, h("p", {}, `median ${fixed(spent[Math.floor(spent.length / 2)], 1)} ms, slowest ${fixed(spent[spent.length - 1], 1)} ms, of ${many(spent.length, "recalls")} (${of}).`), h("p", { class: "row" }, spent.map((one) => h("span", { class: "chip" }, `${fixed(one, 1)} ms`))));
    }
  };
  return h("div", { class: "card" }, h("h3", {}, "Recall latency"), h("p", {}, button("Measure", measure, { id: "measure" })), found);
}
