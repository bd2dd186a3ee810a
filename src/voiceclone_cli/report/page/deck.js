// The deck: the chosen line, its original (A) and its clone (B), and what a check said of it.

const deck = $("deck");
let tracks = []; // {button, canvas, clip, peaks, from, to, colour, label}

function openDeck() {
  const index = state.selected;
  deck.hidden = index < 0;
  tracks = [];
  document.body.style.paddingBottom = "";
  if (index < 0) return deck.replaceChildren();
  const line = lines[index];
  const chosen = document.activeElement && deck.contains(document.activeElement) ? document.activeElement.dataset.do : null;
  deck.replaceChildren(el("div", { class: "deck" }, deckHead(line, index), el("div", {}, ...deckTracks(line, index)), el("div", {}, ...deckWords(line))));
  document.body.style.paddingBottom = `${deck.offsetHeight}px`;
  if (chosen) deck.querySelector(`[data-do="${chosen}"]`)?.focus();
  drawDeck();
}

function deckHead(line, index) {
  const audition = el("select", { "aria-label": "What is heard when a line is chosen", "data-do": "audition", oninput: (event) => { state.audition = event.target.value; } },
    option("", "when chosen: silent"), option("b", "when chosen: hear B"), option("ab", "when chosen: hear A, then B"));
  audition.value = state.audition;
  const tool = (name, label, words, act) => el("button", { type: "button", "data-do": name, class: name === "close" ? "quiet close" : "", "aria-label": label, title: label, onclick: act }, words);
  return el("div", { class: "deck-head" },
    el("h2", {}, line.id), who(line.speaker),
    el("span", { class: "muted" }, `${clock(line.start)} – ${clock(line.end)}`),
    el("span", {}, ...flagsOf(line)),
    tool("close", "Close (Esc)", "✕", () => select(-1)),
    el("div", { class: "tools" }, audition,
      tool("previous", "Previous line (K)", "↑", () => move(-1)),
      tool("next", "Next line (J)", "↓", () => move(1)),
      tool("mark", "Mark for a redo (X)", state.marks.has(index) ? "☑ Redo" : "☐ Redo", () => mark(index)),
      tool("mix", "In the mix (M)", "In the mix", () => play(mixOf(index)))),
  );
}

function deckTracks(line, index) {
  const shared = Math.max(line.end - line.start, line.seconds || 0, 0.1);
  const original = content.original && { name: "a", key: "A", label: "Original", clip: originalOf(index), peaks: content.original.peaks, from: line.start, to: line.end, colour: () => colours.original };
  const clone = line.peaks && { name: "b", key: "B", label: "Clone", clip: cloneOf(index), peaks: line.peaks, from: 0, to: line.seconds, colour: () => colourOf(line.speaker) };
  const why = line.status === "done" ? "" : line.status === "planned" ? "Not spoken yet." : `Not spoken: ${line.error || line.status}.`;
  return [
    original ? track(original, shared) : noTrack("A", "Original", "The original is not in this directory (original.flac)."),
    clone ? track(clone, shared) : noTrack("B", "Clone", why || "Its file cannot be read."),
  ];
}

const label = (key, words) => [el("kbd", { "aria-hidden": "true" }, key), words];
const noTrack = (key, words, why) => el("div", { class: "track" }, el("button", { type: "button", disabled: true }, ...label(key, words)), el("p", { class: "none" }, why));

function track(one, seconds) {
  const name = el("span", {}, one.label);
  const button = el("button", { type: "button", "data-do": one.name, onclick: () => (isPlaying(one.clip.kind, one.clip.index) ? pause() : play(one.clip)) }, ...label(one.key, name));
  const canvas = el("canvas", { "aria-hidden": "true" });
  canvas.addEventListener("click", (event) => play(one.clip, { at: Math.min(one.to, timeAt(canvas, event.clientX, one.from, one.from + seconds)) }));
  tracks.push({ ...one, button, name, canvas, seconds });
  return el("div", { class: "track" }, button, canvas);
}

function deckWords(line) {
  const parts = [el("p", { class: "words", dir: "auto", lang: line.language || null }, ...spokenWords(line))];
  const { check } = line;
  if (check && check.diff) parts.push(el("p", { class: "heard", dir: "auto" }, el("b", {}, "understood"), understood(check)));
  else if (line.status === "done") parts.push(el("p", { class: "heard" }, el("b", {}, line.stale ? "changed since it was checked" : "not checked"), command(content.commands.check)));
  parts.push(el("dl", { class: "measured" }, ...terms(measured(line))));
  for (const words of [...line.warnings, ...(check && check.error ? [check.error] : []), ...(line.error ? [line.error] : [])]) parts.push(el("p", { class: "trouble warn", dir: "auto" }, words));
  return parts;
}

const understood = ({ heard, diff }) => (diff.every(([op]) => op === "same") ? "every word" : heard || "nothing");

/** The text, with what was not understood struck out and what was understood instead. */
function spokenWords(line) {
  if (!line.check || !line.check.diff) return [line.text];
  const spaced = (words) => (/\s$/.test(words) ? " " : "");
  return line.check.diff.flatMap(([op, words]) => (
    op === "same" ? [words] : [el(op === "missing" ? "del" : "ins", {}, words.trim()), spaced(words)]
  ));
}

function measured(line) {
  const check = line.check || {};
  const nearest = check.nearest_other ? ` (${check.nearest_other})` : "";
  const all = [
    ["original", line.end - line.start, duration], ["clone", line.seconds, duration],
    ["slot", line.slot_end - line.start, duration],
    ["stretch", line.stretch, (value) => `${fixed(value, 2)}×`], ["overflow", line.overflow, (value) => `${fixed(value, 2)} s`],
    ["gain", line.gain_db, (value) => `${signed(value, 1)} dB`],
    ["similarity", check.similarity, (value) => fixed(value, 2)], ["margin", check.margin, (value) => `${signed(value, 2)}${nearest}${check.judged === false ? ", too short to tell" : ""}`],
    ["WER", check.wer, percent], ["MOS", check.mos, (value) => fixed(value, 2)],
    ["duration ratio", check.duration_ratio, (value) => fixed(value, 2)],
    ["level to original", check.loudness_db, (value) => `${signed(value, 1)} dB`], ["peak", check.peak_db, (value) => `${fixed(value, 1)} dB`],
    ["clipped", check.clipped_samples || null, (value) => plural(value, "sample")], ["seed", line.seed, String],
  ];
  return all.filter(([, value]) => has(value)).map(([name, value, say]) => [name, say(value)]);
}

function drawDeck() {
  for (const { canvas, button, name, clip, peaks, from, to, seconds, colour, label: words } of tracks) {
    const isIt = player.clip && player.clip.kind === clip.kind && player.clip.index === clip.index;
    const playing = isPlaying(clip.kind, clip.index);
    name.textContent = playing ? "Pause" : words;
    button.setAttribute("aria-pressed", playing);
    drawClip(canvas, peaks, { from, to, seconds, colour: colour(), at: isIt ? heardAt() : null });
  }
}

on("selection", () => {
  openDeck();
  // Now, since the deck has taken its room.
  scrollTo(state.selected);
});
on("marks", openDeck);
on("sound", drawDeck);
on("theme", drawDeck);
on("width", openDeck);
