// The deck: the selected line with its original (A), its clone (B) and its check.

const deck = $("deck");
let tracks = []; // {button, canvas, clip, peaks, from, to, colour, label}

function openDeck() {
  const index = state.selected;
  deck.hidden = index < 0;
  tracks = [];
  document.body.style.paddingBottom = "";
  if (index < 0) return deck.replaceChildren();
  const line = lines[index];
  const focused = document.activeElement && deck.contains(document.activeElement) ? document.activeElement.dataset.do : null;
  deck.replaceChildren(el("div", { class: "deck" }, deckHead(line, index), el("div", {}, ...deckTracks(line, index)), el("div", {}, ...deckText(line))));
  document.body.style.paddingBottom = `${deck.offsetHeight}px`;
  if (focused) deck.querySelector(`[data-do="${focused}"]`)?.focus();
  drawDeck();
}

function deckHead(line, index) {
  const audition = el("select", { "aria-label": "⟦What plays when a line is selected⟧", "data-do": "audition", oninput: (event) => { state.audition = event.target.value; } },
    option("", "⟦on selection: silent⟧"), option("b", "⟦on selection: play B⟧"), option("ab", "⟦on selection: play A, then B⟧"));
  audition.value = state.audition;
  const tool = (name, label, text, act) => el("button", { type: "button", "data-do": name, class: name === "close" ? "quiet close" : "", "aria-label": label, title: label, onclick: act }, text);
  return el("div", { class: "deck-head" },
    el("h2", {}, line.id), speakerTag(line.speaker),
    el("span", { class: "muted" }, `${clock(line.start)} – ${clock(line.end)}`),
    el("span", {}, ...flagsOf(line)),
    tool("close", "⟦Close (Esc)⟧", "✕", () => select(-1)),
    el("div", { class: "tools" }, audition,
      tool("previous", "⟦Previous line (K)⟧", "↑", () => move(-1)),
      tool("next", "⟦Next line (J)⟧", "↓", () => move(1)),
      tool("mark", "⟦Mark for a redo (X)⟧", state.marks.has(index) ? "⟦☑ Redo⟧" : "⟦☐ Redo⟧", () => mark(index)),
      tool("mix", "⟦In the mix (M)⟧", "⟦In the mix⟧", () => play(mixOf(index)))),
  );
}

function deckTracks(line, index) {
  const shared = Math.max(line.end - line.start, line.seconds || 0, 0.1);
  const original = content.original && { name: "a", key: "A", label: "⟦Original⟧", clip: originalOf(index), peaks: content.original.peaks, from: line.start, to: line.end, colour: () => colours.original };
  const clone = line.peaks && { name: "b", key: "B", label: "⟦Clone⟧", clip: cloneOf(index), peaks: line.peaks, from: 0, to: line.seconds, colour: () => colourOf(line.speaker) };
  const reason = line.status === "done" ? "" : line.status === "planned" ? "⟦Not synthesized yet.⟧" : `⟦Not synthesized: ${line.error || ⟨line.status⟩}.⟧`;
  return [
    original ? track(original, shared) : missingTrack("A", "⟦Original⟧", "⟦The original is not in this directory (original.flac).⟧"),
    clone ? track(clone, shared) : missingTrack("B", "⟦Clone⟧", reason || "⟦Its file cannot be read.⟧"),
  ];
}

const label = (key, text) => [el("kbd", { "aria-hidden": "true" }, key), text];
const missingTrack = (key, text, reason) => el("div", { class: "track" }, el("button", { type: "button", disabled: true }, ...label(key, text)), el("p", { class: "none" }, reason));

function track(one, seconds) {
  const name = el("span", {}, one.label);
  const button = el("button", { type: "button", "data-do": one.name, onclick: () => (isPlaying(one.clip.kind, one.clip.index) ? pause() : play(one.clip)) }, ...label(one.key, name));
  const canvas = el("canvas", { "aria-hidden": "true" });
  canvas.addEventListener("click", (event) => play(one.clip, { at: Math.min(one.to, timeAt(canvas, event.clientX, one.from, one.from + seconds)) }));
  tracks.push({ ...one, button, name, canvas, seconds });
  return el("div", { class: "track" }, button, canvas);
}

