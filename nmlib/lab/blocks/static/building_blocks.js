// The building blocks: a NoisyMix step on two images, a slider for each piece.
// Comes after panel.js in one module.

const STYLE = `
.nb-root.nt-root { max-width: 1020px; --nb-a: #0072b2; --nb-b: #e69f00; --nb-c: #009e73; --nb-paper: #ffffff; }
.nb-root[data-theme="dark"] { --nb-a: #56b4e9; --nb-b: #e69f00; --nb-c: #2bc79a; --nb-paper: #22262c; }
@container nt (min-width: 700px) { .nb-root .nt-body { grid-template-columns: 232px minmax(0, 1fr); gap: 20px; } }
.nb-root .nt-controls { gap: 7px; }
.nb-head { margin: 0 0 6px; font-size: 13px; font-weight: 650; }
.nb-head span { font-weight: 400; color: var(--nt-soft); }
.nb-head + * { margin-bottom: 14px; }
.nb-root figure { margin: 0; min-width: 0; }
.nb-root figcaption { font-size: 12px; color: var(--nt-soft); overflow-wrap: anywhere; }
.nb-root canvas { display: block; width: 100%; image-rendering: pixelated; border-radius: 3px; background: var(--nb-paper); }
.nb-pair { display: grid; grid-template-columns: 84px 84px minmax(0, 1fr); gap: 12px; margin-bottom: 10px; align-items: start; }
.nb-label { display: grid; grid-template-columns: minmax(0, 1fr) 156px; gap: 2px 14px; align-items: end; }
.nb-share { display: flex; height: 22px; border-radius: 4px; overflow: hidden; }
.nb-share i { background: var(--nb-a); }
.nb-share i + i { background: repeating-linear-gradient(45deg, var(--nb-b) 0 5px, color-mix(in srgb, var(--nb-b) 55%, var(--nt-bg)) 5px 8px); }
.nb-states { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 10px; }
.nb-views { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)) minmax(120px, 1.1fr); gap: 10px 12px; }
.nb-tile { display: grid; grid-template-columns: 64px minmax(0, 1fr); gap: 3px 8px; align-items: end; }
.nb-tile figcaption { grid-column: 1 / -1; }
.nb-jsd { display: grid; align-content: center; gap: 2px; font-size: 12px; }
.nb-jsd b { font-size: 14px; }
.nb-meter { position: relative; height: 8px; border: 1px solid var(--nt-soft); border-radius: 4px; overflow: hidden; margin-bottom: 5px; }
.nb-meter i { position: absolute; inset: 0 auto 0 0; background: var(--nt-accent); }
.nb-meter.nb-step i { background: repeating-linear-gradient(45deg, var(--nt-accent) 0 3px, transparent 3px 6px); }
.nb-loss { margin: 0; padding: 7px 10px; border-radius: 6px; border: 1px solid var(--nt-line); font-weight: 600; }
.nb-chains { display: grid; grid-template-columns: 1fr 1fr; gap: 2px 16px; font-size: 12px; color: var(--nt-soft); }
.nb-chains ul { margin: 0; padding-left: 16px; }
.nb-density { fill: none; stroke: var(--nt-ink); stroke-width: 1.6; }
.nb-lam { stroke: var(--nt-accent); stroke-width: 2.4; }
@container nt (max-width: 560px) {
  .nb-states { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .nb-views { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .nb-jsd { grid-column: 1 / -1; }
  .nb-pair { grid-template-columns: 64px 64px minmax(0, 1fr); }
  .nb-label { grid-template-columns: minmax(0, 1fr); }
  .nb-tile { grid-template-columns: minmax(0, 1fr); }
}
`;

const VIEW_NAMES = ["clean", "view 1", "view 2"];

// Blue below zero, white at zero, vermilion above: as in nmlib.lab.blocks.displays.
const MAP_COLOURS = Array.from({ length: 256 }, (_, k) => {
  const [ends, zero] = [k < 128 ? [0, 114, 178] : [213, 94, 0], [250, 250, 250]];
  const part = k < 128 ? 1 - k / 128 : (k - 128) / 127;
  return zero.map((z, c) => Math.trunc(z + (ends[c] - z) * part));
});

