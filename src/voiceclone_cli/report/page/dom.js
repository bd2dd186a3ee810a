// Elements and formatted numbers. Data becomes text nodes only and is never parsed as markup.

const $ = (id) => document.getElementById(id);

/** An element; `parts` are its attributes by name ("on..." are listeners), `children` are elements or words. */
function el(tag, parts = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(parts)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Rows of a definition list. */
const terms = (pairs) => pairs.map(([term, ...words]) => el("div", {}, el("dt", {}, term), el("dd", {}, ...words)));

const option = (value, label) => el("option", { value }, label);

const NONE = "–";
const has = (value) => value !== null && value !== undefined;
const fixed = (value, digits) => (has(value) ? value.toFixed(digits).replace("-", "−") : NONE);
const signed = (value, digits) => (has(value) && value > 0 ? `+${value.toFixed(digits)}` : fixed(value, digits));
const percent = (value) => (has(value) ? `${Math.round(100 * value)} %` : NONE);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "⟦s⟧"}`;

/** 75.25 as "1:15.3", 3675 as "1:01:15.0". */
function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * unit) / unit;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function duration(seconds) {
  if (!has(seconds)) return NONE;
  if (seconds < 60) return `⟦${fixed(seconds, 1)} s⟧`;
  return seconds < 3600 ? `⟦${clock(seconds, 0)} min⟧` : `⟦${clock(seconds, 0)} h⟧`;
}

/** A command to type, with a button that copies it. */
function command(words) {
  const code = el("code", {}, words);
  const copy = el("button", { type: "button", onclick: () => copyText(code.textContent, copy) }, "⟦Copy⟧");
  return el("span", { class: "command" }, code, copy);
}

/** Quote a word for the shell of the computer that made the page. */
function quoted(word) {
  if (/^[\w.,:@%+=/-]+$/.test(word)) return word;
  return content.commands.quote === '"' ? `"${word.replaceAll('"', '\\"')}"` : `'${word.replaceAll("'", `'"'"'`)}'`;
}

function copyText(words, button) {
  // The Clipboard API is not available to pages that were opened as files.
  const field = el("textarea", { class: "unseen" });
  field.value = words;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  button.focus();
  if (done) announce("⟦Copied⟧");
  else warn("⟦The browser refused to copy the text⟧");
  if (done) {
    const label = button.textContent;
    button.textContent = "⟦Copied⟧";
    setTimeout(() => { button.textContent = label; }, 1200);
  }
}

/** A message for screen readers. */
function announce(words) {
  $("live").textContent = words;
  $("live").className = "unseen";
}

/** A visible message, for some seconds or until the next one. */
function warn(words) {
  announce(words);
  $("live").className = "toast";
  setTimeout(() => { if ($("live").textContent === words) $("live").className = "unseen"; }, 5000);
}

/** Resize a canvas to device pixels and clear it; its context draws in CSS pixels. */
function prepareCanvas(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
