// Elements and numbers. Texts are only ever put in as text: nothing here, or elsewhere on this page, parses HTML.

export function h(tag, given, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);
export const fill = (element, ...children) => element.replaceChildren(...children.flat().filter(Boolean));
export const button = (text, onclick, given) => h("button", { type: "button", onclick, ...given }, text);
export const number = (value) => Math.round(value).toLocaleString("en-GB");
export const many = (value, things) => `${number(value)} ${value === 1 ? things.replace(/s$/, "") : things}`;
export const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
export const ratio = (from, to) => (to ? `${(from / to).toFixed(1)} : 1` : "–");
// Of a crystal: how many tokens became how many.
export const became = (from, to) => (to ? `${number(from)} to ${many(to, "tokens")}, ${ratio(from, to)}` : `${many(from, "tokens")}, of which it keeps no words`);
const colours = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.clear());

export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) {
    bytes /= 1000;
    at += 1;
  }
  return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}

export function clip(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// A text of which the page may hold only the beginning.
export function whole(said) {
  const parts = [h("pre", { class: "text" }, said.text || " ")];
  const left = said.characters - [...said.text].length;
  if (left > 0) parts.push(h("p", { class: "quiet" }, `${number(left)} more characters`));
  return parts;
}

let standing = "";

// stays: until it is closed, whatever one does. In a dialog it is said there, as the rest of the page stands behind it.
export function say(text, bad, stays) {
  const note = document.querySelector("dialog[open] > .note") || byId("note");
  if (stays || (!text && note.hasAttribute("data-stays"))) standing = text;
  note.hidden = !text;
  note.classList.toggle("bad", Boolean(bad));
  note.toggleAttribute("data-stays", Boolean(stays && text));
  fill(note, text || "", text ? button("×", () => say(""), { class: "close", "aria-label": "Close this note" }) : null);
}

// What was said of something done or refused goes; what stays is said again.
export function unsay() {
  if (!byId("note").hasAttribute("data-stays")) say(standing, false, true);
}

// A canvas as sharp as the screen, and its size in CSS pixels.
export function sharp(canvas) {
  const scale = devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}
