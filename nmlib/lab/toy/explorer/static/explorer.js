// The explorer: state.js says what is shown, worker.js trains it, field.js and charts.js draw it.

const NUMBERS = [
  ["test_accuracy", percent, 100], ["noisy_accuracy", percent, 100], ["boundary_length", (v) => num(v, 2), 1],
  ["steepness", (v) => num(v, 1), 1], ["confidence", percent, 100], ["train_accuracy", percent, 100],
];
const PARTS = ["mixes", "noise", "agrees"];
const USES = { alpha: "mixes", sigma_add: "noise", sigma_mult: "noise", law: "noise", stability: "agrees", reading: "agrees" };
const DATA = ["shape", "data_seed", "data_noise"]; // what the generated points depend on
const LEVELS = [0.1, 0.3, 0.7, 0.9];
const SIZE = { one: [72, 144], pair: [64, 112], six: [40, 80] }; // while it trains, at rest
const UNDO = 100, TRIALS = 200;
const ENOUGH_STEPS = 100; // before that, one class everywhere says that training has only begun

const signed = (v, digits) => {
  const size = Math.abs(v).toFixed(digits);
  return Number(size) === 0 ? "±0" : `${v < 0 ? "−" : "+"}${num(Number(size), digits)}`;
};
const camel = (name) => name.replace(/_(\w)/g, (_, c) => c.toUpperCase());
const place = (x, y) => tr("place", { x: num(x, 2), y: num(y, 2) }).replaceAll("-", "−");
const stepsText = (n) => (n === 1 ? tr("said.step") : tr("said.steps", { n }));
const symbolText = (name) => tr(`${name}.symbol`).replace("_", " ");
const nearest = (values, v) => values.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(values[best] - v) ? i : best), 0);
const partsOf = (lane) => ({
  mixes: !["baseline", "noise_injection"].includes(lane),
  noise: ["noise_injection", "nfm", "noisymix"].includes(lane),
  agrees: ["manifold_mixup_jsd", "noisymix"].includes(lane),
});
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
// Each widget has a module of its own: what counts explorers belongs to the page.
const ordinal = () => (window.nmExplorers = (window.nmExplorers || 0) + 1);

