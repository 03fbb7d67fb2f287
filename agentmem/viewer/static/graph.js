// The graph beside the step: a canvas, and the same as a list. Nodes are there from the frame on at which they were made.

import { became, button, byId, calm, fill, h, many, number } from "./dom.js";
import { draw, hit, place, prepare } from "./draw.js";
import { change } from "./edit.js";
import { ask, isFile } from "./source.js";
import { go, here, on, open, openStep, playing, state, tell, tried } from "./state.js";

const WHOLE = 3000; // steps of an episode whose graph is asked for at once
const LEAST = 6; // frames in sight
const BEGIN = 60;
const GROWS = 350; // milliseconds
const LISTED = 150;
const NAME = "Graph of the memory";
const view = { first: 0, last: BEGIN };
let canvas, told, detail, list, graph, parts, asked, grown, pending, fresh;

export function makeGraph() {
  canvas = h("canvas", { id: "board", role: "img", "aria-label": NAME });
  told = h("span", { class: "quiet" });
  detail = h("div", { id: "node" });
  list = h("ul", { id: "nodes" });
  const zoom = (text, name, by) => button(text, () => zoomBy(by), { "aria-label": name, title: name });
  const tools = h("div", { class: "row" }, zoom("−", "Show more frames", 2), zoom("+", "Show fewer frames", 0.5), button("All", () => look(begins(), state.replay.frames - 0.5)), told);
  const listed = h("details", { id: "listed", ontoggle: () => relist() }, h("summary", {}, "As a list"), list);
  fill(byId("graph"), h("div", { class: "row spread" }, h("h3", {}, "Memory as of this step"), tools), canvas, legend(), detail, listed);
  pointing();
  on("opened", opened);
  on("moved", moved);
  on("frame", () => {
    reach();
    redraw();
    relist();
  });
  on("select", select);
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function legend() {
  const one = (kind, text) => h("span", {}, h("i", { class: `mark ${kind}` }), text);
  return h("p", { class: "legend quiet" }, one("step", "step"), one("unit", "unit"), one("cluster", "cluster"), one("atom", "atom"), one("recall", "recall"), one("episode", "episode"), one("entity", "entity"), h("span", {}, h("i", { class: "mark ring" }), "recalled here"), h("span", {}, h("i", { class: "mark ring broken" }), "just missed"), h("span", {}, h("i", { class: "mark hollow" }), "retired"));
}

// Left of the first frame stands what was recalled of other episodes.
const begins = () => (graph && graph.begins < -0.5 ? graph.begins - 0.5 : -0.5);

function opened() {
  parts = new Map();
  asked = new Set();
  graph = null;
  grown = 1;
  fill(detail);
  fill(list); // what stood there may be erased
  canvas.setAttribute("aria-label", NAME);
  byId("tip").hidden = true;
  look(-0.5, Math.min(state.replay.frames, BEGIN) - 0.5);
  fresh = true;
}

// Where a page opens, what was recalled there is in sight, however far back it lies, unless only a stretch is asked for.
function reach() {
  if (!fresh || !graph || !state.frame || state.frame.number !== state.number) return;
  fresh = false;
  const places = [...looking().hits].map((id) => graph.x[graph.at_id.get(id)]).filter((x) => x !== undefined);
  if (places.length && !places.some((x) => x >= view.first && x <= view.last)) look(begins(), state.replay.frames - 0.5);
}

function moved(from) {
  const width = view.last - view.first;
  if (state.number < view.first + 0.05 * width || state.number > view.last - 0.05 * width) {
    look(state.number - 0.7 * width, state.number + 0.3 * width);
  }
  if (state.number === from + 1 && !calm()) grow();
  else grown = 1;
  redraw();
}

function grow() {
  const began = performance.now();
  const began_at = state.number;
  const turn = (now) => {
    grown = began_at === state.number ? Math.min(1, (now - began) / GROWS) : 1;
    redraw();
    if (grown < 1) requestAnimationFrame(turn);
  };
  grown = 0;
  requestAnimationFrame(turn);
}

function look(first, last) {
  const least = begins();
  const end = Math.max(LEAST, state.replay.frames) - 0.5;
  const width = Math.min(Math.max(LEAST, last - first), end - least);
  view.first = Math.max(least, Math.min(first, end - width));
  view.last = view.first + width;
  redraw();
  relist();
}

function zoomBy(by, around = state.number) {
  const share = (around - view.first) / (view.last - view.first);
  const width = (view.last - view.first) * by;
  look(around - share * width, around + (1 - share) * width);
}

// ---- what is asked for: all of a short episode, else a stretch in which the view lies ------------------------------------

function stretch() {
  if (isFile || state.replay.frames <= WHOLE) return { first: 0, last: null };
  const width = 2 ** Math.ceil(Math.log2(view.last - view.first + 1));
  const first = Math.max(0, Math.floor(view.first / width - 0.5) * width);
  return { first, last: first + 3 * width };
}

async function need() {
  const wanted = stretch();
  const key = `${wanted.first} ${wanted.last}`;
  if (parts.has(key)) graph = parts.get(key);
  else if (!asked.has(key)) {
    asked.add(key);
    const mine = parts;
    const found = await tried(() => ask("graph", { ...playing(), ...wanted }));
    if (!found || mine !== parts) return;
    const beginning = view.first === -0.5;
    graph = prepare(found);
    parts.set(key, graph);
    if (beginning) look(begins(), view.last);
    reach();
    if (parts.size > 8) forgetFirst();
    redraw();
    relist();
  }
}

function forgetFirst() {
  const oldest = parts.keys().next().value;
  parts.delete(oldest);
  asked.delete(oldest);
}

// The frame up to which nodes are there; what came after the last step is there with it.
const now = () => (state.number >= state.replay.frames - 1 ? state.replay.frames : state.number);

function looking() {
  const recalls = state.frame && state.frame.number === state.number ? state.frame.recalls.first : [];
  const ids = (name) => new Set(recalls.flatMap((recall) => recall[name].first.map((one) => one.id)));
  const at = graph && graph.at_id.get(state.selected);
  return {
    view, now: now(), at: state.number, grown, selected: state.selected, hits: ids("hits"), missed: ids("missed"),
    step: state.frame && state.frame.number === state.number ? state.frame.step.id : null,
    recalls: recalls.filter((one) => one.position).map((one) => `r${String(one.position).padStart(11, "0")}`),
    open: new Set(at === undefined || at === null ? [] : graph.below.get(at) || []),
  };
}

function redraw() {
  if (!state.replay || pending) return;
  pending = requestAnimationFrame(() => {
    pending = null;
    need();
    const shown = draw(canvas, graph, looking());
    canvas.setAttribute("aria-label", `${NAME} as of this step, ${many(shown, "nodes")} in sight; the list below says the same`);
    told.textContent = graph ? remark() : "";
  });
}

function remark() {
  if (graph.left_out) return `${many(graph.left_out, "nodes")} of this stretch are not drawn; show fewer frames`;
  const { hits } = looking();
  const elsewhere = [...hits].filter((id) => !graph.at_id.has(id)).length;
  return elsewhere ? `${number(elsewhere)} of ${many(hits.size, "hits")} ${isWhole() ? "are of other namespaces, or forgotten" : "are not in sight"}` : "";
}

const isWhole = () => stretch().last === null;

// ---- pointing ------------------------------------------------------------------------------------------------------------

function pointing() {
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down = { x: event.clientX, view: { ...view }, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down) return hover(event);
    down.moved ||= Math.abs(event.clientX - down.x) > 4;
    const shift = ((down.x - event.clientX) / canvas.clientWidth) * (down.view.last - down.view.first);
    if (down.moved) look(down.view.first + shift, down.view.last + shift);
    return undefined;
  });
  canvas.addEventListener("pointerup", (event) => {
    if (down && !down.moved) chooseAt(event);
    down = null;
  });
  canvas.addEventListener("pointerleave", () => {
    byId("tip").hidden = true;
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY) && !event.shiftKey) return;
    event.preventDefault();
    if (event.ctrlKey) zoomBy(event.deltaY > 0 ? 1.25 : 0.8, place(view, canvas.clientWidth, canvas.clientHeight, graph).frame(event.offsetX));
    else {
      const shift = ((event.deltaX || event.deltaY) / canvas.clientWidth) * (view.last - view.first);
      look(view.first + shift, view.last + shift);
    }
  }, { passive: false });
}

