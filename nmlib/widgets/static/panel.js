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
.nt-axis { stroke: var(--nt-line); }
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

// The browser is the clock: it asks for one reading at a time, and asks again only if something
// moved meanwhile, so stale work never queues up.
function askOneAtATime(model, params, draw, lostWords, say) {
  let gen = 0, asked = 0, inflight = false, lost = null;
  function ask() {
    if (inflight || asked === gen) return;
    inflight = true; asked = gen;
    model.send({ kind: "read", gen, params: { ...params } });
    clearTimeout(lost);
    lost = setTimeout(() => { say(lostWords); inflight = false; }, 15000);
  }
  const listen = (reply, buffers) => {
    if (reply.kind !== "reading") return;
    clearTimeout(lost);
    inflight = false;
    if (reply.error) say(reply.error); else draw(reply, buffers);
    ask();
  };
  model.on("msg:custom", listen);
  return {
    changed: () => { gen++; ask(); },
    stop: () => { clearTimeout(lost); model.off("msg:custom", listen); },
  };
}

// A panel's style travels in its script, so that one file is all there is to load.
function addStyle(id, text) {
  if (document.getElementById(id)) return;
  const style = document.createElement("style");
  style.id = id; style.textContent = text;
  document.head.append(style);
}
