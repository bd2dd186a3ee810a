// The keyboard, and the help that names it.

const chosen = () => state.selected;
const KEYS = [
  { keys: ["a"], label: ["A"], meaning: "hear the original of the line", act: () => chosen() >= 0 && play(originalOf(chosen())) },
  { keys: ["b"], label: ["B"], meaning: "hear its clone", act: () => chosen() >= 0 && play(cloneOf(chosen())) },
  { keys: ["m"], label: ["M"], meaning: "hear it in the mix", act: () => chosen() >= 0 && play(mixOf(chosen())) },
  { keys: [" "], label: ["Space"], meaning: "pause, go on", act: toggle },
  { keys: ["j"], label: ["J"], meaning: "next line", act: () => move(1) },
  { keys: ["k"], label: ["K"], meaning: "previous line", act: () => move(-1) },
  { keys: ["x"], label: ["X"], meaning: "mark the line for a redo", act: () => mark(chosen()) },
  { keys: ["w"], label: ["W"], meaning: "worst first, and back", act: toggleWorst },
  { keys: ["/"], label: ["/"], meaning: "search", act: () => { openView("lines"); $("search").focus(); $("search").select(); } },
  { keys: ["+", "="], label: ["+"], meaning: "zoom into the timeline", act: () => zoom(2) },
  { keys: ["-"], label: ["−"], meaning: "zoom out", act: () => zoom(0.5) },
  { keys: ["0"], label: ["0"], meaning: "the whole timeline", act: () => show(0, total) },
  { keys: ["1", "2", "3"], label: ["1", "2", "3"], meaning: "lines, speakers, run", act: (key) => openView(VIEWS[Number(key) - 1]) },
  { keys: ["Escape"], label: ["Esc"], meaning: "close the line, clear the filters", act: () => (chosen() >= 0 ? select(-1) : clearFilters()) },
  { keys: ["?"], label: ["?"], meaning: "this help", act: () => $("help").showModal() },
];
const byKey = new Map(KEYS.flatMap((one) => one.keys.map((key) => [key, one])));

/** Keys that the element in focus needs for itself. */
function isTaken(event) {
  const { target, key } = event;
  if ($("help").open || event.ctrlKey || event.metaKey || event.altKey) return true;
  if (target.matches("input[type=search], input:not([type]), textarea")) return key !== "Escape";
  if (target.matches("select")) return key !== "Escape";
  return key === " " && target.matches("button, a, summary, input");
}

document.addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const one = byKey.get(key);
  if (!one || isTaken(event)) return;
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
  else if (event.key in ends) select(state.visible.at(ends[event.key]), { hear: true });
  else if (event.key === "Enter" && chosen() >= 0) play(cloneOf(chosen()) || originalOf(chosen()));
  else return;
  event.preventDefault();
});

$("keys").append(...KEYS.flatMap((one) => [el("dt", {}, ...one.label.map((key) => el("kbd", {}, key))), el("dd", {}, one.meaning)]));
$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
