// Live pages, and the keys of their lists. One timer sends `tick-2`, `tick-5` and `tick-10` to the body, every 2, 5 and
// 10 seconds; what wants to be fresh says hx-trigger="tick-5 from:body". (A filter in hx-trigger would be an eval.)
// It rests while the page is hidden or paused, and slows down while nothing changes or nothing answers.

// From app.js, which runs before; not imported, for its address changes with its content.
const { say, word, wordTimes } = globalThis.jobservice;

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

const SLOWEST = 8;
const tags = new WeakMap();
let pace = 1, beats = 0, quiet = 0, failures = 0;

const chip = () => $("[data-live-chip]");
const isPaused = () => chip()?.getAttribute("aria-pressed") === "true";
const send = (name) => document.body.dispatchEvent(new Event(name));

function beat() {
  if (document.hidden || isPaused()) return;
  beats += 1;
  for (const seconds of [2, 5, 10]) {
    // The first beat of a slowed pace is as late as the pace says.
    if (beats % (seconds * pace) === 0) send(`tick-${seconds}`);
  }
}

function note({ changed = false, failed = false }) {
  failures = failed ? failures + 1 : 0;
  quiet = changed || failed ? 0 : quiet + 1;
  pace = failed ? Math.min(SLOWEST, 2 ** failures) : quiet > 60 ? 4 : quiet > 20 ? 2 : 1;
  const shown = chip();
  if (shown) shown.dataset.health = failed ? "failing" : "good";
}

function togglePause() {
  const shown = chip();
  const paused = !isPaused();
  shown.setAttribute("aria-pressed", String(paused));
  $("[data-live-word]", shown).textContent = paused ? shown.dataset.paused : shown.dataset.running;
  if (!paused) wake();
}

// Somebody is here again, or did something: be quick again.
function wake() {
  quiet = 0;
  pace = failures ? pace : 1;
}

if ($("[data-live-chip]")) setInterval(beat, 1000);
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-live-chip]")) togglePause();
});
for (const name of ["visibilitychange", "keydown", "pointerdown"]) document.addEventListener(name, wake);

// ---- conditional requests: what has not changed is not sent, and not drawn anew

const isLive = (ctx) => ctx.sourceElement?.matches?.("[data-live-part]");

document.addEventListener("htmx:config:request", (event) => {
  const { ctx } = event.detail;
  if (!isLive(ctx)) return;
  const tag = tags.get(ctx.sourceElement);
  if (tag?.url === ctx.request.action) ctx.request.headers["If-None-Match"] = tag.value;
  // Nobody asked: it keeps no session alive. And the page is of one tenant, whatever the session has turned to since.
  ctx.request.headers["Live"] = document.body.dataset.tenant || "";
});
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (!isLive(ctx)) return;
  const { status, headers } = ctx.response;
  note({ changed: status === 200, failed: status >= 400 });
  // What is not of this page, such as the login of a session that ended, is not drawn into it.
  if (status >= 400 || ctx.response.raw.redirected) {
    event.preventDefault();
    if (ctx.response.raw.redirected || status === 409) location.reload();
  } else if (status === 200 && headers.get("ETag")) {
    tags.set(ctx.sourceElement, { url: ctx.request.action, value: headers.get("ETag") });
  }
});
document.addEventListener("htmx:error", (event) => {
  if (isLive(event.detail.ctx)) note({ failed: true });
});
document.addEventListener("htmx:after:swap", () => {
  wordTimes();
  restoreRows();
});

// ---- lists: a row that is at hand, and rows that are selected

const picked = new Set();
let at = null;
const rows = () => $$("[data-row]");

function restoreRows() {
  for (const row of rows()) {
    row.classList.toggle("is-at", row.dataset.row === at);
    const box = $(".row-pick", row);
    if (box) box.checked = picked.has(box.value);
  }
  countPicked();
}

function countPicked() {
  const boxes = $$(".row-pick");
  for (const value of picked) if (!boxes.some((box) => box.value === value)) picked.delete(value);
  const bar = $("[data-act-bar]");
  if (!bar) return;
  bar.hidden = picked.size === 0;
  const count = $("[data-picked]", bar);
  if (count) count.textContent = String(picked.size);
  const all = $("[data-pick-all]");
  if (all) {
    all.checked = picked.size > 0 && picked.size === boxes.length;
    all.indeterminate = picked.size > 0 && picked.size < boxes.length;
  }
}

function pick(box) {
  if (box.checked) picked.add(box.value);
  else picked.delete(box.value);
  countPicked();
}

document.addEventListener("change", (event) => {
  if (event.target.matches(".row-pick")) pick(event.target);
  if (event.target.matches("[data-pick-all]")) {
    for (const box of $$(".row-pick")) { box.checked = event.target.checked; pick(box); }
  }
});

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const now = all.findIndex((row) => row.dataset.row === at);
  const next = all[now < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, now + by))];
  at = next.dataset.row;
  restoreRows();
  next.scrollIntoView({ block: "nearest" });
  ($(".row-link", next) || next).focus({ preventScroll: true });
}

const row = () => rows().find((one) => one.dataset.row === at);
const isWriting = (element) =>
  element?.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=button], [type=submit])");

const ROW_KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: () => { const box = row() && $(".row-pick", row()); if (!box) return false; box.checked = !box.checked; pick(box); },
  Enter: () => { const link = row() && $(".row-link", row()); if (!link || document.activeElement?.matches("a, button, input, summary, [tabindex='0']")) return false; link.click(); },
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isWriting(event.target) || $("dialog[open]")) return;
  if (ROW_KEYS[event.key] && ROW_KEYS[event.key]() !== false) event.preventDefault();
});

// With nothing selected, r and c mean the row at hand.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-row-form]") || picked.size) return;
  const box = row() && $(".row-pick", row());
  if (box) { box.checked = true; pick(box); }
  else if (!event.target.dataset.mayBeEmpty) { event.preventDefault(); say(event.target.dataset.empty || word("Pick"), "info"); }
});

restoreRows();
