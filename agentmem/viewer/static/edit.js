// What can be changed of a step: pin, forget, correct, erase. Each says first what it will do.

import { button, fill, h, many, number, say } from "./dom.js";
import { ask } from "./source.js";
import { go, here, open, openStep, renew, reopen, state, tried } from "./state.js";

const LONGEST = 200000; // characters of a correction, as in asked.py

export function edits(frame) {
  if (state.memory.read_only) return null;
  const { step, status } = frame;
  const forgotten = status.forgotten;
  return h("p", { class: "row edits" },
    status.pinned || forgotten ? null : button("Pin", () => change("pin", step.id, {}, "Pinned: it is raised in every recall from now on."), { title: "Raise it in every recall" }),
    button(forgotten ? "Recall again" : "Forget", () => change("forget", step.id, { undo: forgotten }, forgotten ? "It is recalled again." : "Forgotten: it stays in the log, and is not recalled."), { title: "It stays in the log" }),
    button("Correct…", () => correct(step)),
    button("Erase…", () => erase(step), { class: "danger" }));
}

export async function change(name, id, more, said) {
  await tried(async () => {
    await ask(name, { ...here(), id, ...more });
    await reopen();
    say(said);
  });
}

function dialog(title, ...parts) {
  const close = () => made.close();
  const made = h("dialog", { "aria-label": title }, h("h3", {}, title), h("p", { class: "note", role: "alert", hidden: true }), parts, h("p", { class: "row" }, button("Cancel", close)));
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

// A frame may show the beginning of a long step alone; what is corrected is all of it.
async function correct(step) {
  const cut = [...step.text].length < step.characters;
  const said = cut ? await tried(() => ask("text", { ...here(), id: step.id })) : step;
  if (!said) return;
  if (said.characters > LONGEST) {
    say(`This step has ${many(said.characters, "characters")}, and may be corrected up to ${number(LONGEST)}: forget it, and log what it should say.`, true);
    return;
  }
  const text = h("textarea", { id: "correction", rows: 6, "aria-label": "What it should say" });
  text.value = said.text;
  const made = dialog("Correct a step",
    h("p", { class: "quiet" }, "The log is not rewritten: a step with this text is logged, and the old one is forgotten. What was recalled before stays as it was."),
    text,
    h("p", { class: "row" }, button("Log the correction", () => tried(async () => {
      const over = [...text.value].length - LONGEST;
      if (over > 0) return say(`The correction is ${many(over, "characters")} over the ${number(LONGEST)} that a step may be corrected to; make it shorter.`, true);
      const done = await ask("correct", { ...here(), id: step.id, text: text.value });
      made.close();
      await reopen();
      await openStep(done.step);
      return say(`Step ${done.step} corrects ${step.id}.`);
    }), { class: "main" })));
}

function erase(step) {
  const choices = [["This step", { step: step.id }], [`All of episode ${step.episode}`, { episode: step.episode }], ...step.subjects.first.map((subject) => [`All about ${subject}`, { subject }])];
  const found = h("div", { id: "preview", "aria-live": "polite" });
  const confirm = h("p", { class: "row" });
  const choice = h("select", { "aria-label": "What is erased", onchange: () => preview() }, choices.map(([text], at) => h("option", { value: at }, text)));
  const made = dialog("Erase for good", h("p", { class: "row" }, choice), found, confirm);

  async function preview() {
    const wanted = choices[Number(choice.value)][1];
    say("");
    fill(found, h("p", { class: "quiet" }, "looking at what is made of it …"));
    fill(confirm);
    const report = await tried(() => ask("erase", { ...here(), ...wanted, dry_run: true }));
    if (!report || wanted !== choices[Number(choice.value)][1]) return;
    fill(found, previewOf(report));
    fill(confirm, button(`Erase ${many(report.steps, "steps")} for good`, () => tried(() => done(wanted)), { class: "danger" }));
  }

  async function done(wanted) {
    const report = await ask("erase", { ...here(), ...wanted, dry_run: false });
    made.close();
    await afterwards(wanted);
    const residue = report.residue.length ? ` The text is still found at: ${report.residue.join("; ")}` : "";
    say(`Erased ${many(report.steps, "steps")}, and made ${many(report.crystals, "crystals")} again without them.${residue}`, residue !== "");
  }

  preview();
}

function previewOf(report) {
  const { derived, repeated_by: repeats } = report;
  return [
    h("p", {}, `Goes, and cannot be brought back: ${many(report.steps, "steps")} of ${many(report.episodes, "episodes")}, ${many(derived.count, "crystals")} made of them, and ${many(report.recalls, "recalls")} that showed them.`),
    derived.count ? h("ul", { class: "crystals" }, derived.first.map((one) => h("li", {}, h("i", { class: `mark ${one.layer}` }), `${one.layer} ${one.id} `, h("span", { class: "line" }, one.text.slice(0, 200))))) : null,
    derived.count > derived.first.length ? h("p", { class: "quiet" }, `and ${many(derived.count - derived.first.length, "crystals")} more`) : null,
    report.attachments.count ? h("p", { class: "bad" }, `Attachments go too: ${report.attachments.first.map((one) => one[1]).join(", ")}`) : null,
    report.others.count ? h("p", { class: "bad" }, `These steps are also about ${report.others.first.join(", ")}`) : null,
    repeats.count ? h("p", { class: "bad" }, `${many(repeats.count, "steps")} repeat it and stay: ${repeats.first.join(", ")}`) : null,
  ];
}

// The episode may be gone, or have fewer steps.
async function afterwards(wanted) {
  await renew();
  const left = await ask("episodes", { ...here(), find: "", start: 0 });
  const stays = state.episode === null || left.first.some((one) => one.id === state.episode) || wanted.episode === undefined;
  if (stays) await open(state.episode, state.number);
  else if (left.count) await open(left.first[0].id);
  go(state.number);
}
