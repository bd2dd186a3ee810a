// What stands above the list: search, filters, order, and the lines that are marked for a redo.

function fillFilters() {
  const statuses = [...new Set(lines.map((line) => line.status))];
  const flags = [...new Set(lines.flatMap((line) => line.flags))].filter((name) => !statuses.includes(name));
  const count = (test) => lines.filter(test).length;
  $("filter-speaker").append(option("", "All speakers"), ...speakers.map((one) => option(one.name, one.name)));
  $("filter-status").append(option("", "Any status"), ...statuses.map((name) => option(name, `${name} (${count((line) => line.status === name)})`)));
  $("filter-flag").append(
    option("", "Flagged or not"),
    option("any", `Any flag (${count((line) => line.flags.length)})`),
    ...flags.map((name) => option(`=${name}`, `${name} (${count((line) => line.flags.includes(name))})`)),
    option("unchecked", `not checked (${count((line) => !line.check && line.status === "done")})`),
  );
  const orders = COLUMNS.filter((one) => one.by !== "badness").flatMap((one) => [option(`${one.by}+`, `${one.label} ↑`), option(`${one.by}-`, `${one.label} ↓`)]);
  $("sort").append(option("badness-", "Worst first"), option("badness+", "Best first"), ...orders);
}

for (const [id, name] of [["search", "search"], ["filter-speaker", "speaker"], ["filter-status", "status"], ["filter-flag", "flag"]]) {
  $(id).addEventListener("input", (event) => {
    state.filters[name] = event.target.value;
    choose();
    announce(`${state.visible.length} of ${plural(lines.length, "line")}`);
  });
}
$("sort").addEventListener("input", (event) => orderBy(event.target.value.slice(0, -1), event.target.value.endsWith("-")));
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());

function toggleWorst() {
  const worst = state.order.by === "badness" && state.order.down;
  orderBy(worst ? "start" : "badness", !worst);
  announce(worst ? "In the order of time" : "Worst first");
}
$("worst").addEventListener("click", toggleWorst);

/** Whether there was anything to clear. */
function clearFilters() {
  const any = Object.values(state.filters).some(Boolean);
  for (const id of ["search", "filter-speaker", "filter-status", "filter-flag"]) $(id).value = "";
  state.filters = { search: "", speaker: "", status: "", flag: "" };
  if (any) choose();
  return any;
}

on("marks", () => {
  const ids = [...state.marks].sort((a, b) => a - b).map((index) => lines[index].id);
  $("marked").hidden = !ids.length;
  $("marked-count").textContent = `${plural(ids.length, "line")} to redo`;
  $("redo").value = `${content.commands.redo} ${ids.map(quoted).join(" ")}`;
});
/** A word for a POSIX shell. */
const quoted = (word) => (/^[\w.,:@%+=/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
$("redo").addEventListener("focus", () => $("redo").select());
$("redo-copy").addEventListener("click", () => copyText($("redo").value, $("redo-copy")));
$("redo-clear").addEventListener("click", () => { state.marks.clear(); tell("marks"); });
fillFilters();
