// The ablation lab. Comes after panel.js in one module. While something is being trained it asks
// again a moment later. Text and table are made by the kernel.

const PAUSE = 350;

function render({ model, el }) {
  const { switches, levels } = model.get("_controls");
  const settings = { ...model.get("_settings") };
  const uid = Math.random().toString(36).slice(2, 8);
  const root = makePanel("Ablation lab", "nl-root");
  const stopTheme = followTheme(root, el);

  const fieldset = make("fieldset", { class: "nt-controls" });
  const boxes = {}, sliders = {};
  for (const s of switches) {
    const box = make("input", { type: "checkbox", role: "switch", "data-name": s.name });
    box.checked = settings[s.name];
    box.addEventListener("change", () => { settings[s.name] = box.checked; changed(); });
    boxes[s.name] = box;
    fieldset.append(make("label", { class: "nl-switch" }, box,
      make("span", { class: "nl-chip nl-on", "aria-hidden": "true" }, s.letter),
      make("b", {}, s.label), make("small", {}, s.help)));
  }
  for (const c of levels) {
    const moved = (v) => { settings[c.name] = v; changed(); };
    sliders[c.name] = makeSlider(uid, c, settings[c.name], (c, v) => v.toFixed(c.digits), moved, moved);
    fieldset.append(sliders[c.name].row);
  }
  const seed = make("input", { type: "number", id: `nl-${uid}-seed`, min: 0, max: 999, step: 1, value: settings.seed });
  seed.addEventListener("change", () => {
    const value = Math.round(Number(seed.value));
    settings.seed = Math.min(999, Math.max(0, Number.isFinite(value) ? value : 0));
    seed.value = settings.seed;
    changed();
  });
  const train = make("button", { type: "button", class: "nl-train" }, "Train");
  const stop = make("button", { type: "button", class: "nl-stop" }, "Stop");
  stop.hidden = true;
  train.addEventListener("click", () => { action = "train"; kernel.once(); });
  stop.addEventListener("click", () => { action = "stop"; kernel.once(); });
  fieldset.append(
    make("div", { class: "nl-seed" }, make("label", { for: `nl-${uid}-seed` }, "seed"), seed),
    make("div", { class: "nl-buttons" }, train, stop));

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
    if (!button) return;
    for (const [name, value] of Object.entries(JSON.parse(button.dataset.settings))) {
      if (Object.hasOwn(settings, name)) settings[name] = value;
    }
    show();
    changed();
  });
  root.append(make("div", { class: "nt-title" }, "Ablation lab"),
    make("div", { class: "nt-body" }, fieldset, make("div", {}, problem, say, bar, curve, note,
      make("details", { class: "nl-code" }, make("summary", {}, "The same in Python"), code))), placed);
  el.append(root);

  let action = null, key = "", fresh = "", saidState = "";
  const seen = { table: -1, curve: "" };

  function show() {
    for (const s of switches) boxes[s.name].checked = settings[s.name];
    for (const c of levels) sliders[c.name].set(settings[c.name]);
  }
  function idle() {
    for (const c of levels) {
      const off = !settings[c.needs], { row } = sliders[c.name];
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
    const message = { kind: "ask", settings: { ...settings }, seen: { ...seen } };
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
  const kernel = converse(model, { root, kind: "view", draw, ask, say: (text) => { say.textContent = text; },
    pause: (reply) => (reply.status?.busy ? PAUSE : 0) });
  show();
  idle();
  kernel.changed();
  return () => { stopTheme(); kernel.stop(); };
}

const initialize = () => addStyle("nt-panel-style", PANEL_STYLE);

export default { initialize, render };
