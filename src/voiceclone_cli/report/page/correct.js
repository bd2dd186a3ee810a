// The commands that correct the selected line.

const CORRECTIONS = [
  { name: "take", label: "⟦another take⟧", words: (line) => [line.id] },
  { name: "text", label: "⟦other words⟧", words: (line) => [line.id, "--text", line.text] },
  { name: "speaker", label: "⟦another speaker⟧", words: (line) => {
    const other = speakers.find((one) => one.name !== line.speaker);
    return other && ["--speaker", `${line.id}=${other.name}`];
  } },
  { name: "split", label: "⟦split⟧", words: (line) => ["--split", `${line.id}@${atPlayhead(line, (line.start + line.end) / 2)}`] },
  { name: "join", label: "⟦join with the next one⟧", words: (line) => {
    const next = lines.filter((one) => one.speaker === line.speaker && one.start > line.start).sort((a, b) => a.start - b.start)[0];
    return next && ["--join", line.id, next.id];
  } },
  { name: "move", label: "⟦move⟧", words: (line) => ["--move", `${line.id}=${atPlayhead(null, line.start)}`] },
  { name: "drop", label: "⟦drop⟧", words: (line) => ["--drop", line.id] },
  { name: "undo", label: "⟦undo the last correction⟧", words: () => content.history.length ? ["--undo"] : null },
];

/** The time of the playhead, where it is within the line (or anywhere, without a line), else `seconds`. */
function atPlayhead(line, seconds) {
  const at = playhead();
  const isUsed = has(at) && (!line || (at > line.start && at < line.end));
  return (isUsed ? at : seconds).toFixed(3);
}

let showCorrection = () => {};

/** A choice of corrections, and the command for the one that is chosen. */
function corrections(line) {
  const possible = CORRECTIONS.filter((one) => one.words(line));
  const choice = el("select", { "aria-label": "⟦Correct this line⟧", "data-do": "correct" }, ...possible.map((one) => option(one.name, one.label)));
  choice.value = possible.some((one) => one.name === state.correction) ? state.correction : "take";
  const shown = command("");
  showCorrection = () => {
    const words = possible.find((one) => one.name === choice.value).words(line);
    shown.querySelector("code").textContent = [content.commands.redo, ...words.map(quoted)].join(" ");
  };
  choice.addEventListener("input", () => { state.correction = choice.value; showCorrection(); });
  showCorrection();
  return el("p", { class: "correct" }, choice, shown);
}

on("sound", () => showCorrection());