const hitAt = (event) => (graph ? hit(graph, looking(), canvas, event.offsetX, event.offsetY) : -1);

function hover(event) {
  const at = hitAt(event);
  const tip = byId("tip");
  tip.hidden = at < 0;
  canvas.style.cursor = at < 0 ? "grab" : "pointer";
  if (at < 0) return;
  fill(tip, ...line(at));
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 260)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

function line(at) {
  const kind = graph.kinds[graph.kind[at]];
  const [from, to] = graph.tokens ? graph.tokens[at] : [0, 0];
  const sizes = from ? ` ${became(from, to)}` : "";
  const used = graph.recalled[at] ? `, recalled ${number(graph.recalled[at])}×` : "";
  const named = kind === "episode" || kind === "entity"; // by their labels; ids of theirs are for programs
  return [h("i", { class: `mark ${kind}` }), h("b", {}, named ? kind : `${kind} ${graph.id[at]}`), h("span", { class: "quiet" }, `${sizes}${used}`), graph.label ? h("span", { class: "line" }, graph.label[at]) : null];
}

function chooseAt(event) {
  const at = hitAt(event);
  if (at >= 0) choose(at);
}

function choose(at) {
  const kind = graph.kinds[graph.kind[at]];
  if (kind === "step") openStep(graph.id[at]);
  else if (kind === "recall") go(Math.min(graph.at[at], state.replay.frames - 1));
  else if (kind === "episode") chooseEpisode(graph.episode[at]);
  else if (kind === "entity") openEntity(at);
  else tell("select", graph.id[at]);
}

