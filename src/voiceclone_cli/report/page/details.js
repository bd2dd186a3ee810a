// The views "Speakers" and "Run".

const references = []; // {speaker, canvas, button}

function speakerCard(speaker) {
  const facts = [
    has(speaker.speech_seconds) && `⟦${duration(speaker.speech_seconds)} of speech⟧`,
    `⟦${speaker.done} of ${plural(speaker.segments, "⟦line⟧")} synthesized⟧`,
    has(speaker.similarity) && `⟦similarity ${fixed(speaker.similarity, 2)} to the ${⟨speaker.compared_with⟩}⟧`,
    has(speaker.margin) && `⟦margin⟧ ${signed(speaker.margin, 2)}${speaker.nearest_other ? ` ⟦over ${speaker.nearest_other}⟧` : ""}`,
    has(speaker.reference_seconds) && `⟦reference⟧ ${duration(speaker.reference_seconds)}`,
  ];
  const card = el("article", { class: "card" }, el("h3", {}, speakerTag(speaker.name)), el("p", { class: "facts" }, ...facts.filter(Boolean).map((words) => el("span", {}, words))));
  if (speaker.reference) card.append(reference(speaker));
  else card.append(el("p", { class: "muted" }, "⟦There is no reference in this directory.⟧"));
  if (speaker.reference_text) card.append(el("blockquote", { dir: "auto" }, speaker.reference_text));
  for (const words of speaker.warnings) card.append(el("p", { class: "trouble warn" }, words));
  return card;
}

function reference(speaker) {
  const clip = referenceOf(speaker);
  const isCurrent = () => player.playing && player.clip.file === clip.file;
  const button = el("button", { type: "button", onclick: () => (isCurrent() ? pause() : play(clip)) }, "⟦▶ Reference⟧");
  const canvas = el("canvas", { "aria-hidden": "true" });
  const peaks = speaker.reference_peaks;
  if (peaks) canvas.addEventListener("click", (event) => play(clip, { at: timeAt(canvas, event.clientX, 0, peaks.seconds) }));
  references.push({ speaker, canvas, button, isCurrent });
  return el("div", { class: "reference" }, button, canvas);
}

function drawReferences() {
  if ($("speakers").hidden) return;
  for (const { speaker, canvas, button, isCurrent } of references) {
    const peaks = speaker.reference_peaks;
    button.textContent = isCurrent() ? "⟦❚❚ Reference⟧" : "⟦▶ Reference⟧";
    if (peaks) drawClip(canvas, peaks, { from: 0, to: peaks.seconds, seconds: peaks.seconds, colour: colourOf(speaker.name), at: isCurrent() ? playbackTime() : null });
  }
}

const card = (title, type, ...children) => el("article", { class: `card ${type}` }, el("h2", {}, title), ...children);
const table = (rows) => el("table", {}, el("tbody", {}, ...rows));
const pairs = (rows) => table(rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { dir: "auto" }, value))));

function times() {
  const { timing } = content;
  const all = [...timing.stages, ...timing.workers];
  const longest = Math.max(0.001, ...all.map((one) => one.seconds));
  const bar = (one, type) => {
    const fill = el("div", { class: "fill" });
    fill.style.width = `${100 * one.seconds / longest}%`;
    const memory = has(one.peak_mb) ? `⟦up to ${Math.round(one.peak_mb).toLocaleString("en")} MB⟧` : null;
    return [el("span", { class: `name ${type}` }, ⟨one.name⟩), el("div", { class: `track-bar ${type}`, title: memory, "aria-hidden": "true" }, fill), el("span", { class: "number" }, one.seconds < 0.05 ? "⟦< 0.1 s⟧" : duration(one.seconds))];
  };
  const rows = timing.stages.flatMap((one) => [...bar(one, ""), ...(one.name === "speaking" ? timing.workers.flatMap((worker) => bar(worker, "within")) : [])]);
  const reused = [timing.reused_lines ? plural(timing.reused_lines, "⟦line⟧") : "", ...⟨timing.reused_stages⟩].filter(Boolean);
  return [el("div", { class: "times" }, ...rows), reused.length ? el("p", { class: "muted" }, `⟦Reused from an earlier run: ${reused.join(", ")}.⟧`) : null];
}

function settingRow({ name, value, from }) {
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: from === "default" ? "" : "set" }, value), el("td", { class: "from" }, ⟨from⟩));
}

function omittedRow({ where, start, text, reason }) {
  return el("tr", {}, el("th", { scope: "row" }, where), el("td", {}, has(start) ? clock(start) : NONE), el("td", { dir: "auto" }, text), el("td", { class: "from" }, ⟨reason⟩));
}

function correction({ at, line, done, changes }) {
  const moment = Number.isNaN(Date.parse(at)) ? at : new Date(at).toLocaleString();
  const place = lineIndex.has(line) ? el("button", { type: "button", class: "quiet", onclick: () => goTo(lineIndex.get(line)) }, line) : line;
  const parts = changes.flatMap(([what, before, after]) => [el("br"), `${⟨what⟩}⟦: ⟧`, before ? el("del", {}, before) : null, " ", el("ins", {}, after)]);
  return el("li", {}, place, " ", done, el("span", { class: "muted" }, ` · ${moment}`), ...parts);
}

function runCards() {
  const { files, facts, timing, omitted, consent, history, settings, versions } = content;
  return [
    files.length && card("⟦Files⟧", "all", el("p", { class: "files" }, ...files.map(([name, link]) => el("a", { href: link }, name)))),
    facts.length && card("⟦Details⟧", "", pairs(facts)),
    timing.stages.length && card(`⟦Time⟧${has(timing.total) ? `⟦: ⟧${duration(timing.total)}` : ""}`, "", ...times()),
    omitted && card("⟦Not spoken⟧", "all", el("p", { class: "muted" }, omitted.summary), table(omitted.rows.map(omittedRow))),
    card("⟦Consent⟧", "", consent.length ? pairs(consent) : el("p", { class: "muted" }, "⟦No consent is recorded (run --consent FILE).⟧")),
    card("⟦Corrections⟧", "", history.length ? el("ol", { class: "history" }, ...history.map(correction)) : el("p", { class: "muted" }, "⟦None yet: mark lines with X and copy the command.⟧")),
    settings.length && card("⟦Settings⟧", "", table(settings.map(settingRow))),
    versions.length && card("⟦Versions⟧", "", pairs(versions)),
  ].filter(Boolean);
}

$("speakers").append(...(speakers.length ? speakers.map(speakerCard) : [el("p", { class: "empty" }, "⟦There are no speakers yet.⟧")]));
$("run").append(...runCards());
on("sound", drawReferences);
on("theme", drawReferences);
on("view", drawReferences);
on("width", drawReferences);
