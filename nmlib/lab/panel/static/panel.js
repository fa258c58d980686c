// What the small live panels share: look, theme, sliders, and one question at a time.

const PANEL_STYLE = `
.nt-root {
  --nt-bg: #ffffff; --nt-ink: #16191d; --nt-soft: #555c65; --nt-line: #d9dde2; --nt-track: #cfd5dc;
  --nt-accent: #00639e; --nt-good: #00734f; --nt-amber: #8a5200; --nt-amber-bg: #fff0d1; --nt-good-bg: #e4f4ee;
  box-sizing: border-box; max-width: 820px; margin: 4px 0; padding: 14px 16px; color: var(--nt-ink);
  background: var(--nt-bg); border: 1px solid var(--nt-line); border-radius: 10px; text-align: left;
  font: 13px/1.45 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
  font-variant-numeric: tabular-nums; container: nt / inline-size;
}
.nt-root[data-theme="dark"] {
  --nt-bg: #15181c; --nt-ink: #f0f2f4; --nt-soft: #a9b2bc; --nt-line: #353b43; --nt-track: #454d57;
  --nt-accent: #5cb8f0; --nt-good: #45cfa2; --nt-amber: #ffc35c; --nt-amber-bg: #3a2b10; --nt-good-bg: #15302a;
  color-scheme: dark;
}
.nt-root *, .nt-root *::before { box-sizing: border-box; }
.nt-root :focus-visible { outline: 2px solid var(--nt-accent); outline-offset: 2px; }
.nt-slider input:focus-visible { outline-offset: -2px; border-radius: 4px; }
.nt-title { margin: 0 0 10px; font-size: 16px; font-weight: 650; }
.nt-body { display: grid; gap: 16px; }
@container nt (min-width: 560px) { .nt-body { grid-template-columns: minmax(200px, 260px) 1fr; } }
.nt-controls { display: grid; gap: 9px; align-content: start; margin: 0; padding: 0; border: 0; min-width: 0; }
.nt-slider { display: grid; grid-template-columns: 1fr auto; gap: 0 8px; }
.nt-slider output { font-weight: 650; }
.nt-slider input { grid-column: 1 / -1; width: 100%; height: 22px; margin: 0; accent-color: var(--nt-accent); }
.nt-choice { display: flex; flex-wrap: wrap; gap: 4px 14px; }
.nt-root svg { display: block; width: 100%; height: auto; }
.nt-root svg text { fill: var(--nt-soft); font-size: 11px; }
/* Drawings shrink with the panel; their words should not. */
@container nt (max-width: 340px) { .nt-root svg text { font-size: 15px; } }
@media (pointer: coarse) {
  .nt-slider input { height: 32px; }
  .nt-choice label, .nt-root summary { min-height: 32px; display: inline-flex; align-items: center; gap: 4px; }
  .nt-root button, .nt-root select, .nt-root input[type="number"] { min-height: 40px; }
}
.nt-axis { stroke: var(--nt-line); }
.nt-spoken { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
/* What belongs to another choice than the one shown is faded; a quick answer comes before that. */
.nt-result { transition: opacity .1s; }
.nt-root:not([data-answer="ready"]) .nt-result { opacity: .35; transition: opacity .15s .12s; }
.nt-legend { display: flex; flex-wrap: wrap; gap: 3px 14px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 11.5px; color: var(--nt-soft); }
.nt-root .nt-legend svg { display: inline-block; width: 26px; height: 12px; margin-right: 5px; vertical-align: -2px; }
.nt-note { margin: 8px 0 0; font-size: 11.5px; color: var(--nt-soft); }
`;

function isDark(el) {
  const lab = document.body.dataset.jpThemeLight;
  if (lab) return lab === "false";
  const vscode = document.body.dataset.vscodeThemeKind;
  if (vscode) return /dark|contrast$/.test(vscode) && !/light/.test(vscode);
  if (document.documentElement.getAttribute("theme") === "dark") return true;
  return window.matchMedia?.("(prefers-color-scheme: dark)").matches ?? false;
}

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text"].includes(tag);
  const el = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) if (v !== null) el.setAttribute(k, v);
  el.append(...children);
  return el;
}

// The frame of a panel; keys pressed in it stay in it.
function makePanel(name, extra = "") {
  const root = make("div", { class: `nt-root ${extra}`.trim(), role: "group", "aria-label": name });
  keepKeys(root);
  return root;
}

// Follow the page's theme; returns a function that stops.
function followTheme(root, el) {
  const theme = () => { root.dataset.theme = isDark(el) ? "dark" : "light"; };
  theme();
  const watcher = new MutationObserver(theme);
  watcher.observe(document.body, { attributes: true });
  const media = window.matchMedia?.("(prefers-color-scheme: dark)");
  media?.addEventListener?.("change", theme);
  return () => { watcher.disconnect(); media?.removeEventListener?.("change", theme); };
}

// Call `changed(name, value)` for each trait that changes; returns a function that stops. Only what
// changed counts: a slider under the finger is ahead of its trait until it is let go.
function followTraits(model, names, changed) {
  const known = Object.fromEntries(names.map((n) => [n, model.get(n)]));
  const follow = () => {
    for (const n of names) {
      const value = model.get(n);
      if (value !== known[n]) { known[n] = value; changed(n, value); }
    }
  };
  model.on("change", follow);
  return () => model.off("change", follow);
}

