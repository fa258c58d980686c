// Shared by the live panels: their look and theme, controls made from the kernel's descriptions, and
// a conversation of one question at a time.

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
.nt-choice, .nt-buttons { display: flex; flex-wrap: wrap; gap: 4px 14px; }
.nt-buttons { gap: 6px; }
.nt-group { margin: 6px 0 -2px; font-size: 12px; font-weight: 650; color: var(--nt-soft); border-top: 1px solid var(--nt-line); padding-top: 7px; }
.nt-group:first-child { border: 0; padding-top: 0; margin-top: 0; }
.nt-list { display: grid; gap: 2px; }
.nt-field { display: flex; justify-content: space-between; align-items: center; gap: 8px; }
.nt-root .nt-field input { width: 84px; min-height: 28px; padding: 1px 6px; font: inherit; color: inherit; background: transparent; border: 1px solid var(--nt-line); border-radius: 5px; }
.nt-root .nt-plain, .nt-root select { font: inherit; color: var(--nt-ink); background: var(--nt-bg); border: 1px solid var(--nt-track); border-radius: 6px; padding: 3px 9px; min-height: 28px; cursor: pointer; }
.nt-root .nt-plain:hover { border-color: var(--nt-accent); }
.nt-switch { display: grid; grid-template-columns: auto auto 1fr; gap: 0 8px; align-items: center; min-height: 28px; cursor: pointer; }
.nt-switch input { width: 18px; height: 18px; margin: 0; accent-color: var(--nt-accent); }
.nt-switch small { grid-column: 3; color: var(--nt-soft); line-height: 1.2; }
.nt-switch b { font-weight: 550; }
.nt-chip { display: inline-block; width: 1.5em; margin-right: 2px; text-align: center; border-radius: 4px; color: var(--nt-soft); }
.nt-chip.nt-on { font-weight: 650; color: var(--nt-ink); background: var(--nt-line); }
.nt-root svg { display: block; width: 100%; height: auto; }
.nt-root svg text { fill: var(--nt-soft); font-size: 11px; }
/* Drawings shrink with the panel; their words should not. */
@container nt (max-width: 340px) { .nt-root svg text { font-size: 15px; } }
@media (pointer: coarse) {
  .nt-slider input { height: 32px; }
  .nt-switch { min-height: 36px; }
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

// The widgets of controls. Each maker returns its row and a function that shows a value; it calls
// `moved(value)` when a person changes something, and `done()` when the change is over.
const MAKERS = {
  slider(id, c, moved, done) {
    const input = make("input", { type: "range", id, min: c.min, max: c.max, step: c.step, "data-name": c.name });
    const output = make("output", { for: id });
    const say = () => {
      const value = Number(input.value), text = c.zero && value === 0 ? c.zero : value.toFixed(c.digits);
      output.textContent = text;
      input.setAttribute("aria-valuetext", `${c.spoken ?? c.label} ${text}`);
    };
    input.addEventListener("input", () => moved(Number(input.value)));
    input.addEventListener("change", done);
    const show = (value) => { input.value = value; say(); };
    return { show, row: make("div", { class: "nt-slider" }, make("label", { for: id }, c.label), output, input) };
  },
  switch(id, c, moved, done) {
    const box = make("input", { type: "checkbox", role: "switch", id, "data-name": c.name });
    box.addEventListener("change", () => { moved(box.checked); done(); });
    return { show: (value) => { box.checked = value; }, row: make("label", { class: "nt-switch" }, box,
      make("span", { class: "nt-chip nt-on", "aria-hidden": "true" }, c.symbol), make("b", {}, c.label), make("small", {}, c.help)) };
  },
  radio(id, c, moved, done) {
    const row = make("div", { class: "nt-choice", role: "radiogroup", "aria-label": c.label });
    const radios = c.choices.map((value, k) => {
      const radio = make("input", { type: "radio", name: id, value });
      radio.addEventListener("change", () => { moved(value); done(); });
      row.append(make("label", {}, radio, ` ${c.words?.[k] ?? value}`));
      return radio;
    });
    return { row, show: (value) => { for (const radio of radios) radio.checked = radio.value === value; } };
  },
  list(id, c, moved, done) {
    const select = make("select", { id, "data-name": c.name }, ...c.choices.map((value, k) => make("option", { value }, c.words?.[k] ?? value)));
    select.addEventListener("change", () => { moved(select.value); done(); });
    return { show: (value) => { select.value = value; }, row: make("div", { class: "nt-list" }, make("label", { for: id }, c.label), select) };
  },
  count(id, c, moved, done) {
    let now = 0;
    const row = make("button", { type: "button", class: "nt-plain", "data-counter": c.name }, c.label);
    row.addEventListener("click", () => { moved(now < c.max ? now + 1 : c.min); done(); });
    return { row, show: (value) => { now = value; } };
  },
  field(id, c, moved, done) {
    const input = make("input", { type: "number", id, min: c.min, max: c.max, step: c.step, "data-name": c.name });
    input.addEventListener("change", () => {
      const value = Number(input.value);
      input.value = Math.min(c.max, Math.max(c.min, Number.isFinite(value) ? Number(value.toFixed(c.digits)) : c.min));
      moved(Number(input.value));
      done();
    });
    return { show: (value) => { input.value = value; }, row: make("div", { class: "nt-field" }, make("label", { for: id }, c.label), input) };
  },
};

// All controls of a panel in a fieldset. `changed(name)` is called for every change, whether a person
// or Python makes it. A trait is set when a person lets a control go; until then `settings` is ahead.
function makeControls(model, changed) {
  const uid = Math.random().toString(36).slice(2, 8), specs = model.get("_controls");
  const settings = {}, shows = {}, rows = {}, saved = {};
  const fieldset = make("fieldset", { class: "nt-controls" });
  for (const c of specs) {
    saved[c.name] = settings[c.name] = model.get(c.name);
    const moved = (value) => { show(c.name, value); changed(c.name); };
    const done = () => { saved[c.name] = settings[c.name]; model.set(c.name, settings[c.name]); model.save_changes(); };
    const { row, show: shown } = MAKERS[c.kind](`nt-${uid}-${c.name}`, c, moved, done);
    shows[c.name] = shown; rows[c.name] = row;
    shown(settings[c.name]);
    if (c.group) fieldset.append(make("p", { class: "nt-group" }, c.group));
    if (c.kind !== "count") fieldset.append(row);
    else if (!c.group && fieldset.lastChild?.className === "nt-buttons") fieldset.lastChild.append(row);
    else fieldset.append(make("div", { class: "nt-buttons" }, row));
  }
  function show(name, value) {
    settings[name] = value;
    shows[name](value);
  }
  // Only traits that Python has changed count: a slider under the finger is ahead of its trait.
  const follow = () => {
    for (const { name } of specs) {
      const value = model.get(name);
      if (value === saved[name]) continue;
      saved[name] = value;
      if (value !== settings[name]) { show(name, value); changed(name); }
    }
  };
  model.on("change", follow);
  return {
    fieldset, rows, settings, specs,
    // Change several settings as a person would.
    set(values) {
      for (const [name, value] of Object.entries(values)) {
        if (!Object.hasOwn(settings, name)) continue;
        show(name, value);
        saved[name] = value;
        model.set(name, value);
      }
      model.save_changes();
      changed();
    },
    stop: () => model.off("change", follow),
  };
}

// A conversation with the kernel. The browser is the clock: it asks one question at a time, and asks
// again only if something moved meanwhile, so stale work never queues up. From the moment a choice
// moves until its own answer is drawn, the panel says that it is computing and its results are faded.
//   root      the panel; its data-answer is computing, ready, refused, waiting or gone
//   ask       () -> the message, without kind, gen and view
//   draw      (reply, buffers, whether it answers the last choice) -> the sentence that is spoken once nothing moves any more
//   say       (words) puts words where the result stands
//   pause     (reply) -> milliseconds to the next question, 0 for none
const SLOW = 4000, SILENT = 15000, ANSWER_PING = 2500;
const WORDS = {
  computing: "Computing …",
  slow: "Still computing. If a cell is running, the kernel answers after it.",
  silent: "No answer from the kernel. It is busy with a cell, or it is gone: then run this cell again.",
  gone: "The kernel is gone or was restarted: run this cell again. What is shown is from before.",
};

function converse(model, { root, ask, draw, say, pause = () => 0 }) {
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
      model.send({ kind: "ask", ...ask(), gen, view });
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
    if (reply.kind !== "answer") return;
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
