// What is looked at: memory, namespace, episode, frame. The address says it too, so that it can be sent to others.

import { clip, say, unsay } from "./dom.js";
import { ask, isFile, lacks } from "./source.js";

export const state = { memory: null, namespace: [], episode: undefined, replay: null, number: 0, frame: null, selected: null };

const heard = {};
export function on(what, act) {
  (heard[what] ||= []).push(act);
}
export function tell(what, value) {
  for (const act of heard[what] || []) act(value);
}

// Runs something that asks; what is refused is told to whoever looks.
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    say(error.message, true);
    if (error.status === undefined) throw error;
    return undefined;
  }
}

export const here = () => ({ namespace: state.namespace });
export const playing = () => ({ namespace: state.namespace, episode: state.episode });

export function addressed() {
  const given = new URLSearchParams(isFile ? location.hash.slice(1) : location.search);
  const space = given.get("namespace");
  return { namespace: space && namesIn(space), episode: given.get("episode"), step: given.get("step") };
}

function namesIn(space) {
  let names = null;
  try {
    names = JSON.parse(space);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
  throw Object.assign(new Error(`the address asks for the namespace ${clip(space, 80)}, which is no list of names, such as ["acme","alice"]; choose one on the page`), { status: 422 });
}

export function address(step) {
  const said = new URLSearchParams();
  if (state.namespace.length) said.set("namespace", JSON.stringify(state.namespace));
  if (state.episode !== null && state.episode !== undefined) said.set("episode", state.episode);
  if (step) said.set("step", step);
  return said.toString();
}

let written = ""; // the address as the page wrote it last
let follows = false; // whether what is shown next is one that Back leads away from

function remember() {
  const said = address(state.frame && state.frame.step.id);
  if (location.protocol === "file:") location[follows ? "assign" : "replace"](`#${said}`);
  else if (location.protocol.startsWith("http")) history[follows ? "pushState" : "replaceState"](null, "", isFile ? `#${said}` : said ? `?${said}` : location.pathname);
  written = location.href;
  follows = false;
}

// Calls act where the address came to be another than the page wrote: one went back, or pasted it.
export function onAddress(act) {
  addEventListener(isFile ? "hashchange" : "popstate", () => {
    if (location.href === written) return;
    written = location.href;
    act();
  });
}

// episode null: all, as they interleave. step: an id, or a number of a frame; null: where something was recalled first, or
// else the end, where all that was made of the episode is.
export async function open(episode, step = 0) {
  const replay = await ask("replay", { namespace: state.namespace, episode });
  state.episode = episode;
  state.replay = replay;
  state.frame = null;
  state.selected = null;
  frames = new Map(); // an answer that is still on its way is of another episode
  let number = step === null ? somethingIn(replay) : step;
  if (typeof step === "string") number = await numberOf(step);
  tell("opened");
  go(Math.min(number, Math.max(0, replay.frames - 1)));
}

// opens: in a file, of the frames that found room the nearest to where something was recalled, or to the end.
function somethingIn({ recalled, frames, opens = recalled ?? frames - 1 }) {
  return Math.max(0, opens);
}

async function numberOf(step) {
  const found = await ask("place", { ...here(), id: step });
  if (state.episode === found.episode) return found.number;
  throw Object.assign(new Error(`step ${step} is of episode ${found.episode}`), { status: 404 });
}

// follow: whether Back leads to what was shown before.
export async function openStep(id, follow = true) {
  await tried(async () => {
    const found = await ask("place", { ...here(), id });
    tell("show", "replay");
    unsay();
    follows = follow;
    if (state.episode === found.episode) go(found.number);
    else await open(found.episode, found.number);
  });
}

// ---- frames: the last one that was asked for is shown; those passed over while scrubbing are never asked for -----------

let frames = new Map();
let asking = false;

export function go(number) {
  if (!state.replay) return;
  const from = state.number;
  state.number = Math.max(0, Math.min(number, state.replay.frames - 1));
  tell("moved", from);
  settle();
}

async function settle() {
  if (asking || !state.replay || !state.replay.frames) return;
  asking = true;
  let wanted;
  try {
    do {
      wanted = wantedNow();
      await show(wanted);
    } while (wanted !== wantedNow());
  } finally {
    asking = false;
  }
}

const wantedNow = () => `${state.episode} ${state.number}`;

async function show(wanted) {
  let frame = null;
  try {
    frame = await frameAt(state.number);
  } catch (error) {
    if (error.status === undefined) throw error;
    if (wanted === wantedNow() && !lacks(error)) say(error.message, true);
  }
  if (wanted !== wantedNow()) return;
  state.frame = frame;
  remember();
  tell("frame");
}

async function frameAt(number) {
  const mine = frames;
  if (!mine.has(number)) {
    mine.set(number, await ask("frame", { ...playing(), number }));
    if (mine.size > 60) mine.delete(mine.keys().next().value);
  }
  return mine.get(number);
}

// After something was changed: all is read anew.
export async function reopen() {
  await renew();
  await open(state.episode, state.number);
}

// The memory as it is now; what was said of its growing meanwhile goes.
export async function renew() {
  state.memory = await ask("memory");
  say("", false, true);
  tell("changed");
}