function deckText(line) {
  const parts = [el("p", { class: "words", dir: "auto", lang: line.language || null }, ...scriptText(line))];
  if (line.original) parts.push(el("p", { class: "transcript", dir: "auto", lang: content.translated_from || null }, el("b", {}, "⟦translated from⟧"), line.original));
  const { check } = line;
  if (check && check.diff) parts.push(el("p", { class: "transcript", dir: "auto" }, el("b", {}, "⟦transcript⟧"), transcriptOf(check)));
  else if (check && check.not_scored) parts.push(el("p", { class: "transcript" }, el("b", {}, "⟦not compared⟧"), check.not_scored));
  else if (line.status === "done") parts.push(el("p", { class: "transcript" }, el("b", {}, line.stale ? "⟦changed since the check⟧" : "⟦not checked⟧"), command(content.commands.check)));
  parts.push(el("dl", { class: "measured" }, ...terms(measurements(line))));
  parts.push(corrections(line));
  for (const words of [...line.warnings, ...(check && check.error ? [check.error] : []), ...(line.error ? [line.error] : [])]) parts.push(el("p", { class: "trouble warn", dir: "auto" }, words));
  return parts;
}

const transcriptOf = ({ transcript, diff }) => (diff.every(([op]) => op === "same") ? "⟦all words⟧" : transcript || "⟦no words⟧");

/** The text, with missing words struck out and the words of the transcript instead. */
function scriptText(line) {
  if (!line.check || !line.check.diff) return [line.text];
  const spaced = (words) => (/\s$/.test(words) ? " " : "");
  return line.check.diff.flatMap(([op, words]) => (
    op === "same" ? [words] : [el(op === "missing" ? "del" : "ins", {}, words.trim()), spaced(words)]
  ));
}

function measurements(line) {
  const check = line.check || {};
  const nearest = check.nearest_other ? ` (${check.nearest_other})` : "";
  const all = [
    ["⟦original⟧", line.end - line.start, duration], ["⟦clone⟧", line.seconds, duration],
    ["⟦expected⟧", line.expected, (value) => `${duration(value)}${line.expected_overflow > 0.05 ? ` (⟦${signed(line.expected_overflow, 2)} s past the slot⟧)` : ""}`],
    ["⟦slot⟧", line.slot_end - line.start, duration],
    ["⟦stretch⟧", line.stretch, (value) => `${fixed(value, 2)}×`], ["⟦overflow⟧", line.overflow, (value) => `⟦${fixed(value, 2)} s⟧`],
    ["⟦gain⟧", line.gain_db, (value) => `${signed(value, 1)} dB`],
    ["⟦similarity⟧", check.similarity, (value) => fixed(value, 2)], ["⟦margin⟧", check.margin, (value) => `${signed(value, 2)}${nearest}${check.scored === false ? "⟦, too short to compare⟧" : ""}`],
    [check.error_rate === "CER" ? "⟦CER⟧" : "⟦WER⟧", check.wer, percent], ["MOS", check.mos, (value) => fixed(value, 2)],
    ["⟦duration ratio⟧", check.duration_ratio, (value) => fixed(value, 2)],
    ["⟦level vs. original⟧", check.loudness_db, (value) => `${signed(value, 1)} dB`], ["⟦peak⟧", check.peak_db, (value) => `${fixed(value, 1)} dB`],
    ["⟦clipped⟧", check.clipped_samples || null, (value) => plural(value, "⟦sample⟧")], ["⟦seed⟧", line.seed, String],
  ];
  return all.filter(([, value]) => has(value)).map(([name, value, format]) => [name, format(value)]);
}

function drawDeck() {
  for (const { canvas, button, name, clip, peaks, from, to, seconds, colour, label: words } of tracks) {
    const isCurrent = player.clip && player.clip.kind === clip.kind && player.clip.index === clip.index;
    const playing = isPlaying(clip.kind, clip.index);
    name.textContent = playing ? "⟦Pause⟧" : words;
    button.setAttribute("aria-pressed", playing);
    drawClip(canvas, peaks, { from, to, seconds, colour: colour(), at: isCurrent ? playbackTime() : null });
  }
}

on("selection", () => {
  openDeck();
  // After the deck has its height.
  scrollTo(state.selected);
});
on("marks", openDeck);
on("sound", drawDeck);
on("theme", drawDeck);
on("width", openDeck);