/** h("button", {class: "x", onclick}, ...children); text stays text. */
function h(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

class Explorer {
  /**
   * @param host   element to stand in
   * @param about  {specs, lanes, presets, polygon, band, extent, note}: what Python says of the lab
   * @param state  where to start, see firstState; `said` is told once (what a link could not say)
   * @param sync   {changed(names)} tells Python; null on a page
   */
  constructor(host, about, state, { said = [], sync = null, address = null } = {}) {
    Object.assign(this, { about, state, sync, address, specs: about.specs, lanes: about.lanes });
    this.engine = makeEngine();
    this.id = `nm${ordinal()}`;
    this.gen = 0;
    this.frames = {};     // lane -> what to draw
    this.before = {};     // lane -> the picture before the last change
    this.history = {};    // lane -> [[step, numbers]]
    this.pin = null;      // A
    this.undone = [];
    this.held = new Set();
    this.moves = [];
    this.trials = [];
    this.edges = {};
    this.cursor = [0, 0];
    this.tool = "1";
    this.cleanups = [];
    this.root = h("section", {
      class: "nm-root",
      "data-lm-suppress-shortcuts": "true", // JupyterLab's one-key commands stay out
    });
    // A frame that is as high as its content says nothing about the window: ask the screen.
    if (window.parent !== window) this.root.style.setProperty("--nm-window", `${screen.availHeight - 120}px`);
    this.root.nmExplorer = this; // for tests and for the curious
    this.root.nmLatencies = []; // ms from each move to the first picture of it, or of a later one
    host.append(this.root);
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.trainer = startTrainer((reply) => this.receive(reply));
    this.layout();
    this.watchTheme();
    this.watchSight();
    this.restart();
    if (this.refused) said = [...said, this.refused];
    if (said.length) this.announce(tr("link.said", { what: said.join("; ") }));
  }

  // ----- what is shown ---------------------------------------------------------------------------

  get settings() { return this.state.settings; }
  get shownLanes() {
    const { lane, view } = this.state;
    if (view === "six") return this.lanes;
    return view === "pair" && lane !== "baseline" ? ["baseline", lane] : [lane];
  }
  get total() { return this.settings.epochs * this.stepsPerEpoch; }
  get stepsPerEpoch() {
    const train = this.points.filter((p) => !p[3]).length;
    return Math.max(1, Math.floor(train / Math.min(this.settings.batch_size, train)));
  }
  get goal() { return this.state.stopped === null ? this.total : Math.min(this.state.stopped, this.total); }
  get step() { return this.frame(this.state.lane)?.step ?? 0; }
  /** The picture of the present setting, if there is one. */
  frame(lane) {
    const frame = this.frames[lane];
    return frame?.gen === this.gen ? frame : null;
  }
  /** Its numbers, once they are measured at the step that is shown. */
  numbers(lane) { return this.frame(lane)?.numbers ?? null; }
  arrived(lane) { return this.frame(lane)?.step === this.goal && this.numbers(lane) !== null; }
  get rested() { return this.shownLanes.every((lane) => this.arrived(lane)); }

  makePoints() {
    const s = this.settings, made = [s.shape, s.data_seed, s.data_noise].join();
    if (this.made !== made) {
      this.made = made;
      this.generated = this.engine.toyData(s.shape, s.data_seed, s.data_noise);
    }
    this.points = pointsOf(this.state, this.generated);
    const why = lacking(this.points);
    if (!why) return;
    // From a link or from Python; a hand is stopped in edit().
    Object.assign(this.state, { own: null, added: [], removed: [] });
    this.points = this.generated;
    this.refused = tr("link.points", { why });
  }
  get edited() { return Boolean(this.state.own) || this.state.added.length > 0 || this.state.removed.length > 0; }

  /** The picture that was pinned, of whichever scheme. */
  get pinned() { return this.pin && this.pin.data === this.dataName ? this.pin.frames[this.pin.lane] : null; }
  /** What the picture of a lane is compared with: A, or the one before the last change. Not with numbers of other points. */
  earlierOf(lane) {
    const kept = this.pin ? this.pinned : this.before[lane];
    return kept && (this.pin || kept.data === this.dataName) ? kept : null;
  }

  // ----- training --------------------------------------------------------------------------------

  /** New settings or points: train what depends on them. */
  restart({ fresh = false } = {}) {
    this.makePoints();
    this.gen += 1;
    this.earlier = this.history;
    this.history = {};
    this.edges = {};
    this.fail(null);
    this.dataName = JSON.stringify([this.made, this.state.own && packPoints(this.state.own), this.state.added, this.state.removed]);
    this.wish({
      settings: { ...this.settings }, restart: fresh, data: this.dataName,
      rows: this.edited ? this.points : null,
    });
    this.showEdges();
  }

  wish(more = {}) {
    const { view, lane, layers } = this.state, [coarse, fine] = SIZE[this.shownLanes.length === 1 ? "one" : view];
    this.trainer.send({
      kind: "wish", gen: this.gen, lanes: this.shownLanes, goal: this.awake ? this.goal : Math.min(this.goal, this.step),
      coarse, fine, held: this.held.size > 0, measure: !this.held.size && !this.still.matches,
      layers: ["saw", "jsd", "seeds"].filter((name) => layers[name]),
      edges: partsOf(lane).mixes || partsOf(lane).noise ? this.edgeStops() : null, ...more,
    });
    this.redraw();
  }

  edgeStops() {
    return this.specs.filter((spec) => spec.edge && partsOf(this.state.lane)[USES[spec.name]]).map((spec) => ({
      name: spec.name,
      stops: spec.values ?? Array.from({ length: 25 }, (_, i) => Number((spec.min + (i / 24) * (spec.max - spec.min)).toFixed(4))),
    }));
  }

  receive(reply) {
    if (this.closed) return;
    if (reply.kind === "slow") { this.slow?.show(reply.value); return; }
    if (reply.kind === "probe") { this.exercises?.answer(reply); return; }
    if (reply.gen !== this.gen) return;
    if (reply.kind === "error") { this.fail(reply.message); return; }
    if (reply.kind === "edge") { this.edges[reply.name] = reply; this.showEdges(); return; }
    if (reply.kind === "rest") { this.publish(); return; }
    if (reply.kind === "kept") { // schemes that the change does not concern
      for (const lane of reply.lanes) this.history[lane] = this.earlier[lane] ?? [];
      return;
    }
    const last = this.frames[reply.lane];
    if (reply.kind === "layer") {
      if (last?.gen !== reply.gen || last.step !== reply.step) return;
      this.dressLayer(last, reply);
      this.redraw();
      return;
    }
    const { gen, lane, step, grid, size, numbers } = reply;
    const above = grid[0] > 127;
    const frame = { gen, lane, step, grid, size, total: reply.total, oneClass: grid.every((v) => v > 127 === above) };
    frame.numbers = numbers ?? (last?.gen === gen && last.step === step ? last.numbers : null);
    if (last?.gen === gen && last.step === step) {
      for (const name of ["saw", "jsd", "jsdSize", "jsdMax", "seeds", "seedsSize", "seedsEdges"]) frame[name] = last[name];
    }
    this.frames[lane] = frame;
    if (numbers) {
      const history = (this.history[lane] ??= []);
      while (history.length && history[history.length - 1][0] >= step) history.pop();
      history.push([step, numbers]);
    }
    this.drawn = gen;
    if (!this.still.matches || step >= this.goal || this.held.size) this.redraw();
    if (this.rested) this.atRest();
  }

  dressLayer(frame, { name, value, size }) {
    if (name === "saw") frame.saw = value ?? null;
    else if (name === "jsd") {
      const smooth = blur(value, size);
      Object.assign(frame, { jsd: smooth, jsdSize: size, jsdMax: smooth.reduce((a, b) => Math.max(a, b), 0) });
    } else {
      Object.assign(frame, { seeds: value, seedsSize: size, seedsEdges: [10, 245].map((level) => isolines(value, size, level)) });
    }
  }

  /** The pictures shown have come to their end, and their numbers are there. */
  atRest() {
    const key = `${this.gen} ${this.goal} ${this.shownLanes}`;
    if (this.restedAt === key) return;
    this.restedAt = key;
    if (this.goal > 0 && !this.held.size) this.leaveTrial();
    this.say();
  }

  // ----- what a person can do --------------------------------------------------------------------

  /** Keep the state before a change, for undo, and its pictures as ghosts; a drag is one change. */
  remember() {
    if (this.remembered) return;
    this.undone.push(structuredClone(this.state));
    if (this.undone.length > UNDO) this.undone.shift();
    for (const lane of this.lanes) {
      if (this.arrived(lane) && this.goal > 0) {
        this.before[lane] = { ...this.dress(this.frames[lane]), data: this.dataName };
      }
    }
    if (this.held.size) this.remembered = true;
  }

  /** Change settings; Python and the page follow. */
  change(changes, { moved = true, tell = true } = {}) {
    const news = Object.fromEntries(Object.entries(changes).filter(([name, value]) => this.settings[name] !== value));
    if (!Object.keys(news).length) return;
    if (tell) this.remember();
    Object.assign(this.settings, news);
    if (DATA.some((name) => name in news)) Object.assign(this.state, { own: null, added: [], removed: [] });
    if (this.state.stopped === 0) this.state.stopped = null;
    if (moved) this.moves.push([this.gen + 1, performance.now()]);
    for (const [name, value] of Object.entries(news)) this.controls[name]?.show(value);
    this.restart();
    this.after(tell ? Object.keys(news) : []);
  }

  /** Everything at once: undo, a preset, a trial, a link. */
  become(state, sentence = "") {
    this.remember();
    this.state = structuredClone({ ...state, hide: this.state.hide, lesson: this.state.lesson, present: this.state.present, language: this.state.language });
    for (const spec of this.specs) this.controls[spec.name]?.show(this.settings[spec.name]);
    for (const [name, box] of Object.entries(this.layerBoxes)) box.checked = this.state.layers[name];
    this.buildStage();
    this.restart();
    this.after(["*"]);
    if (sentence) this.announce(sentence);
  }

  /** Python has other points, layers or parts: take its state as it is. */
  adopt(state) {
    const rebuild = ["hide", "lesson", "present", "language"].some((name) => state[name] !== this.state[name]);
    this.state = state;
    if (rebuild) this.layout();
    for (const spec of this.specs) this.controls[spec.name]?.show(this.settings[spec.name]);
    for (const [name, box] of Object.entries(this.layerBoxes)) box.checked = state.layers[name];
    this.buildStage();
    this.restart();
    this.publish();
  }

  after(names) {
    this.showTools();
    this.saveLink();
    this.publish();
    if (names.length) this.sync?.changed(names);
  }

  undo() {
    const last = this.undone.pop();
    if (!last) { this.announce(tr("undo.none")); return; }
    const left = this.undone.length;
    this.become(last, tr("undo.done"));
    this.undone.length = left; // become() may have kept the undone state
    this.showTools();
  }

  choose(lane, view = this.state.view, { tell = true } = {}) {
    if (lane === this.state.lane && view === this.state.view) return;
    if (tell) this.undone.push(structuredClone(this.state));
    Object.assign(this.state, { lane, view });
    this.edges = {};
    this.buildStage();
    this.wish();
    this.showEdges();
    if (this.rested) this.atRest();
    this.after(tell ? ["lane", "view"] : []);
  }

  play() {
    if (this.state.stopped === null && this.step < this.total) this.stop(this.step);
    else {
      if (this.step >= this.total) { this.restart({ fresh: true }); }
      this.stop(null);
    }
  }

  stop(step, { tell = true } = {}) {
    this.state.stopped = step;
    this.restedAt = null;
    this.wish();
    this.after(tell ? ["stopped"] : []);
  }

  forward(steps) {
    const from = this.state.stopped ?? this.step; // the step asked for, though it may not be there yet
    if (from >= this.total) this.announce(tr("train.ended"));
    else this.stop(Math.min(this.total, from + steps));
  }

  reset() {
    this.restart({ fresh: true });
    this.stop(0);
  }

  /** Points changed by hand. */
  edit(change, sentence) {
    this.remember();
    const before = structuredClone([this.state.own, this.state.added, this.state.removed]);
    change(this.state);
    const why = lacking(pointsOf(this.state, this.generated));
    if (why) {
      [this.state.own, this.state.added, this.state.removed] = before;
      this.undone.pop();
      this.announce(tr("edit.refused", { why }));
      return;
    }
    this.moves.push([this.gen + 1, performance.now()]);
    this.restart();
    this.after(["points"]);
    if (sentence) this.announce(sentence);
  }

  addPoint(x, y, label) {
    const test = this.editTest.checked ? 1 : 0, row = keepable([x, y, label, test]);
    if (this.points.length >= MOST_POINTS) { this.announce(tr("edit.full", { most: MOST_POINTS })); return; }
    this.edit((state) => { state.added = [...state.added, row]; },
      tr(`edit.added_${test ? "test" : "training"}`, { label, place: place(x, y) }));
  }

  deletePoint(x, y) {
    let best = -1, distance = 0.2;
    this.points.forEach(([a, b], i) => {
      const d = Math.hypot(a - x, b - y);
      if (d < distance) { best = i; distance = d; }
    });
    if (best < 0) { this.announce(tr("edit.none", { reach: short(0.2), place: place(x, y) })); return; }
    const [a, b, label, test] = this.points[best];
    this.edit((state) => {
      const base = (state.own ?? this.generated).length, kept = base - state.removed.length;
      if (best >= kept) state.added = state.added.filter((_, i) => i !== best - kept);
      else {
        const left = Array.from({ length: base }, (_, i) => i).filter((i) => !state.removed.includes(i));
        state.removed = [...state.removed, left[best]];
      }
    }, tr(`edit.deleted_${test ? "test" : "training"}`, { label, place: place(a, b) }));
  }

  useTable(text) {
    try {
      const { points, words } = readTable(text);
      this.edit((state) => Object.assign(state, { own: points, added: [], removed: [] }), words);
      this.ownNote.textContent = words;
      return true;
    } catch (error) {
      this.ownNote.textContent = tr("table.not_used", { why: error.message });
      this.announce(this.ownNote.textContent);
      return false;
    }
  }

  togglePin() {
    if (this.pin) this.pin = null;
    else if (!this.rested) { this.announce(tr("pin.wait")); return; }
    else {
      const frames = Object.fromEntries(this.lanes.filter((l) => this.arrived(l)).map((l) => [l, this.dress({ ...this.frames[l] })]));
      this.pin = { settings: { ...this.settings }, step: this.step, frames, lane: this.state.lane, data: this.dataName };
    }
    this.redraw();
    this.announce(this.pin ? tr("pin.done", { scheme: LANE_LABELS[this.pin.lane], settings: this.describe(this.pin.settings) }) : tr("pin.removed"));
  }

  // ----- trials ----------------------------------------------------------------------------------

  leaveTrial() {
    const lane = this.state.lane, numbers = this.numbers(lane);
    const key = JSON.stringify([lane, this.settings, this.dataName, numbers.step]);
    if (this.trials.some((trial) => trial.key === key)) { this.showTrials(key); return; }
    this.trials.push({ key, number: (this.trials.at(-1)?.number ?? 0) + 1, lane, numbers, state: structuredClone(this.state), pinned: false });
    if (this.trials.length > TRIALS) this.trials.splice(this.trials.findIndex((trial) => !trial.pinned), 1);
    this.showTrials(key);
  }

  /** What differs from the start, in the symbols of the sliders. */
  differing(state) {
    const words = this.specs.filter((spec) => state.settings[spec.name] !== spec.start)
      .map((spec) => `${symbolText(spec.name)} ${this.text(spec, state.settings[spec.name])}`);
    if (state.own || state.added.length || state.removed.length) words.push(tr("trials.own"));
    return words.join(tr("list")) || tr("trials.defaults");
  }

  trialRows() {
    const { by, up } = this.trialOrder, value = (trial) => (by === "number" ? trial.number : by === "lane" ? LANE_LABELS[trial.lane] : trial.numbers[by] ?? -Infinity);
    return [...this.trials].sort((a, b) => b.pinned - a.pinned || (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (up ? 1 : -1));
  }

  showTrials(current = this.currentTrial) {
    this.currentTrial = current;
    const columns = [["number", "#"], ["lane", tr("trials.scheme")], ...NUMBERS.slice(0, 5).map(([name]) => [name, tr(`number.${name}`)])];
    const { by, up } = this.trialOrder;
    this.trialHead.replaceChildren(...columns.map(([name, label]) => h("th", { scope: "col", "aria-sort": by === name ? (up ? "ascending" : "descending") : null },
      h("button", { type: "button", class: "nm-sort", onclick: () => { this.trialOrder = { by: name, up: by === name ? !up : name === "number" || name === "lane" }; this.showTrials(); } }, label, by === name ? (up ? " ▲" : " ▼") : ""))),
    h("th", { scope: "col" }, tr("trials.setting")), h("th", { scope: "col" }, h("span", { class: "nm-sr" }, tr("trials.actions"))));
    this.trialBody.replaceChildren(...this.trialRows().map((trial) => h("tr", { class: trial.key === current ? "nm-current" : null },
      h("td", {}, String(trial.number)), h("th", { scope: "row" }, LANE_LABELS[trial.lane]),
      NUMBERS.slice(0, 5).map(([name, format]) => h("td", {}, trial.numbers[name] === null ? "–" : format(trial.numbers[name]))),
      h("td", { class: "nm-words" }, this.differing(trial.state)),
      h("td", {}, h("button", { type: "button", "aria-pressed": String(trial.pinned), onclick: () => { trial.pinned = !trial.pinned; this.showTrials(); } }, tr(trial.pinned ? "trials.unpin" : "trials.pin")),
        h("button", { type: "button", onclick: () => this.become(trial.state, tr("trials.back", { n: trial.number })) }, tr("trials.return"))))));
    this.trialCount.textContent = tr("trials.count", { n: this.trials.length });
  }

  trialTable() {
    const names = NUMBERS.slice(0, 5).map(([name]) => name), cell = (v) => (/[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v);
    const head = ["trial", "scheme", "step", ...names, ...this.specs.map((spec) => spec.name), "points"];
    const rows = this.trialRows().map(({ number, lane, numbers, state }) => [
      number, lane, numbers.step, ...names.map((name) => numbers[name] ?? ""), ...this.specs.map((spec) => state.settings[spec.name]),
      state.own || state.added.length || state.removed.length ? "own" : "generated",
    ]);
    return [head, ...rows].map((row) => row.map(cell).join(",")).join("\n");
  }

  // ----- words -----------------------------------------------------------------------------------

  text(spec, value) { return spec.choices ? tr(`${spec.name}.${value}`) : num(Number(value), spec.digits); }

  describe(settings) {
    return this.specs.filter((spec) => spec.slider).map((spec) => `${symbolText(spec.name)} = ${this.text(spec, settings[spec.name])}`).join(tr("list"));
  }

  enough(frame) { return frame.step >= Math.max(frame.total, ENOUGH_STEPS); }

  /** One or two sentences on the picture; "" until its numbers are there. */
  sentence() {
    const lanes = this.shownLanes;
    if (!lanes.every((lane) => this.arrived(lane))) return "";
    const m = Object.fromEntries(lanes.map((lane) => [lane, this.numbers(lane)])), { lane } = this.state, now = m[lane];
    const words = [];
    if (lanes.length > 2) {
      const best = lanes.reduce((a, b) => (m[b].test_accuracy > m[a].test_accuracy ? b : a));
      const bent = lanes.filter((l) => !this.frames[l].oneClass);
      words.push(tr("said.best", { steps: stepsText(this.goal), scheme: LANE_LABELS[best], accuracy: percent(m[best].test_accuracy) }));
      if (bent.length) {
        const tight = bent.reduce((a, b) => (m[b].boundary_length < m[a].boundary_length ? b : a));
        words.push(tr("said.shortest", { scheme: LANE_LABELS[tight], length: num(m[tight].boundary_length, 2) }));
      }
      words.push(".");
    } else {
      const base = lanes.length === 2 ? m.baseline : null, beside = (text) => (base ? tr("said.beside", { value: text(base) }) : "");
      const right = (found) => percent(found.test_accuracy), noisy = (found) => percent(found.noisy_accuracy), long = (found) => num(found.boundary_length, 2);
      words.push(tr("said.one", {
        scheme: LANE_LABELS[lane], steps: stepsText(this.goal), accuracy: right(now), besideAccuracy: beside(right),
        noisy: noisy(now), besideNoisy: beside(noisy), length: long(now), besideLength: beside(long),
      }));
      const what = !this.pin ? tr("said.previous") : this.pin.lane === lane ? "A" : `A (${LANE_LABELS[this.pin.lane]})`;
      const kept = { ...this.earlierOf(lane), what };
      if (kept.numbers && this.goal > 0) {
        const points = (name) => signed(100 * (now[name] - kept.numbers[name]), 1);
        const length = kept.numbers.boundary_length > 0 ? tr("said.longer", { change: signed(100 * (now.boundary_length / kept.numbers.boundary_length - 1), 0) }) : "";
        words.push(tr("said.against", {
          what: kept.what, when: kept.step === this.goal ? "" : tr("said.at", { step: kept.step }),
          accuracy: points("test_accuracy"), noisy: points("noisy_accuracy"), length,
        }));
      }
    }
    const plain = lanes.filter((l) => this.frames[l].oneClass && this.goal > 0);
    if (plain.length) {
      const end = this.enough(this.frames[plain[0]]) ? "collapsed" : "plain";
      words.push(tr(`said.${end}${plain.length > 1 ? "_many" : ""}`, { scheme: plain.map((l) => LANE_LABELS[l]).join(tr("and")) }));
    }
    return words.join("");
  }

  /** The sentence is on the page at once; a screen reader hears it when the hand rests. */
  say() {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => {
      if (!this.rested || this.held.size || this.closed) return;
      this.spoken.textContent = this.sentence();
    }, 700);
  }

  announce(text) {
    clearTimeout(this.saying);
    if (!text || this.closed) return;
    this.spoken.textContent = text;
    this.notice.textContent = text;
    clearTimeout(this.noticing);
    this.noticing = setTimeout(() => { this.notice.textContent = ""; }, 9000);
  }

  fail(text) {
    this.alert.hidden = !text;
    this.alert.textContent = text ? tr("failed", { why: text }) : "";
  }

  // ----- drawing ---------------------------------------------------------------------------------

  dress(frame) {
    if (frame?.grid && !frame.boundary) {
      frame.boundary = isolines(frame.grid, frame.size, 127.5);
      const smooth = blur(frame.grid, frame.size); // 256 levels make steps where the field is flat
      frame.steps = LEVELS.map((level) => isolines(smooth, frame.size, 255 * level));
    }
    return frame;
  }

  redraw() {
    if (this.drawing || this.closed || !this.panels) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.draw();
      const now = performance.now();
      while (this.moves.length && this.moves[0][0] <= this.drawn) {
        const [gen, then] = this.moves.shift(), latency = now - then;
        this.root.nmLatencies.push([latency, gen === this.drawn]);
        this.root.dataset.latency = latency.toFixed(1);
      }
      this.publish();
    });
  }

  draw() {
    const lanes = this.shownLanes, theme = THEMES[this.root.dataset.theme] || THEMES.light, band = this.settings.shape === "band" && !this.state.own;
    for (const panel of this.panels) {
      const { lane, canvas } = panel, frame = this.dress(this.frames[lane]), current = this.frame(lane);
      drawPanel(canvas, {
        frame, theme, extent: this.about.extent, points: this.points, layers: this.state.layers,
        polygon: band ? this.about.polygon : null, band: this.about.band,
        ghost: this.pin ? null : this.before[lane]?.boundary, pin: lane === this.state.lane || lanes.length > 2 ? this.pinned?.boundary : null,
        cursor: this.cursorOn === lane ? this.cursor : null, slow: lane === this.state.lane ? this.slow?.scene() : null,
      });
      canvas.classList.toggle("nm-old", !current);
      Object.assign(canvas.dataset, { gen: frame?.gen ?? "", step: frame?.step ?? "" });
      const plain = Boolean(current?.oneClass && current.step > 0), numbers = this.numbers(lane);
      panel.badge.hidden = !plain;
      if (plain) panel.badge.textContent = tr(this.enough(current) ? "badge.collapsed" : "badge.plain");
      canvas.setAttribute("aria-label", tr("picture", { scheme: LANE_LABELS[lane] }) + (current ? tr("picture.after", { steps: stepsText(current.step) }) : "")
        + (numbers ? tr("picture.numbers", { accuracy: percent(numbers.test_accuracy), length: num(numbers.boundary_length, 2) }) : "")
        + (plain ? `, ${panel.badge.textContent}` : ""));
      panel.note.replaceChildren(...(numbers
        ? [h("b", {}, percent(numbers.test_accuracy)), tr("picture.note", { noisy: percent(numbers.noisy_accuracy), length: num(numbers.boundary_length, 2) })]
        : ["…"]));
    }
    const sentence = this.sentence();
    this.words.textContent = sentence || "…";
    this.keys.ghost.hidden = !this.panels.some(({ lane }) => !this.pin && this.state.layers.ghost && this.before[lane]);
    this.keys.pin.hidden = !this.pin;
    this.keys.truth.hidden = !(band && this.state.layers.truth);
    for (const name of ["points", "test", "steps", "hatch"]) this.keys[name].hidden = !this.state.layers[name];
    this.drawCharts();
    this.drawNumbers();
    this.drawNotes();
    this.showStatus();
  }

  drawCharts() {
    const known = ([, value]) => Number.isFinite(value); // there is no loss before the first step
    const { lane } = this.state, points = (rows, name) => rows.map(([step, m]) => [step, m[name]]).filter(known);
    const of = (name) => {
      const series = this.shownLanes.map((l) => ({ name: l, chosen: l === lane, value: this.numbers(l)?.[name] ?? null, points: points(this.history[l] ?? [], name) }));
      return series;
    };
    const test = this.points.filter((p) => p[3]), ones = test.filter((p) => p[2]).length / (test.length || 1);
    const most = Math.max(ones, 1 - ones);
    this.charts.loss.draw(of("loss"), this.total);
    this.charts.test_accuracy.draw(of("test_accuracy"), this.total, most);
    this.charts.noisy_accuracy.draw(of("noisy_accuracy"), this.total, most);
  }

  drawNumbers() {
    const { lane } = this.state, now = this.numbers(lane), kept = this.earlierOf(lane);
    const other = kept?.numbers ?? null, when = now && other && kept.step !== now.step ? tr("numbers.step", { step: kept.step }) : "";
    this.table.caption.textContent = tr("numbers.caption", { scheme: LANE_LABELS[lane], step: now?.step ?? "…" });
    this.table.other.textContent = `${this.pin ? "A" : tr("numbers.before")}${when}`;
    this.table.now.textContent = tr(this.pin ? "numbers.b" : "numbers.now");
    NUMBERS.forEach(([name, format, scale], i) => {
      const [a, b, d] = this.table.cells[i], good = (m) => m && Number.isFinite(m[name]);
      a.textContent = good(other) ? format(other[name]) : "–";
      b.textContent = good(now) ? format(now[name]) : now ? "–" : "…"; // not measured yet
      d.textContent = good(other) && good(now) ? signed(scale * (now[name] - other[name]), scale === 100 ? 1 : 2) : "";
    });
    this.pinNote.textContent = this.pin ? `A: ${LANE_LABELS[this.pin.lane]}, ${this.describe(this.pin.settings)}` : "";
    this.pinButton.textContent = tr(this.pin ? "pin.off" : "pin");
    this.pinButton.setAttribute("aria-pressed", String(Boolean(this.pin)));
  }

  drawNotes() {
    const frame = this.frame(this.state.lane) ?? {}, notes = [], { layers } = this.state;
    if (layers.saw && frame.saw) {
      const { mixed, partner, lam, point } = frame.saw;
      if (!partner && !mixed) notes.push(tr("saw.hidden"));
      else if (!partner) notes.push(tr("saw.noised"));
      else if (mixed) notes.push(tr("saw.mixed", { lam: num(lam, 2) }));
      else notes.push(tr("saw.deep", { point, lam: num(lam, 2) }));
    }
    if (layers.jsd && frame.jsd) notes.push(tr("jsd.scale", {
      value: num((frame.jsdMax / 255) * Math.LN2, 3), most: num(Math.LN2, 3), each: this.shownLanes.length > 1 ? tr("jsd.each") : "",
    }));
    if (layers.seeds && !frame.seeds) notes.push(tr("seeds.wait"));
    this.notes.textContent = notes.join(" ");
  }

  showStatus() {
    const step = this.step, done = step >= this.total && this.total > 0, training = step < this.goal;
    const doing = !this.alert.hidden ? "stopped" : training ? "training" : done ? "trained" : "paused";
    this.status.textContent = tr("status", { doing: tr(`doing.${doing}`), epoch: Math.floor(step / this.stepsPerEpoch), step, total: this.total });
    this.root.dataset.doing = doing;
    Object.assign(this.bar, { value: step, max: this.total || 1 });
    const label = training && this.state.stopped === null ? "pause" : done ? "replay" : "play";
    if (this.playButton.dataset.label !== label) {
      this.playButton.dataset.label = label;
      this.playButton.replaceChildren(icon(label), tr(label));
    }
  }

  showEdges() {
    const parts = partsOf(this.state.lane);
    for (const spec of this.specs.filter((s) => s.slider)) {
      const { row, edge, input, position } = this.controls[spec.name], found = this.edges[spec.name];
      const used = !USES[spec.name] || this.shownLanes.some((lane) => partsOf(lane)[USES[spec.name]]);
      row.classList.toggle("nm-unused", !used);
      edge.textContent = !used ? tr("edge.unused", { scheme: LANE_LABELS[this.state.lane] })
        : found && found.from !== null ? tr("edge.from", { value: this.text(spec, found.from), scheme: LANE_LABELS[this.state.lane] }) : "";
      const part = used && found && found.from !== null && parts[USES[spec.name]] ? position(found.from) : 1;
      input.style.setProperty("--edge", `${(100 * part).toFixed(1)}%`);
    }
  }

  /** Facts for tests and benchmarks, readable from the page. */
  publish() {
    const d = this.root.dataset, { lane, view } = this.state;
    Object.assign(d, {
      gen: this.gen, step: this.step, goal: this.goal, total: this.total, lane, view, trainer: this.trainer.kind,
      settled: this.rested && !this.drawing, failed: !this.alert.hidden, trials: this.trials.length,
      measured: this.lanes.filter((l) => this.numbers(l)).join(" "), points: this.points.length,
      collapsed: this.lanes.filter((l) => this.frame(l)?.oneClass && this.enough(this.frames[l])).join(" "),
    });
    for (const [name, value] of Object.entries(this.settings)) d[camel(name)] = value;
  }

  // ----- the page --------------------------------------------------------------------------------

  get hidden() { return new Set(this.state.hide.split(/[.,\s]+/).filter(Boolean)); }
  /** A part of the page, unless a teacher has hidden it. */
  part(name, make) { return this.hidden.has(name) ? null : make(); }

  layout() {
    const id = (name) => `${this.id}-${name}`;
    speak(this.state.language);
    this.root.lang = language;
    this.root.setAttribute("aria-label", tr("lab"));
    if (!this.sync) dressPage();
    this.controls = {};
    this.root.replaceChildren();
    this.makePoints();
    this.spoken = h("p", { class: "nm-sr", "aria-live": "polite", role: "status" });
    this.words = h("p", { class: "nm-words-now" });
    this.notice = h("p", { class: "nm-notice", "aria-hidden": "true" });
    this.alert = h("p", { class: "nm-alert", role: "alert", hidden: true });
    this.status = h("span", { class: "nm-status" });
    this.notes = h("p", { class: "nm-notes" });
    this.root.append(
      h("header", { class: "nm-head" },
        h("div", { class: "nm-title" }, tr("lab"), h("small", {}, tr("lab.small"))),
        this.status,
        button("undo", () => this.undo()),
        button("defaults", () => this.become(firstState(this.specs), tr("defaults.done"))),
        this.part("present", () => button("larger", () => this.present())),
        this.part("language", () => this.layoutLanguage())),
      this.alert, this.spoken,
      this.state.lesson ? h("p", { class: "nm-lesson" }, this.state.lesson) : "",
      this.part("presets", () => this.layoutPresets()) ?? "",
      h("div", { class: "nm-body" },
        this.part("picker", () => this.layoutPicker(id)),
        h("div", { class: "nm-left" }, this.layoutStage(), this.words, this.notice, this.layoutLegend(), this.notes,
          this.layoutLayers()),
        h("div", { class: "nm-middle" },
          this.layoutSliders(id), this.layoutTransport(),
          this.layoutData(id), this.layoutMore(id)),
        h("div", { class: "nm-measured" }, this.layoutNumbers(), this.layoutCharts())),
      this.layoutTrials(),
      this.part("slow", () => this.layoutSlow()) ?? "",
      this.part("exercises", () => this.layoutExercises(id)) ?? "",
      this.about.note ? h("p", { class: "nm-foot" }, this.about.note) : "");
    this.root.classList.toggle("nm-present", this.state.present);
    // The classic notebook listens on the document; JupyterLab reads the attribute on the root.
    this.root.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const typing = /^(textarea|select)$/i.test(event.target.tagName) || event.target.type === "number";
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.shiftKey && !typing) {
        event.preventDefault();
        this.undo();
      }
    });
    this.buildStage();
    this.showTools();
    this.showEdges();
    this.showTrials();
  }

  present() {
    this.state.present = !this.state.present;
    this.root.classList.toggle("nm-present", this.state.present);
    this.after(["present"]);
    this.redraw();
  }

  layoutLanguage() {
    const select = h("select", { "aria-label": tr("language.label"), "data-name": "language", onchange: () => this.translate(select.value) },
      Object.entries(TEXTS).map(([name, texts]) => h("option", { value: name, lang: name }, texts.language)));
    select.value = language;
    return select;
  }

  /** The same state in another language. */
  translate(name) {
    this.adopt({ ...this.state, language: name });
    this.after(["language"]);
    this.root.querySelector("select[data-name=language]")?.focus();
  }

  layoutPresets() {
    return h("div", { class: "nm-presets", role: "group", "aria-label": tr("story") }, h("span", { class: "nm-help" }, `${tr("story")}:`),
      this.about.presets.map(({ name, settings }) => button(`story.${name}`, () => {
        this.become({ ...firstState(this.specs, settings), lane: "noisymix" }, tr(`story.${name}.help`));
      })));
  }

  layoutPicker(id) {
    this.laneInputs = {};
    this.viewInputs = {};
    const radio = (group, into, value, label, change, className = null) => {
      const input = h("input", { type: "radio", name: id(group), value, onchange: change });
      into[value] = input;
      return h("label", { class: className }, input, h("span", {}, label));
    };
    const lanes = h("fieldset", { class: "nm-lanes" }, h("legend", { class: "nm-sr" }, tr("picker.scheme")),
      this.lanes.map((lane) => radio("lane", this.laneInputs, lane, LANE_LABELS[lane], () => this.choose(lane), `nm-lane-${lane}`)));
    const views = h("fieldset", { class: "nm-views" }, h("legend", { class: "nm-sr" }, tr("picker.view")),
      VIEWS.map((view) => radio("view", this.viewInputs, view, tr(`view.${view}`), () => this.choose(this.state.lane, view))));
    return h("div", { class: "nm-picker" }, lanes, views);
  }

  layoutStage() {
    this.stage = h("div", { class: "nm-stage" });
    return this.stage;
  }

  buildStage() {
    const { view, lane: chosen } = this.state;
    const make = (lane) => {
      const parts = partsOf(lane), small = view === "six";
      const canvas = h("canvas", { "data-lane": lane, role: "img", tabindex: small ? null : 0 });
      const badge = h("span", { class: "nm-badge", hidden: true }), note = h("span", { class: "nm-note" });
      const title = small ? h("button", { type: "button", title: tr("picture.beside"), onclick: () => this.choose(lane, "pair") }, LANE_LABELS[lane]) : h("strong", {}, LANE_LABELS[lane]);
      if (!small) this.bindCanvas(canvas, lane);
      const node = h("figure", { class: `nm-tile nm-lane-${lane}` },
        h("figcaption", {}, title, h("span", { class: "nm-parts" }, PARTS.map((name) => h("span", { class: parts[name] ? "nm-on" : "nm-off" }, `${parts[name] ? "✓" : "–"} ${tr(`part.${name}`)}`)))),
        h("div", { class: "nm-canvas" }, canvas, badge), note);
      return { lane, canvas, badge, note, node };
    };
    this.panels = this.shownLanes.map(make);
    this.stage.className = `nm-stage nm-view-${this.panels.length}`;
    this.root.classList.toggle("nm-racing", this.panels.length > 2);
    this.stage.replaceChildren(...this.panels.map((p) => p.node));
    if (this.laneInputs) {
      this.laneInputs[chosen].checked = true;
      this.viewInputs[view].checked = true;
    }
    this.sizes?.disconnect();
    this.sizes = new ResizeObserver(() => this.redraw());
    this.panels.forEach((p) => this.sizes.observe(p.canvas));
    this.redraw();
  }

  layoutLegend() {
    this.keys = {
      points: h("span", {}, key("circle", tr("key.zero")), key("triangle", tr("key.one"))), test: key("hollow", tr("key.test")),
      hatch: key("hatch", tr("key.hatch")), steps: key("thin", "10, 30, 70, 90 %"), ghost: key("dash", tr("key.ghost")), pin: key("pin", "A"),
      truth: key("band", tr("key.truth")),
    };
    const node = h("div", { class: "nm-legend", "aria-hidden": "true" }, key("ramp", tr("key.ramp")), key("line", tr("key.line")), Object.values(this.keys));
    return this.hidden.has("legend") ? null : node;
  }

  layoutLayers() {
    this.layerBoxes = {};
    const help = h("span", { class: "nm-help", id: `${this.id}-layer-help` });
    const boxes = PAGE_LAYERS.map((name) => {
      const label = tr(`layer.${name}`), words = tr(`layer.${name}.help`);
      const box = h("input", {
        type: "checkbox", "data-layer": name, "aria-describedby": `${this.id}-layer-help`,
        onchange: () => {
          this.state.layers[name] = box.checked;
          help.textContent = `${label}: ${words}.`;
          this.wish();
          this.after(["layers"]);
        },
      });
      box.checked = this.state.layers[name];
      this.layerBoxes[name] = box;
      return h("label", { title: words }, box, h("span", {}, label));
    });
    const node = h("fieldset", { class: "nm-layers" }, h("legend", {}, tr("layers")), boxes, help);
    return this.hidden.has("layers") ? null : node;
  }

  layoutSliders(id) {
    const rows = this.specs.filter((spec) => spec.slider).map((spec) => {
      const row = this.slider(spec, id(spec.name)); // made even if hidden: others ask for its state
      return this.hidden.has(spec.name) ? null : row;
    });
    return h("div", { class: "nm-sliders" }, rows);
  }

  slider(spec, id) {
    const { values } = spec, input = h("input", {
      type: "range", id, "data-name": spec.name, "aria-describedby": `${id}-help ${id}-edge`,
      min: values ? 0 : spec.min, max: values ? values.length - 1 : spec.max, step: values ? 1 : spec.step,
    });
    const output = h("output", { for: id, "aria-live": "off" }); // the slider says its value itself
    const edge = h("span", { class: "nm-help nm-edge", id: `${id}-edge` });
    const position = (value) => {
      const low = Number(input.min), at = values ? nearest(values, value) : value;
      return (at - low) / (Number(input.max) - low);
    };
    const show = (value) => {
      const at = values ? nearest(values, value) : value;
      if (!values && at > Number(input.max)) input.max = at; // a link or Python may go further
      if (Math.abs(Number(input.value) - at) > 1e-9) input.value = at;
      output.textContent = this.text(spec, value);
      input.setAttribute("aria-valuetext", `${this.text(spec, value)} ${table[`${spec.name}.unit`] ?? ""}`.trim());
      input.style.setProperty("--part", `${(100 * position(value)).toFixed(2)}%`);
    };
    const read = () => (values ? values[Number(input.value)] : Number(Number(input.value).toFixed(6)));
    input.addEventListener("input", () => this.change({ [spec.name]: read() }));
    input.addEventListener("pointerdown", () => { this.held.add(spec.name); });
    const release = () => {
      if (!this.held.delete(spec.name)) return;
      this.remembered = false;
      this.restedAt = null;
      this.wish();
      if (this.rested) this.atRest();
    };
    for (const name of ["pointerup", "pointercancel", "blur", "change"]) input.addEventListener(name, release);
    const sign = /^[α-ω]/.test(tr(`${spec.name}.symbol`)) ? tr(`${spec.name}.symbol`) : ""; // not a word twice
    const row = h("div", { class: "nm-slider" },
      h("label", { for: id }, tr(spec.name), sign ? [" ", symbol(sign)] : null), output, input,
      h("span", { class: "nm-help", id: `${id}-help` }, tr(`${spec.name}.help`)), edge);
    this.controls[spec.name] = { show, row, edge, input, position };
    show(this.settings[spec.name]);
    return row;
  }

  field(spec, id) {
    const input = spec.choices
      ? h("select", { id, "data-name": spec.name }, spec.choices.map((c) => h("option", { value: c }, tr(`${spec.name}.${c}`))))
      : h("input", { id, type: "number", "data-name": spec.name, min: spec.least ?? spec.min, max: spec.most ?? spec.max, step: "any" });
    input.value = this.settings[spec.name];
    const show = (value) => { if (document.activeElement !== input || input.tagName === "SELECT") input.value = value; };
    input.addEventListener("change", () => {
      const value = validSetting(spec, input.value);
      if (value === null) { input.value = this.settings[spec.name]; this.announce(tr("field.number", { name: tr(spec.name) })); return; }
      if (!spec.choices && Number(input.value) !== value) this.announce(tr("field.became", { name: tr(spec.name), value: short(value) }));
      input.value = value;
      this.change({ [spec.name]: value });
    });
    const row = h("div", { class: "nm-field" }, h("label", { for: id, title: tr(`${spec.name}.help`) }, tr(spec.name)), input, h("span", { class: "nm-help" }, tr(`${spec.name}.help`)));
    this.controls[spec.name] = { show, row };
    return this.hidden.has(spec.name) ? null : row;
  }

  layoutTransport() {
    this.playButton = h("button", { type: "button", class: "nm-primary", "data-action": "play", onclick: () => this.play() });
    this.bar = h("progress", { "aria-label": tr("training.progress") });
    const node = h("div", { class: "nm-transport", role: "group", "aria-label": tr("training") }, this.playButton,
      button("step", () => this.forward(1)),
      button("epoch", () => this.forward(this.stepsPerEpoch)),
      button("reset", () => this.reset()), this.bar);
    return this.hidden.has("transport") ? null : node;
  }

  layoutData(id) {
    const spec = (name) => this.specs.find((s) => s.name === name);
    this.editTest = h("input", { type: "checkbox" });
    this.toolInputs = {};
    const tool = (value, label) => {
      const input = h("input", { type: "radio", name: id("tool"), value, onchange: () => { this.tool = value; this.showTools(); } });
      input.checked = value === this.tool;
      this.toolInputs[value] = input;
      return h("label", {}, input, h("span", {}, label));
    };
    this.drawBox = h("input", { type: "checkbox", onchange: () => this.showTools() });
    this.ownNote = h("p", { class: "nm-help", "aria-live": "polite" });
    this.firstData = button("first-data", () => {
      this.become({ ...this.state, own: null, added: [], removed: [], settings: { ...this.settings, ...Object.fromEntries(DATA.map((n) => [n, spec(n).start])) } }, tr("first-data.done"));
    });
    const pasted = h("textarea", { rows: 4, spellcheck: "false", "aria-label": tr("own.table"), placeholder: tr("own.example") });
    const file = h("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv,text/plain", "aria-label": tr("own.file"),
      onchange: async () => { if (file.files[0]) this.useTable(await file.files[0].text()); file.value = ""; } });
    const own = h("details", { class: "nm-more" }, h("summary", {}, tr("own")),
      h("p", { class: "nm-help" }, tr("own.help")),
      pasted, h("div", { class: "nm-share" }, button("use-table", () => this.useTable(pasted.value)), file), this.ownNote);
    const node = h("fieldset", { class: "nm-edit" }, h("legend", {}, tr("data")),
      this.field(spec("shape"), id("shape")), this.slider(spec("data_noise"), id("data_noise")),
      h("div", { class: "nm-share" }, button("new-data", () => this.change({ data_seed: (this.settings.data_seed + 1) % 4294967296 })), this.firstData),
      h("div", { class: "nm-tools", role: "group", "aria-label": tr("tools") },
        ["0", "1", "delete"].map((value) => tool(value, tr(`tool.${value}`))),
        h("label", {}, this.editTest, h("span", {}, tr("tool.test"))), h("label", { title: tr("tool.draw.help") }, this.drawBox, h("span", {}, tr("tool.draw")))),
      h("p", { class: "nm-help", id: id("edit-help") }, tr("tools.help")),
      this.hidden.has("own") ? null : own);
    this.root.addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
    this.root.addEventListener("drop", async (event) => {
      const dropped = event.dataTransfer?.files[0];
      if (!dropped || this.hidden.has("own")) return;
      event.preventDefault();
      this.useTable(await dropped.text());
    });
    return this.hidden.has("data") ? null : node;
  }

  layoutMore(id) {
    const own = new Set(["shape", "data_noise"]);
    const fields = this.specs.filter((spec) => !spec.slider && !own.has(spec.name)).map((spec) => this.field(spec, id(spec.name)));
    return this.hidden.has("more") ? null : h("details", { class: "nm-more" }, h("summary", {}, tr("more")), fields);
  }

  layoutNumbers() {
    this.table = { caption: h("caption"), other: h("th", { scope: "col" }), now: h("th", { scope: "col" }), cells: [] };
    const table = h("table", { class: "nm-numbers" }, this.table.caption,
      h("thead", {}, h("tr", {}, h("td"), this.table.other, this.table.now, h("th", { scope: "col" }, tr("numbers.change")))),
      h("tbody", {}, NUMBERS.map(([name]) => {
        const cells = [h("td"), h("td"), h("td", { class: "nm-change" })];
        this.table.cells.push(cells);
        return h("tr", {}, h("th", { scope: "row" }, tr(`number.${name}`)), cells);
      })));
    this.pinButton = h("button", { type: "button", "data-action": "pin", onclick: () => this.togglePin(), title: tr("pin.help") });
    this.pinNote = h("p", { class: "nm-help" });
    this.copied = h("textarea", { class: "nm-copied", readonly: true, rows: 3, hidden: true, "aria-label": tr("copied") });
    const share = h("div", { class: "nm-share", role: "group", "aria-label": tr("share") }, this.pinButton,
      button("copy-link", () => this.copy(this.link(), this.linked)),
      button("copy-code", () => this.copy(this.code(), tr("copied.code"))));
    return h("div", {}, this.hidden.has("numbers") ? null : table, this.hidden.has("share") ? null : share, this.pinNote, this.copied);
  }

  layoutCharts() {
    this.charts = {
      loss: new LineChart(tr("chart.loss"), (v) => num(v, 2)),
      test_accuracy: new LineChart(tr("chart.test_accuracy"), (v) => percent(v, 0), [0.6, 1]),
      noisy_accuracy: new LineChart(tr("chart.noisy_accuracy"), (v) => percent(v, 0), [0.6, 1]),
    };
    const node = h("div", { class: "nm-charts" }, Object.values(this.charts).map((c) => c.node),
      h("p", { class: "nm-help" }, tr("chart.dotted")));
    return this.hidden.has("charts") ? null : node;
  }

  layoutTrials() {
    this.trialOrder = { by: "number", up: false };
    this.trialHead = h("tr");
    this.trialBody = h("tbody");
    this.trialCount = h("summary");
    const node = h("details", { class: "nm-trials nm-more" }, this.trialCount,
      h("div", { class: "nm-scroll", tabindex: 0, role: "region", "aria-label": tr("trials") }, h("table", { class: "nm-numbers" }, h("thead", {}, this.trialHead), this.trialBody)),
      h("div", { class: "nm-share" }, button("copy-trials", () => this.copy(this.trialTable(), tr("copied.table"))),
        button("clear", () => { this.trials = this.trials.filter((trial) => trial.pinned); this.showTrials(null); this.publish(); })));
    return this.hidden.has("trials") ? "" : node;
  }

  showTools() {
    if (this.firstData) {
      const spec = (name) => this.specs.find((s) => s.name === name);
      this.firstData.disabled = !this.edited && DATA.every((name) => this.settings[name] === spec(name).start);
    }
    for (const { canvas } of this.panels ?? []) canvas.classList.toggle("nm-drawing", Boolean(this.drawBox?.checked));
  }

  // ----- points under the hand -------------------------------------------------------------------

  bindCanvas(canvas, lane) {
    if (this.hidden.has("data")) return;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-describedby", `${this.id}-edit-help`);
    const { extent } = this.about;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * 2 * extent - extent, extent - ((event.clientY - box.top) / box.height) * 2 * extent];
    };
    const act = (event, x, y) => {
      const chosen = this.tool === "0" ? 0 : 1;
      if (event.altKey || event.ctrlKey || event.metaKey || this.tool === "delete") this.deletePoint(x, y);
      else this.addPoint(x, y, event.shiftKey ? 1 - chosen : chosen);
    };
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || (event.pointerType === "touch" && !this.drawBox.checked)) return;
      last = at(event);
      this.cursor = last;
      this.cursorOn = null;
      canvas.setPointerCapture(event.pointerId);
      this.held.add("points");
      act(event, ...last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const [x, y] = at(event);
      if (Math.hypot(x - last[0], y - last[1]) < 0.08 || Math.max(Math.abs(x), Math.abs(y)) > extent) return;
      last = [x, y];
      act(event, x, y);
    });
    const end = () => {
      if (!last) return;
      last = null;
      this.held.delete("points");
      this.remembered = false;
      this.wish();
      if (this.rested) this.atRest();
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    // A tap of a finger: not at pointerdown, for it may become a scroll.
    canvas.addEventListener("click", (event) => {
      if (event.pointerType === "touch" && !this.drawBox.checked) act(event, ...at(event));
    });
    canvas.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.2 : 0.05;
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      const [x, y] = this.cursor, chosen = this.tool === "0" ? 0 : 1;
      if (by) this.cursor = [clamp(x + by[0], -extent, extent), clamp(y + by[1], -extent, extent)];
      else if (event.key === "0" || event.key === "1") this.addPoint(x, y, Number(event.key));
      else if (event.key === "Enter") this.addPoint(x, y, event.shiftKey ? 1 - chosen : chosen);
      else if (event.key === "Delete" || event.key === "Backspace") this.deletePoint(x, y);
      else if (event.key === "p" || event.key === "P") {
        const { grid, size } = this.frames[lane] ?? {};
        if (!grid) return;
        const cell = (v) => clamp(Math.floor(((v + extent) / (2 * extent)) * size), 0, size - 1);
        this.announce(tr("said.value", { place: place(x, y), value: percent(grid[cell(-y) * size + cell(x)] / 255) }));
      } else return;
      this.cursorOn = lane;
      event.preventDefault();
      this.redraw();
    });
    canvas.addEventListener("focus", () => { this.cursorOn = canvas.matches(":focus-visible") ? lane : null; this.redraw(); });
    canvas.addEventListener("blur", () => { this.cursorOn = null; this.redraw(); });
  }

  // ----- sharing ---------------------------------------------------------------------------------

  /** What to say of a copied link. */
  get linked() {
    if (!this.sync) return tr("copied.link");
    return this.address ? tr("copied.file")
      : tr("copied.state", { command: "python -m nmlib.lab.toy.explorer.page --out explorer.html" });
  }

  link() { return `${this.address ?? (this.sync ? "explorer.html" : location.href.split("#")[0])}${writeLink(this.state, this.specs)}`; }

  /** The text of ToyLab.as_code: Python that reproduces numbers and picture. */
  code() {
    const python = (v) => (typeof v === "string" ? `'${v}'` : String(v));
    const changed = this.specs.filter((spec) => this.settings[spec.name] !== spec.start).map((spec) => `${spec.name}=${python(this.settings[spec.name])}`);
    const lines = [
      "from nmlib.lab.toy.demo import table", "from nmlib.lab.toy import ToyLab", "from nmlib.lab.toy.displays import DecisionBoundaryDisplay", "",
      `lab = ToyLab(${changed.join(", ")})`,
    ];
    if (this.edited) {
      const list = (rows) => `[${rows.join(", ")}]`;
      lines.push(`X = ${list(this.points.map((p) => `[${p[0]}, ${p[1]}]`))}`, `y = ${list(this.points.map((p) => p[2]))}`,
        `is_test = ${list(this.points.map((p) => (p[3] ? "True" : "False")))}`, "lab.set_points(X, y, is_test)");
    }
    lines.push(`lab.step(${this.step})`, "print(table(lab))", `DecisionBoundaryDisplay.from_lab(lab, ['${this.state.lane}'])`);
    return lines.join("\n");
  }

  async copy(text, sentence) {
    this.copied.value = text;
    this.copied.hidden = false;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission or not a secure page: show it to be copied by hand
      sentence = tr("copied.not");
      this.copied.focus();
      this.copied.select();
    }
    this.announce(sentence);
  }

  /** The address follows the state on a page of its own. */
  saveLink() {
    if (this.sync || this.address) return;
    clearTimeout(this.saving);
    this.saving = setTimeout(() => {
      try { history.replaceState(null, "", writeLink(this.state, this.specs)); } catch { /* a page in a sandbox keeps its address */ }
    }, 200);
  }

  // ----- surroundings ----------------------------------------------------------------------------

  get awake() { return this.seen !== false && document.visibilityState !== "hidden"; }

  /** Dark or light is what the surroundings look like, whoever set it. */
  watchTheme() {
    const apply = () => {
      let dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
      const asked = document.body.dataset.jpThemeLight;
      if (asked) dark = asked === "false";
      else {
        for (let node = this.root.parentElement; node; node = node.parentElement) {
          const rgb = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number);
          if (rgb && (rgb.length < 4 || rgb[3] > 0.5)) {
            dark = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] < 128;
            break;
          }
        }
      }
      this.root.dataset.theme = dark ? "dark" : "light";
      this.redraw();
    };
    const observer = new MutationObserver(apply);
    const options = { attributes: true, attributeFilter: ["class", "data-jp-theme-light", "data-jp-theme-name", "theme", "style"] };
    observer.observe(document.body, options);
    observer.observe(document.documentElement, options);
    const query = window.matchMedia("(prefers-color-scheme: dark)");
    query.addEventListener("change", apply);
    this.cleanups.push(() => { observer.disconnect(); query.removeEventListener("change", apply); });
    setTimeout(apply, 0);
    apply();
  }

  /** No training in a hidden tab or outside the window. */
  watchSight() {
    const wake = () => this.wish();
    document.addEventListener("visibilitychange", wake);
    const observer = new IntersectionObserver((entries) => {
      const seen = entries[entries.length - 1].isIntersecting;
      if (seen === this.seen) return;
      this.seen = seen;
      wake();
    }, { rootMargin: "100px" });
    observer.observe(this.root);
    this.cleanups.push(() => {
      document.removeEventListener("visibilitychange", wake);
      observer.disconnect();
    });
  }

  close() {
    this.closed = true;
    this.sizes?.disconnect();
    clearTimeout(this.saying);
    for (const cleanup of this.cleanups) cleanup();
    this.trainer.close();
    this.root.remove();
  }
}

