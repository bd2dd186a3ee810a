// Above the list: search, filters, order, and the lines that are marked for a redo.

function fillFilters() {
  const statuses = [...new Set(lines.map((line) => line.status))];
  const flags = [...new Set(lines.flatMap((line) => line.flags))].filter((name) => !statuses.includes(name));
  const count = (test) => lines.filter(test).length;
  $("filter-speaker").append(option("", "⟦All speakers⟧"), ...speakers.map((one) => option(one.name, one.name)));
  $("filter-status").append(option("", "⟦Any status⟧"), ...statuses.map((name) => option(name, `${⟨name⟩} (${count((line) => line.status === name)})`)));
  $("filter-flag").append(
    option("", "⟦With or without flags⟧"),
    option("any", `⟦Any flag⟧ (${count((line) => line.flags.length)})`),
    ...flags.map((name) => option(`=${name}`, `${⟨name⟩} (${count((line) => line.flags.includes(name))})`)),
    option("unchecked", `⟦not checked⟧ (${count((line) => !line.check && line.status === "done")})`),
  );
  const orders = COLUMNS.filter((one) => one.by !== "badness").flatMap((one) => [option(`${one.by}+`, `${one.label} ↑`), option(`${one.by}-`, `${one.label} ↓`)]);
  $("sort").append(option("badness-", "⟦Worst first⟧"), option("badness+", "⟦Best first⟧"), ...orders);
}

for (const [id, name] of [["search", "search"], ["filter-speaker", "speaker"], ["filter-status", "status"], ["filter-flag", "flag"]]) {
  $(id).addEventListener("input", (event) => {
    state.filters[name] = event.target.value;
    applyFilters();
    announce(`⟦${state.visible.length} of ${plural(lines.length, "⟦line⟧")}⟧`);
  });
}
$("sort").addEventListener("input", (event) => orderBy(event.target.value.slice(0, -1), event.target.value.endsWith("-")));
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());

function toggleWorst() {
  const worst = state.order.by === "badness" && state.order.down;
  orderBy(worst ? "start" : "badness", !worst);
  announce(worst ? "⟦Sorted by time⟧" : "⟦Worst first⟧");
}
$("worst").addEventListener("click", toggleWorst);

/** Clear all filters; return whether one was set. */
function clearFilters() {
  const any = Object.values(state.filters).some(Boolean);
  for (const id of ["search", "filter-speaker", "filter-status", "filter-flag"]) $(id).value = "";
  state.filters = { search: "", speaker: "", status: "", flag: "" };
  if (any) applyFilters();
  return any;
}

on("marks", () => {
  const ids = [...state.marks].sort((a, b) => a - b).map((index) => lines[index].id);
  $("marked").hidden = !ids.length;
  $("marked-count").textContent = `⟦${plural(ids.length, "⟦line⟧")} to redo⟧`;
  $("redo").value = `${content.commands.redo} ${ids.map(quoted).join(" ")}`;
});
$("redo").addEventListener("focus", () => $("redo").select());
$("redo-copy").addEventListener("click", () => copyText($("redo").value, $("redo-copy")));
$("redo-clear").addEventListener("click", () => { state.marks.clear(); emit("marks"); });
fillFilters();