function paintPixels(canvas, bytes, height, width) {
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = bytes[3 * k + c];
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// Feature maps as a square grid; gaps stay transparent.
function paintMaps(canvas, bytes, count, height, width) {
  const side = Math.ceil(Math.sqrt(count)), gap = Math.max(1, width >> 3);
  const rows = Math.ceil(count / side), W = side * (width + gap) - gap, H = rows * (height + gap) - gap;
  canvas.width = W; canvas.height = H;
  const context = canvas.getContext("2d"), image = context.createImageData(W, H);
  for (let n = 0, from = 0; n < count; n++) {
    const top = Math.floor(n / side) * (height + gap), left = (n % side) * (width + gap);
    for (let r = 0; r < height; r++) for (let c = 0; c < width; c++, from++) {
      const at = 4 * ((top + r) * W + left + c);
      image.data.set(MAP_COLOURS[bytes[from]], at);
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

function picture(alt) {
  const canvas = make("canvas", { role: "img", "aria-label": alt, width: 32, height: 32 });
  const caption = make("figcaption", {}, alt);
  return { canvas, caption, node: make("figure", {}, canvas, caption) };
}

// Ten small bars; the name of the highest stands below.
function probabilityBars(p, view) {
  const w = 100 / p.length;
  return make("svg", { viewBox: "0 0 100 56", preserveAspectRatio: "none", role: "img", "aria-label": `${VIEW_NAMES[view]}: probabilities` },
    make("line", { class: "nt-axis", x1: 0, x2: 100, y1: 55.5, y2: 55.5 }),
    ...p.map((v, k) => make("rect", { x: k * w + 0.12 * w, width: 0.76 * w, y: 55 - 54 * v, height: Math.max(54 * v, 0.4), fill: `var(--nb-${"abc"[view]})` })));
}

function render({ model, el }) {
  const root = makePanel("Building blocks", "nb-root"), stopTheme = followTheme(root, el);
  const controls = makeControls(model, () => kernel.changed());

  const first = picture("sample"), second = picture("partner");
  const share = make("div", { class: "nb-share", "aria-hidden": "true" }, make("i"), make("i"));
  const labelWords = make("div", {}), lamWords = make("div", { class: "nt-note", style: "margin:0" });
  const density = make("svg", { viewBox: "0 0 132 52", role: "img", "aria-label": "density of lambda" });
  const pairRow = make("div", { class: "nb-pair" }, first.node, second.node,
    make("div", { class: "nb-label" },
      make("div", {}, make("div", { class: "nt-note", style: "margin:0 0 2px" }, "mixed label"), share, labelWords),
      make("div", {}, density, lamWords)));
  const stateHead = make("p", { class: "nb-head" });
  const states = ["sample", "partner", "mixture", "mixture with noise"].map(picture);
  const stateRow = make("div", { class: "nb-states" }, ...states.map((s) => s.node));
  const viewHead = make("p", { class: "nb-head" }, "Three views ",
    make("span", {}, "what the network says to each, and how far the answers are apart"));
  const viewGrid = make("div", { class: "nb-views" });
  const chainHead = make("p", { class: "nb-head" });
  const chains = make("div", { class: "nb-chains" });
  const loss = make("p", { class: "nb-loss" });
  const bar = (fill) => make("rect", { x: 3, y: 2, width: 20, height: 8, fill });
  const hatched = (colour) => make("g", {}, make("rect", { x: 3, y: 2, width: 20, height: 8, fill: "none", stroke: colour }),
    ...[6, 11, 16, 21].map((x) => make("line", { x1: x - 3, x2: x + 3, y1: 10, y2: 2, stroke: colour, "stroke-width": 1.6 })));
  const legend = makeLegend([
    [[bar("var(--nb-a)")], "share of the sample"], [[hatched("var(--nb-b)")], "share of the partner"],
    [[make("path", { class: "nb-density", d: "M2,10C8,2 18,2 24,10" }), make("line", { class: "nb-lam", x1: 10, x2: 10, y1: 1, y2: 11 })], "law of λ, and the λ drawn"],
    [[make("rect", { x: 1, y: 4, width: 6, height: 7, fill: "var(--nb-a)" }), make("rect", { x: 10, y: 1, width: 6, height: 10, fill: "var(--nb-b)" }), make("rect", { x: 19, y: 6, width: 6, height: 5, fill: "var(--nb-c)" })], "probability of each class: clean, view 1, view 2"],
    [[bar("var(--nt-accent)")], "divergence of the views as they are"], [[hatched("var(--nt-accent)")], "the same after mixing and noise"],
  ]);
  root.append(make("p", { class: "nt-title" }, "Building blocks of NoisyMix"),
    make("div", { class: "nt-body" }, controls.fieldset,
      make("div", {}, make("div", { class: "nt-result" }, pairRow, stateHead, stateRow, viewHead, viewGrid, chainHead, chains), loss, legend)));
  el.append(root);

  const tiles = [0, 1].map(() => VIEW_NAMES.map(picture));
  const meters = [0, 1].map(() => make("div", { class: "nb-jsd" }));
  const bars = tiles.map((row) => row.map((t) => {
    const holder = make("div", {});
    t.node.className = "nb-tile";
    t.node.insertBefore(holder, t.caption);
    return holder;
  }));
  for (const b of [0, 1]) viewGrid.append(...tiles[b].map((t) => t.node), meters[b]);

  const kernel = converse(model, { root, draw, ask: () => ({ settings: { ...controls.settings } }),
    say: (text) => { loss.textContent = text; } });

  function drawLabel(r) {
    const own = r.lam, [left, right] = share.children;
    left.style.width = `${100 * own}%`; right.style.width = `${100 * (1 - own)}%`;
    labelWords.textContent = r.label;
    lamWords.textContent = `λ = ${own.toFixed(2)} from Beta(${controls.settings.alpha.toFixed(1)}, ${controls.settings.alpha.toFixed(1)})`;
    const X = (k) => 2 + (128 * k) / (r.density.length - 1), Y = (v) => 50 - 11.5 * v;
    density.replaceChildren(
      make("line", { class: "nt-axis", x1: 2, x2: 130, y1: 50, y2: 50 }),
      make("line", { class: "nb-lam", x1: 2 + 128 * own, x2: 2 + 128 * own, y1: 6, y2: 50 }),
      make("path", { class: "nb-density", d: r.density.map((v, k) => `${k ? "L" : "M"}${X(k).toFixed(1)},${Y(v).toFixed(1)}`).join("") }));
  }

  function draw(r, buffers) {
    const bytes = buffers.map((b) => new Uint8Array(b.buffer ?? b, b.byteOffset ?? 0, b.byteLength));
    const [, , H, W] = r.view_shape, size = H * W * 3;
    const view = (v, b) => bytes[0].subarray((2 * v + b) * size, (2 * v + b + 1) * size);
    [first, second].forEach((p, b) => {
      paintPixels(p.canvas, view(0, b), H, W);
      p.caption.textContent = r.names[b];
      p.canvas.setAttribute("aria-label", `${b ? "partner" : "sample"}: ${r.names[b]}`);
    });
    drawLabel(r);
    const shape = r.state_shape, each = bytes[1].length / 4;
    states.forEach((s, k) => {
      const part = bytes[1].subarray(k * each, (k + 1) * each);
      if (r.coloured) paintMaps(s.canvas, part, shape[1], shape[2], shape[3]);
      else paintPixels(s.canvas, part, shape[1], shape[2]);
    });
    stateHead.replaceChildren(`At mix point ${r.point} `, make("span", {}, r.coloured
      ? `${shape[1]} of ${r.total_channels} feature maps of ${shape[2]} × ${shape[3]}; blue below zero, white zero, vermilion above`
      : "the normalised images; noise is cut off at black and white"));
    for (const b of [0, 1]) {
      tiles[b].forEach((t, v) => {
        const p = r.probs[v][b], best = p.indexOf(Math.max(...p));
        paintPixels(t.canvas, view(v, b), H, W);
        bars[b][v].replaceChildren(probabilityBars(p, v));
        t.caption.textContent = `${VIEW_NAMES[v]}: ${r.classes[best]} ${p[best].toFixed(2)}`;
        t.canvas.setAttribute("aria-label", `${r.names[b]}, ${VIEW_NAMES[v]}`);
      });
      const meter = (value, text, cls) => [make("span", {}, text, make("b", {}, value.toFixed(3))),
        make("div", { class: `nb-meter ${cls}`, "aria-hidden": "true" }, make("i", { style: `width:${(100 * value) / r.top}%` }))];
      meters[b].replaceChildren(...meter(r.jsd[b], "JSD of the views ", ""), ...meter(r.step_jsd[b], "mixed, with noise ", "nb-step"));
    }
    chainHead.replaceChildren("Chains ", make("span", {}, `behind the two augmented views of the ${r.names[0]}, with their weights`));
    chains.replaceChildren(...r.chains.map((lines, v) => make("div", {},
      `view ${v + 1}: ${(1 - r.mix[v]).toFixed(2)} image + ${r.mix[v].toFixed(2)} chains`,
      make("ul", {}, ...lines.map((line) => make("li", {}, line))))));
    loss.textContent = `One step on this pair: cross-entropy ${r.ce.toFixed(2)} + ${r.stability} × JSD ${r.mean_jsd.toFixed(3)} = ${r.total.toFixed(2)}`;
    root.setAttribute("aria-description", r.words);
    Object.assign(root.dataset, { gen: r.gen, point: r.point, lam: r.lam, jsd: r.jsd[0], stepJsd: r.step_jsd[0], net: controls.settings.net });
    return loss.textContent;
  }

  kernel.changed();
  return () => { stopTheme(); kernel.stop(); controls.stop(); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("nb-style", STYLE); };

export default { initialize, render };
