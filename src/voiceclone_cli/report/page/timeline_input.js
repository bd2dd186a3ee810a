// Mouse, touch and keyboard on the timeline: zoom, pan, hint, playback.

let cursor = null; // time of the last click, in seconds
let frame = 0;

/** Draw once before the next frame, however often this is called. */
function redraw() {
  if (!frame) frame = requestAnimationFrame(() => { frame = 0; drawTimeline(); drawOverview(); });
}

const SHORTEST = 0.5;
function showRange(from, to) {
  const length = Math.min(total, Math.max(SHORTEST, to - from));
  view.from = Math.min(Math.max(0, from), total - length);
  view.to = view.from + length;
  redraw();
}

/** The playback, the selected line, the last click, or the middle. */
const zoomCenter = () => (player.playing ? playhead() : null) ?? lines[state.selected]?.start ?? cursor ?? (view.from + view.to) / 2;

function zoom(factor, around = zoomCenter()) {
  const anchor = Math.min(view.to, Math.max(view.from, around));
  showRange(anchor - (anchor - view.from) / factor, anchor + (view.to - anchor) / factor);
}

const pan = (seconds) => showRange(view.from + seconds, view.to + seconds);
const timeAt = (canvas, clientX, from, to) => {
  const box = canvas.getBoundingClientRect();
  return from + (clientX - box.left) / box.width * (to - from);
};
const timelineTime = (clientX) => timeAt(timeline, clientX, view.from, view.to);

/** Pan and zoom to a line that is not in view. */
function scrollIntoView({ start, end }) {
  const margin = Math.min(1, (view.to - view.from) / 8);
  if (start >= view.from && end <= view.to) return redraw();
  const length = Math.max(view.to - view.from, end - start + 2 * margin);
  showRange((start + end - length) / 2, (start + end + length) / 2);
}

/** Return what is at a point: time, part (ruler, original, clone), line and turn. */
function hitTest(event) {
  const time = timelineTime(event.clientX);
  const y = event.clientY - timeline.getBoundingClientRect().top - RULER;
  const n = Math.floor(y / lane.height);
  if (y < 0 || !speakers[n]) return { time, part: "ruler", index: -1 };
  const part = y - n * lane.height < LABEL + lane.original + 1 ? "original" : "clone";
  const slack = 3 * (view.to - view.from) / timeline.clientWidth;
  const covers = ({ start, end }) => time >= start - slack && time <= end + slack;
  const hits = laneLines[n].filter((index) => covers(part === "clone" ? cloneSpan(lines[index]) : lines[index]));
  return { time, part, index: hits.length ? hits[hits.length - 1] : -1, turn: laneTurns[n].find(covers) };
}

function playAt(event) {
  const { time, part, index, turn } = hitTest(event);
  cursor = time;
  if (index >= 0) select(index);
  if (part === "clone" && index >= 0) play(cloneOf(index) || originalOf(index));
  else if (part === "original" && (index >= 0 || turn)) {
    const { start, end } = index >= 0 ? lines[index] : turn;
    play(content.original && { ...whole("original", start), to: end, index, name: index >= 0 ? `⟦original of ${lines[index].id}⟧` : "⟦original⟧" });
  } else play(part === "clone" ? whole("mix", time) || whole("original", time) : whole("original", time) || whole("mix", time));
  redraw();
}

function hint(event) {
  const { index } = hitTest(event);
  const note = $("hint");
  note.hidden = index < 0;
  if (index < 0) return;
  const line = lines[index];
  note.textContent = `${line.id} · ${line.speaker} · ${clock(line.start)}${line.flags.length ? ` · ${⟨line.flags⟩.join(", ")}` : ""}\n${line.text}`;
  note.style.left = `${Math.min(event.clientX + 12, window.innerWidth - note.offsetWidth - 8)}px`;
  note.style.top = `${event.clientY + 16}px`;
}

const pointers = new Map();
let distance = 0;
timeline.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pointers.set(event.pointerId, event.clientX);
  if (pointers.size === 1) distance = 0;
  timeline.setPointerCapture(event.pointerId);
});
timeline.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return hint(event);
  const before = pointers.get(event.pointerId);
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
  pointers.set(event.pointerId, event.clientX);
  distance += Math.abs(event.clientX - before);
  if (distance < 4) return;
  $("hint").hidden = true;
  timeline.classList.add("dragged");
  if (others.length) zoom(Math.abs(event.clientX - others[0]) / Math.max(1, Math.abs(before - others[0])), timelineTime(others[0]));
  else pan((before - event.clientX) / timeline.clientWidth * (view.to - view.from));
});
for (const name of ["pointerup", "pointercancel"]) {
  timeline.addEventListener(name, (event) => {
    const isKnown = pointers.delete(event.pointerId);
    timeline.classList.remove("dragged");
    if (isKnown && name === "pointerup" && distance < 4) playAt(event);
  });
}
timeline.addEventListener("pointerleave", () => { $("hint").hidden = true; });
timeline.addEventListener("wheel", (event) => {
  const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  const length = view.to - view.from;
  // Zoomed out all the way, the wheel scrolls the page.
  if (length >= total && (sideways || event.deltaY > 0)) return;
  event.preventDefault();
  const turned = (event.deltaX || event.deltaY) * (event.deltaMode ? 20 : 1);
  if (sideways) pan(turned / timeline.clientWidth * length);
  else zoom(Math.exp(-event.deltaY * (event.deltaMode ? 20 : 1) / 400), timelineTime(event.clientX));
}, { passive: false });
timeline.addEventListener("keydown", (event) => {
  const length = view.to - view.from;
  const actions = {
    ArrowLeft: () => pan(-length / 8), ArrowRight: () => pan(length / 8),
    Home: () => showRange(0, length), End: () => showRange(total - length, total),
    Enter: () => play(whole("mix", cursor ?? view.from) || whole("original", cursor ?? view.from)),
  };
  if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  actions[event.key]();
});

const centerView = (event) => {
  const time = timeAt(overview, event.clientX, 0, total);
  showRange(time - (view.to - view.from) / 2, time + (view.to - view.from) / 2);
};
overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); centerView(event); });
overview.addEventListener("pointermove", (event) => { if (event.buttons) centerView(event); });

$("zoom-in").addEventListener("click", () => zoom(2));
$("zoom-out").addEventListener("click", () => zoom(0.5));
$("zoom-fit").addEventListener("click", () => showRange(0, total));
for (const kind of ["original", "mix"]) {
  const button = $(`play-${kind}`);
  button.disabled = !content[kind];
  button.title = content[kind] ? "⟦From the last click on the timeline⟧" : "⟦Not in this directory⟧";
  button.addEventListener("click", () => (isPlaying(kind, -1) ? pause() : play(whole(kind, cursor ?? 0))));
}

on("selection", () => { if (state.selected >= 0) scrollIntoView(lines[state.selected]); else redraw(); });
on("sound", () => {
  for (const kind of ["original", "mix"]) {
    const name = kind === "mix" ? "⟦Mix⟧" : "⟦Original⟧";
    $(`play-${kind}`).textContent = isPlaying(kind, -1) ? `❚❚ ${name}` : `▶ ${name}`;
  }
  const at = playhead();
  $("clock").textContent = clock(at ?? cursor ?? 0);
  if (player.playing && at !== null && (at > view.to || at < view.from)) showRange(at, at + view.to - view.from);
  redraw();
});
on("theme", redraw);
new ResizeObserver(redraw).observe(timeline);
