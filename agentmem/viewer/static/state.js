// What is looked at: memory, namespace, episode, frame. The address says it too, so that it can be sent to others.

import { say } from "./dom.js";
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
  return { namespace: space && JSON.parse(space), episode: given.get("episode"), step: given.get("step") };
}

export function address(step) {
  const said = new URLSearchParams();
  if (state.namespace.length) said.set("namespace", JSON.stringify(state.namespace));
  if (state.episode !== null && state.episode !== undefined) said.set("episode", state.episode);
  if (step) said.set("step", step);
  return said.toString();
}

function remember() {
  const said = address(state.frame && state.frame.step.id);
  if (location.protocol === "file:") location.replace(`#${said}`);
  else if (location.protocol.startsWith("http")) history.replaceState(null, "", said ? `?${said}` : location.pathname);
}

// episode null: all, as they interleave. step: an id, or a number of a frame.
export async function open(episode, step = 0) {
  const replay = await ask("replay", { namespace: state.namespace, episode });
  state.episode = episode;
  state.replay = replay;
  state.frame = null;
  state.selected = null;
  frames.clear();
  let number = step;
  if (typeof step === "string") number = await numberOf(step);
  tell("opened");
  go(Math.min(number, Math.max(0, replay.frames - 1)));
}

async function numberOf(step) {
  const found = await ask("place", { ...here(), id: step });
  if (state.episode === found.episode) return found.number;
  throw Object.assign(new Error(`step ${step} is of episode ${found.episode}`), { status: 404 });
}

export async function openStep(id) {
  await tried(async () => {
    const found = await ask("place", { ...here(), id });
    tell("show", "replay");
    if (state.episode === found.episode) go(found.number);
    else await open(found.episode, found.number);
  });
}

// ---- frames: the last one that was asked for is shown; those passed over while scrubbing are never asked for -----------

const frames = new Map();
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
  if (!frames.has(number)) {
    frames.set(number, await ask("frame", { ...playing(), number }));
    if (frames.size > 60) frames.delete(frames.keys().next().value);
  }
  return frames.get(number);
}

// After something was changed: all is read anew.
export async function reopen() {
  state.memory = await ask("memory");
  tell("changed");
  await open(state.episode, state.number);
}
