// Header, notices, the three views, the theme.

function fillTop() {
  const { outcome } = content;
  const missing = lines.filter((line) => line.status === "failed" || line.status === "file missing").length;
  $("name").textContent = outcome.name;
  $("summary").textContent = [has(outcome.seconds) && duration(outcome.seconds), outcome.sound, plural(speakers.length, "⟦speaker⟧"), outcome.engine && `⟦engine ${outcome.engine}⟧`].filter(Boolean).join(" · ");
  const pill = $("outcome");
  pill.textContent = [outcome.label, missing ? `⟦${missing} missing⟧` : "", has(outcome.exit_code) ? `⟦exit ${outcome.exit_code}⟧` : ""].filter(Boolean).join(" · ");
  pill.title = outcome.meaning;
  if (/^[a-z]+$/.test(outcome.status)) pill.classList.add(outcome.status);
}

function fillFigures() {
  const { summary } = content;
  const done = lines.filter((line) => line.status === "done").length;
  const flagged = lines.filter((line) => line.flags.length).length;
  const figures = [
    ["⟦lines synthesized⟧", `⟦${done.toLocaleString("en")} of ${lines.length.toLocaleString("en")}⟧`],
    ["⟦flagged⟧", flagged.toLocaleString("en")],
    ["⟦sped up⟧", lines.filter((line) => line.stretch > 1.005).length.toLocaleString("en")],
    ["⟦past their slot⟧", lines.filter((line) => line.flags.includes("overflow")).length.toLocaleString("en")],
    ["⟦similarity⟧", summary.similarity, (value) => fixed(value, 2)],
    ["⟦margin⟧", summary.margin, (value) => signed(value, 2)],
    [content.error_rate === "CER" ? "⟦character errors⟧" : "⟦word errors⟧", summary.wer, percent],
    ["MOS", summary.mos, (value) => fixed(value, 1)],
    ["⟦run time⟧", content.timing.total, duration],
  ];
  const known = figures.filter(([, value]) => has(value));
  $("figures").append(...terms(known.map(([name, value, format]) => [name, format ? format(value) : value])));
}

/** A message with a button that selects its line. */
function problem({ code, message, segment }) {
  const place = lineIndex.has(segment) ? el("button", { type: "button", class: "quiet", onclick: () => goTo(lineIndex.get(segment)) }, segment) : null;
  return el("li", {}, place, el("span", { dir: "auto" }, message), code ? el("span", { class: "code" }, ` (${code})`) : null);
}

function goTo(index) {
  openView("lines");
  clearFilters();
  select(index);
}

function fillNotices() {
  const { errors, notes } = content.outcome;
  const found = [];
  const list = (items) => el("ul", {}, ...items);
  if (errors.length) found.push(el("details", { class: "notice error", open: errors.length <= 5 }, el("summary", {}, plural(errors.length, "⟦error⟧")), list(errors.map(problem))));
  if (content.gates.length) found.push(el("details", { class: "notice error", open: content.gates.length <= 5 }, el("summary", {}, `⟦${plural(content.gates.length, "⟦gate⟧")} failed in the check⟧`), list(content.gates.map(problem))));
  if (notes.length) found.push(el("details", { class: "notice", open: notes.length <= 3 }, el("summary", {}, plural(notes.length, "⟦note⟧")), list(notes.map((words) => el("li", { dir: "auto" }, words)))));
  const unchecked = lines.filter((line) => line.status === "done" && !line.check).length;
  if (unchecked) {
    const words = content.checked ? `⟦${plural(unchecked, "⟦line⟧")} not checked, or changed since the check: ⟧` : "⟦Not checked. For similarity, word errors and quality run ⟧";
    found.push(el("p", { class: "notice plain" }, words, command(content.commands.check)));
  }
  $("notices").append(...found);
  $("notices").hidden = !found.length;
}

const VIEWS = ["lines", "speakers", "run"];
function openView(name) {
  for (const one of VIEWS) {
    $(one).hidden = one !== name;
    $(`tab-${one}`).setAttribute("aria-selected", one === name);
    $(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
  if (name === "lines") redrawRows();
  emit("view");
}

VIEWS.forEach((name, n) => {
  $(`tab-${name}`).addEventListener("click", () => openView(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const other = VIEWS[(n + step + VIEWS.length) % VIEWS.length];
    openView(other);
    $(`tab-${other}`).focus();
  });
});
$("tab-lines").querySelector("span").textContent = lines.length.toLocaleString("en");
$("tab-speakers").querySelector("span").textContent = speakers.length;
$("skip").addEventListener("click", (event) => { event.preventDefault(); openView("lines"); grid.focus(); });

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
const THEME = "voiceclone-theme";
function chosenTheme() {
  // Some browsers have no storage for pages that were opened as files.
  try { return localStorage.getItem(THEME); } catch { return null; }
}
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "⟦☀ Light⟧" : "⟦☾ Dark⟧";
  $("theme").setAttribute("aria-label", name === "dark" ? "⟦Light colours⟧" : "⟦Dark colours⟧");
  emit("theme");
}
const systemTheme = () => (darkSystem.matches ? "dark" : "light");
$("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem(THEME, name); } catch { /* Then it lasts as long as the page. */ }
  setTheme(name);
});
darkSystem.addEventListener("change", () => { if (!chosenTheme()) setTheme(systemTheme()); });
