// Filtering and sorting of lines.

const measure = (name) => (line) => (line.check ? line.check[name] : null);
const isByCharacters = content.error_rate === "CER";
const COLUMNS = [
  { by: "id", label: "⟦Line⟧", key: (line) => line.id, meaning: "⟦The line's id⟧" },
  { by: "speaker", label: "⟦Speaker⟧", key: (line) => line.speaker, meaning: "⟦The speaker⟧" },
  { by: "start", label: "⟦Time⟧", key: (line) => line.start, meaning: "⟦Start of the original⟧" },
  { by: "text", label: "⟦Text⟧", key: (line) => line.text, meaning: "⟦Text of the script⟧" },
  { by: "sound", label: "⟦Sound⟧", key: (line) => line.seconds, meaning: "⟦Original above, clone below; sorts by the clone's duration⟧", type: "sound wide" },
  { by: "expected", label: "⟦Expected⟧", short: "⟦expected⟧", key: (line) => line.expected, show: (line) => (has(line.expected) ? `${fixed(line.expected, 1)} / ${fixed(line.slot_end - line.start, 1)}` : NONE), meaning: "⟦Seconds that the line was expected to take, unhurried, and those of its slot⟧", type: "number wide", falls: true },
  { by: "stretch", label: "⟦Stretch⟧", key: (line) => line.stretch, show: (line) => (has(line.stretch) ? `${fixed(line.stretch, 2)}×` : NONE), meaning: "⟦Speed-up to fit the slot⟧", type: "number", falls: true },
  { by: "overflow", label: "⟦Overflow⟧", key: (line) => line.overflow, show: (line) => (line.overflow > 0.005 ? `⟦${signed(line.overflow, 2)} s⟧` : has(line.overflow) ? "0" : NONE), meaning: "⟦Seconds past the end of the slot⟧", type: "number", falls: true, flag: "overflow" },
  { by: "similarity", label: "⟦Similarity⟧", short: "⟦sim⟧", key: measure("similarity"), show: (line) => fixed(measure("similarity")(line), 2), meaning: "⟦Similarity to the speaker's voice, 1 is identical⟧", type: "number", flag: "wrong speaker" },
  { by: "margin", label: "⟦Margin⟧", short: "⟦margin⟧", key: measure("margin"), show: (line) => signed(measure("margin")(line), 2), meaning: "⟦Similarity to the speaker minus similarity to the nearest other⟧", type: "number wide", flag: "wrong speaker" },
  { by: "wer", label: isByCharacters ? "⟦CER⟧" : "⟦WER⟧", short: isByCharacters ? "⟦CER⟧" : "⟦WER⟧", key: measure("wer"), show: (line) => percent(measure("wer")(line)), meaning: isByCharacters ? "⟦Character error rate of the transcript⟧" : "⟦Word error rate of the transcript⟧", type: "number", falls: true, flag: "wrong words" },
  { by: "mos", label: "MOS", short: "MOS", key: measure("mos"), show: (line) => fixed(measure("mos")(line), 1), meaning: "⟦Quality from 1 to 5 (DNSMOS)⟧", type: "number wide" },
  { by: "badness", label: "⟦Flags⟧", key: (line) => line.badness, meaning: "⟦Problems; sorts by severity⟧", type: "flags", falls: true },
];
const column = (by) => COLUMNS.find((one) => one.by === by);

const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
function compare(a, b) {
  if (!has(a) || !has(b)) return has(a) ? -1 : has(b) ? 1 : 0;
  return typeof a === "string" ? names.compare(a, b) : a - b;
}

/** Indices in the order of a column; lines without a value come last in both directions. */
function sorted(indices, { by, down }) {
  const { key } = column(by);
  const order = (a, b) => {
    const [x, y] = [key(lines[a]), key(lines[b])];
    const first = compare(x, y);
    return (down && has(x) && has(y) ? -first : first) || lines[a].start - lines[b].start || a - b;
  };
  return [...indices].sort(order);
}

function passes(line, { search, speaker, status, flag: wanted }) {
  if (speaker && line.speaker !== speaker) return false;
  if (status && line.status !== status) return false;
  if (wanted === "any" && !line.flags.length) return false;
  if (wanted === "unchecked" && (line.check || line.status !== "done")) return false;
  if (wanted.startsWith("=") && !line.flags.includes(wanted.slice(1))) return false;
  const transcript = (line.check && line.check.transcript) || "";
  return !search || `${line.id}\n${line.speaker}\n${line.text}\n${line.original}\n${transcript}`.toLowerCase().includes(search.toLowerCase());
}

function applyFilters() {
  const kept = lines.map((_, index) => index).filter((index) => passes(lines[index], state.filters));
  state.visible = sorted(kept, state.order);
  emit("filtered");
}

function orderBy(by, down) {
  state.order = { by, down };
  applyFilters();
}
