// Playback of one clip at a time. A clip is {kind, file, from, to, name, index}; times are seconds in its file.

const audioElements = { original: $("audio-original"), mix: $("audio-mix"), clone: $("audio-clip"), reference: $("audio-clip") };
if (content.original) audioElements.original.src = content.original.file;
if (content.mix) audioElements.mix.src = content.mix.file;

const player = { clip: null, playing: false, next: null, frame: 0 };

const originalOf = (index) => content.original && {
  kind: "original", file: content.original.file, from: lines[index].start, to: lines[index].end,
  name: `⟦original of ${lines[index].id}⟧`, index,
};
const cloneOf = (index) => lines[index].file && {
  kind: "clone", file: lines[index].file, from: 0, to: null, name: `⟦clone of ${lines[index].id}⟧`, index,
};
/** The line in the mix, with a second before and after it. */
const mixOf = (index) => content.mix && {
  kind: "mix", file: content.mix.file, name: `⟦${lines[index].id} in the mix⟧`, index,
  from: Math.max(0, lines[index].start - 1),
  to: Math.min(total, Math.max(lines[index].slot_end, (lines[index].placed_at || 0) + (lines[index].placed_seconds || 0)) + 1),
};
const referenceOf = (speaker) => speaker.reference && {
  kind: "reference", file: speaker.reference, from: 0, to: null, name: `⟦reference of ${speaker.name}⟧`, index: -1,
};
const whole = (kind, from) => content[kind] && { kind, file: content[kind].file, from, to: null, name: ⟨kind⟩, index: -1 };

/** Play a clip, from `at` seconds in its file if that is given; then `next`, if there is one. */
function play(clip, { at = null, next = null } = {}) {
  if (!clip) return;
  pause();
  const audio = audioElements[clip.kind];
  if (audio.getAttribute("src") !== clip.file) audio.setAttribute("src", clip.file);
  Object.assign(player, { clip, next });
  const begin = () => {
    if (player.clip !== clip) return;
    audio.currentTime = at ?? clip.from;
    start(clip, audio);
  };
  if (audio.readyState >= HTMLMediaElement.HAVE_METADATA) begin();
  else audio.addEventListener("loadedmetadata", begin, { once: true });
  if (!next) announce(`⟦Playing ${clip.name}⟧`);
}

function start(clip, audio) {
  player.playing = true;
  audio.play().then(followPlayback, (error) => {
    // A newer clip or a pause has replaced it.
    if (error.name === "AbortError" || player.clip !== clip) return;
    player.playing = false;
    warn(`⟦${clip.name} cannot be played⟧`);
    emit("sound");
  });
  emit("sound");
}

function pause() {
  if (player.clip) audioElements[player.clip.kind].pause();
  player.playing = false;
  player.next = null;
  emit("sound");
}

/** Pause, resume, or start with the clone of the selected line. */
function toggle() {
  if (player.playing) return pause();
  const { clip } = player;
  const isSelected = clip && (clip.index < 0 || clip.index === state.selected);
  if (!isSelected) return state.selected >= 0 ? play(cloneOf(state.selected) || originalOf(state.selected)) : play(whole("mix", 0));
  const at = audioElements[clip.kind].currentTime;
  play(clip, { at: isOver(clip) ? clip.from : at });
}

function isOver(clip) {
  const audio = audioElements[clip.kind];
  return audio.ended || audio.currentTime >= (clip.to ?? Infinity) - 0.01;
}

function audition(index) {
  if (state.audition === "ab") play(originalOf(index) || cloneOf(index), { next: content.original ? cloneOf(index) : null });
  else play(cloneOf(index));
}

/** Redraw in every frame of the playback, and end it at the end of the clip: the file may be longer. */
function followPlayback() {
  cancelAnimationFrame(player.frame); // one loop, also when a clip replaces another
  const { clip } = player;
  if (!player.playing || !clip) return;
  if (isOver(clip)) finish();
  else player.frame = requestAnimationFrame(followPlayback);
  emit("sound");
}

function finish() {
  const { next } = player;
  pause();
  if (next) play(next);
}

for (const audio of new Set(Object.values(audioElements))) {
  // In a background tab no frames are drawn, but these events are sent.
  audio.addEventListener("timeupdate", () => { if (player.playing && isOver(player.clip) && audioElements[player.clip.kind] === audio) finish(); });
  audio.addEventListener("error", () => {
    if (!player.clip || audioElements[player.clip.kind] !== audio) return;
    player.playing = false;
    warn(`⟦${player.clip.name} cannot be played⟧`);
    emit("sound");
  });
}

/** Seconds into the file that plays. */
const playbackTime = () => (player.clip ? audioElements[player.clip.kind].currentTime : 0);

/** The same on the timeline of the recording; null for clips that are not on it. */
function playhead() {
  const { clip } = player;
  if (!clip || clip.kind === "reference") return null;
  if (clip.kind !== "clone") return playbackTime();
  const line = lines[clip.index];
  return has(line.placed_at) && line.seconds ? line.placed_at + (playbackTime() / line.seconds) * line.placed_seconds : null;
}

const isPlaying = (kind, index) => player.playing && player.clip.kind === kind && player.clip.index === index;
