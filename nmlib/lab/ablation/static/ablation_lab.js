// The ablation lab. Comes after panel.js in one module. It asks again a moment later while a network
// is being trained; the kernel makes texts and table.

const STYLE = `
.nl-root { --nl-grid: #0072b2; --nl-here: #b34a00; --nl-tint: rgb(0 99 158 / 9%); }
.nl-root[data-theme="dark"] { --nl-grid: #5cb8f0; --nl-here: #ff9a5c; --nl-tint: rgb(92 184 240 / 14%); }
.nl-sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

/* Controls */
.nl-idle-level { opacity: .45; }
.nl-buttons { display: flex; gap: 6px; }
.nl-root .nl-buttons button { flex: 1; min-height: 34px; padding: 4px 10px; font: inherit; font-weight: 600; color: var(--nt-bg); background: var(--nt-accent); border: 1px solid var(--nt-accent); border-radius: 6px; cursor: pointer; }
.nl-root .nl-buttons button[disabled] { cursor: not-allowed; color: var(--nt-soft); background: transparent; border-color: var(--nt-line); }
.nl-root .nl-buttons button.nl-stop { color: var(--nt-ink); background: transparent; }

/* What happens */
.nl-say { margin: 0 0 6px; min-height: 2.9em; font-weight: 550; }
.nl-problem { margin: 0 0 8px; padding: 7px 10px; border: 1px dashed var(--nt-amber); border-left: 6px solid var(--nt-amber); border-radius: 6px; color: var(--nt-amber); background: var(--nt-amber-bg); }
.nl-problem[hidden] { display: none; }
.nl-root progress { display: block; width: 100%; height: 8px; margin: 0 0 6px; accent-color: var(--nl-here); }
.nl-loss { display: block; width: 100%; height: auto; max-width: 520px; }
.nl-loss text { fill: var(--nt-soft); font-size: 11px; }
.nl-loss line { stroke: var(--nt-line); }
.nl-loss polyline { fill: none; stroke: var(--nl-here); stroke-width: 2; stroke-linejoin: round; }
.nl-loss circle { fill: var(--nl-here); }
.nl-code { margin-top: 6px; }
.nl-code summary { cursor: pointer; color: var(--nt-soft); }
.nl-root .nl-code pre { margin: 4px 0 0; padding: 8px; overflow-x: auto; font-size: 11.5px; line-height: 1.4; color: inherit; background: var(--nl-tint); border-radius: 6px; }

/* The table */
.nl-placed { margin-top: 14px; }
.nl-placed p, .nl-placed ul { margin: 6px 0 0; padding: 0; font-size: 11.5px; color: var(--nt-soft); }
.nl-placed ul { list-style: none; }
.nl-placed li { position: relative; margin: 2px 0; padding-left: 18px; }
.nl-placed li > i { position: absolute; left: 6px; top: .75em; }
.nl-placed table.nl-table { width: 100%; margin: 0; border-collapse: collapse; border: 0; table-layout: fixed; font-size: 12.5px; font-variant-numeric: tabular-nums; color: inherit; }
.nl-table caption { padding: 0 0 6px; text-align: left; font-size: 12px; color: var(--nt-soft); caption-side: top; }
.nl-placed .nl-table tr { background: transparent; }
.nl-placed .nl-table th, .nl-placed .nl-table td { padding: 3px 8px; border: 0; border-bottom: 1px solid var(--nt-line); text-align: left; vertical-align: top; white-space: normal; background: transparent; }
.nl-placed .nl-table thead th { vertical-align: bottom; font-weight: 650; }
.nl-table th small, .nl-table td small { display: block; font-size: 11px; font-weight: 400; line-height: 1.25; color: var(--nt-soft); }
.nl-placed .nl-table th[scope="row"] { font-weight: 400; }
.nl-table small.nl-error { display: inline; }
.nl-numbers { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: 0 6px; }
.nl-table th:first-child { width: 118px; }
.nl-table .nl-paper .nl-gain { font-style: italic; color: var(--nt-soft); }
.nl-table .nl-grid .nl-gain { font-weight: 600; color: var(--nl-grid); }
.nl-table .nl-here .nl-gain { font-weight: 700; color: var(--nl-here); }
.nl-table .nl-none { color: var(--nt-soft); }
.nl-root .nl-table button { padding: 2px; min-height: 26px; font: inherit; color: inherit; background: none; border: 0; border-radius: 5px; cursor: pointer; white-space: nowrap; }
.nl-root .nl-table button:hover { background: var(--nl-tint); }
.nl-placed .nl-table tr.nl-chosen > * { background: var(--nl-tint); }
.nl-placed .nl-table tr.nl-chosen > th { box-shadow: inset 4px 0 var(--nt-accent); }
.nl-placed .nl-table tr.nl-fresh > td.nl-here { outline: 2px solid var(--nl-here); outline-offset: -2px; }
.nl-strip { position: relative; display: block; height: 12px; margin: 1px 6px; }
.nl-strip::before { content: ""; position: absolute; left: 0; right: 0; top: 50%; border-top: 1px solid var(--nt-line); }
.nl-strip u { position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px solid var(--nt-soft); text-decoration: none; }
.nl-strip b { position: absolute; top: 4px; height: 4px; opacity: .4; background: var(--nt-soft); }
.nl-grid .nl-strip b { background: var(--nl-grid); }
.nl-here .nl-strip b { background: var(--nl-here); }
.nl-strip i { position: absolute; top: 50%; }
.nl-mark-paper { width: 8px; height: 8px; margin: -4px; border: 1.6px solid var(--nt-soft); transform: rotate(45deg); }
.nl-mark-grid { width: 8px; height: 8px; margin: -4px; background: var(--nl-grid); }
.nl-mark-here { width: 10px; height: 10px; margin: -5px; border-radius: 50%; background: var(--nl-here); }
@media (pointer: coarse) { .nl-root .nl-table button { min-height: 36px; } }
@container nt (max-width: 340px) { .nl-loss text { font-size: 15px; } }
@container nt (max-width: 460px) {
  .nl-placed .nl-table th, .nl-placed .nl-table td { padding: 3px 4px; }
  .nl-table th:first-child { width: 92px; }
  .nl-table .nt-chip { width: 1.25em; margin-right: 1px; }
}
`;

