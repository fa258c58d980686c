// The theory meter. The browser is the clock: it asks for one reading at a time, and asks again
// only if a slider moved meanwhile, so stale work never queues up.

const STYLE = `
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
.nt-verdict { margin: 0 0 8px; padding: 7px 10px; border-radius: 6px; border: 1px solid var(--nt-good);
  border-left-width: 6px; color: var(--nt-good); background: var(--nt-good-bg); font-weight: 600; }
.nt-parted .nt-verdict { color: var(--nt-amber); background: var(--nt-amber-bg); border-color: var(--nt-amber); border-style: dashed; border-left-style: solid; }
.nt-root svg { display: block; width: 100%; height: auto; }
.nt-root svg text { fill: var(--nt-soft); font-size: 11px; }
.nt-measured { fill: none; stroke: var(--nt-ink); stroke-width: 2.4; }
.nt-expanded { fill: none; stroke: var(--nt-accent); stroke-width: 2.2; stroke-dasharray: 6 4; }
.nt-parted .nt-expanded { stroke: var(--nt-amber); }
.nt-axis { stroke: var(--nt-line); }
.nt-dot { fill: var(--nt-bg); stroke: var(--nt-ink); stroke-width: 2; }
.nt-square { fill: var(--nt-accent); }
.nt-parted .nt-square { fill: var(--nt-amber); }
.nt-terms { display: grid; grid-template-columns: auto 1fr auto; gap: 2px 8px; margin: 8px 0 0; font-size: 12px; align-items: center; }
.nt-bar { position: relative; height: 9px; background: linear-gradient(to right, transparent calc(50% - .5px), var(--nt-soft) 0 calc(50% + .5px), transparent 0); }
.nt-bar i { position: absolute; top: 0; bottom: 0; background: var(--nt-accent); }
.nt-bar i.nt-minus { background: repeating-linear-gradient(45deg, var(--nt-soft) 0 2px, transparent 2px 4px); border: 1px solid var(--nt-soft); }
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
  const svg = ["svg", "path", "line", "circle", "rect", "text"].includes(tag);
  const el = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) if (v !== null) el.setAttribute(k, v);
  el.append(...children);
  return el;
}

const say = (x) => (Math.abs(x) >= 0.001 || x === 0 ? x.toFixed(4) : x.toExponential(2));

function render({ model, el }) {
  const controls = model.get("_controls");
  const root = make("div", { class: "nt-root", role: "group", "aria-label": "Theory meter" });
  const uid = Math.random().toString(36).slice(2, 8);
  const theme = () => { root.dataset.theme = isDark(el) ? "dark" : "light"; };
  theme();
  const watcher = new MutationObserver(theme);
  watcher.observe(document.body, { attributes: true });
  const media = window.matchMedia?.("(prefers-color-scheme: dark)");
  media?.addEventListener?.("change", theme);

  const params = Object.fromEntries(controls.map((c) => [c.name, model.get(c.name)]));
  params.part = model.get("part");
  const fieldset = make("fieldset", { class: "nt-controls" });
  const inputs = {}, outputs = {};
  for (const c of controls) {
    const id = `nt-${uid}-${c.name}`;
    inputs[c.name] = make("input", { type: "range", id, min: c.min, max: c.max, step: c.step, value: params[c.name] });
    outputs[c.name] = make("output", { for: id });
    inputs[c.name].addEventListener("input", () => { params[c.name] = Number(inputs[c.name].value); changed(); });
    inputs[c.name].addEventListener("change", () => { model.set(c.name, params[c.name]); model.save_changes(); });
    fieldset.append(make("div", { class: "nt-slider" }, make("label", { for: id }, c.label), outputs[c.name], inputs[c.name]));
  }
  const choice = make("div", { class: "nt-choice", role: "radiogroup", "aria-label": "Which loss" });
  const radios = {};
  for (const [value, text] of [["nfm", "NFM loss"], ["stability", "stability loss"]]) {
    radios[value] = make("input", { type: "radio", name: `nt-${uid}-part`, value });
    radios[value].checked = params.part === value;
    radios[value].addEventListener("change", () => { params.part = value; model.set("part", value); model.save_changes(); changed(); });
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

  let gen = 0, asked = 0, inflight = false, lost = null;
  const label = () => controls.forEach((c) => {
    outputs[c.name].textContent = params[c.name].toFixed(c.digits);
    inputs[c.name].setAttribute("aria-valuetext", `${c.spoken} ${params[c.name].toFixed(c.digits)}`);
  });
  function changed() { gen++; label(); ask(); }
  function ask() {
    if (inflight || asked === gen) return;
    inflight = true; asked = gen;
    model.send({ kind: "read", gen, params: { ...params } });
    clearTimeout(lost);
    lost = setTimeout(() => { verdict.textContent = "No answer from the kernel: run the cell again."; inflight = false; }, 15000);
  }
  const listen = (reply) => {
    if (reply.kind !== "reading") return;
    clearTimeout(lost);
    inflight = false;
    if (reply.error) verdict.textContent = reply.error; else draw(reply);
    ask();
  };
  model.on("msg:custom", listen);
  const follow = () => {
    let moved = false;
    for (const c of controls) if (model.get(c.name) !== params[c.name]) { params[c.name] = model.get(c.name); inputs[c.name].value = params[c.name]; moved = true; }
    if (model.get("part") !== params.part) { params.part = model.get("part"); radios[params.part].checked = true; moved = true; }
    if (moved) changed();
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

  changed();
  return () => {
    clearTimeout(lost); watcher.disconnect(); media?.removeEventListener?.("change", theme);
    model.off("msg:custom", listen); model.off("change", follow);
  };
}

// The widget's style travels in the script, so that one file is all there is to load.
const initialize = () => {
  if (!document.getElementById("nt-style")) {
    const style = document.createElement("style");
    style.id = "nt-style"; style.textContent = STYLE;
    document.head.append(style);
  }
};

export default { initialize, render };
