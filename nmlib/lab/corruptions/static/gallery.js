// The gallery of corruptions and the player of sequences: controls beside one picture.
// Comes after panel.js in one module.

const STYLE = `
.ng-root.nt-root { max-width: 960px; }
.ng-root img { display: block; max-width: 100%; max-height: 50vh; object-fit: contain; border-radius: 3px; }
.ng-words { margin: 8px 0 0; }
`;
const FRAME_MS = 120;

function render({ model, el }) {
  const root = makePanel("Corruptions", "ng-root"), stopTheme = followTheme(root, el);
  // A hand on the slider stops the player.
  const controls = makeControls(model, (name) => { if (name && name === plays) pause(); kernel.changed(); });
  const image = make("img", { alt: "" }), words = make("p", { class: "ng-words" });
  root.append(make("div", { class: "nt-body" }, controls.fieldset,
    make("div", {}, make("div", { class: "nt-result" }, image), words)));
  el.append(root);

  // A sequence has a button that moves its slider from frame to frame.
  const play = make("button", { type: "button", class: "nt-plain" }, "Play");
  let clock = 0, last = 0, plays = "";
  const pause = () => { clearInterval(clock); clock = 0; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (clock) { pause(); return; }
    play.textContent = "Pause";
    clock = setInterval(() => {
      if (root.dataset.answer !== "ready") return; // the last frame is still on its way
      const frame = controls.settings[plays];
      controls.set({ [plays]: frame < last ? frame + 1 : 0 });
    }, FRAME_MS);
  });

  let url = "";
  function draw(reply, buffers) {
    const old = url;
    url = URL.createObjectURL(new Blob([buffers[0]], { type: "image/jpeg" }));
    image.src = url;
    image.alt = words.textContent = reply.words;
    if (old) URL.revokeObjectURL(old);
    if (reply.plays) {
      if (!plays) controls.fieldset.append(make("div", { class: "nt-buttons" }, play));
      ({ plays, last } = reply);
      controls.rows[plays].querySelector("input").max = last;
    }
    root.dataset.gen = reply.gen;
    return clock ? "" : reply.words;
  }
  const kernel = converse(model, { root, draw, ask: () => ({ settings: { ...controls.settings } }),
    say: (text) => { words.textContent = text; } });
  kernel.changed();
  return () => { pause(); stopTheme(); kernel.stop(); controls.stop(); URL.revokeObjectURL(url); };
}

const initialize = () => { addStyle("nt-panel-style", PANEL_STYLE); addStyle("ng-style", STYLE); };

export default { initialize, render };
