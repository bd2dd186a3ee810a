// Drawing waveforms from the peaks in the page.

const decoded = new WeakMap();
function bytesOf(peaks) {
  let bytes = decoded.get(peaks);
  if (!bytes) {
    bytes = Uint8Array.from(atob(peaks.base64), (character) => character.charCodeAt(0));
    decoded.set(peaks, bytes);
  }
  return bytes;
}

const maximum = (all) => all.reduce((loudest, peaks) => (peaks ? bytesOf(peaks).reduce((a, b) => Math.max(a, b), loudest) : loudest), 1);
const scales = new WeakMap(); // peaks -> byte that fills the height of a box
/** Give waveforms one scale, so that a quiet line looks quiet. */
function scaleTogether(all) {
  const scale = maximum(all);
  for (const peaks of all) if (peaks) scales.set(peaks, scale);
}
scaleTogether(lines.map((line) => line.peaks));
scaleTogether([content.original && content.original.peaks]);
speakers.forEach((speaker) => scaleTogether([speaker.reference_peaks]));

/** Loudest peak between two times, 0 to 1 of its scale, quiet ones raised a little so that they can be seen. */
function loudest(peaks, from, to) {
  const bytes = bytesOf(peaks);
  const first = Math.max(0, Math.floor(from * peaks.per_second));
  const last = Math.min(bytes.length, Math.max(first + 1, Math.ceil(to * peaks.per_second)));
  let peak = 0;
  for (let n = first; n < last; n++) if (bytes[n] > peak) peak = bytes[n];
  return Math.min(1, peak / scales.get(peaks)) ** 0.8;
}

/** Draw bars with a pixel between them, of `peaks` from..to, into the box x, y, width, height; none narrower than a peak. */
function drawWave(context, peaks, { from, to, x, y, width, height, colour, step: least = 3 }) {
  const middle = y + height / 2;
  const step = Math.max(least, width / Math.max(1, (to - from) * peaks.per_second));
  const each = (to - from) * step / width;
  context.fillStyle = colour;
  for (let n = 0; n * step < width - 1; n++) {
    const half = Math.max(0.5, loudest(peaks, from + n * each, from + (n + 1) * each) * height / 2);
    context.fillRect(x + n * step, middle - half, Math.max(1, step - 1), 2 * half);
  }
}

/** Draw one clip into a canvas that is `seconds` wide, with the playback position. */
function drawClip(canvas, peaks, { from, to, seconds, colour, at = null }) {
  const { context, width, height } = prepareCanvas(canvas);
  const used = Math.max(2, width * Math.min(1, (to - from) / seconds));
  drawWave(context, peaks, { from, to, x: 0, y: 2, width: used, height: height - 4, colour });
  context.fillStyle = colours.line;
  context.fillRect(used, height / 2 - 0.5, width - used, 1);
  if (at !== null) {
    context.fillStyle = colours.text;
    context.fillRect(Math.min(width - 2, (at - from) / seconds * width), 0, 2, height);
  }
}
