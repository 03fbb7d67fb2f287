// Where answers come from: the server that this page is from, or the page itself, if it is one file.

import { byId, say } from "./dom.js";

const OLD = "This browser cannot unpack what is in this page: open it in one of 2023 or newer.";
const BROKEN = "What is in this page was changed or cut short: write it anew with agentmem view --export.";
const inside = byId("answers");
const answers = inside ? await unpacked(inside.textContent) : null;
const KEY = "agentmem token";
let token = "";

// As agentmem.viewer.page.packed packs them. Where that cannot be undone there is nothing to show, and the page says why.
async function unpacked(text) {
  try {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).json();
  } catch (error) {
    say(window.DecompressionStream ? BROKEN : OLD, true, true);
    throw error;
  }
}

export const isFile = answers !== null;
export const shownAlone = isFile ? answers.context : undefined; // a planning context without its memory

// The token stands behind the # of the address, which no request carries; then this browser keeps it for this server.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    localStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  token = localStorage.getItem(KEY) || "";
}

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// The question as its answer is named in a file: as agentmem.viewer.page.key.
function keyOf(name, asked) {
  const sorted = Object.fromEntries(Object.entries(asked).sort(([one], [other]) => (one < other ? -1 : 1)));
  return `${name} ${JSON.stringify(sorted)}`;
}

export async function ask(name, asked = {}) {
  if (isFile) return askFile(name, asked);
  let answer;
  try {
    answer = await fetch(`api/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify(asked),
    });
  } catch (error) {
    throw new Refused(0, `the server does not answer (${error.message}); start agentmem view again`);
  }
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said.detail);
  return said;
}

function askFile(name, asked) {
  const found = answers[keyOf(name, asked)] || (name === "place" ? placeOf(asked.id) : undefined);
  if (found === undefined) throw new Refused(404, "this file does not hold that; agentmem view on the memory shows it");
  return found;
}

// Whether an answer is missing because it found no room in the file: what it was for says so in its place.
export const lacks = (error) => isFile && error.status === 404;

function placeOf(id) {
  for (const [key, value] of Object.entries(answers)) {
    const found = key.startsWith("steps ") && value.first.find((step) => step.id === id);
    if (found) return found;
  }
  return undefined;
}
