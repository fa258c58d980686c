// Two parts below the explorer: one training step taken apart, and predictions before a look.

/** One step of the scheme shown, on one pair of points; the numbers are those of engine.slowMotion. */
class SlowMotion {
  constructor(explorer) {
    this.explorer = explorer;
    this.at = 0;
    this.value = null;
    this.list = h("ol", { class: "nm-slow" });
    this.nextButton = button("slow-next", "Next", "Show the next part of the step", () => this.go(this.at + 1));
    this.node = h("details", { class: "nm-more", ontoggle: () => { if (this.node.open) this.ask(); else { this.value = null; explorer.redraw(); } } },
      h("summary", {}, "One training step, taken apart"),
      h("p", { class: "nm-help" }, "The step that comes next for the scheme shown, followed on the first point of its batch. Stop the training early, or press Reset, to see one that still has something to learn."),
      this.list,
      h("div", { class: "nm-share" }, this.nextButton,
        button("slow-back", "Back", "Show the part before", () => this.go(this.at - 1)),
        button("slow-again", "Take the step", "Take it, and look at the next one", () => { explorer.forward(1); setTimeout(() => this.ask(), 150); })));
  }

  ask() { this.explorer.trainer.send({ kind: "slow", lane: this.explorer.state.lane }); }

  show(value) {
    this.value = value;
    this.at = Math.min(this.at, 6);
    this.write();
  }

  go(at) {
    this.at = clamp(at, 0, 6);
    this.write();
  }

  /** What the picture shows of it. */
  scene() {
    return this.value && this.node.open && this.value.lane === this.explorer.state.lane ? { ...this.value, at: this.at } : null;
  }

  write() {
    const v = this.value;
    if (!v) { this.list.replaceChildren(h("li", {}, "Training has come to its end; Reset goes back to the initial weights.")); return; }
    const [a, b] = v.pair, number = (x, digits = 3) => x.toFixed(digits).replace("-", "−");
    const views = (f) => v.views.map((view, k) => `${v.views.length > 1 ? `view ${k + 1}: ` : ""}${f(view)}`).join("; ");
    const hidden = v.point === 1 ? "in the hidden layer" : "at the input";
    const steps = [
      ["Batch", `${v.batch} training points are drawn. The first is ${place(a[0], a[1])} of class ${a[2]}.`],
      ["Partners", b ? `Each point gets a partner, ${hidden}. Here ${place(b[0], b[1])} of class ${b[2]}; ${views((w) => `λ = ${number(w.lam, 2)}`)}. The label becomes ${number(v.target, 2)} of class 1.`
        : "This scheme mixes nothing: the point stays itself."],
      ["Noise", v.noisy ? `Noise comes in ${hidden}${v.point === 0 ? `: ${views((w) => `(${number(w.x[0], 2)}, ${number(w.x[1], 2)})`)}` : `: hidden unit ${v.unit.index} goes from ${number(v.unit.before, 2)} to ${v.unit.after.map((x) => number(x, 2)).join(", ")}`}.`
        : "This scheme adds no noise."],
      ["Forward", `The network says P(class 1) = ${views((w) => number(w.p, 3))}.`],
      ["Loss", `Cross-entropy of the ${v.views.length > 1 ? "first view" : "point"} ${number(v.ce)}${v.stability ? `; divergence between the views ${number(v.jsd, 4)} times ${v.stability}` : ""}. Over the batch: ${number(v.batchCe)}${v.stability ? ` + ${v.stability} × ${number(v.batchJsd, 4)}` : ""} = ${number(v.batchCe + v.stability * v.batchJsd)}.`],
      ["Gradient", `Its derivative by all ${v.parameters} weights has length ${number(v.gradient, 4)}.`],
      ["Step", `Adam moves the weights by ${number(v.moved, 4)} in all. P(class 1) at the point goes from ${number(v.before, 4)} to ${number(v.after, 4)}.`],
    ];
    this.list.replaceChildren(...steps.map(([name, words], i) => h("li", { class: i > this.at ? "nm-later" : i === this.at ? "nm-current" : null, "aria-current": i === this.at ? "step" : null }, h("strong", {}, name), ": ", i > this.at ? "…" : words)));
    this.nextButton.disabled = this.at >= 6;
    this.explorer.redraw();
  }
}