/** "σ_add" with its index set low. */
function symbol(text) {
  const [letter, index] = text.split("_");
  return h("i", {}, letter, index ? h("sub", {}, index) : null);
}

function button(name, onclick) {
  return h("button", { type: "button", title: tr(`${name}.help`), "data-action": name, onclick }, ICONS[name] ? icon(name) : null, tr(name));
}

const ICONS = {
  play: "M5 3.5v9l7.5-4.5z",
  pause: "M4.5 3.5h2.6v9H4.5zM8.9 3.5h2.6v9H8.9z",
  replay: "M8 3a5 5 0 1 1-4.9 4h1.7A3.3 3.3 0 1 0 8 4.7V7L4.4 3.9 8 .8z",
  step: "M4 3.5v9l6-4.5zM10.6 3.5h1.8v9h-1.8z",
  epoch: "M2.5 3.5v9L8 8zM8 3.5v9L13.500 8z",
  reset: "M3.600 3.500h1.800v9h-1.800zM12 3.500v9l-6-4.500z",
};

function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", class: "nm-icon", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

function key(kind, label) {
  return h("span", { class: `nm-key nm-key-${kind}` }, h("i"), label);
}

/** The texts of page.html around the explorer. */
function dressPage() {
  document.documentElement.lang = language;
  document.title = tr("page.title");
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = tr(node.dataset.text);
}

