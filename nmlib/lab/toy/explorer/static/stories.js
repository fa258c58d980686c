// Two parts below the explorer: one training step taken apart, and predictions before a look.

/** One step of the scheme shown, on one pair of points; the numbers are those of engine.slowMotion. */
class SlowMotion {
  constructor(explorer) {
    this.explorer = explorer;
    this.at = 0;
    this.value = null;
    this.list = h("ol", { class: "nm-slow" });
    this.nextButton = button("slow-next", () => this.go(this.at + 1));
    this.node = h("details", { class: "nm-more", ontoggle: () => { if (this.node.open) this.ask(); else { this.value = null; explorer.redraw(); } } },
      h("summary", {}, tr("slow")),
      h("p", { class: "nm-help" }, tr("slow.help")),
      this.list,
      h("div", { class: "nm-share" }, this.nextButton,
        button("slow-back", () => this.go(this.at - 1)),
        button("slow-again", () => { explorer.forward(1); setTimeout(() => this.ask(), 150); })));
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
    if (!v) { this.list.replaceChildren(h("li", {}, tr("slow.ended"))); return; }
    const [a, b] = v.pair, number = (x, digits = 3) => num(x, digits).replace("-", "−");
    const views = (f) => v.views.map((view, k) => `${v.views.length > 1 ? tr("slow.view", { k: k + 1 }) : ""}${f(view)}`).join("; ");
    const where = v.point === 1 ? "hidden" : "input", many = v.views.length > 1;
    const jsd = v.stability ? { jsd: number(v.jsd, 4), weight: short(v.stability) } : {};
    const sum = `${number(v.batchCe)}${v.stability ? ` + ${short(v.stability)} × ${number(v.batchJsd, 4)}` : ""} = ${number(v.batchCe + v.stability * v.batchJsd)}`;
    const steps = [
      ["batch", tr("slow.batch.words", { n: v.batch, place: place(a[0], a[1]), label: a[2] })],
      ["partners", b ? tr(`slow.partners.${where}`, { place: place(b[0], b[1]), label: b[2], lam: views((w) => `λ = ${number(w.lam, 2)}`), target: number(v.target, 2) })
        : tr("slow.partners.none")],
      ["noise", !v.noisy ? tr("slow.noise.none")
        : v.point === 0 ? tr("slow.noise.input", { places: views((w) => place(...w.x)) })
          : tr("slow.noise.hidden", { unit: v.unit.index, before: number(v.unit.before, 2), after: v.unit.after.map((x) => number(x, 2)).join(tr("list")) })],
      ["forward", tr("slow.forward.words", { values: views((w) => number(w.p, 3)) })],
      ["loss", tr(`slow.loss.${v.stability ? "views" : many ? "first" : "one"}`, { ce: number(v.ce), ...jsd, sum })],
      ["gradient", tr("slow.gradient.words", { n: v.parameters, length: number(v.gradient, 4) })],
      ["step", tr("slow.step.words", { moved: number(v.moved, 4), before: number(v.before, 4), after: number(v.after, 4) })],
    ];
    this.list.replaceChildren(...steps.map(([name, words], i) => h("li", { class: i > this.at ? "nm-later" : i === this.at ? "nm-current" : null, "aria-current": i === this.at ? "step" : null }, h("strong", {}, tr(`slow.${name}`)), ": ", i > this.at ? "…" : words)));
    this.nextButton.disabled = this.at >= 6;
    this.explorer.redraw();
  }
}

// name of a setting, from, to, lane
const PREDICTIONS = [
  { name: "alpha", from: 0.3, to: 1, lane: "noisymix" },
  { name: "sigma_mult", from: 0.1, to: 0.5, lane: "manifold_mixup" },
  { name: "sigma_add", from: 0, to: 0.2, lane: "noise_injection" },
];

class Exercises {
  constructor(explorer, id) {
    this.explorer = explorer;
    this.waiting = new Map();
    const verdict = () => h("p", { class: "nm-verdict", "aria-live": "polite" });
    const predictions = PREDICTIONS.map((task, k) => {
      const said = verdict(), { lane, name, from, to } = task, scheme = LANE_LABELS[lane];
      const choices = ["shorter", "the-same", "longer"].map((answer) => {
        const text = tr(`predict.${answer}`);
        return h("button", { type: "button", "data-action": `predict-${k}-${answer}`, title: tr("predict.help", { answer: text }), onclick: () => this.predict(task, answer, said) }, text);
      });
      return h("li", {}, tr("predict.task", { scheme, setting: symbolText(name), from: short(from), to: short(to) }), h("span", { class: "nm-choices" }, choices), said);
    });
    const input = h("input", { type: "number", min: 0, max: 12, step: "any", id: id("collapse"), "data-name": "collapse" }), said = verdict();
    const collapse = h("li", {}, h("label", { for: id("collapse") }, tr("collapse")), input,
      button("check-collapse", () => this.collapse(input.value, said)), said);
    this.node = h("details", { class: "nm-more nm-exercises" }, h("summary", {}, tr("predict")), h("ol", {}, predictions, collapse));
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

  async predict({ name, from, to, lane }, answer, said) {
    said.textContent = tr("predict.wait");
    const [before, after] = await Promise.all([from, to].map((value) => this.probe({ [name]: value }, lane)));
    const a = before.boundary_length, b = after.boundary_length, change = a ? (b - a) / a : Number(b > 0);
    const truth = Math.abs(change) <= 0.05 ? "the-same" : change > 0 ? "longer" : "shorter";
    said.textContent = tr(`predict.${answer === truth ? "right" : "wrong"}`, { before: num(a, 2), after: num(b, 2), why: tr(`predict.why.${name}`) });
    const first = firstState(this.explorer.specs);
    this.explorer.become({ ...first, lane, settings: { ...first.settings, [name]: from } });
    this.explorer.change({ [name]: to });
  }

  async collapse(text, said) {
    const weight = Number.parseFloat(text);
    if (!(weight >= 0 && weight <= 1000)) { said.textContent = tr("collapse.number"); return; }
    said.textContent = tr("predict.wait");
    const [at, below] = await Promise.all([weight, 0.75 * weight].map((value) => this.probe({ stability: value }, "noisymix")));
    const found = !at.collapsed ? "small" : below.collapsed ? "large" : "right";
    said.textContent = tr(`collapse.${found}`, { weight: short(weight), below: num(0.75 * weight, 2), length: num((at.collapsed ? below : at).boundary_length, 2) });
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
