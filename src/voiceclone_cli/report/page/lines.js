// The list of lines. Only rows in the window are in the document; aria-rowcount counts the others.

const narrow = window.matchMedia("(max-width: 760px)");
const grid = $("grid");
const box = $("rows");
const drawn = new Map(); // index of a line -> its row
const SPARE = 6; // rows beyond both edges
const rowHeight = () => (narrow.matches ? 96 : 54);

const checkColumns = new Set(["similarity", "margin", "wer", "mos"]); // columns of a check
const voiceColumns = new Set(["similarity", "margin", "mos"]); // and what takes a second of speech to emit
const cell = (type, ...children) => el("div", { role: "gridcell", class: type }, ...children);

function rowOf(index) {
  const line = lines[index];
  const box = el("input", { type: "checkbox", tabindex: "-1", "aria-label": `⟦Mark ${line.id} for a redo⟧`, onclick: (event) => { event.stopPropagation(); mark(index); } });
  const row = el("div", { role: "row", class: `line${line.flags.length || line.stale ? " flagged" : ""}`, id: `line-${index}`, onclick: () => select(index, { withSound: true }), ondblclick: () => play(cloneOf(index) || originalOf(index)) },
    cell("mark", box),
    cell("id", line.id),
    cell("speaker", speakerTag(line.speaker)),
    cell("time", clock(line.start)),
    textCell(line),
    cell("sound wide", line.peaks || content.original ? el("canvas", { "aria-hidden": "true" }) : NONE),
    ...COLUMNS.filter((one) => one.show).map((one) => numberCell(one, line)),
    cell("flags", ...fewFlags(line)),
    el("div", { class: "measures", "aria-hidden": "true" }, measuresOf(line)),
  );
  return row;
}

/** The text, beside what it is a translation of. */
function textCell(line) {
  if (!line.original) return el("div", { role: "gridcell", class: "text", dir: "auto", lang: line.language || null }, line.text);
  const original = el("span", { class: "muted", dir: "auto", lang: content.translated_from || null }, line.original);
  return el("div", { role: "gridcell", class: "pair" }, original, el("span", { dir: "auto", lang: line.language || null }, line.text));
}

function numberCell(one, line) {
  const flagged = one.flag && line.flags.includes(one.flag);
  const unsure = voiceColumns.has(one.by) && line.check && !line.check.scored;
  const shown = cell(`${typeOf(one)}${unsure ? " unsure" : flagged ? (SEVERE.has(one.flag) ? " bad" : " warn") : ""}`, one.show(line));
  if (unsure) shown.title = "⟦too short to compare⟧";
  return shown;
}

const typeOf = (one) => `${one.type || ""}${checkColumns.has(one.by) ? " checked" : ""}`;
const flagsOf = (line) => (line.stale ? [flag("not checked"), ...line.flags.map(flag)] : line.flags.map(flag));

/** The worst flag, and how many more there are. */
function fewFlags(line) {
  const [worst, ...others] = flagsOf(line);
  const more = others.length ? el("span", { class: "muted", title: others.map((one) => one.textContent).join(", ") }, `+${others.length}`) : null;
  return [worst, more].filter(Boolean);
}

/** The measures of a row in one line, for narrow windows. */
function measuresOf(line) {
  const plain = { expected: () => !(line.expected_overflow > 0.05), stretch: (value) => value < 1.005, overflow: (value) => value < 0.005 };
  const known = COLUMNS.filter((one) => one.show && has(one.key(line)) && !plain[one.by]?.(one.key(line)));
  return known.map((one) => (one.short ? `${one.short} ${one.show(line)}` : one.show(line))).join(" · ");
}

/** Original above, clone below, on one scale. */
function drawPair(canvas, index) {
  const line = lines[index];
  const { context, width, height } = prepareCanvas(canvas);
  const seconds = Math.max(line.end - line.start, line.seconds || 0, 0.1);
  const half = { x: 0, height: height / 2 - 2 };
  if (content.original) drawWave(context, content.original.peaks, { ...half, from: line.start, to: line.end, y: 0, width: (line.end - line.start) / seconds * width, colour: colours.original });
  if (line.peaks) drawWave(context, line.peaks, { ...half, from: 0, to: line.seconds, y: height / 2 + 1, width: line.seconds / seconds * width, colour: colourOf(line.speaker) });
}

