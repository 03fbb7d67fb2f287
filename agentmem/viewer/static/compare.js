// Two runs side by side: steps that say the same stand together; a pair opens to what their contexts differ in.

import { button, byId, fill, h, many, number } from "./dom.js";
import { idButton } from "./hits.js";
import { ask } from "./source.js";
import { here, on, open, state, tell, tried } from "./state.js";

let left, right, differ, found, more, place, shown;

export function makeCompare() {
  const field = (id, name) => h("input", { id, list: "runs", "aria-label": `${name} run`, placeholder: "an episode" });
  left = field("left", "Left");
  right = field("right", "Right");
  differ = h("input", { type: "checkbox", id: "differ", checked: true, onchange: () => shown && run() });
  found = h("div", { id: "pairs" });
  more = button("More", () => page(place), { hidden: true });
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  fill(byId("compare"), h("h2", {}, "Compare two runs"), h("form", { class: "row", onsubmit: submit }, left, right, h("label", {}, differ, " only where the steps differ"), button("Compare", null, { type: "submit", class: "main" })), h("datalist", { id: "runs" }), found, more);
  on("opened", () => {
    left.value ||= state.episode || "";
  });
  on("show", async (tab) => {
    if (tab !== "compare") return;
    const known = await tried(() => ask("episodes", { ...here(), find: "", start: 0 }));
    if (known) fill(byId("runs"), known.first.map((one) => h("option", { value: one.id })));
  });
}

function run() {
  shown = { left: left.value, right: right.value };
  fill(found, h("p", { class: "quiet" }, "comparing …"));
  return page(0);
}

async function page(start) {
  const answer = await tried(() => ask("compare", { ...here(), ...shown, start, differ: differ.checked }));
  if (!answer) return fill(found);
  if (start === 0) fill(found, h("p", {}, `${many(answer.pairs, "pairs")} of steps, ${number(answer.differ)} of which differ.`), h("ol", { class: "pairs" }));
  found.lastChild.append(...answer.first.map(pairOf));
  place = start + answer.first.length;
  more.hidden = place >= answer.count;
  return undefined;
}

function pairOf(pair) {
  const contexts = h("div", {});
  const made = h("li", { class: pair.same ? "pair" : "pair differs" },
    h("div", { class: "two" }, side(pair.left, shown.left), side(pair.right, shown.right)),
    button("What memory gave", async () => {
      const one = await tried(() => ask("difference", { ...here(), ...shown, number: pair.number }));
      if (one) fill(contexts, differenceOf(one));
    }, { class: "small" }), contexts);
  return made;
}

function side(step, episode) {
  if (!step) return h("div", { class: "quiet" }, "no step here");
  const show = () => tried(async () => {
    await open(episode, step.number);
    tell("show", "replay");
  });
  return h("div", {}, h("p", { class: "quiet" }, `${number(step.number + 1)} ${step.kind} `, button(step.id, show, { class: "id" })), h("p", { class: "said" }, step.text || "(no text)"));
}

function differenceOf(one) {
  const [ours, theirs] = one.tokens;
  const hits = (title, several) => h("div", {}, h("h4", {}, `${title} (${number(several.count)})`), h("ul", { class: "hits" }, several.first.map((hit) => h("li", {}, idButton(hit.id, hit.layer), h("p", { class: "said" }, hit.text)))));
  return [
    h("p", {}, one.same_context ? "The contexts are the same: " : "The contexts differ: ", `${number(ours)} and ${many(theirs, "tokens")}, ${many(one.both, "hits")} in both.`),
    one.only_left.count + one.only_right.count ? h("div", { class: "two" }, hits("Only left", one.only_left), hits("Only right", one.only_right)) : null,
  ];
}