/** The explorer on a page of its own: the address holds the state. */
function openPage(host, about) {
  let explorer;
  const open = () => {
    explorer?.close();
    // Hidden parts and lessons may stand behind '?' too, as teachers write links.
    const link = [location.search.slice(1), location.hash.slice(1)].filter(Boolean).join("&");
    speak(new URLSearchParams(link).get("lang") ?? "");
    const { state, said } = readLink(link, about.specs, about.lanes);
    explorer = new Explorer(host, about, state, { said });
  };
  open();
  window.addEventListener("hashchange", open); // a link pasted into the same tab
  return explorer;
}

const STATE_TRAITS = ["lane", "view", "stopped", "own", "added", "removed", "layers", "hide", "lesson", "present", "language"];

/** Entry point for anywidget: Python's traits are the settings and the state, and nothing else. */
function render({ model, el }) {
  const about = model.get("about"), names = about.specs.map((spec) => spec.name);
  const state = firstState(about.specs, Object.fromEntries(names.map((name) => [name, model.get(name)])));
  for (const name of STATE_TRAITS) {
    const value = model.get(name);
    state[name] = name === "layers" ? { ...state.layers, ...value } : structuredClone(value);
  }
  let saving = 0, telling = false;
  const sync = {
    changed(changes) {
      telling = true; // each set() speaks at once, before the next one
      const { state: now } = explorer;
      const all = changes.includes("*"), points = all || changes.includes("points");
      const settings = all || names.some((name) => changes.includes(name));
      if (settings) for (const name of names) model.set(name, now.settings[name]);
      if (points || settings) for (const name of ["own", "added", "removed"]) model.set(name, structuredClone(now[name]));
      for (const name of STATE_TRAITS) if (all || changes.includes(name)) model.set(name, structuredClone(now[name]));
      telling = false;
      clearTimeout(saving);
      saving = setTimeout(() => { try { model.save_changes(); } catch { /* no kernel: the page goes on alone */ } }, 40);
    },
  };
  const explorer = new Explorer(el, about, state, { sync, address: about.page ?? null });
  const follow = () => {
    if (telling) return;
    const news = {};
    for (const name of names) {
      const value = model.get(name);
      if (value !== explorer.settings[name] && !explorer.held.has(name)) news[name] = value;
    }
    const other = STATE_TRAITS.filter((name) => !same(model.get(name), explorer.state[name]));
    if (other.some((name) => ["own", "added", "removed", "layers", "hide", "lesson", "present", "language"].includes(name))) {
      const next = structuredClone(explorer.state);
      Object.assign(next.settings, news);
      for (const name of other) next[name] = structuredClone(model.get(name));
      next.layers = { ...explorer.state.layers, ...next.layers };
      explorer.adopt(next);
      return;
    }
    if (Object.keys(news).length) explorer.change(news, { tell: false });
    if (other.includes("lane") || other.includes("view")) explorer.choose(model.get("lane"), model.get("view"), { tell: false });
    if (other.includes("stopped")) explorer.stop(model.get("stopped"), { tell: false });
  };
  model.on("change", follow);
  return () => {
    model.off("change", follow);
    explorer.close();
  };
}