/** Add the rows in the window and remove the others; the selected row always stays. */
function layoutRows() {
  if ($("lines").hidden) return;
  const height = rowHeight();
  const top = -box.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / height) - SPARE);
  const last = Math.min(state.visible.length, Math.ceil((top + window.innerHeight) / height) + SPARE);
  const wanted = new Map();
  for (let at = first; at < last; at++) wanted.set(state.visible[at], at);
  const selected = state.visible.indexOf(state.selected);
  if (selected >= 0) wanted.set(state.selected, selected);
  for (const [index, row] of drawn) {
    if (!wanted.has(index)) {
      row.remove();
      drawn.delete(index);
    }
  }
  for (const [index, at] of wanted) layoutRow(index, at, height);
}

/** Add a row unless it is there already. */
function layoutRow(index, at, height) {
  if (drawn.has(index)) return;
  const row = rowOf(index);
  drawn.set(index, row);
  row.style.top = `${at * height}px`;
  row.style.height = `${height}px`;
  row.setAttribute("aria-rowindex", at + 2);
  showState(row, index);
  // In the order of the list, for screen readers.
  box.insertBefore(row, [...box.children].find((other) => Number(other.ariaRowIndex) > at + 2) || null);
  const canvas = row.querySelector("canvas");
  if (canvas && canvas.clientWidth) drawPair(canvas, index);
}

function showState(row, index) {
  row.setAttribute("aria-selected", index === state.selected);
  row.querySelector("input").checked = state.marks.has(index);
}

function showStates() {
  layoutRows();
  for (const [index, row] of drawn) showState(row, index);
}

function redrawRows() {
  for (const row of drawn.values()) row.remove();
  drawn.clear();
  box.style.height = `${state.visible.length * rowHeight()}px`;
  layoutRows();
}

/** Scroll a row into the uncovered part of the window. */
function scrollTo(index) {
  const at = state.visible.indexOf(index);
  if (at < 0 || $("lines").hidden) return;
  const height = rowHeight();
  const top = box.getBoundingClientRect().top + at * height;
  const above = narrow.matches ? 8 : $("columns").offsetHeight + 8;
  const below = window.innerHeight - ($("deck").hidden ? 0 : $("deck").offsetHeight) - 8;
  if (top < above) window.scrollBy(0, top - above);
  else if (top + height > below) window.scrollBy(0, top + height - below);
}

function layoutColumns() {
  const head = $("columns");
  head.append(el("div", { role: "columnheader" }, el("span", { class: "unseen" }, "⟦Marked⟧")));
  for (const one of COLUMNS) {
    const button = el("button", { type: "button", title: one.meaning, onclick: () => orderBy(one.by, state.order.by === one.by ? !state.order.down : Boolean(one.falls)) }, one.label);
    head.append(el("div", { role: "columnheader", class: typeOf(one), "data-by": one.by }, button));
  }
  grid.setAttribute("aria-colcount", COLUMNS.length + 1);
}

function showOrder() {
  for (const header of $("columns").querySelectorAll("[data-by]")) {
    const isCurrent = header.dataset.by === state.order.by;
    const button = header.querySelector("button");
    button.textContent = column(header.dataset.by).label + (isCurrent ? (state.order.down ? " ↓" : " ↑") : "");
    if (isCurrent) header.setAttribute("aria-sort", state.order.down ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  }
  const worst = state.order.by === "badness" && state.order.down;
  $("worst").setAttribute("aria-pressed", worst);
  $("sort").value = `${state.order.by}${state.order.down ? "-" : "+"}`;
}

layoutColumns();
grid.classList.toggle("unchecked", lines.every((line) => !line.check));
on("filtered", () => {
  grid.setAttribute("aria-rowcount", state.visible.length + 1);
  $("shown").textContent = state.visible.length === lines.length ? "" : `⟦${state.visible.length.toLocaleString("en")} of ${plural(lines.length, "⟦line⟧")}⟧`;
  $("nothing").hidden = state.visible.length > 0;
  $("nothing").textContent = lines.length ? "⟦No line matches. Press Esc to clear the filters.⟧" : "⟦There are no lines yet.⟧";
  grid.hidden = !state.visible.length;
  showOrder();
  redrawRows();
});
on("selection", () => {
  if (state.selected >= 0) grid.setAttribute("aria-activedescendant", `line-${state.selected}`);
  else grid.removeAttribute("aria-activedescendant");
  showStates();
});
on("marks", showStates);
on("theme", redrawRows);
narrow.addEventListener("change", redrawRows);
window.addEventListener("scroll", layoutRows, { passive: true });
window.addEventListener("resize", layoutRows);
on("width", redrawRows);
