// Puts the page together: tabs, keys, the namespace, and what the address asks for.

import { button, byId, fill, h, many, number, say, unsay } from "./dom.js";
import { makeCompare } from "./compare.js";
import { makeFrame } from "./frame.js";
import { makeGraph } from "./graph.js";
import { makeHealth } from "./health.js";
import { recallOf } from "./hits.js";
import { makeSearch } from "./search.js";
import { ask, isFile, shownAlone, takeToken } from "./source.js";
import { addressed, go, on, onAddress, open, openStep, reopen, state, tell, tried } from "./state.js";
import { listEpisodes, makeEpisodes, makeSteps } from "./steps.js";
import { makeTimeline, toggle } from "./timeline.js";

const TABS = isFile ? ["replay", "health"] : ["replay", "search", "compare", "health"];
const LOOK = 4000; // milliseconds between two looks at whether the log has grown
const KEYS = {
  ArrowLeft: () => go(state.number - 1),
  ArrowRight: () => go(state.number + 1),
  ArrowUp: () => go(state.number - 1),
  ArrowDown: () => go(state.number + 1),
  PageUp: () => go(state.number - 10),
  PageDown: () => go(state.number + 10),
  Home: () => go(0),
  End: () => go(state.replay.frames - 1),
  " ": toggle,
};
const UPRIGHT = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown"]); // scroll, but in the list of steps

function makeTabs() {
  fill(byId("tabs"), TABS.map((name) => button(name[0].toUpperCase() + name.slice(1), () => tell("show", name), { id: `tab-${name}` })));
  on("show", (name) => {
    if (byId(name).hidden) unsay();
    for (const tab of TABS) {
      byId(tab).hidden = tab !== name;
      if (tab === name) byId(`tab-${tab}`).setAttribute("aria-current", "page");
      else byId(`tab-${tab}`).removeAttribute("aria-current");
    }
    if (name === "search") byId("cue").focus();
  });
}

function makeKeys() {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const writes = target.closest("input:not([type=range]), textarea, select, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey || writes || byId("replay").hidden || !state.replay) return;
    if (event.key === "/" && !isFile) {
      event.preventDefault();
      tell("show", "search");
    } else if (KEYS[event.key] && !(event.key === " " && target.closest("button, summary")) && !(UPRIGHT.has(event.key) && !target.closest("#rows"))) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });
}

function makeNamespaces() {
  const spaces = state.memory.namespaces.first;
  const choice = byId("namespace");
  byId("spaces").hidden = spaces.length < 2;
  fill(choice, spaces.map((space, at) => h("option", { value: at, selected: JSON.stringify(space) === JSON.stringify(state.namespace) }, space.join("/") || "(root)")));
  choice.onchange = () => tried(async () => {
    state.namespace = spaces[Number(choice.value)];
    state.episode = undefined;
    tell("changed");
    await begin(null, null);
  });
}

async function begin(episode, step) {
  const page = await listEpisodes(0);
  if (step && episode === null) {
    await openStep(step, false);
    if (state.replay) return;
  }
  if (episode !== null) await open(episode, step || 0);
  else if (page && page.opens !== null) await open(page.opens, null);
  else if (!isFile) await open(null);
}

// What the address came to ask for is shown; so is a token that came with it taken.
async function readdress() {
  if (!isFile) takeToken();
  const { namespace, episode, step } = addressed();
  const space = namespace || state.memory.namespace;
  if (JSON.stringify(space) !== JSON.stringify(state.namespace)) {
    state.namespace = space;
    state.episode = undefined;
    makeNamespaces();
    tell("changed");
  }
  if (step) await openStep(step, false);
  else if (episode !== null) await open(episode);
}

// A memory that an agent writes to meanwhile: one is told, and looks when one likes.
function watch() {
  let seen = state.memory.end;
  const looks = setInterval(async () => {
    if (document.hidden) return;
    const memory = await tried(() => ask("memory"));
    if (!memory) clearInterval(looks); // the server has stopped, and says so above
    if (!memory || memory.end <= seen || memory.end <= state.memory.end) return;
    seen = memory.end;
    const show = button("Show them", () => tried(reopen));
    say([`The log has grown by ${many(memory.end - state.memory.end, "records")}. `, show], false, true);
  }, LOOK);
}

function alone(recall) {
  byId("context").hidden = false;
  byId("tabs").remove();
  fill(byId("context"), recallOf(recall, "Planning context"));
}

// Of a file that has no room for all: how much of what it holds, and which.
function held() {
  const { frames, left_out, asked, step } = state.memory;
  const which = step ? "those around the one at which it opens" : asked > 1 ? "the newest episodes, each from its first step on" : "the first ones";
  return `This file holds ${number(frames)} of the ${many(frames + left_out, "steps")} of ${many(asked, "episodes")}: ${which}. agentmem view on the memory shows all.`;
}

async function start() {
  if (shownAlone) return alone(shownAlone);
  if (!isFile) takeToken();
  makeTabs();
  makeTimeline();
  makeEpisodes();
  makeSteps();
  makeFrame();
  makeGraph();
  if (!isFile) {
    makeSearch();
    makeCompare();
  }
  makeHealth();
  makeKeys();
  tell("show", "replay");
  const asked = (await tried(addressed)) || { namespace: null, episode: null, step: null };
  state.memory = await ask("memory");
  state.namespace = asked.namespace || state.memory.namespace;
  byId("memory").textContent = state.memory.name;
  document.title = `${state.memory.name} – agentmem`;
  if (state.memory.left_out) say(held(), false, true);
  makeNamespaces();
  await begin(asked.episode, asked.step || (asked.episode === null ? state.memory.step : null));
  onAddress(() => tried(readdress));
  if (!isFile) watch();
  return undefined;
}

tried(start);