const PAUSE = 350;
// A level counts only with its switch.
const NEEDS = { alpha: "feature_mixing", sigma_add: "noise_injections", sigma_mult: "noise_injections" };

function render({ model, el }) {
  const root = makePanel("Ablation lab", "nl-root"), stopTheme = followTheme(root, el);
  const controls = makeControls(model, changed);
  const train = make("button", { type: "button", class: "nl-train" }, "Train");
  const stop = make("button", { type: "button", class: "nl-stop" }, "Stop");
  stop.hidden = true;
  train.addEventListener("click", () => { action = "train"; kernel.once(); });
  stop.addEventListener("click", () => { action = "stop"; kernel.once(); });
  controls.fieldset.append(make("div", { class: "nl-buttons" }, train, stop));

  const problem = make("p", { class: "nl-problem" });
  problem.hidden = true;
  const say = make("p", { class: "nl-say" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": "Training and measuring" });
  const curve = make("div");
  const code = make("pre", { class: "nt-result", tabindex: 0 });
  const note = make("p", { class: "nt-note nt-result" });
  const placed = make("div", { class: "nl-placed" });
  placed.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-settings]");
    if (button) controls.set(JSON.parse(button.dataset.settings));
  });
  root.append(make("div", { class: "nt-title" }, "Ablation lab"),
    make("div", { class: "nt-body" }, controls.fieldset, make("div", {}, problem, say, bar, curve, note,
      make("details", { class: "nl-code" }, make("summary", {}, "The same in Python"), code))), placed);
  el.append(root);

  let action = null, key = "", fresh = "", saidState = "";
  const seen = { table: -1, curve: "" };

  function idle() {
    for (const [level, part] of Object.entries(NEEDS)) {
      const off = !controls.settings[part], row = controls.rows[level];
      row.classList.toggle("nl-idle-level", off);
      row.querySelector("input").disabled = off;
    }
  }
  // Marks, code and button of the choice before go at once; the training goes on as it is.
  function changed() {
    idle();
    key = "";
    mark();
    train.textContent = "Train";
    kernel.changed();
  }
  function ask() {
    const message = { settings: { ...controls.settings }, seen: { ...seen } };
    if (action) message.action = action;
    action = null;
    return message;
  }

  function mark() {
    for (const row of placed.querySelectorAll("tr[data-key]")) {
      row.classList.toggle("nl-chosen", row.dataset.key === key);
      row.classList.toggle("nl-fresh", row.dataset.key === fresh);
    }
  }

  function draw(reply, _, current) {
    const { status } = reply;
    if (current) {
      problem.hidden = !reply.problem;
      problem.textContent = reply.problem;
      note.textContent = reply.note;
      code.textContent = reply.code;
      key = reply.key;
      train.disabled = Boolean(reply.problem);
      train.textContent = reply.known ? "Trained: show it" : "Train";
    }
    if (reply.table !== undefined) {
      const focused = placed.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.key : null;
      placed.innerHTML = reply.table;
      seen.table = reply.tableVersion;
      if (focused !== null) [...placed.querySelectorAll("tr")].find((r) => r.dataset.key === focused)?.querySelector("button")?.focus();
    }
    if (reply.curve !== undefined) { curve.innerHTML = reply.curve; seen.curve = reply.curveVersion; }
    fresh = reply.fresh;
    mark();
    say.textContent = status.words;
    bar.value = status.share;
    bar.style.visibility = status.busy ? "visible" : "hidden";
    const had = document.activeElement === train || document.activeElement === stop;
    train.hidden = status.busy; stop.hidden = !status.busy;
    if (had) (status.busy ? stop : train).focus();
    Object.assign(root.dataset, { gen: reply.gen, state: status.state, job: status.job, trained: reply.tableVersion, key, fresh });
    // Only what changes rarely is spoken; the running numbers are read off the bar.
    const sentence = reply.problem || `${status.job} ${status.state}`;
    if (saidState === sentence) return "";
    saidState = sentence;
    return reply.problem || status.words;
  }
  const kernel = converse(model, { root, draw, ask, say: (text) => { say.textContent = text; },
    pause: (reply) => (reply.status?.busy ? PAUSE : 0) });
  idle();
  kernel.changed();
  return () => { stopTheme(); kernel.stop(); controls.stop(); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("nl-style", STYLE); };

export default { initialize, render };
