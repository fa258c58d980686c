// The ablation lab. Comes after panel.js in one module. The browser is the clock: one question in
// flight; while something is being trained it asks again a moment later. Text and table are made
// by the kernel.

const PAUSE = 350, PATIENCE = 15000;

function render({ model, el }) {
  const { switches, levels } = model.get("_controls");
  const settings = { ...model.get("_settings") };
  const uid = Math.random().toString(36).slice(2, 8);
  const root = make("div", { class: "nt-root nl-root", role: "group", "aria-label": "Ablation lab" });
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
  train.addEventListener("click", () => { action = "train"; ask(); });
  stop.addEventListener("click", () => { action = "stop"; ask(); });
  fieldset.append(
    make("div", { class: "nl-seed" }, make("label", { for: `nl-${uid}-seed` }, "seed"), seed),
    make("div", { class: "nl-buttons" }, train, stop));

  const problem = make("p", { class: "nl-problem", role: "alert" });
  problem.hidden = true;
  // Only what changes rarely is spoken; the running numbers are read off the bar.
  const say = make("p", { class: "nl-say" });
  const spoken = make("p", { class: "nl-sr", role: "status" });
  const bar = make("progress", { max: 1, value: 0, "aria-label": "Training and measuring" });
  const curve = make("div");
  const code = make("pre", { tabindex: 0 });
  const note = make("p", { class: "nt-note" });
  const placed = make("div", { class: "nl-placed" });
  placed.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-settings]");
    if (!button) return;
    Object.assign(settings, JSON.parse(button.dataset.settings));
    show();
    changed();
  });
  root.append(make("div", { class: "nt-title" }, "Ablation lab"),
    make("div", { class: "nt-body" }, fieldset, make("div", {}, problem, say, spoken, bar, curve, note,
      make("details", { class: "nl-code" }, make("summary", {}, "The same in Python"), code))), placed);
  el.append(root);

  let gen = 0, action = null, inflight = false, dirty = false, timer = 0, lost = 0, closed = false;
  const seen = { table: -1, curve: "" };
  let key = "", fresh = "", saidState = "";

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
  function changed() { gen++; idle(); ask(); }

  function ask() {
    clearTimeout(timer);
    if (closed) return;
    if (inflight) { dirty = true; return; }
    inflight = true; dirty = false;
    const message = { kind: "ask", view: uid, gen, settings: { ...settings }, seen: { ...seen } };
    if (action) message.action = action;
    action = null;
    model.send(message);
    clearTimeout(lost);
    lost = setTimeout(() => {
      inflight = false;
      say.textContent = "No answer from the kernel. It is busy, or it was restarted: run the cell again.";
      timer = setTimeout(ask, PATIENCE);
    }, PATIENCE);
  }

  function mark() {
    for (const row of placed.querySelectorAll("tr[data-key]")) {
      row.classList.toggle("nl-chosen", row.dataset.key === key);
      row.classList.toggle("nl-fresh", row.dataset.key === fresh);
    }
  }

  const listen = (reply) => {
    if (reply.kind !== "view" || reply.view !== uid) return;
    clearTimeout(lost);
    inflight = false;
    const { status } = reply;
    if (reply.gen === gen) {
      problem.hidden = !reply.problem;
      if (problem.textContent !== reply.problem) problem.textContent = reply.problem;
      note.textContent = reply.note;
      code.textContent = reply.code;
      key = reply.key;
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
    if (saidState !== `${status.job} ${status.state}`) { spoken.textContent = status.words; saidState = `${status.job} ${status.state}`; }
    bar.value = status.share;
    bar.style.visibility = status.busy ? "visible" : "hidden";
    const had = document.activeElement === train || document.activeElement === stop;
    train.hidden = status.busy; stop.hidden = !status.busy;
    if (had) (status.busy ? stop : train).focus();
    train.disabled = Boolean(reply.problem);
    train.textContent = reply.known ? "Trained: show it" : "Train";
    Object.assign(root.dataset, { gen: reply.gen, state: status.state, job: status.job, trained: reply.tableVersion, key, fresh });
    if (dirty || action) ask();
    else if (status.busy) timer = setTimeout(ask, PAUSE);
  };
  model.on("msg:custom", listen);
  show();
  idle();
  ask();
  return () => { closed = true; clearTimeout(timer); clearTimeout(lost); stopTheme(); model.off("msg:custom", listen); };
}

const initialize = () => addStyle("nt-panel-style", PANEL_STYLE);

export default { initialize, render };
