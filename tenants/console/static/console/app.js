// What every page of the console does beyond links and forms: keys, colours, zone, copying, the palette, words of time.
// Nothing depends on it: without a script every page reads and acts the same.

const root = document.documentElement;
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

// ---- copying: the clipboard exists on https and on the machine itself only

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* not allowed: the old way */ }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  (document.activeElement?.closest("dialog") || document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

async function onCopy(button) {
  const source = button.dataset.copyFrom;
  const done = await copyText(source ? $(source).textContent : button.dataset.copy);
  button.focus();
  if (!done) return say(word("NoCopy"), "error");
  button.dataset.done = "";
  $("use", button)?.setAttribute("href", $("use", button).getAttribute("href").replace(/#.*/, "#check"));
  setTimeout(() => {
    delete button.dataset.done;
    $("use", button)?.setAttribute("href", $("use", button).getAttribute("href").replace(/#.*/, "#copy"));
  }, 1400);
}

// ---- toasts

// In the page's language: what stands on the page's first element.
const word = (name, part = "") => root.dataset[`say${name}`].replace("%s", () => part);

function say(text, tone = "info") {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.dataset.tone = tone;
  toast.textContent = text;
  $("#toasts")?.append(toast);
  setTimeout(() => toast.remove(), 5000);
}

// ---- colours: kept by the server in a cookie, changed here at once

const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function keep(name, value) {
  const form = $("#theme-form");
  if (!form) return;
  const body = new URLSearchParams(new FormData(form));
  body.set(name, value);
  fetch(form.action, { method: "POST", body, redirect: "manual" }).catch(() => {});
}

function switchColours() {
  root.dataset.theme = isDark() ? "light" : "dark";
  keep("theme", root.dataset.theme);
}

// ---- words of time: the same as tenants/console/times.py

function coarse(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

function wordTimes(from = document) {
  const now = Date.now() + (window.clockSkew || 0);
  for (const time of $$("time.when", from)) {
    const seconds = (now - Date.parse(time.dateTime)) / 1000;
    const text = Math.abs(seconds) < 1 ? word("Now") : seconds > 0 ? word("Ago", coarse(seconds)) : word("In", coarse(-seconds));
    if (time.textContent !== text) time.textContent = text;
  }
}

// ---- dialogs and the palette

function openDialog(name) {
  const dialog = document.getElementById(name);
  if (!dialog || dialog.open) return;
  $$("[popover]:popover-open").forEach((open) => open.hidePopover());
  dialog.showModal();
  if (name === "palette") filterPalette("");
}

function filterPalette(text) {
  const input = $(".palette-input");
  if (input.value !== text) input.value = text;
  const words = text.toLowerCase().trim();
  $$("#palette-list [data-made]").forEach((made) => made.remove());
  for (const place of $$("#palette-list [role=option]")) place.hidden = !!words && !place.textContent.toLowerCase().includes(words);
  if (words) offer(text.trim(), input);
  markPlace($$("#palette-list [role=option]").find((place) => !place.hidden));
}

function offer(text, input) {
  const isJob = /^job_[0-9a-z]{26}$/.test(text);
  const href = isJob ? input.dataset.job.replace("JOB", text) : `${input.dataset.search}?q=${encodeURIComponent(text)}`;
  if (!(isJob ? input.dataset.job : input.dataset.search)) return;
  const place = document.createElement("a");
  Object.assign(place, { className: "menu-item", href, tabIndex: -1, id: "place-made" });
  place.setAttribute("role", "option");
  place.dataset.made = "";
  place.textContent = word(isJob ? "Open" : "Search", text);
  $("#palette-list")[isJob ? "prepend" : "append"](place);
}

function markPlace(place) {
  for (const other of $$("#palette-list [role=option]")) other.setAttribute("aria-selected", String(other === place));
  if (place) $(".palette-input").setAttribute("aria-activedescendant", place.id);
  place?.scrollIntoView({ block: "nearest" });
}

function onPaletteKey(event) {
  const shown = $$("#palette-list [role=option]").filter((place) => !place.hidden);
  const at = shown.findIndex((place) => place.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) markPlace(shown[(at + step + shown.length) % shown.length]);
  else if (event.key === "Enter") shown[at]?.click();
  else return;
  event.preventDefault();
}

// ---- keys: also while a checkbox or a button has the focus, never while somebody writes

const isWriting = (element) =>
  element?.isContentEditable || element?.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])");

let jumpUntil = 0;

function onKey(event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return openDialog("palette");
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || $("dialog[open]")) return;
  if (Date.now() < jumpUntil) {
    jumpUntil = 0;
    const link = $(`[data-jump="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const act = KEYS[event.key];
  if (act && act() !== false) event.preventDefault();
}

const KEYS = {
  g: () => { jumpUntil = Date.now() + 1500; },
  t: switchColours,
  "?": () => openDialog("keys"),
  "/": () => { const field = $("[data-key='/']"); if (!field) return false; field.focus(); field.select?.(); },
};

// Buttons and links say which key presses them: data-key="p".
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1) return;
  if (isWriting(event.target) || $("dialog[open]") || Date.now() < jumpUntil || KEYS[event.key]) return;
  const pressed = $(`[data-key="${CSS.escape(event.key)}"]:not([disabled])`);
  if (pressed && pressed.checkVisibility()) { event.preventDefault(); pressed.click(); }
}, true);
document.addEventListener("keydown", onKey);

document.addEventListener("click", (event) => {
  const copies = event.target.closest("[data-copy], [data-copy-from]");
  if (copies) return void onCopy(copies);
  const opens = event.target.closest("[data-opens]");
  if (opens) return openDialog(opens.dataset.opens);
  if (event.target.matches("dialog.sheet")) event.target.close();
});

const field = $(".palette-input");
field?.addEventListener("input", () => filterPalette(field.value));
field?.addEventListener("keydown", onPaletteKey);
for (const own of $$("[data-own-zone]")) own.value = `browser:${Intl.DateTimeFormat().resolvedOptions().timeZone}`;

setInterval(() => document.hidden || wordTimes(), 5000);

globalThis.jobservice = { say, word, wordTimes };
