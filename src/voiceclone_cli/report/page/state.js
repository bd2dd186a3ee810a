// The run and the state of the page. Views listen for "selection", "filtered", "marks", "sound", "view", "theme", "width".

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
  correction: "take", // the one whose command is shown
  audition: "", // what plays when a line is selected: "", "b", "ab"
};

// Only changes of the width: the address bar of a phone changes the height.
let windowWidth = window.innerWidth;
window.addEventListener("resize", () => {
  if (windowWidth === window.innerWidth) return;
  windowWidth = window.innerWidth;
  emit("width");
});

const listeners = {};
const on = (what, listener) => (listeners[what] = listeners[what] || []).push(listener);
const emit = (what) => (listeners[what] || []).forEach((listener) => listener());

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
function speakerTag(name) {
  const dot = el("i", { "aria-hidden": "true" });
  dot.style.background = `var(--s${(speakerIndex.get(name) || 0) % PALETTE})`;
  return el("span", { class: "who" }, dot, el("span", { dir: "auto", title: name }, name));
}

const SEVERE = new Set(["failed", "file missing", "silent", "wrong speaker", "wrong words"]);
const CALM = new Set(["planned", "stretched"]);
const flag = (name) => el("span", { class: `flag${SEVERE.has(name) ? " severe" : CALM.has(name) ? " calm" : ""}` }, ⟨name⟩);

/** Select a line; -1 selects none. */
function select(index, { withSound = false } = {}) {
  state.selected = index;
  emit("selection");
  if (withSound && index >= 0 && state.audition) audition(index);
}

/** Select the line `step` rows further down the list. */
function move(step) {
  if (!state.visible.length) return;
  const at = state.visible.indexOf(state.selected);
  const next = at < 0 ? (step > 0 ? 0 : state.visible.length - 1) : at + step;
  select(state.visible[Math.min(state.visible.length - 1, Math.max(0, next))], { withSound: true });
}

function mark(index) {
  if (index < 0) return;
  if (!state.marks.delete(index)) state.marks.add(index);
  emit("marks");
}
