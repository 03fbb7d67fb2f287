// The step that is shown, what memory gave before it, and what became of memory meanwhile.

import { became, button, byId, clip, fill, h, many, number, say, whole } from "./dom.js";
import { edits } from "./edit.js";
import { idButton, recallOf } from "./hits.js";
import { ask, isFile } from "./source.js";
import { address, on, openStep, playing, state, tell, tried } from "./state.js";

const DONE = { forget: "forgotten", restore: "recalled again", pin: "pinned" };

export function makeFrame() {
  on("frame", show);
  on("moved", () => late(!state.frame || state.frame.number !== state.number));
  on("opened", () => {
    if (!state.replay.frames) fill(byId("frame"), h("p", { class: "quiet" }, "This episode has no steps."));
  });
}

// Whether the step that is shown is still the one before: the answer is on its way.
function late(is) {
  byId("frame").classList.toggle("late", is && state.replay.frames > 0);
  byId("frame").setAttribute("aria-busy", String(is));
}

function show() {
  late(false);
  if (!state.frame) {
    const where = isFile ? "found no room in this file; agentmem view on the memory shows it" : "cannot be shown";
    fill(byId("frame"), h("p", {}, `Step ${number(state.number + 1)} ${where}.`));
    return;
  }
  const { step, recalls, status } = state.frame;
  const parts = [
    h("h3", { id: "step" }, h("span", { class: `badge ${step.kind}` }, step.kind), " ", step.actor ? h("span", {}, `${clip(step.actor, 60)} `) : "", h("code", {}, step.id), " ", isFile ? null : link(step.id)),
    h("p", { class: "quiet" }, facts(step)),
    statusOf(status),
    ...whole(step),
    ...extras(step),
    edits(state.frame),
    ...happened(state.frame),
    ...recalls.first.map((one) => recallOf(one, "What memory gave")),
  ];
  if (recalls.count > recalls.first.length) parts.push(h("p", { class: "quiet" }, `and ${many(recalls.count - recalls.first.length, "recalls")} more`));
  if (!recalls.count) parts.push(h("p", { class: "quiet" }, "Nothing was recalled before this step."));
  fill(byId("frame"), parts);
  if (state.number === state.replay.frames - 1) afterwards(state.frame);
}

// What came after the last step.
async function afterwards(frame) {
  const tail = await tried(() => ask("tail", playing()));
  if (!tail || state.frame !== frame) return;
  const made = happened({ ...tail, erased: 0, crystallized: true });
  if (made.length || tail.recalls.count) byId("frame").append(h("h3", { class: "after" }, "After the last step"), ...made, ...tail.recalls.first.map((one) => recallOf(one, "What memory gave")));
}

function link(id) {
  const copy = async () => {
    await navigator.clipboard.writeText(`${location.origin}${location.pathname}?${address(id)}`);
    say("The link to this step is copied.");
  };
  return button("Copy link", copy, { class: "small" });
}

function facts(step) {
  const said = [state.episode === null && `of ${step.episode}`, many(step.tokens, "tokens"), step.at ? `at ${step.at}` : `logged ${step.logged_at.slice(0, 19).replace("T", " ")}`, step.reward !== null && `reward ${step.reward}`, step.terminated && "terminated", step.truncated && "truncated", step.trust && `trust ${step.trust}`, step.lost && "part of the text was let go of", step.recalled.count && "repeats what was recalled"];
  return said.filter(Boolean).join(", ");
}

function statusOf(status) {
  const said = [];
  if (status.pinned) said.push(h("span", { class: "chip" }, "pinned"));
  if (status.forgotten) said.push(h("span", { class: "chip warn" }, "forgotten: not recalled any more"));
  for (const one of status.corrected_by) said.push(h("span", { class: "chip" }, "corrected by ", idButton(one.id, "step")));
  if (status.corrects) said.push(h("span", { class: "chip" }, "corrects ", idButton(String(status.corrects), "step")));
  return said.length ? h("p", { class: "row" }, said) : null;
}

function extras(step) {
  const made = [];
  if (step.subjects.count) made.push(h("p", {}, h("span", { class: "quiet" }, "about "), h("span", {}, step.subjects.first.join(", "))));
  if (step.reply_to) made.push(h("p", {}, h("span", { class: "quiet" }, "replies to "), button(step.reply_to, () => openStep(step.reply_to), { class: "id" })));
  const blobs = Object.entries(step.blobs);
  if (blobs.length) made.push(h("p", {}, h("span", { class: "quiet" }, "blobs "), blobs.map(([name, hash]) => `${name} (${hash.slice(0, 12)})`).join(", ")));
  if (step.data !== null) made.push(h("details", {}, h("summary", {}, "Data"), h("pre", { class: "text" }, JSON.stringify(step.data, null, 2))));
  return made;
}

function happened(frame) {
  const made = [];
  if (frame.formed.count) made.push(h("h4", {}, `${many(frame.formed.count, "crystals")} formed`), h("ul", { class: "crystals" }, frame.formed.first.map(crystal)));
  if (frame.retired.count) made.push(h("h4", {}, `${many(frame.retired.count, "crystals")} retired`), h("ul", { class: "crystals retired" }, frame.retired.first.map(crystal)));
  for (const event of frame.events.first) made.push(h("p", { class: "quiet" }, `${DONE[event.what]}: ${clip(event.steps.first.join(", "), 200)}`));
  if (frame.erased) made.push(h("p", { class: "bad" }, `${many(frame.erased, "records")} were erased before this step`));
  if (!frame.crystallized) made.push(h("p", { class: "quiet" }, "The log is not crystallized as far as this step yet."));
  return made;
}

export function crystal(one) {
  const said = one.key !== null && one.value !== null ? `${one.key}: ${one.value}` : one.text;
  const by = one.by ? [", superseded by ", button(one.by, () => tell("select", one.by), { class: "id" })] : one.by === null ? ", superseded" : "";
  return h("li", {}, h("i", { class: `mark ${one.layer}` }), `${one.layer} `, button(one.id, () => tell("select", one.id), { class: "id" }),
    h("span", { class: "quiet" }, ` ${became(one.source_tokens, one.tokens)}`, by), h("span", { class: "line" }, clip(said, 300)));
}