// name of a setting, from, to, lane, question
const PREDICTIONS = [
  { name: "alpha", from: 0.3, to: 1, lane: "noisymix", why: "The more evenly pairs are mixed, the more often a point between the classes carries a mixed label, and the small class gives way." },
  { name: "sigma_mult", from: 0.1, to: 0.5, lane: "manifold_mixup", why: "Manifold mixup has no noise; its sliders are dimmed." },
  { name: "sigma_add", from: 0, to: 0.2, lane: "noise_injection", why: "Noise blurs what the network sees, so it cannot follow every point." },
];

class Exercises {
  constructor(explorer, id) {
    this.explorer = explorer;
    this.waiting = new Map();
    const verdict = () => h("p", { class: "nm-verdict", "aria-live": "polite" });
    const predictions = PREDICTIONS.map((task, k) => {
      const said = verdict(), label = explorer.specs.find((spec) => spec.name === task.name).label.toLowerCase();
      const choices = ["shorter", "the same", "longer"].map((answer) => button(`predict-${k}-${answer.replace(" ", "-")}`, answer, `Predict that the boundary becomes ${answer}`, () => this.predict(task, answer, said)));
      return h("li", {}, `${LANE_LABELS[task.lane]}: ${label} goes from ${task.from} to ${task.to}, all else as at first. The boundary becomes … `, h("span", { class: "nm-choices" }, choices), said);
    });
    const input = h("input", { type: "number", min: 0, max: 12, step: "any", id: id("collapse"), "data-name": "collapse" }), said = verdict();
    const collapse = h("li", {}, h("label", { for: id("collapse") }, "From which JSD weight on does NoisyMix put the whole plane into one class? To within a quarter, all else as at first: "), input,
      button("check-collapse", "Check", "Train at this weight and at three quarters of it", () => this.collapse(input.value, said)), said);
    this.node = h("details", { class: "nm-more nm-exercises" }, h("summary", {}, "Predict, then look"), h("ol", {}, predictions, collapse));
  }

  /** The numbers of a scheme at the defaults but for some settings, trained to the end. */
  probe(changes, lane) {
    const id = `${Math.random()}`, settings = { ...firstState(this.explorer.specs).settings, ...changes };
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.explorer.trainer.send({ kind: "probe", id, settings, lane });
    });
  }

  answer(reply) {
    this.waiting.get(reply.id)?.(reply.numbers);
    this.waiting.delete(reply.id);
  }

  async predict({ name, from, to, lane, why }, answer, said) {
    said.textContent = "Training …";
    const [before, after] = await Promise.all([from, to].map((value) => this.probe({ [name]: value }, lane)));
    const a = before.boundary_length, b = after.boundary_length, change = a ? (b - a) / a : Number(b > 0);
    const truth = Math.abs(change) <= 0.05 ? "the same" : change > 0 ? "longer" : "shorter";
    said.textContent = `${answer === truth ? "✓ right" : "✗ not so"}: it went from ${a.toFixed(2)} to ${b.toFixed(2)}. ${why}`;
    const first = firstState(this.explorer.specs);
    this.explorer.become({ ...first, lane, settings: { ...first.settings, [name]: from } });
    this.explorer.change({ [name]: to });
  }

  async collapse(text, said) {
    const weight = Number.parseFloat(text);
    if (!(weight >= 0 && weight <= 1000)) { said.textContent = "Choose one weight, 0 or more."; return; }
    said.textContent = "Training …";
    const [at, below] = await Promise.all([weight, 0.75 * weight].map((value) => this.probe({ stability: value }, "noisymix")));
    const length = (m) => `boundary ${m.boundary_length.toFixed(2)} long`;
    said.textContent = !at.collapsed ? `✗ not yet: with weight ${weight} both classes are left (${length(at)}).`
      : below.collapsed ? `✗ not yet: it collapses with ${weight}, but already with ${(0.75 * weight).toFixed(2)}.`
        : `✓ right: with ${weight} one class is everywhere, with ${(0.75 * weight).toFixed(2)} not yet (${length(below)}).`;
    this.explorer.become({ ...firstState(this.explorer.specs, { stability: weight }), lane: "noisymix" });
  }
}

Explorer.prototype.layoutSlow = function layoutSlow() {
  this.slow = new SlowMotion(this);
  return this.slow.node;
};

Explorer.prototype.layoutExercises = function layoutExercises(id) {
  this.exercises = new Exercises(this, id);
  return this.exercises.node;
};
