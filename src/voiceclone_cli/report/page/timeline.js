// Drawing the timeline: a lane for each speaker with the turns of the original above and the clones below.

const LABEL = 18;
const RULER = 22;
const THIN = 5; // pixels: smaller boxes are filled, without a waveform
const lane = speakers.length > 4 ? { original: 16, clone: 22, gap: 8 } : { original: 24, clone: 34, gap: 12 };
lane.height = LABEL + lane.original + 2 + lane.clone + lane.gap;
const view = { from: 0, to: total };
const timeline = $("timeline");
const overview = $("overview");
timeline.style.height = `${RULER + Math.max(1, speakers.length) * lane.height}px`;

const overlaps = overlapsOf(content.turns);
const laneLines = speakers.map((speaker) => lines.map((_, index) => index).filter((index) => lines[index].speaker === speaker.name));
const laneTurns = speakers.map((speaker) => content.turns.filter((turn) => turn.speaker === speaker.name));

/** Spans in which two or more speak. */
function overlapsOf(turns) {
  const edges = turns.flatMap((turn) => [[turn.start, 1], [turn.end, -1]]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const found = [];
  let speaking = 0;
  for (const [time, change] of edges) {
    speaking += change;
    if (change > 0 && speaking === 2) found.push({ start: time, end: time });
    if (change < 0 && speaking === 1 && found.length) found[found.length - 1].end = time;
  }
  return found.filter((one) => one.end > one.start);
}

const cloneSpan = (line) => (has(line.placed_at) ? { start: line.placed_at, end: line.placed_at + (line.placed_seconds || 0) } : { start: line.start, end: line.slot_end });
const isSeen = ({ start, end }) => end >= view.from && start <= view.to;
const laneTop = (n) => RULER + n * lane.height + LABEL;

function drawTimeline() {
  const { context, width, height } = prepareCanvas(timeline);
  const x = (time) => (time - view.from) / (view.to - view.from) * width;
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  drawRuler(context, x, width, height);
  context.fillStyle = colours["warn-ground"];
  for (const one of overlaps.filter(isSeen)) context.fillRect(x(one.start), RULER, Math.max(1, x(one.end) - x(one.start)), height - RULER);
  speakers.forEach((speaker, n) => drawLane(context, x, speaker, n, width));
  const at = playhead() ?? cursor;
  if (at !== null && at >= view.from && at <= view.to) {
    context.fillStyle = colours.text;
    context.fillRect(Math.round(x(at)) - 0.5, 0, 1.5, height);
  }
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
function drawRuler(context, x, width, height) {
  const step = STEPS.find((one) => one / (view.to - view.from) * width >= 74) || 14400;
  for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) {
    const left = x(n * step);
    context.fillStyle = colours.shade;
    context.fillRect(Math.round(left), RULER - 4, 1, height);
    context.fillStyle = colours.muted;
    context.fillText(clock(n * step, step < 1 ? 1 : 0), left + 4, RULER / 2);
  }
}

function drawLane(context, x, speaker, n, width) {
  const top = laneTop(n);
  context.fillStyle = colours.shade;
  context.fillRect(0, top + lane.original + 2 + lane.clone + lane.gap / 2 - 1, width, 1);
  for (const turn of laneTurns[n].filter(isSeen)) drawTurn(context, x, turn, top, width);
  for (const index of laneLines[n]) {
    const line = lines[index];
    const span = cloneSpan(line);
    if (isSeen({ start: Math.min(line.start, span.start), end: Math.max(line.slot_end, span.end) })) drawLine(context, x, index, top + lane.original + 2, width);
  }
  context.fillStyle = colourOf(speaker.name);
  context.fillRect(0, top - LABEL / 2 - 4, 9, 9);
  context.fillStyle = colours.text;
  context.fillText(speaker.name, 14, top - LABEL / 2 + 1);
}

/** Draw the visible part of a waveform into a box. */
function drawInside(context, peaks, { start, end, left, right, y, height, colour, width }) {
  const [x0, x1] = [Math.max(0, left), Math.min(width, right)];
  if (x1 - x0 < 3) return;
  const each = (end - start) / (right - left);
  drawWave(context, peaks, { from: start + (x0 - left) * each, to: start + (x1 - left) * each, x: x0, y, width: x1 - x0, height, colour, step: 2 });
}

function drawTurn(context, x, turn, top, width) {
  const [left, right] = [x(turn.start), Math.max(x(turn.start) + 1, x(turn.end))];
  context.globalAlpha = right - left < THIN ? 0.6 : 0.18;
  context.fillStyle = colours.original;
  context.fillRect(left, top, right - left, lane.original);
  context.globalAlpha = 1;
  if (content.original) {
    drawInside(context, content.original.peaks, { start: turn.start, end: turn.end, left, right, y: top, height: lane.original, colour: colours.original, width });
  }
}

function drawLine(context, x, index, top, width) {
  const line = lines[index];
  const span = cloneSpan(line);
  const [left, right] = [x(span.start), Math.max(x(span.start) + 2, x(span.end))];
  const slotEnd = x(line.slot_end);
  const colour = colourOf(line.speaker);
  context.fillStyle = colours.line;
  context.fillRect(x(line.start), top + lane.clone - 2, Math.max(1, slotEnd - x(line.start)), 2);
  if (line.status !== "done") drawMissing(context, line, left, right, top);
  else {
    context.globalAlpha = right - left < THIN ? 0.8 : 0.2;
    context.fillStyle = colour;
    context.fillRect(left, top, right - left, lane.clone - 3);
    context.globalAlpha = 1;
    if (line.peaks) drawInside(context, line.peaks, { start: 0, end: line.seconds, left, right, y: top, height: lane.clone - 3, colour, width });
    if (line.overflow > 0.005) hatch(context, Math.max(left, slotEnd), top, right, lane.clone - 3);
    if (line.stretch > 1.005 && right - left > 44) {
      tag(context, `${fixed(line.stretch, 2)}×`, Math.max(0, left) + 2, top + 1);
    }
  }
  if (index === state.selected) {
    context.strokeStyle = colours.text;
    context.lineWidth = 1.5;
    context.strokeRect(left - 1, top - 1, right - left + 2, lane.clone - 1);
  }
}

function tag(context, text, x, y) {
  context.globalAlpha = 0.85;
  context.fillStyle = colours.card;
  context.fillRect(x, y, context.measureText(text).width + 6, 15);
  context.globalAlpha = 1;
  context.fillStyle = colours.text;
  context.fillText(text, x + 3, y + 8);
}

function drawMissing(context, line, left, right, top) {
  context.save();
  context.strokeStyle = line.status === "planned" ? colours.firm : colours.bad;
  context.lineWidth = 1.5;
  context.setLineDash([4, 3]);
  context.strokeRect(left + 1, top + 1, Math.max(2, right - left - 2), lane.clone - 5);
  context.restore();
  if (line.status === "planned" || right - left < 12) return;
  context.fillStyle = colours.bad;
  context.fillText("✕", Math.max(0, left) + 5, top + (lane.clone - 3) / 2);
}

/** Draw stripes over the part past the slot. */
function hatch(context, left, top, right, height) {
  context.save();
  context.beginPath();
  context.rect(left, top, Math.max(2, right - left), height);
  context.clip();
  context.strokeStyle = colours.bad;
  context.lineWidth = 1.5;
  for (let at = left - height; at < right; at += 5) {
    context.beginPath();
    context.moveTo(at, top + height);
    context.lineTo(at + height, top);
    context.stroke();
  }
  context.restore();
}

function drawOverview() {
  const { context, width, height } = prepareCanvas(overview);
  const x = (time) => time / total * width;
  context.fillStyle = colours.shade;
  context.fillRect(0, 0, width, height);
  if (content.original) drawWave(context, content.original.peaks, { from: 0, to: total, x: 0, y: 1, width, height: height - 2, colour: colours.original, step: 2 });
  context.fillStyle = colours.bad;
  for (const line of lines) if (line.flags.some((name) => SEVERE.has(name))) context.fillRect(x(line.start), 0, Math.max(2, x(line.end) - x(line.start)), 4);
  context.strokeStyle = colours.accent;
  context.lineWidth = 2;
  context.strokeRect(x(view.from) + 1, 1, Math.max(4, x(view.to) - x(view.from) - 2), height - 2);
  const at = playhead();
  context.fillStyle = colours.text;
  if (at !== null) context.fillRect(x(at), 0, 1.5, height);
}
