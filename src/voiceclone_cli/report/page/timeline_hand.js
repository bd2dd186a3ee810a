// What the hand does on the timeline: zoom, pan, point, hear.

let cursor = null; // where the last click was, in seconds
let frame = 0;

/** Draw once before the next frame, however often it is asked for. */
function redraw() {
  if (!frame) frame = requestAnimationFrame(() => { frame = 0; drawTimeline(); drawOverview(); });
}

const SHORTEST = 0.5;
function show(from, to) {
  const length = Math.min(total, Math.max(SHORTEST, to - from));
  view.from = Math.min(Math.max(0, from), total - length);
  view.to = view.from + length;
  redraw();
}

/** What the eye is on: what is heard, the line in hand, the last click, the middle. */
const focus = () => (player.playing ? playhead() : null) ?? lines[state.selected]?.start ?? cursor ?? (view.from + view.to) / 2;

function zoom(factor, around = focus()) {
  const anchor = Math.min(view.to, Math.max(view.from, around));
  show(anchor - (anchor - view.from) / factor, anchor + (view.to - anchor) / factor);
}

const pan = (seconds) => show(view.from + seconds, view.to + seconds);
const timeAt = (canvas, clientX, from, to) => {
  const box = canvas.getBoundingClientRect();
  return from + (clientX - box.left) / box.width * (to - from);
};
const boardTime = (clientX) => timeAt(board, clientX, view.from, view.to);

/** Bring a line into view, if it is not. */
function reveal({ start, end }) {
  const margin = Math.min(1, (view.to - view.from) / 8);
  if (start >= view.from && end <= view.to) return redraw();
  const length = Math.max(view.to - view.from, end - start + 2 * margin);
  show((start + end - length) / 2, (start + end + length) / 2);
}

/** What lies under a point: the time, the lane, whether its original or its clone, and the line. */
function under(event) {
  const time = boardTime(event.clientX);
  const y = event.clientY - board.getBoundingClientRect().top - RULER;
  const n = Math.floor(y / lane.height);
  if (y < 0 || !speakers[n]) return { time, part: "ruler", index: -1 };
  const part = y - n * lane.height < LABEL + lane.original + 1 ? "original" : "clone";
  const slack = 3 * (view.to - view.from) / board.clientWidth;
  const covers = ({ start, end }) => time >= start - slack && time <= end + slack;
  const hits = linesOf[n].filter((index) => covers(part === "clone" ? spanOf(lines[index]) : lines[index]));
  return { time, part, index: hits.length ? hits[hits.length - 1] : -1, turn: turnsOf[n].find(covers) };
}

function hearAt(event) {
  const { time, part, index, turn } = under(event);
  cursor = time;
  if (index >= 0) select(index);
  if (part === "clone" && index >= 0) play(cloneOf(index) || originalOf(index));
  else if (part === "original" && (index >= 0 || turn)) {
    const { start, end } = index >= 0 ? lines[index] : turn;
    play(content.original && { ...whole("original", start), to: end, index, name: index >= 0 ? `original of ${lines[index].id}` : "original" });
  } else play(part === "clone" ? whole("mix", time) || whole("original", time) : whole("original", time) || whole("mix", time));
  redraw();
}

function hint(event) {
  const { index } = under(event);
  const note = $("hint");
  note.hidden = index < 0;
  if (index < 0) return;
  const line = lines[index];
  note.textContent = `${line.id} · ${line.speaker} · ${clock(line.start)}${line.flags.length ? ` · ${line.flags.join(", ")}` : ""}\n${line.text}`;
  note.style.left = `${Math.min(event.clientX + 12, window.innerWidth - note.offsetWidth - 8)}px`;
  note.style.top = `${event.clientY + 16}px`;
}

const fingers = new Map();
let travelled = 0;
board.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  fingers.set(event.pointerId, event.clientX);
  if (fingers.size === 1) travelled = 0;
  board.setPointerCapture(event.pointerId);
});
board.addEventListener("pointermove", (event) => {
  if (!fingers.has(event.pointerId)) return hint(event);
  const before = fingers.get(event.pointerId);
  const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
  fingers.set(event.pointerId, event.clientX);
  travelled += Math.abs(event.clientX - before);
  if (travelled < 4) return;
  $("hint").hidden = true;
  board.classList.add("dragged");
  if (others.length) zoom(Math.abs(event.clientX - others[0]) / Math.max(1, Math.abs(before - others[0])), boardTime(others[0]));
  else pan((before - event.clientX) / board.clientWidth * (view.to - view.from));
});
for (const name of ["pointerup", "pointercancel"]) {
  board.addEventListener(name, (event) => {
    const held = fingers.delete(event.pointerId);
    board.classList.remove("dragged");
    if (held && name === "pointerup" && travelled < 4) hearAt(event);
  });
}
board.addEventListener("pointerleave", () => { $("hint").hidden = true; });
board.addEventListener("wheel", (event) => {
  const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  const length = view.to - view.from;
  // Zoomed out all the way, the wheel is the page's.
  if (length >= total && (sideways || event.deltaY > 0)) return;
  event.preventDefault();
  const turned = (event.deltaX || event.deltaY) * (event.deltaMode ? 20 : 1);
  if (sideways) pan(turned / board.clientWidth * length);
  else zoom(Math.exp(-event.deltaY * (event.deltaMode ? 20 : 1) / 400), boardTime(event.clientX));
}, { passive: false });
board.addEventListener("keydown", (event) => {
  const length = view.to - view.from;
  const actions = {
    ArrowLeft: () => pan(-length / 8), ArrowRight: () => pan(length / 8),
    Home: () => show(0, length), End: () => show(total - length, total),
    Enter: () => play(whole("mix", cursor ?? view.from) || whole("original", cursor ?? view.from)),
  };
  if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  actions[event.key]();
});

const lookAt = (event) => {
  const time = timeAt(overview, event.clientX, 0, total);
  show(time - (view.to - view.from) / 2, time + (view.to - view.from) / 2);
};
overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); lookAt(event); });
overview.addEventListener("pointermove", (event) => { if (event.buttons) lookAt(event); });

$("zoom-in").addEventListener("click", () => zoom(2));
$("zoom-out").addEventListener("click", () => zoom(0.5));
$("zoom-fit").addEventListener("click", () => show(0, total));
for (const kind of ["original", "mix"]) {
  const button = $(`play-${kind}`);
  button.disabled = !content[kind];
  button.title = content[kind] ? "From the last click on the timeline" : "Not in this directory";
  button.addEventListener("click", () => (isPlaying(kind, -1) ? pause() : play(whole(kind, cursor ?? 0))));
}

on("selection", () => { if (state.selected >= 0) reveal(lines[state.selected]); else redraw(); });
on("sound", () => {
  for (const kind of ["original", "mix"]) {
    const name = kind === "mix" ? "Mix" : "Original";
    $(`play-${kind}`).textContent = isPlaying(kind, -1) ? `❚❚ ${name}` : `▶ ${name}`;
  }
  const at = playhead();
  $("clock").textContent = clock(at ?? cursor ?? 0);
  if (player.playing && at !== null && (at > view.to || at < view.from)) show(at, at + view.to - view.from);
  redraw();
});
on("theme", redraw);
new ResizeObserver(redraw).observe(board);
