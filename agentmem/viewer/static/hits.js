// A recall: its cue, what it cost, each hit with rank and reasons, what just missed, and the exact context.

import { button, fixed, h, many, number, whole } from "./dom.js";
import { shownAlone } from "./source.js";
import { openStep, tell } from "./state.js";

export function idButton(id, layer) {
  if (shownAlone) return h("code", {}, id);
  const open = () => (layer === "step" ? openStep(id) : tell("select", id));
  return button(id, open, { class: "id", title: layer === "step" ? "Go to this step" : "Show what it condenses" });
}

export function recallOf(recall, heading) {
  const { context } = recall;
  const share = recall.budget ? Math.min(1, context.tokens / recall.budget) : 0;
  const meter = h("span", { class: "meter", "aria-hidden": "true" }, h("i"));
  meter.firstChild.style.width = `${share * 100}%`;
  return h("section", { class: "recall-shown" },
    h("h3", {}, heading, " ", h("span", { class: "quiet" }, `${number(context.tokens)} of ${many(recall.budget, "tokens")}`), meter),
    recall.cue ? h("p", { class: "cue" }, h("span", { class: "quiet" }, "cue "), recall.cue.text) : null,
    sameness(recall),
    h("details", { open: true }, h("summary", {}, "Exact context"), context.text ? whole(context) : h("p", { class: "quiet" }, "nothing")),
    recall.hits.count ? listOf(`Why: ${many(recall.hits.count, "hits")}, best first`, recall.hits, "") : null,
    recall.missed.count ? listOf("Just missed", recall.missed, "missed") : null);
}

function sameness(recall) {
  if (recall.same === null) return null;
  if (recall.same) return h("p", { class: "good" }, "✓ byte for byte as it was shown");
  const gone = recall.recorded.first.map((one) => h("li", {}, h("code", {}, one.id), " ", one.text === null ? "not in the log any more" : one.text));
  return h("div", { class: "bad" }, h("p", {}, `not what was shown: ${recall.why}`), gone.length ? h("ul", {}, gone) : null);
}

function listOf(title, several, kind) {
  const most = Math.max(...several.first.flatMap((hit) => Object.values(hit.reasons).map(Math.abs)), 0.01);
  const left = several.count - several.first.length;
  return h("details", { open: true }, h("summary", {}, title), h("ol", { class: `hits ${kind}` }, [...several.first].sort(better).map((hit) => hitOf(hit, most))), left > 0 ? h("p", { class: "quiet" }, `and ${number(left)} more`) : null);
}

// The context has its lines as they were logged; here the first is the one of the best rank, or else score.
const better = (one, other) => (one.rank ?? Infinity) - (other.rank ?? Infinity) || other.score - one.score;

function hitOf(hit, most) {
  return h("li", { class: "hit" },
    h("p", { class: "row" }, hit.rank === null ? null : h("b", { class: "rank", title: "Rank" }, `#${hit.rank}`), h("i", { class: `mark ${hit.layer}` }), hit.layer, " ", idButton(hit.id, hit.layer),
      h("span", { class: "quiet" }, `${hit.section ? `${hit.section}, ` : ""}score ${fixed(hit.score)}, ${many(hit.tokens, "tokens")}, ${many(hit.age, "tokens")} ago`)),
    h("p", { class: "said" }, hit.text),
    h("ul", { class: "reasons" }, Object.entries(hit.reasons).filter(([, value]) => Math.abs(value) >= 0.005).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1])).map(([name, value]) => reason(name, value, most))));
}

function reason(name, value, most) {
  const bar = h("i", { class: value < 0 ? "bar less" : "bar" });
  bar.style.width = `${(Math.abs(value) / most) * 4}em`;
  return h("li", {}, `${name} ${value < 0 ? "" : "+"}${fixed(value)}`, bar);
}
