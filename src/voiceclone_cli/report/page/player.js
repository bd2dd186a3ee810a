// One thing is heard at a time. A clip: {kind, file, from, to, name, index}; times are seconds of its file.

const voices = { original: $("audio-original"), mix: $("audio-mix"), clone: $("audio-clip"), reference: $("audio-clip") };
if (content.original) voices.original.src = content.original.file;
if (content.mix) voices.mix.src = content.mix.file;

const player = { clip: null, playing: false, next: null };

const originalOf = (index) => content.original && {
  kind: "original", file: content.original.file, from: lines[index].start, to: lines[index].end,
  name: `original of ${lines[index].id}`, index,
};
const cloneOf = (index) => lines[index].file && {
  kind: "clone", file: lines[index].file, from: 0, to: null, name: `clone of ${lines[index].id}`, index,
};
/** The line in the mix, with a second around it. */
const mixOf = (index) => content.mix && {
  kind: "mix", file: content.mix.file, name: `${lines[index].id} in the mix`, index,
  from: Math.max(0, lines[index].start - 1),
  to: Math.min(total, Math.max(lines[index].slot_end, (lines[index].placed_at || 0) + (lines[index].placed_seconds || 0)) + 1),
};
const referenceOf = (speaker) => speaker.reference && {
  kind: "reference", file: speaker.reference, from: 0, to: null, name: `reference of ${speaker.name}`, index: -1,
};
const whole = (kind, from) => content[kind] && { kind, file: content[kind].file, from, to: null, name: kind, index: -1 };

/** Hear a clip, `at` seconds into its file if that is given; then `next`, if there is one. */
function play(clip, { at = null, next = null } = {}) {
  if (!clip) return;
  pause();
  const voice = voices[clip.kind];
  if (voice.getAttribute("src") !== clip.file) voice.setAttribute("src", clip.file);
  Object.assign(player, { clip, next });
  const begin = () => {
    if (player.clip !== clip) return;
    voice.currentTime = at ?? clip.from;
    start(clip, voice);
  };
  if (voice.readyState >= HTMLMediaElement.HAVE_METADATA) begin();
  else voice.addEventListener("loadedmetadata", begin, { once: true });
  if (!next) announce(`Playing ${clip.name}`);
}

function start(clip, voice) {
  player.playing = true;
  voice.play().then(watch, (error) => {
    // A newer clip, or a pause, has taken its place.
    if (error.name === "AbortError" || player.clip !== clip) return;
    player.playing = false;
    warn(`${clip.name} cannot be played`);
    tell("sound");
  });
  tell("sound");
}

function pause() {
  if (player.clip) voices[player.clip.kind].pause();
  player.playing = false;
  player.next = null;
  tell("sound");
}

/** Pause, go on, or begin with the clone of the chosen line. */
function toggle() {
  if (player.playing) return pause();
  const { clip } = player;
  const isChosen = clip && (clip.index < 0 || clip.index === state.selected);
  if (!isChosen) return state.selected >= 0 ? play(cloneOf(state.selected) || originalOf(state.selected)) : play(whole("mix", 0));
  const at = voices[clip.kind].currentTime;
  play(clip, { at: isOver(clip) ? clip.from : at });
}

function isOver(clip) {
  const voice = voices[clip.kind];
  return voice.ended || voice.currentTime >= (clip.to ?? Infinity) - 0.01;
}

function audition(index) {
  if (state.audition === "ab") play(originalOf(index) || cloneOf(index), { next: content.original ? cloneOf(index) : null });
  else play(cloneOf(index));
}

/** Follow the sound while it lasts, and end a clip where it ends: the file may go on. */
function watch() {
  const { clip } = player;
  if (!player.playing || !clip) return;
  if (isOver(clip)) finish();
  else requestAnimationFrame(watch);
  tell("sound");
}

function finish() {
  const { next } = player;
  pause();
  if (next) play(next);
}

for (const voice of new Set(Object.values(voices))) {
  // Where no frames are drawn (a tab behind others), these still come.
  voice.addEventListener("timeupdate", () => { if (player.playing && isOver(player.clip) && voices[player.clip.kind] === voice) finish(); });
  voice.addEventListener("error", () => {
    if (!player.clip || voices[player.clip.kind] !== voice) return;
    player.playing = false;
    warn(`${player.clip.name} cannot be played`);
    tell("sound");
  });
}

/** Seconds into the file that is heard. */
const heardAt = () => (player.clip ? voices[player.clip.kind].currentTime : 0);

/** Where that is on the recording's timeline; null for what has no place there. */
function playhead() {
  const { clip } = player;
  if (!clip || clip.kind === "reference") return null;
  if (clip.kind !== "clone") return heardAt();
  const line = lines[clip.index];
  return has(line.placed_at) && line.seconds ? line.placed_at + (heardAt() / line.seconds) * line.placed_seconds : null;
}

const isPlaying = (kind, index) => player.playing && player.clip.kind === kind && player.clip.index === index;
