// Two lists: the episodes, and the steps of the one that is played, of which only what is in sight is asked for.

import { button, byId, clip, fill, h, many, number } from "./dom.js";
import { ask, lacks } from "./source.js";
import { go, here, on, open, playing, state, tried } from "./state.js";

const ROW = 44; // pixels, as in style.css
const WINDOW = 100; // steps of an answer
const ABOVE = 6; // rows beyond those in sight
let list, room, pages, asked, place;

export function makeSteps() {
  room = h("ol", { id: "rows", role: "listbox", "aria-label": "Steps", tabindex: 0 });
  list = h("div", { id: "scroll" }, room);
  fill(byId("steps"), h("h3", {}, "Steps"), list);
  list.addEventListener("scroll", () => requestAnimationFrame(show));
  on("opened", () => {
    pages = new Map();
    asked = new Set();
    room.style.height = `${state.replay.frames * ROW}px`;
    list.scrollTop = 0; // what is in sight is asked for once the frame is known: "moved" follows
  });
  on("moved", follow);
  new ResizeObserver(show).observe(list);
}

function follow() {
  const top = state.number * ROW;
  if (top < list.scrollTop + ROW || top > list.scrollTop + list.clientHeight - 2 * ROW) list.scrollTop = top - list.clientHeight / 3;
  show();
}

const pageOf = (at) => Math.floor(at / WINDOW) * WINDOW;

function show() {
  if (!state.replay) return;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - ABOVE);
  const last = Math.min(state.replay.frames, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + ABOVE);
  const rows = [];
  for (let at = first; at < last; at += 1) {
    const page = pageOf(at);
    if (!pages.has(page)) fetchPage(page);
    rows.push(row(at, pages.get(page)?.[at - page]));
  }
  room.replaceChildren(...rows);
  room.setAttribute("aria-activedescendant", `row${state.number}`);
}

function row(at, step) {
  const current = at === state.number;
  const made = h("li", { id: `row${at}`, role: "option", "aria-selected": String(current), class: step ? step.kind : "", onclick: () => go(at) });
  made.style.top = `${at * ROW}px`;
  if (!step) {
    if (pages.has(pageOf(at))) made.append(h("span", { class: "quiet" }, `${number(at + 1)} found no room in this file`));
    return made;
  }
  const about = `${number(at + 1)} ${step.actor ? `${step.kind}, ${step.actor}` : step.kind}`;
  made.append(
    h("span", { class: "quiet" }, clip(about, 40), state.episode === null ? ` ${clip(step.episode, 20)}` : "", step.recalls ? h("b", { class: "recalled", title: many(step.recalls, "recalls") }, " ▼") : null),
    h("span", { class: "line" }, step.text || "(no text)"),
  );
  return made;
}

async function fetchPage(start) {
  if (asked.has(start)) return;
  asked.add(start);
  const mine = pages;
  const found = await tried(() => linesFrom(start));
  if (found && mine === pages) {
    pages.set(start, found.first);
    show();
  }
}

async function linesFrom(start) {
  try {
    return await ask("steps", { ...playing(), start });
  } catch (error) {
    if (!lacks(error)) throw error;
    return { first: [] };
  }
}

// ---- episodes ----------------------------------------------------------------------------------------------------------

let find, found, more;

export function makeEpisodes() {
  find = h("input", { type: "search", id: "find", placeholder: "find an episode", "aria-label": "Find an episode", oninput: () => listEpisodes(0) });
  found = h("ul", { id: "found" });
  more = button("More", () => listEpisodes(place), { hidden: true });
  fill(byId("episodes"), h("summary", {}, "Episodes"), find, found, more);
  on("changed", () => listEpisodes(0));
  on("opened", mark);
}

export async function listEpisodes(start) {
  const wanted = find.value;
  const page = await tried(() => ask("episodes", { ...here(), find: wanted, start }));
  if (!page || wanted !== find.value) return undefined;
  const rows = page.first.map(entry);
  if (start === 0) {
    const all = page.count > 1 && !state.memory.left_out && state.memory.frames === undefined && !wanted;
    fill(found, all ? entry({ id: null, goal: "as they interleave", steps: null }) : null, rows);
    if (!rows.length) fill(found, h("li", { class: "quiet" }, "no episodes"));
  } else found.append(...rows);
  place = start + page.first.length;
  more.hidden = place >= page.count;
  mark();
  return page;
}

function entry(one) {
  const counted = one.steps === null ? "" : many(one.steps, "steps");
  const made = button("", (event) => {
    if (event.detail) byId("rows").focus({ preventScroll: true }); // after a click space plays; by keys one stays in the list
    return tried(() => open(one.id));
  }, { class: "entry" });
  made.append(h("b", {}, one.id === null ? "all episodes" : one.id), h("span", { class: "quiet" }, ` ${counted}${one.ended === false ? ", open" : ""}`), h("span", { class: "line" }, one.goal || ""));
  const item = h("li", {}, made);
  item.episode = one.id;
  return item;
}

function mark() {
  for (const item of found.children) item.classList.toggle("current", item.episode === state.episode);
}
