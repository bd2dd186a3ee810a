// The run, and what is chosen of it just now. Views listen for "selection", "choice", "marks", "sound", "view", "theme", "width".

const content = JSON.parse($("content").textContent);
const lines = content.lines;
const speakers = content.speakers;
const speakerIndex = new Map(speakers.map((speaker, index) => [speaker.name, index]));
const lineIndex = new Map(lines.map((line, index) => [line.id, index]));
const total = Math.max(
  content.outcome.seconds || 0,
  ...(content.original ? [content.original.peaks.seconds] : []),
  lines.reduce((latest, line) => Math.max(latest, line.slot_end, (line.placed_at || 0) + (line.placed_seconds || 0)), 0),
  content.turns.reduce((latest, turn) => Math.max(latest, turn.end), 0),
  1,
);

const state = {
  selected: -1, // index into lines
  visible: lines.map((_, index) => index), // indices, filtered and in order
  order: { by: "start", down: false },
  filters: { search: "", speaker: "", status: "", flag: "" },
  marks: new Set(), // indices
  audition: "", // what is heard when a line is chosen: "", "b", "ab"
};

// When the window gets wider or narrower; a phone's address bar changes only its height.
let windowWidth = window.innerWidth;
window.addEventListener("resize", () => {
  if (windowWidth === window.innerWidth) return;
  windowWidth = window.innerWidth;
  tell("width");
});

const listeners = {};
const on = (what, listener) => (listeners[what] = listeners[what] || []).push(listener);
const tell = (what) => (listeners[what] || []).forEach((listener) => listener());

const PALETTE = 8;
let colours = {};
/** The colours of the theme, for canvases. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["card", "raised", "line", "firm", "text", "muted", "accent", "bad", "warn", "warn-ground", "original", "shade", "choice"];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colours.speakers = Array.from({ length: PALETTE }, (_, n) => style.getPropertyValue(`--s${n}`).trim());
}
readColours();
on("theme", readColours);
const colourOf = (name) => colours.speakers[(speakerIndex.get(name) || 0) % PALETTE];

/** A speaker's name beside its colour. */
function who(name) {
  const dot = el("i", { "aria-hidden": "true" });
  dot.style.background = `var(--s${(speakerIndex.get(name) || 0) % PALETTE})`;
  return el("span", { class: "who" }, dot, el("span", { dir: "auto", title: name }, name));
}

const SEVERE = new Set(["failed", "file missing", "silent", "wrong speaker", "wrong words"]);
const CALM = new Set(["planned", "stretched"]);
const flag = (name) => el("span", { class: `flag${SEVERE.has(name) ? " severe" : CALM.has(name) ? " calm" : ""}` }, name);

/** Choose a line; -1 chooses none. */
function select(index, { hear = false } = {}) {
  state.selected = index;
  tell("selection");
  if (hear && index >= 0 && state.audition) audition(index);
}

/** Choose the line that is `step` further down the list. */
function move(step) {
  if (!state.visible.length) return;
  const at = state.visible.indexOf(state.selected);
  const next = at < 0 ? (step > 0 ? 0 : state.visible.length - 1) : at + step;
  select(state.visible[Math.min(state.visible.length - 1, Math.max(0, next))], { hear: true });
}

function mark(index) {
  if (index < 0) return;
  if (!state.marks.delete(index)) state.marks.add(index);
  tell("marks");
}