// A labelled slider with its value. `moved` is called while it moves, `left` when it is let go.
function makeSlider(uid, c, value, say, moved, left) {
  const id = `nt-${uid}-${c.name}`;
  const input = make("input", { type: "range", id, min: c.min, max: c.max, step: c.step, value, "data-name": c.name });
  const output = make("output", { for: id });
  const show = () => {
    const text = say(c, Number(input.value));
    output.textContent = text;
    input.setAttribute("aria-valuetext", `${c.spoken} ${text}`);
  };
  input.addEventListener("input", () => { show(); moved(Number(input.value)); });
  input.addEventListener("change", () => left(Number(input.value)));
  show();
  const set = (v) => { input.value = v; show(); };
  return { set, row: make("div", { class: "nt-slider" }, make("label", { for: id }, c.label), output, input) };
}

// A conversation with the kernel. The browser is the clock: it asks one question at a time, and asks
// again only if something moved meanwhile, so stale work never queues up. From the moment a choice
// moves until its own answer is drawn, the panel says that it is computing and its results are faded.
//   root      the panel; its data-answer is computing, ready, refused, waiting or gone
//   ask       () -> the message, without gen and view
//   kind      of the answers
//   draw      (reply, buffers) -> the sentence that is spoken once nothing moves any more
//   say       (words) puts words where the result stands
//   pause     (reply) -> milliseconds to the next question, 0 for none
const SLOW = 4000, SILENT = 15000, ANSWER_PING = 2500;
const WORDS = {
  computing: "Computing …",
  slow: "Still computing. If a cell is running, the kernel answers after it.",
  silent: "No answer from the kernel. It is busy with a cell, or it is gone: then run this cell again.",
  gone: "The kernel is gone or was restarted: run this cell again. What is shown is from before.",
};

function converse(model, { root, ask, kind, draw, say, pause = () => 0 }) {
  const view = Math.random().toString(36).slice(2, 10); // several views may share one model
  const spoken = make("p", { class: "nt-spoken", role: "status" });
  root.append(spoken);
  let gen = 0, asked = -1, inflight = false, again = false, closed = false;
  let slow = 0, silent = 0, next = 0, ping = 0;

  function state(name, words) {
    root.dataset.answer = name;
    for (const part of root.querySelectorAll(".nt-result")) part.setAttribute("aria-busy", String(name === "computing"));
    if (words) say(words);
  }
  function speak(sentence) { // the answer to the last choice only, so that a drag is not read aloud
    if (spoken.textContent !== sentence) spoken.textContent = sentence;
  }
  function trouble(name) {
    state(name === "slow" ? "computing" : name === "silent" ? "waiting" : "gone", WORDS[name]);
    speak(WORDS[name]);
  }
  function send() {
    clearTimeout(next);
    if (closed || inflight || (asked === gen && !again)) return;
    inflight = true; again = false; asked = gen;
    clearTimeout(slow); clearTimeout(silent);
    slow = setTimeout(() => trouble("slow"), SLOW);
    silent = setTimeout(() => { inflight = false; trouble("silent"); }, SILENT);
    try {
      model.send({ ...ask(), gen, view });
    } catch { // the connection is closed
      lost();
    }
  }
  function answered() {
    clearTimeout(slow); clearTimeout(silent); clearTimeout(ping);
    inflight = false;
  }
  function lost() {
    answered();
    trouble("gone");
  }
  const listen = (reply, buffers) => {
    if (reply.view && reply.view !== view) return;
    if (reply.kind === "ping") { clearTimeout(ping); return; }
    if (reply.kind !== kind) return;
    answered();
    const current = reply.gen === gen;
    if (reply.error) {
      if (current) { state("refused", reply.error); speak(reply.error); }
    } else {
      if (current) state("ready");
      const sentence = draw(reply, buffers, current);
      if (current && sentence) speak(sentence);
      if (!current) state("computing", WORDS.computing);
    }
    send();
    const wait = inflight ? 0 : pause(reply);
    if (wait) next = setTimeout(() => { again = true; send(); }, wait);
  };
  // The notebook says that the connection has changed, not how: ask, and see who answers.
  const check = () => {
    clearTimeout(ping);
    ping = setTimeout(lost, ANSWER_PING);
    try { model.send({ kind: "ping", view }); } catch { lost(); }
  };
  model.on("msg:custom", listen);
  model.on("comm_live_update", check);
  return {
    changed() { gen++; state("computing", WORDS.computing); send(); },
    once() { again = true; send(); }, // the same choice, but something is to be done
    get gen() { return gen; },
    stop() {
      closed = true;
      for (const timer of [slow, silent, next, ping]) clearTimeout(timer);
      model.off("msg:custom", listen);
      model.off("comm_live_update", check);
    },
  };
}

// A legend: [small picture, words] each; the picture is made of the same marks as the drawing.
function makeLegend(rows) {
  return make("ul", { class: "nt-legend" },
    ...rows.map(([marks, words]) => make("li", {}, make("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, ...marks), words)));
}

// A panel's style travels in its script, so that one file is all there is to load.
function addStyle(id, text) {
  if (document.getElementById(id)) return;
  const style = document.createElement("style");
  style.id = id; style.textContent = text;
  document.head.append(style);
}
