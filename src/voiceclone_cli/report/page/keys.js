// Keyboard shortcuts and their help.

const selected = () => state.selected;
const KEYS = [
  { keys: ["a"], label: ["A"], meaning: "⟦play the original of the line⟧", act: () => selected() >= 0 && play(originalOf(selected())) },
  { keys: ["b"], label: ["B"], meaning: "⟦play its clone⟧", act: () => selected() >= 0 && play(cloneOf(selected())) },
  { keys: ["m"], label: ["M"], meaning: "⟦play it in the mix⟧", act: () => selected() >= 0 && play(mixOf(selected())) },
  { keys: [" "], label: ["Space"], meaning: "⟦pause, resume⟧", act: toggle },
  { keys: ["j"], label: ["J"], meaning: "⟦next line⟧", act: () => move(1) },
  { keys: ["k"], label: ["K"], meaning: "⟦previous line⟧", act: () => move(-1) },
  { keys: ["x"], label: ["X"], meaning: "⟦mark the line for a redo⟧", act: () => mark(selected()) },
  { keys: ["w"], label: ["W"], meaning: "⟦sort by severity, and back⟧", act: toggleWorst },
  { keys: ["/"], label: ["/"], meaning: "⟦search⟧", act: () => { openView("lines"); $("search").focus(); $("search").select(); } },
  { keys: ["+", "="], label: ["+"], meaning: "⟦zoom in⟧", act: () => zoom(2) },
  { keys: ["-"], label: ["−"], meaning: "⟦zoom out⟧", act: () => zoom(0.5) },
  { keys: ["0"], label: ["0"], meaning: "⟦show the whole timeline⟧", act: () => showRange(0, total) },
  { keys: ["1", "2", "3"], label: ["1", "2", "3"], meaning: "⟦show lines, speakers, run⟧", act: (key) => openView(VIEWS[Number(key) - 1]) },
  { keys: ["Escape"], label: ["Esc"], meaning: "⟦close the line, clear the filters⟧", act: () => (selected() >= 0 ? select(-1) : clearFilters()) },
  { keys: ["?"], label: ["?"], meaning: "⟦show this help⟧", act: () => $("help").showModal() },
];
const byKey = new Map(KEYS.flatMap((one) => one.keys.map((key) => [key, one])));

/** Return whether the focused element uses the key. */
function isReserved(event) {
  const { target, key } = event;
  if ($("help").open || event.ctrlKey || event.metaKey || event.altKey) return true;
  if (target.matches("input[type=search], input:not([type]), textarea")) return key !== "Escape";
  if (target.matches("select")) return key !== "Escape";
  return key === " " && target.matches("button, a, summary, input");
}

document.addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const one = byKey.get(key);
  if (!one || isReserved(event)) return;
  event.preventDefault();
  if (key === "Escape" && event.target.id === "search") {
    clearFilters();
    grid.focus();
  } else one.act(key);
});

grid.addEventListener("keydown", (event) => {
  if (event.target !== grid) return;
  const page = Math.max(1, Math.floor(window.innerHeight / rowHeight() / 2));
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
  const ends = { Home: 0, End: -1 };
  if (steps[event.key]) move(steps[event.key]);
  else if (event.key in ends) select(state.visible.at(ends[event.key]), { withSound: true });
  else if (event.key === "Enter" && selected() >= 0) play(cloneOf(selected()) || originalOf(selected()));
  else return;
  event.preventDefault();
});

$("keys").append(...KEYS.flatMap((one) => [el("dt", {}, ...one.label.map((key) => el("kbd", {}, key))), el("dd", {}, one.meaning)]));
$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
