// A corrupted picture and a network's first five classes. Comes after panel.js in one module.

const STYLE = `
.ni-root.nt-root { max-width: 900px; }
.ni-body { display: grid; gap: 14px; align-items: start; }
@container nt (min-width: 720px) { .ni-body { grid-template-columns: 224px minmax(0, 1fr); } }
.ni-root img { display: block; width: 224px; max-width: 100%; border-radius: 3px; }
.ni-row { display: grid; grid-template-columns: minmax(0, 1fr) 4.2em; gap: 1px 8px; margin: 0 0 9px; }
.ni-row span { overflow-wrap: anywhere; }
.ni-row b { text-align: right; }
.ni-bar { position: relative; grid-column: 1 / -1; height: 10px; background: var(--nt-line); border-radius: 3px; }
.ni-bar i { position: absolute; inset: 0 auto 0 0; background: var(--nt-accent); border-radius: 3px; }
.ni-bar u { position: absolute; top: -3px; bottom: -3px; width: 3px; margin-left: -1px; background: var(--nt-ink); }
`;

function render({ model, el }) {
  const root = makePanel("A network's first five classes", "ni-root"), stopTheme = followTheme(root, el);
  const controls = makeControls(model, () => kernel.changed());
  const image = make("img", { alt: "" }), rows = make("div", { "aria-hidden": "true" });
  const words = make("p", { class: "nt-note" });
  const key = make("p", { class: "nt-note" }, "Bars: this picture. Upright marks: the clean picture.");
  root.append(make("div", { class: "nt-body" }, controls.fieldset,
    make("div", {}, make("div", { class: "nt-result ni-body" }, image, make("div", {}, rows, key)), words)));
  el.append(root);

  let url = "";
  function draw(reply, buffers) {
    const old = url;
    url = URL.createObjectURL(new Blob([buffers[0]], { type: "image/jpeg" }));
    image.src = url;
    image.alt = words.textContent = reply.words;
    if (old) URL.revokeObjectURL(old);
    rows.replaceChildren(...reply.top.map(([name, now, clean]) => make("div", { class: "ni-row" },
      make("span", {}, name), make("b", {}, `${(100 * now).toFixed(1)} %`),
      make("div", { class: "ni-bar" }, make("i", { style: `width: ${100 * now}%` }), make("u", { style: `left: ${100 * clean}%` })))));
    return reply.words;
  }
  const kernel = converse(model, { root, draw, ask: () => ({ settings: { ...controls.settings } }),
    say: (text) => { words.textContent = text; } });
  kernel.changed();
  return () => { stopTheme(); kernel.stop(); controls.stop(); URL.revokeObjectURL(url); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("ni-style", STYLE); };

export default { initialize, render };
