// Draw the page. An address that ends in #0007 selects that line.

fillTop();
fillFigures();
fillNotices();
openView("lines");
applyFilters();
setTheme(chosenTheme() || systemTheme());
emit("sound");

function goToAddress() {
  const name = location.hash.slice(1);
  const index = lines.findIndex((line) => encodeURIComponent(line.id) === name);
  if (index >= 0) goTo(index);
}
window.addEventListener("hashchange", goToAddress);
goToAddress();
on("selection", () => {
  const id = state.selected >= 0 ? `#${encodeURIComponent(lines[state.selected].id)}` : location.href.split("#")[0];
  try { history.replaceState(null, "", id); } catch { /* An embedded page may have no address. */ }
});
