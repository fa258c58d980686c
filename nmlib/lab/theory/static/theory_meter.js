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
.nt-root:not([data-answer="ready"]) .nt-verdict { color: var(--nt-soft); background: transparent; border-color: var(--nt-line); border-style: solid; }
.nt-terms { margin: 10px 0 0; }
.nt-terms summary { font-size: 12px; font-weight: 650; cursor: pointer; }
.nt-terms p { margin: 4px 0; font-size: 11.5px; color: var(--nt-soft); }
.nt-terms ul { margin: 0; padding: 0; list-style: none; }
.nt-terms li { display: grid; grid-template-columns: 5.5em minmax(0, 1fr) 5em; gap: 0 8px; align-items: center; font-size: 12px; padding: 2px 0; }
.nt-terms li small { grid-column: 1 / -1; font-size: 11.5px; line-height: 1.3; color: var(--nt-soft); }
.nt-terms li span:last-of-type { text-align: right; }
.nt-bar { position: relative; height: 9px; background: linear-gradient(to right, transparent calc(50% - .5px), var(--nt-soft) 0 calc(50% + .5px), transparent 0); }
.nt-bar i { position: absolute; top: 0; bottom: 0; background: var(--nt-accent); }
.nt-bar i.nt-minus { background: repeating-linear-gradient(45deg, var(--nt-soft) 0 2px, transparent 2px 4px); border: 1px solid var(--nt-soft); }
`;

const say = (x) => (Math.abs(x) >= 0.001 || x === 0 ? x.toFixed(4) : x.toExponential(2));

function render({ model, el }) {
  const root = makePanel("Theory meter"), stopTheme = followTheme(root, el);
  const controls = makeControls(model, () => kernel.changed());

  const verdict = make("p", { class: "nt-verdict" });
  const plot = make("svg", { viewBox: "0 0 440 210", role: "img" });
  const line = (cls) => make("line", { class: cls, x1: 1, x2: 25, y1: 6, y2: 6 });
  const legend = makeLegend([
    [[line("nt-measured")], "measured loss: every pair and all noise summed, no sampling"],
    [[line("nt-expanded")], "second-order expansion"],
    [[make("circle", { class: "nt-dot", cx: 7, cy: 6, r: 4 }), make("rect", { class: "nt-square", x: 16, y: 2, width: 8, height: 8 })], "both at the chosen ε"],
  ]);
  const list = make("ul");
  const terms = make("details", { class: "nt-terms", open: "" },
    make("summary", {}, "Terms of the expansion at this ε"),
    make("p", {}, "Plain bars to the right raise the loss, hatched ones to the left lower it; the longest fills its half."), list);
  const note = make("p", { class: "nt-note" },
    "Amber and a dashed frame: measured loss and expansion part by more than 10 % of the change that mixing and noise make.");
  root.append(make("p", { class: "nt-title" }, "Theory meter"), make("div", { class: "nt-body" }, controls.fieldset,
    make("div", {}, verdict, make("div", { class: "nt-result" }, plot, legend, terms))), note);
  el.append(root);

  const kernel = converse(model, { root, draw, ask: () => ({ settings: { ...controls.settings } }),
    say: (text) => { verdict.textContent = text; } });

  function draw(r) {
    root.classList.toggle("nt-parted", r.parted);
    const percent = r.miss > 9.99 ? "more than 999" : (100 * r.miss).toFixed(r.miss < 0.1 ? 1 : 0);
    verdict.textContent = (r.parted ? "⚠ They part: " : "✓ They agree: ") +
      `measured ${say(r.measured)}, expansion ${say(r.expanded)}, off by ${percent} % of the change.`;
    Object.assign(root.dataset, { gen: r.gen, parted: r.parted, eps: controls.settings.eps, miss: r.miss });
    const xs = r.curve.eps, all = [...r.curve.measured, ...r.curve.expanded, r.measured, r.expanded];
    let low = Math.min(...all), high = Math.max(...all);
    const pad = (high - low || 1e-6) * 0.08; low -= pad; high += pad;
    const X = (e) => 58 + 366 * e, Y = (v) => 176 - (166 * (v - low)) / (high - low);
    const path = (values, cls) => make("path", { class: cls, d: xs.map((e, i) => `${i ? "L" : "M"}${X(e).toFixed(1)},${Y(values[i]).toFixed(1)}`).join("") });
    plot.replaceChildren(
      make("line", { class: "nt-axis", x1: 58, x2: 424, y1: 176, y2: 176 }), make("line", { class: "nt-axis", x1: 58, x2: 58, y1: 10, y2: 176 }),
      ...[0, 0.25, 0.5, 0.75, 1].map((e) => make("text", { x: X(e), y: 191, "text-anchor": "middle" }, String(e))),
      make("text", { x: 241, y: 206, "text-anchor": "middle" }, "ε"),
      ...[low + pad, high - pad].map((v) => make("text", { x: 53, y: Y(v) + 4, "text-anchor": "end" }, say(v))),
      make("line", { class: "nt-axis", x1: X(r.eps), x2: X(r.eps), y1: 10, y2: 176, "stroke-dasharray": "2 3" }),
      path(r.curve.measured, "nt-measured"), path(r.curve.expanded, "nt-expanded"),
      make("rect", { class: "nt-square", x: X(r.eps) - 4.5, y: Y(r.expanded) - 4.5, width: 9, height: 9 }),
      make("circle", { class: "nt-dot", cx: X(r.eps), cy: Y(r.measured), r: 4.5 }));
    plot.setAttribute("aria-label", `Loss against epsilon. ${verdict.textContent}`);
    const shown = Object.entries(r.terms).filter(([, v]) => v !== 0);
    const top = Math.max(...shown.map(([, v]) => Math.abs(v)), 1e-300);
    list.replaceChildren(...shown.map(([name, v]) => {
      const width = (50 * Math.abs(v)) / top;
      const bar = make("i", { class: v < 0 ? "nt-minus" : null, style: `width:${width}%;left:${v < 0 ? 50 - width : 50}%` });
      return make("li", { "data-term": name }, make("b", {}, name), make("span", { class: "nt-bar", "aria-hidden": "true" }, bar),
        make("span", {}, (v < 0 ? "−" : "+") + Math.abs(v).toExponential(1)), make("small", {}, r.words[name]));
    }));
    return verdict.textContent;
  }

  kernel.changed();
  return () => { stopTheme(); kernel.stop(); controls.stop(); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("nt-style", STYLE); };

export default { initialize, render };
