// The theory meter: sliders, measured loss against expansion, amber where they part.
// Comes after panel.js in one module.

const STYLE = `
.nt-verdict { margin: 0 0 8px; padding: 7px 10px; border-radius: 6px; border: 1px solid var(--nt-good);
  border-left-width: 6px; color: var(--nt-good); background: var(--nt-good-bg); font-weight: 600; }
.nt-parted .nt-verdict { color: var(--nt-amber); background: var(--nt-amber-bg); border-color: var(--nt-amber); border-style: dashed; border-left-style: solid; }
.nt-measured { fill: none; stroke: var(--nt-ink); stroke-width: 2.4; }
.nt-expanded { fill: none; stroke: var(--nt-accent); stroke-width: 2.2; stroke-dasharray: 6 4; }
.nt-parted .nt-expanded { stroke: var(--nt-amber); }
.nt-dot { fill: var(--nt-bg); stroke: var(--nt-ink); stroke-width: 2; }
.nt-square { fill: var(--nt-accent); }
.nt-parted .nt-square { fill: var(--nt-amber); }
.nt-terms { display: grid; grid-template-columns: auto 1fr auto; gap: 2px 8px; margin: 8px 0 0; font-size: 12px; align-items: center; }
.nt-bar { position: relative; height: 9px; background: linear-gradient(to right, transparent calc(50% - .5px), var(--nt-soft) 0 calc(50% + .5px), transparent 0); }
.nt-bar i { position: absolute; top: 0; bottom: 0; background: var(--nt-accent); }
.nt-bar i.nt-minus { background: repeating-linear-gradient(45deg, var(--nt-soft) 0 2px, transparent 2px 4px); border: 1px solid var(--nt-soft); }
`;

const say = (x) => (Math.abs(x) >= 0.001 || x === 0 ? x.toFixed(4) : x.toExponential(2));

function render({ model, el }) {
  const controls = model.get("_controls");
  const root = make("div", { class: "nt-root", role: "group", "aria-label": "Theory meter" });
  const uid = Math.random().toString(36).slice(2, 8);
  const stopTheme = followTheme(root, el);

  const params = Object.fromEntries(controls.map((c) => [c.name, model.get(c.name)]));
  params.part = model.get("part");
  const fieldset = make("fieldset", { class: "nt-controls" });
  const save = (name) => { model.set(name, params[name]); model.save_changes(); };
  const sliders = {};
  for (const c of controls) {
    sliders[c.name] = makeSlider(uid, c, params[c.name], (c, v) => v.toFixed(c.digits),
      (v) => { params[c.name] = v; kernel.changed(); }, () => save(c.name));
    fieldset.append(sliders[c.name].row);
  }
  const choice = make("div", { class: "nt-choice", role: "radiogroup", "aria-label": "Which loss" });
  const radios = {};
  for (const [value, text] of [["nfm", "NFM loss"], ["stability", "stability loss"]]) {
    radios[value] = make("input", { type: "radio", name: `nt-${uid}-part`, value });
    radios[value].checked = params.part === value;
    radios[value].addEventListener("change", () => { params.part = value; save("part"); kernel.changed(); });
    choice.append(make("label", {}, radios[value], ` ${text}`));
  }
  fieldset.append(choice);

  const verdict = make("p", { class: "nt-verdict", role: "status", "aria-live": "polite" }, "Measuring ...");
  const plot = make("svg", { viewBox: "0 0 440 210", role: "img" });
  const terms = make("div", { class: "nt-terms" });
  const note = make("p", { class: "nt-note" },
    "Solid: measured loss, every pair and all noise summed, no sampling. Dashed: second-order expansion. " +
    "Amber and a dashed frame: they part by more than 10 % of the change of the loss.");
  root.append(make("p", { class: "nt-title" }, "Theory meter"), make("div", { class: "nt-body" }, fieldset,
    make("div", {}, verdict, plot, terms)), note);
  el.append(root);

  const kernel = askOneAtATime(model, params, draw, "No answer from the kernel: run the cell again.",
    (text) => { verdict.textContent = text; });
  const follow = () => {
    let moved = false;
    for (const c of controls) if (model.get(c.name) !== params[c.name]) { params[c.name] = model.get(c.name); sliders[c.name].set(params[c.name]); moved = true; }
    if (model.get("part") !== params.part) { params.part = model.get("part"); radios[params.part].checked = true; moved = true; }
    if (moved) kernel.changed();
  };
  model.on("change", follow);

  function draw(r) {
    root.classList.toggle("nt-parted", r.parted);
    const percent = r.miss > 9.99 ? "more than 999" : (100 * r.miss).toFixed(r.miss < 0.1 ? 1 : 0);
    verdict.textContent = (r.parted ? "⚠ They part: " : "✓ They agree: ") +
      `measured ${say(r.measured)}, expansion ${say(r.expanded)}, off by ${percent} % of the change.`;
    Object.assign(root.dataset, { gen: r.gen, parted: r.parted, eps: params.eps, miss: r.miss });
    const xs = r.curve.eps, all = [...r.curve.measured, ...r.curve.expanded, r.measured, r.expanded];
    let low = Math.min(...all), high = Math.max(...all);
    const pad = (high - low || 1e-6) * 0.08; low -= pad; high += pad;
    const X = (e) => 58 + 366 * e, Y = (v) => 176 - (166 * (v - low)) / (high - low);
    const line = (values, cls) => make("path", { class: cls, d: xs.map((e, i) => `${i ? "L" : "M"}${X(e).toFixed(1)},${Y(values[i]).toFixed(1)}`).join("") });
    plot.replaceChildren(
      make("line", { class: "nt-axis", x1: 58, x2: 424, y1: 176, y2: 176 }), make("line", { class: "nt-axis", x1: 58, x2: 58, y1: 10, y2: 176 }),
      ...[0, 0.25, 0.5, 0.75, 1].map((e) => make("text", { x: X(e), y: 191, "text-anchor": "middle" }, String(e))),
      make("text", { x: 241, y: 206, "text-anchor": "middle" }, "ε"),
      ...[low + pad, high - pad].map((v) => make("text", { x: 53, y: Y(v) + 4, "text-anchor": "end" }, say(v))),
      make("line", { class: "nt-axis", x1: X(r.eps), x2: X(r.eps), y1: 10, y2: 176, "stroke-dasharray": "2 3" }),
      line(r.curve.measured, "nt-measured"), line(r.curve.expanded, "nt-expanded"),
      make("rect", { class: "nt-square", x: X(r.eps) - 4.5, y: Y(r.expanded) - 4.5, width: 9, height: 9 }),
      make("circle", { class: "nt-dot", cx: X(r.eps), cy: Y(r.measured), r: 4.5 }));
    plot.setAttribute("aria-label", `Loss against epsilon. ${verdict.textContent}`);
    const shown = Object.entries(r.terms).filter(([, v]) => v !== 0);
    const top = Math.max(...shown.map(([, v]) => Math.abs(v)), 1e-300);
    terms.replaceChildren(...shown.flatMap(([name, v]) => {
      const width = (50 * Math.abs(v)) / top;
      const bar = make("i", { class: v < 0 ? "nt-minus" : null, style: `width:${width}%;left:${v < 0 ? 50 - width : 50}%` });
      return [make("span", {}, name), make("span", { class: "nt-bar", "aria-hidden": "true" }, bar), make("span", {}, (v < 0 ? "−" : "+") + Math.abs(v).toExponential(1))];
    }));
  }

  kernel.changed();
  return () => { stopTheme(); kernel.stop(); model.off("change", follow); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("nt-style", STYLE); };

export default { initialize, render };