const chooseEpisode = (name) => (name === state.episode ? go(0) : tried(() => open(name)));

// ---- an entity, opened to what is about it; a crystal, opened to its steps ---------------------------------------------------

const closing = () => button("Close", () => {
  state.selected = null;
  fill(detail);
  redraw();
});

function openEntity(at) {
  state.selected = graph.id[at];
  const about = (graph.about.get(at) || []).filter((one) => graph.at[one] <= now());
  const rows = about.slice(-LISTED).map((one) => h("li", {}, button("", () => choose(one), { class: "entry" })));
  rows.forEach((row, place) => row.firstChild.append(...line(about[Math.max(0, about.length - LISTED) + place]).filter(Boolean)));
  fill(detail, h("section", { class: "crystal-shown", "aria-label": "Entity" },
    h("h4", {}, h("i", { class: "mark entity" }), "entity ", graph.label ? graph.label[at] : graph.id[at]),
    h("p", { class: "quiet" }, `${many(about.length, "nodes")} in sight ${about.length === 1 ? "is" : "are"} about it as of this step`),
    h("ul", { class: "sources" }, rows), h("p", { class: "row" }, closing())));
  redraw();
}


async function select(id) {
  const found = await tried(() => ask("sources", { ...here(), id }));
  if (!found || !found.crystal) return;
  tell("show", "replay");
  state.selected = id;
  const one = found.crystal;
  const edit = state.memory.read_only ? [] : [
    button("Pin", () => change("pin", id, {}, "Pinned: its steps are raised in every recall from now on.")),
    button("Forget", () => change("forget", id, { undo: false }, "Forgotten: its steps stay in the log, and are not recalled.")),
  ];
  fill(detail, h("section", { class: "crystal-shown", "aria-label": "Crystal" },
    h("h4", {}, h("i", { class: `mark ${one.layer}` }), `${one.layer} `, h("code", {}, one.id)),
    h("p", { class: "quiet" }, `${became(one.source_tokens, one.tokens)}; salience ${one.salience.toFixed(2)}; support ${one.support}${one.retired ? `; retired at position ${number(one.retired)}` : ""}`),
    one.key ? h("p", {}, h("b", {}, one.value === null ? one.key : `${one.key}: `), one.value || "") : null,
    one.text ? h("pre", { class: "text" }, one.text) : null,
    h("p", { class: "row" }, edit, closing()),
    h("p", { class: "quiet" }, `made from ${many(found.steps.count, "steps")}`),
    h("ul", { class: "sources" }, found.steps.first.map((step) => h("li", {}, button(step.id, () => openStep(step.id), { class: "id" }), h("span", { class: "line" }, step.text))))));
  detail.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
  redraw();
}

function relist() {
  if (!graph || !byId("listed").open) return;
  const shown = graph.id.map((_, at) => at).filter((at) => graph.at[at] <= now() && graph.x[at] >= view.first && graph.x[at] <= view.last);
  const newest = shown.sort((one, other) => graph.at[other] - graph.at[one]).slice(0, LISTED);
  fill(list, newest.map((at) => h("li", { class: graph.gone[at] >= 0 && graph.gone[at] <= now() ? "retired" : "" }, button("", () => choose(at), { class: "entry" }))));
  newest.forEach((at, row) => list.children[row].firstChild.append(...line(at).filter(Boolean)));
  if (shown.length > newest.length) list.append(h("li", { class: "quiet" }, `and ${many(shown.length - newest.length, "nodes")} before these`));
}
