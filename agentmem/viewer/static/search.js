// Search is a recall: what memory would give for a cue, now or as of the step that is shown.

import { button, byId, fill, h } from "./dom.js";
import { recallOf } from "./hits.js";
import { ask } from "./source.js";
import { here, state, tried } from "./state.js";

export function makeSearch() {
  const cue = h("input", { type: "search", id: "cue", placeholder: "What would you ask this memory?", "aria-label": "Cue", maxlength: 20000 });
  const budget = h("input", { type: "number", id: "budget", min: 0, max: 100000, value: 1024, "aria-label": "Budget in tokens" });
  const then = h("input", { type: "checkbox", id: "then" });
  const found = h("div", { id: "results", "aria-live": "polite" });
  const run = async (event) => {
    event.preventDefault();
    const as_of = then.checked && state.frame ? state.frame.step.id : null;
    const began = performance.now();
    const recall = await tried(() => ask("search", { ...here(), cue: cue.value, budget: Number(budget.value), as_of }));
    if (!recall) return;
    const spent = Math.round(performance.now() - began);
    fill(found, recallOf(recall, as_of ? `As of step ${as_of}` : "Now"), h("p", { class: "quiet" }, `answered in ${spent} ms; nothing was written`));
  };
  fill(byId("search"), h("h2", {}, "Search"), h("form", { class: "row", onsubmit: run }, cue, h("label", {}, "budget ", budget), h("label", {}, then, " as of the step shown"), button("Recall", null, { type: "submit", class: "main" })), found);
}
