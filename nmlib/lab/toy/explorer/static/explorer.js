// The explorer: state, the pump that is its clock, and the page. See transport.js for where frames
// come from; field.js and charts.js draw them.

const LAYERS = [
  ["points", "Points", "Training points (filled) and test points (hollow)", true],
  ["test", "Test points", "Also the points held back", true],
  ["truth", "True outline", "The polygon and the band where labels are coin flips", true],
  ["ghost", "Previous setting", "Dashed: the boundary before the last change", true],
  ["steps", "Isolines", "P(class 1) = 10, 30, 70 and 90 %", true],
  ["hatch", "Hatching", "Hatched where class 1 is predicted", true],
  ["seeds", "Seeds", "How far the boundary moves with the seed", false],
  ["saw", "What the model saw", "The last batch: partners joined, mixed and noised points as crosses", false],
  ["jsd", "JSD between views", "Where noisy mixed copies of a point disagree", false],
];
const percent = (v) => `${(100 * v).toFixed(1)} %`;
const NUMBERS = [
  ["test_accuracy", "Test accuracy", percent, 100],
  ["noisy_accuracy", "Under test noise", percent, 100],
  ["boundary_length", "Boundary length", (v) => v.toFixed(2), 1],
  ["confidence", "Confidence", percent, 100],
  ["train_accuracy", "Training accuracy", percent, 100],
];
const LEVELS = [0.1, 0.3, 0.7, 0.9];
const SIZE = { fine: { one: 144, six: 80 }, idle: { one: 100, six: 48 }, held: { one: 72, six: 48 } };
// The first picture of a setting is always taken after the same number of steps, so that the
// pictures of a drag can be compared; after 40 steps all six schemes have a boundary.
const FIRST_STEPS = 40;
// Training time asked for in one request after that: twice what the rest of a request takes, so
// that two thirds of the time are training, within limits that keep the sliders quick.
const BUDGET_MS = [40, 70];

const signed = (v, digits) => {
  const size = Math.abs(v).toFixed(digits);
  return Number(size) === 0 ? "±0" : `${v < 0 ? "−" : "+"}${size}`;
};

// Each widget has a module of its own: what counts explorers belongs to the page.
const ordinal = () => (window.nmExplorers = (window.nmExplorers || 0) + 1);

/** Whether a picture has one class everywhere. */
const oneClass = (grid) => {
  const above = grid[0] > 127;
  return grid.every((v) => v > 127 === above);
};

/** h("button", {class: "x", onclick}, ...children) */
function h(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}

class Explorer {
  constructor(host, transport) {
    this.transport = transport;
    this.id = `nm${ordinal()}`;
    this.root = h("section", {
      class: "nm-root", "aria-label": "Decision-boundary lab",
      "data-lm-suppress-shortcuts": "true", // JupyterLab's one-key commands stay out
    });
    // A frame that is as high as its content says nothing about the window: ask the screen.
    if (window.parent !== window) this.root.style.setProperty("--nm-window", `${screen.availHeight - 120}px`);
    // ms from each move to the first picture of it or a later one; whether it was its own
    this.root.nmLatencies = [];
    host.append(this.root);
    this.gen = 0;        // counts settings
    this.shown = -1;     // the setting of the picture on screen
    this.rev = 0;        // last change of the kernel's that we have seen
    this.step = 0;
    this.ahead = 0;      // steps of the scheme shown large that was trained before the others
    this.target = 0;     // train up to here
    this.playing = true;
    this.layers = Object.fromEntries(LAYERS.map(([name, , , on]) => [name, on]));
    this.frames = {};    // lane -> what to draw
    this.history = {};   // lane -> [[step, metrics]]
    this.before = null;  // the previous setting: {params, frames, history}
    this.pin = null;     // A
    this.held = new Set();
    this.moves = [];
    this.counts = { ticks: 0, inflight: 0, most: 0 };
    this.msPerStep = 0.6;
    this.roundTrip = 40; // ms, of a request that trains
    this.drawMs = 10;
    this.budget = BUDGET_MS[0];
    this.cursor = [0, 0];
    this.cursorOn = false;
    this.seen = true;
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.cleanups = [];
    transport.onSet((content) => this.adopt(content));
    transport.onLost(() => this.lose());
    transport.onFound(() => this.find());
    this.root.append(h("p", { class: "nm-wait" }, transport.kind === "kernel" ? "Waiting for the kernel …" : "Unpacking …"));
    this.watchTheme();
    this.watchSight();
    this.pump();
  }

  // ----- the clock -------------------------------------------------------------------------------

  /** Ask for one thing at a time until there is nothing left to ask for. */
  async pump() {
    if (this.pumping || this.closed) return;
    this.pumping = true;
    try {
      for (let message; (message = this.nextRequest()); ) {
        this.counts.inflight += 1;
        this.counts.most = Math.max(this.counts.most, this.counts.inflight);
        this.counts.ticks += 1;
        this.publish();
        const patience = setTimeout(() => this.wait(true), 6000);
        const sent = performance.now();
        const reply = await this.transport.request(message);
        clearTimeout(patience);
        if (message.steps) this.roundTrip += 0.4 * (performance.now() - sent - this.roundTrip);
        this.counts.inflight -= 1;
        if (this.closed) return;
        this.wait(false);
        this.receive(message, reply);
      }
    } finally {
      this.pumping = false;
      this.publish();
    }
  }

  get key() { return `${this.gen}:${this.step}`; }
  get shownLanes() { return this.race ? this.lanes : [this.lane]; }
  get seenStep() { return Math.max(this.step, this.ahead); }
  get settled() { return !this.dirty && this.step >= this.target; }
  /** The picture is the last one of its setting: trained to the end, perhaps ahead of the others. */
  get rested() { return !this.dirty && this.seenStep >= this.target; }
  get shownKey() { return `${this.gen}:${this.seenStep}`; }
  /** The numbers of the setting that the sliders show; null until they are measured. */
  now(lane) {
    const frame = this.frames[lane];
    return (frame?.gen === this.gen && frame.metrics) || null;
  }
  /** The numbers of the very picture that is shown. */
  own(lane) {
    const frame = this.frames[lane];
    return frame && frame.metricsKey === frame.key ? frame.metrics : null;
  }
  get awake() { return this.seen && document.visibilityState !== "hidden"; }

  nextRequest() {
    if (this.gone || this.failed) return null;
    if (!this.lanes) return { kind: "hello" };
    if (!this.awake) return null;
    const kind = this.race ? "six" : "one", held = this.held.size > 0;
    const base = {
      kind: "tick", gen: this.gen, rev: this.rev, params: this.params, held: [...this.held],
      state: { lane: this.lane, race: this.race, playing: this.playing },
      lanes: this.shownLanes, measure: this.shownLanes, steps: 0, size: SIZE[held ? "held" : "fine"][kind],
      layers: this.layers.saw ? ["saw"] : [],
    };
    if (this.dirty || this.step < this.target) {
      if (this.step === 0 && this.target > 0 && !this.race && !this.atlas && !this.layers.saw && (held || !this.ahead)) {
        return this.ahead < this.target ? this.previewRequest(base, held) : null;
      }
      const goal = this.target - (this.restart ? 0 : this.step);
      const first = held || this.step === 0 || this.restart;
      const chunk = first ? FIRST_STEPS : Math.max(10, Math.round(this.budget / this.msPerStep));
      const steps = Math.max(0, Math.min(chunk, goal));
      const message = { ...base, steps, from: this.ahead, restart: this.restart, slowly: this.replaying };
      if (!this.atlas && (steps < goal || held)) { // on the way: coarse, and not every number
        message.size = SIZE[held ? "held" : "idle"][kind];
        if (held && this.roundTrip > 45) message.measure = [];
        else if (this.race) message.measure = [0, 3].map((k) => this.lanes[(this.counts.ticks + k) % 6]);
      }
      if (this.atlas) message.steps = Math.max(0, goal);
      return this.withChanges(message);
    }
    const old = (lane) => this.frames[lane]?.key !== this.key;
    const stale = (lane) => old(lane) || !this.own(lane)
      || (!this.atlas && !held && this.frames[lane].size < SIZE.fine[kind]);
    // Two schemes at a time: a slider that moves now should not wait long for its turn.
    const some = (lanes) => (this.atlas ? lanes : lanes.slice(0, 2));
    const want = some(base.lanes.filter(stale));
    if (want.length) return { ...base, lanes: want, measure: want };
    if (held) return null;
    const rest = some(this.lanes.filter(old));
    if (rest.length) return { ...base, lanes: rest, measure: rest, size: SIZE.fine.six, layers: [] };
    if (this.atlas) return null;
    for (const layer of ["saw", "jsd", "seeds"]) {
      if (!this.layers[layer]) continue;
      const lane = base.lanes.find((l) => this.frames[l][`${layer}Key`] !== this.key);
      if (lane) return { ...base, lanes: [lane], measure: [], layers: [layer], size: 0 };
    }
    return null;
  }

  /**
   * The first pictures of a setting, of one scheme: a slider that moves should not wait for six.
   * Only the last is measured, so that a slider that rests under the finger has its numbers.
   */
  previewRequest(base, held) {
    const steps = Math.min(FIRST_STEPS, this.target - this.ahead);
    const size = SIZE[held ? "held" : "idle"].one;
    const measure = this.ahead + steps >= this.target ? base.lanes : [];
    return this.withChanges({ ...base, steps, size, measure, preview: this.ahead, restart: this.restart });
  }

  /** Hand over what was changed by hand. */
  withChanges(message) {
    if (this.points && this.editedPoints) message.points = this.points;
    if (this.newData) message.data_seed = this.params.data_seed;
    this.dirty = this.restart = this.editedPoints = this.newData = false;
    return message;
  }

  receive(message, reply) {
    if (reply.kind === "again") { this.dirty = true; return; }
    if (reply.kind === "error") { this.fail(reply.message); return; }
    this.rev = Math.max(this.rev, reply.rev || 0);
    if (reply.kind === "hello") { this.start(reply); return; }
    this.fail(null);
    const current = reply.gen === this.gen;
    if (reply.trained >= 10 && reply.ms.train) {
      this.msPerStep += 0.4 * (reply.ms.train / reply.trained - this.msPerStep);
      const rest = this.roundTrip - reply.ms.train;
      this.budget = Math.min(BUDGET_MS[1], Math.max(BUDGET_MS[0], 0.6 * this.budget + 0.8 * rest));
    }
    if (current) {
      if (reply.preview) this.ahead = reply.step;
      else this.step = reply.step;
      this.total = reply.total;
      if (reply.points) this.points = reply.points;
      if (this.step >= this.target) this.replaying = false;
    }
    const past = { ...reply.past }; // numbers of the way here
    for (const [lane, metrics] of Object.entries(reply.lanes)) {
      const last = this.frames[lane];
      const key = `${reply.gen}:${reply.step}`;
      const frame = last?.key === key ? { ...last } : { key, gen: reply.gen, step: reply.step, total: reply.total };
      if (last && frame.seeds === undefined && !this.settled) { // keep the band until the next one
        Object.assign(frame, { seeds: last.seeds, seedsSize: last.seedsSize, seedsEdges: last.seedsEdges });
      }
      const grid = reply.grids[lane];
      if (grid) Object.assign(frame, { grid: grid.data, size: grid.size, boundary: null, oneClass: oneClass(grid.data) });
      const measured = Object.keys(metrics).length > 0;
      if (measured) {
        Object.assign(frame, { metrics, metricsKey: key, metricsStep: reply.step });
        past[lane] ??= [[reply.step, metrics]];
      } else if (!frame.metrics && last?.gen === reply.gen) { // those of a few steps ago, with their step
        Object.assign(frame, { metrics: last.metrics, metricsKey: last.metricsKey, metricsStep: last.metricsStep });
      }
      if (reply.saw && lane in reply.saw) { frame.saw = reply.saw[lane]; frame.sawKey = key; }
      const jsd = reply.jsd[lane];
      if (jsd) {
        const smooth = blur(jsd.data, jsd.size);
        Object.assign(frame, { jsd: smooth, jsdSize: jsd.size, jsdMax: smooth.reduce((a, b) => Math.max(a, b), 0), jsdKey: key });
      }
      const seeds = reply.seeds[lane];
      if (seeds) {
        Object.assign(frame, { seeds: seeds.data, seedsSize: seeds.size, seedsKey: key });
        frame.seedsEdges = [10, 245].map((level) => isolines(seeds.data, seeds.size, level));
      }
      this.frames[lane] = frame;
    }
    for (const [lane, rows] of Object.entries(current ? past : {})) {
      const history = (this.history[lane] ??= []);
      while (history.length && history[history.length - 1][0] >= rows[0][0]) history.pop();
      history.push(...rows);
    }
    this.answered = reply.gen;
    if (!this.still.matches || this.settled || this.held.size) this.redraw();
    if (this.rested && current) this.say();
  }

  /** The kernel (Python) changed something; what is held under the pointer stays ours. */
  adopt(content) {
    this.rev = Math.max(this.rev, content.rev);
    if (!this.lanes) return;
    const changed = Object.entries(content.params || {})
      .filter(([name, value]) => !this.held.has(name) && this.params[name] !== value);
    if (changed.length) this.change(Object.fromEntries(changed), false);
    this.publish();
    const { lane, race, playing } = content.state || {};
    if (lane && lane !== this.lane) this.choose(lane, this.race, false);
    if (race !== undefined && race !== this.race) this.choose(this.lane, race, false);
    if (playing !== undefined && playing !== this.playing) this.play(playing, false);
    if (content.restart) this.reset();
    if (content.points) { this.points = content.points; this.change({}, false); }
  }

  // ----- what a person can do --------------------------------------------------------------------

  /** New settings: train again from the seed's initial weights. */
  change(params, moved = true) {
    this.remember();
    this.fail(null);
    Object.assign(this.params, params);
    this.gen += 1;
    this.step = this.ahead = 0;
    this.history = {};
    this.dirty = true;
    if (this.target === 0 && this.playing) this.target = this.total;
    if (moved) this.moves.push([this.gen, performance.now()]);
    for (const [name, value] of Object.entries(params)) this.controls[name]?.show(value);
    this.hush();
    if (this.panels) { this.drawNumbers(); this.drawCharts(); }
    this.saveHash();
    this.publish();
    this.pump();
  }

  /** Pictures of the setting shown, each with numbers of its own or with none. */
  keep(lanes) {
    return Object.fromEntries(lanes.map((lane) => [lane, { ...this.dress(this.frames[lane]), metrics: this.own(lane) }]));
  }

  /** Keep the settled picture as the ghost; a drag has one ghost, that of its beginning. */
  remember() {
    const fresh = this.lanes.filter((lane) => this.frames[lane]?.key === this.shownKey);
    if (!this.rested || !fresh.length || this.seenStep === 0 || this.dragGhost) return;
    this.before = {
      params: { ...this.params }, history: this.history, step: this.seenStep, frames: this.keep(fresh),
    };
    if (this.held.size) this.dragGhost = true;
  }

  choose(lane, race, tell = true) {
    this.lane = lane;
    this.race = race;
    this.build.stage();
    if (tell) this.dirty = true;
    this.redraw();
    this.say();
    this.saveHash();
    this.pump();
  }

  play(on, tell = true) {
    if (on && this.step >= this.total) { // replay
      this.restartTraining();
      this.replaying = this.atlas;
    }
    this.playing = on;
    this.target = on ? this.total : this.seenStep;
    if (tell) this.dirty = true;
    this.redraw();
    this.pump();
  }

  forward(steps) {
    if (this.step >= this.total) {
      this.announce("Training has come to its end: Reset goes back to the initial weights.");
      return;
    }
    this.playing = false;
    this.target = Math.min(this.total, this.seenStep + steps);
    this.dirty = true;
    this.pump();
  }

  restartTraining() {
    this.gen += 1;
    this.step = this.ahead = 0;
    this.history = {};
    this.restart = this.dirty = true;
  }

  reset() {
    this.restartTraining();
    this.playing = false;
    this.target = 0;
    this.redraw();
    this.pump();
  }

  addPoint(x, y, label) {
    const test = this.editTest.checked ? 1 : 0;
    this.points = [...this.points, [x, y, label, test]];
    this.edited(`Added a ${test ? "test" : "training"} point of class ${label} at ${place(x, y)}.`);
  }

  deletePoint(x, y) {
    let best = -1, distance = 0.2;
    this.points.forEach(([a, b], i) => {
      const d = Math.hypot(a - x, b - y);
      if (d < distance) { best = i; distance = d; }
    });
    if (best < 0) { this.announce(`No point within 0.2 of ${place(x, y)}.`); return; }
    const [a, b, label, test] = this.points[best];
    this.points = this.points.filter((_, i) => i !== best);
    this.edited(`Deleted the ${test ? "test" : "training"} point of class ${label} at ${place(a, b)}.`);
  }

  edited(sentence) {
    this.editedPoints = this.handMade = true;
    this.change({});
    this.announce(sentence);
  }

  regenerate() {
    this.newData = true;
    this.handMade = false;
    this.change({ data_seed: (this.params.data_seed || 0) + 1 });
    this.announce(`New data, data seed ${this.params.data_seed}.`);
  }

  togglePin() {
    const fresh = this.lanes.filter((lane) => this.frames[lane]?.key === this.shownKey);
    if (!this.pin && !fresh.includes(this.lane)) {
      this.announce("The picture of this setting is on its way; pin it in a moment.");
      return;
    }
    this.pin = this.pin ? null : { params: { ...this.params }, step: this.seenStep, frames: this.keep(fresh) };
    this.redraw();
    this.announce(this.pin ? `Pinned ${this.describe(this.params)} as A.` : "Pin removed.");
  }

  // ----- words -----------------------------------------------------------------------------------

  describe(params) {
    return this.specs.filter((c) => c.kind === "slider" && params[c.name] !== undefined)
      .map((c) => `${c.symbol} = ${show(c, params[c.name])}`).join(", ");
  }

  /** One sentence on the picture, against the pinned or the previous setting; "" until measured. */
  sentence() {
    const m = Object.fromEntries(this.shownLanes.map((lane) => [lane, this.frames[lane]?.key === this.shownKey && this.own(lane)]));
    if (this.shownLanes.some((lane) => !m[lane])) return "";
    const words = [], step = this.seenStep;
    if (this.race) {
      const best = this.lanes.reduce((a, b) => (m[b].test_accuracy > m[a].test_accuracy ? b : a));
      const bent = this.lanes.filter((l) => !this.frames[l].oneClass);
      words.push(`All six after ${step} steps: best test accuracy ${percent(m[best].test_accuracy)} (${LANE_LABELS[best]})`);
      if (bent.length) {
        const short = bent.reduce((a, b) => (m[b].boundary_length < m[a].boundary_length ? b : a));
        words.push(`, shortest boundary ${m[short].boundary_length.toFixed(2)} (${LANE_LABELS[short]})`);
      }
      words.push(".");
    } else {
      const now = m[this.lane], kept = this.pin || this.before;
      const other = kept?.frames[this.lane]?.metrics;
      const points = (name) => (other ? ` (${signed(100 * (now[name] - other[name]), 1)})` : "");
      let length = "";
      if (other?.boundary_length > 0) {
        const share = 100 * (now.boundary_length / other.boundary_length - 1);
        length = ` (${Math.abs(share) < 0.5 ? "unchanged" : `${Math.abs(share).toFixed(0)} % ${share < 0 ? "shorter" : "longer"}`})`;
      }
      words.push(`${LANE_LABELS[this.lane]} after ${step} steps: boundary ${now.boundary_length.toFixed(2)} long${length}, `
        + `${now.errors} test errors, accuracy ${percent(now.test_accuracy)}${points("test_accuracy")}, `
        + `under test noise ${percent(now.noisy_accuracy)}${points("noisy_accuracy")}.`);
      const when = kept && kept.step !== step ? ` after ${kept.step} steps` : "";
      if (other) words.push(` In brackets: against ${this.pin ? "A" : "the previous setting"}${when}.`);
    }
    const plain = this.shownLanes.filter((l) => this.frames[l].oneClass && step > 0);
    if (plain.length) {
      const names = plain.map((l) => LANE_LABELS[l]).join(" and "), many = plain.length > 1;
      words.push(this.enough(this.frames[plain[0]])
        ? ` ${names} ${many ? "have" : "has"} collapsed: every point of the square gets the same class.`
        : ` ${names} ${many ? "give" : "gives"} every point of the square the same class so far.`);
    }
    return words.join("");
  }

  /** Whether a picture has been trained for long enough to call one class everywhere a collapse. */
  enough(frame) { return frame.step >= Math.max(frame.total, this.enoughSteps); }

  say() {
    clearTimeout(this.saying);
    const wait = Math.max(0, (this.lastWord || 0) + 1200 - performance.now());
    this.saying = setTimeout(() => {
      if (!this.rested) return;
      const text = this.sentence();
      this.announce(text);
      if (text) this.said = this.subject;
    }, wait + 150);
  }

  /** What a sentence on the picture is about. */
  get subject() { return `${this.shownKey} ${this.race ? "all" : this.lane}`; }

  /** Take back a sentence that is about another picture. */
  hush() {
    if (!this.said || this.said === this.subject) return;
    this.said = null;
    this.live.textContent = "";
  }

  announce(text) {
    if (!this.live || !text || this.closed) return;
    clearTimeout(this.saying);
    this.lastWord = performance.now();
    this.said = null;
    this.live.textContent = text;
  }

  /** An error of the other side, in its own words; null clears it. */
  fail(text) {
    this.failed = Boolean(text);
    if (!this.alert) return;
    this.alert.hidden = !text;
    this.alert.textContent = text || "";
    this.publish();
  }

  wait(on) {
    if (this.waitingLong === on || this.gone) return;
    this.waitingLong = on;
    this.root.classList.toggle("nm-late", on);
    if (on) this.announce("The kernel is busy or gone; the last picture stays. If it was restarted, run this cell again.");
    this.showStatus();
  }

  lose() {
    this.gone = true;
    this.counts.inflight = 0;
    this.root.classList.add("nm-late");
    const text = "The kernel was restarted or stopped; the last picture stays. Run this cell again to go on.";
    if (this.alert) { this.alert.hidden = false; this.alert.textContent = text; }
    else this.root.replaceChildren(h("p", { class: "nm-wait" }, text));
    this.showStatus();
    this.publish();
  }

  find() {
    if (!this.gone) return;
    this.gone = false;
    this.root.classList.remove("nm-late");
    this.fail(null);
    this.dirty = true;
    this.pump();
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
      const start = performance.now();
      this.draw();
      const now = performance.now();
      this.drawMs += 0.3 * (now - start - this.drawMs);
      if (this.answered !== undefined) this.shown = this.answered;
      while (this.moves.length && this.moves[0][0] <= this.shown) {
        const [gen, then] = this.moves.shift(), latency = now - then;
        this.root.nmLatencies.push([latency, gen === this.shown]);
        this.root.dataset.latency = latency.toFixed(1);
      }
      this.publish();
    });
  }

  draw() {
    const theme = THEMES[this.root.dataset.theme] || THEMES.light;
    for (const panel of this.panels) {
      const { lane, canvas } = panel;
      const frame = this.dress(this.frames[lane]);
      drawPanel(canvas, {
        frame, theme, extent: this.extent, polygon: this.polygon, band: this.band, points: this.points,
        layers: this.layers, ghost: this.pin ? null : this.before?.frames[lane]?.boundary,
        pin: this.pin?.frames[lane]?.boundary, cursor: this.cursorOn && !this.race ? this.cursor : null,
      });
      canvas.dataset.gen = frame?.gen ?? "";
      canvas.dataset.step = frame?.step ?? "";
      const plain = Boolean(frame?.oneClass && frame.step > 0), own = this.own(lane);
      panel.badge.hidden = !plain;
      if (plain) panel.badge.textContent = this.enough(frame) ? "collapsed: one class everywhere" : "one class everywhere so far";
      canvas.setAttribute("aria-label", `Decision boundary of ${LANE_LABELS[lane]}`
        + (frame ? ` after ${frame.step} steps` : "")
        + (own ? `: test accuracy ${percent(own.test_accuracy)}, boundary ${own.boundary_length.toFixed(2)} long` : "")
        + (plain ? `, ${panel.badge.textContent}` : ""));
      const m = frame?.metrics;
      panel.note?.replaceChildren(...(m
        ? [own ? "" : `step ${frame.metricsStep}: `, h("b", {}, percent(m.test_accuracy)), ` · under noise ${percent(m.noisy_accuracy)} · length ${m.boundary_length.toFixed(2)}`]
        : ["…"]));
    }
    this.hush();
    this.keys.dash.hidden = !this.panels.some(({ lane }) => !this.pin && this.before?.frames[lane]);
    this.keys.pin.hidden = !this.panels.some(({ lane }) => this.pin?.frames[lane]);
    this.drawCharts();
    this.drawNumbers();
    this.drawNotes();
    this.showStatus();
  }

  drawCharts() {
    const known = ([, value]) => Number.isFinite(value); // there is no loss before the first step
    const of = (name) => {
      const lanes = this.race ? this.lanes : [this.lane];
      const series = lanes.map((lane) => ({
        name: lane, chosen: lane === this.lane, value: this.now(lane)?.[name] ?? null,
        points: (this.history[lane] || []).map(([step, m]) => [step, m[name]]).filter(known),
      }));
      const before = !this.race && !this.pin && this.before?.history[this.lane];
      if (before) series.push({ name: "before", points: before.map(([step, m]) => [step, m[name]]).filter(known) });
      return series;
    };
    const test = this.points.filter((p) => p[3]);
    const ones = test.filter((p) => p[2]).length / (test.length || 1);
    this.charts.loss.draw(of("loss"), this.total);
    this.charts.test_accuracy.draw(of("test_accuracy"), this.total, Math.max(ones, 1 - ones));
    this.charts.noisy_accuracy.draw(of("noisy_accuracy"), this.total, Math.max(ones, 1 - ones));
  }

  drawNumbers() {
    const frame = this.frames[this.lane], now = this.now(this.lane);
    const kept = this.pin || this.before, other = kept?.frames[this.lane]?.metrics;
    const step = now ? frame.metricsStep : this.seenStep;
    const when = now && other && kept.step !== step ? `, step ${kept.step}` : "";
    this.numbers.caption.textContent = `${LANE_LABELS[this.lane]}, step ${step}`;
    this.numbers.other.textContent = `${this.pin ? "A" : "before"}${when}`;
    this.numbers.now.textContent = this.pin ? "B (now)" : "now";
    NUMBERS.forEach(([name, , format, scale], i) => {
      const [a, b, d] = this.numbers.cells[i];
      const good = (m) => m && Number.isFinite(m[name]);
      a.textContent = good(other) ? format(other[name]) : "–";
      b.textContent = good(now) ? format(now[name]) : now ? "–" : "…"; // not measured yet
      d.textContent = good(other) && good(now)
        ? signed(scale * (now[name] - other[name]), scale === 100 ? 1 : 2) : "";
    });
    this.pinNote.textContent = this.pin ? `A: ${this.describe(this.pin.params)}` : "";
    this.pinButton.textContent = this.pin ? "Unpin A" : "Pin as A";
    this.pinButton.setAttribute("aria-pressed", String(Boolean(this.pin)));
  }

  drawNotes() {
    const frame = this.frames[this.lane] || {};
    const notes = [];
    if (this.layers.saw && frame.saw) {
      const { mixed, partner, lam, point } = frame.saw;
      const weight = Array.isArray(lam) ? null : lam;
      if (!partner && !mixed) notes.push("What the model saw: nothing was mixed; the noise went into the hidden layer. Step on for another batch.");
      else if (!partner) notes.push("What the model saw: nothing was mixed; crosses are what went into the net.");
      else if (mixed) notes.push(`What the model saw: partners joined, λ = ${weight === null ? "one per pair" : weight.toFixed(2)}; crosses are what went into the net.`);
      else notes.push(`What the model saw: this batch was mixed in the hidden layer (point ${point})${weight === null ? "" : `, λ = ${weight.toFixed(2)}`}: its mixed points have no place in the plane. Step on for another batch.`);
    }
    if (this.layers.jsd && frame.jsd) notes.push(`JSD between views: ${this.race ? "each picture has a scale of its own; for this scheme" : "the scale ends at its own largest value;"} the strongest colour stands for ${((frame.jsdMax / 255) * Math.LN2).toFixed(3)} of at most ${Math.LN2.toFixed(3)}.`);
    if (this.layers.seeds && frame.seeds && frame.seedsKey === frame.key) notes.push(`Seeds: shaded where ${this.bandSeeds} nets that differ in the seed alone disagree.`);
    this.notes.textContent = notes.join(" ");
  }

  showStatus() {
    if (!this.status) return;
    const done = this.step >= this.total && this.total > 0, training = this.step < this.target;
    const step = this.seenStep;
    const epoch = this.stepsPerEpoch ? step / this.stepsPerEpoch : 0;
    const doing = this.gone ? "no kernel" : this.waitingLong ? "waiting" : training ? "training" : done ? "trained" : "paused";
    this.status.textContent = `${doing} · epoch ${Math.floor(epoch)} · step ${step} of ${this.total}`;
    this.root.dataset.doing = doing;
    this.bar.value = step;
    this.bar.max = this.total || 1;
    const label = training && this.playing ? "Pause" : done ? "Replay" : "Play";
    if (this.playButton.dataset.label !== label) {
      this.playButton.dataset.label = label;
      this.playButton.replaceChildren(icon(label === "Pause" ? "pause" : label === "Replay" ? "replay" : "play"), label);
    }
  }

  /** Facts for tests and benchmarks, readable from the page. */
  publish() {
    const d = this.root.dataset;
    Object.assign(d, {
      gen: this.gen, shown: this.shown, rev: this.rev, step: this.step, total: this.total ?? 0, lane: this.lane ?? "",
      race: Boolean(this.race), playing: this.playing, transport: this.transport.kind,
      inflight: this.counts.inflight, maxInflight: this.counts.most, ticks: this.counts.ticks,
      settled: Boolean(this.lanes) && this.settled && !this.pumping, gone: Boolean(this.gone),
      failed: Boolean(this.failed), msRoundTrip: this.roundTrip.toFixed(0),
      msDraw: this.drawMs.toFixed(1), msStep: this.msPerStep.toFixed(2),
    });
    for (const [name, value] of Object.entries(this.params || {})) d[camel(name)] = value;
    d.collapsed = (this.lanes || []).filter((l) => this.frames[l]?.oneClass && this.enough(this.frames[l])).join(" ");
    d.measured = (this.lanes || []).filter((l) => this.frames[l]?.key === this.shownKey && this.own(l)).join(" ");
  }

  // ----- the page --------------------------------------------------------------------------------

  start(hello) {
    this.atlas = hello.atlas || false;
    this.specs = hello.controls;
    this.params = { ...hello.params };
    this.lanes = hello.lanes;
    this.lane = hello.state.lane;
    this.race = hello.state.race;
    this.playing = hello.state.playing;
    Object.assign(this, {
      points: hello.points, polygon: hello.polygon, band: hello.band, extent: hello.extent,
      total: hello.total, stepsPerEpoch: hello.steps_per_epoch, enoughSteps: hello.enough_steps,
      bandSeeds: hello.band_seeds,
    });
    this.step = hello.step || 0;
    this.target = this.playing ? this.total : this.step;
    this.link = hello.link || {};
    this.readHash();
    this.layout(hello);
    this.dirty = true;
    this.publish();
  }

  layout(hello) {
    const id = (name) => `${this.id}-${name}`;
    this.controls = {};
    this.root.replaceChildren();
    this.live = h("p", { class: "nm-live", "aria-live": "polite", role: "status" });
    this.alert = h("p", { class: "nm-alert", role: "alert", hidden: true });
    this.status = h("span", { class: "nm-status" });
    this.notes = h("p", { class: "nm-notes" });

    // Header
    const heading = h("header", { class: "nm-head" },
      h("div", { class: "nm-title" }, "Decision-boundary lab",
        h("small", {}, "six schemes, same seed, same batches")),
      h("span", { class: "nm-chip", title: hello.note }, hello.chip), this.status);

    // Which scheme
    const picker = h("fieldset", { class: "nm-lanes" }, h("legend", { class: "nm-sr" }, "Scheme shown"));
    this.laneInputs = {};
    for (const name of [...this.lanes, "all"]) {
      const input = h("input", {
        type: "radio", name: id("lane"), value: name,
        onchange: () => this.choose(name === "all" ? this.lane : name, name === "all"),
      });
      this.laneInputs[name] = input;
      picker.append(h("label", { class: `nm-lane-${name}` }, input, h("span", {}, name === "all" ? "All six" : LANE_LABELS[name])));
    }

    // Pictures
    const stage = h("div", { class: "nm-stage" });
    this.build = { stage: () => this.buildStage(stage) };
    this.keys = { dash: key("dash", "previous"), pin: key("pin", "A") };
    const legend = h("div", { class: "nm-legend", "aria-hidden": "true" },
      key("circle", "class 0"), key("triangle", "class 1"), key("hollow", "test point"),
      key("line", "boundary"), this.keys.dash, this.keys.pin, key("band", "label noise"));

    // Sliders
    const sliders = h("div", { class: "nm-sliders" });
    for (const spec of this.specs.filter((c) => c.kind === "slider")) sliders.append(this.slider(spec, id(spec.name)));

    // Transport
    this.playButton = h("button", { type: "button", class: "nm-primary", onclick: () => this.play(!(this.playing && this.step < this.target)) });
    this.bar = h("progress", { "aria-label": "Training progress" });
    const transport = h("div", { class: "nm-transport", role: "group", "aria-label": "Training" },
      this.playButton,
      this.atlas ? null : button("step", "Step", "Train on one more batch", () => this.forward(1)),
      this.atlas ? null : button("epoch", "Epoch", "Train one more epoch", () => this.forward(this.stepsPerEpoch)),
      this.atlas ? null : button("reset", "Reset", "Back to the initial weights", () => this.reset()));

    // Layers
    const layers = h("fieldset", { class: "nm-layers" }, h("legend", {}, "Layers"));
    for (const [name, label, help] of LAYERS) {
      if (this.atlas && ["seeds", "saw", "jsd"].includes(name)) { delete this.layers[name]; continue; }
      const box = h("input", {
        type: "checkbox", "data-layer": name,
        onchange: () => { this.layers[name] = box.checked; this.redraw(); this.pump(); },
      });
      box.checked = this.layers[name];
      layers.append(h("label", { title: help }, box, h("span", {}, label)));
    }

    // Points
    this.editTest = h("input", { type: "checkbox" });
    this.editClass = [0, 1].map((c) => h("input", { type: "radio", name: id("class"), value: c }));
    this.editClass[1].checked = true;
    const edit = this.atlas ? null : h("fieldset", { class: "nm-edit" }, h("legend", {}, "Points"),
      h("label", {}, this.editClass[0], h("span", {}, "class 0")),
      h("label", {}, this.editClass[1], h("span", {}, "class 1")),
      h("label", {}, this.editTest, h("span", {}, "as test")),
      button(null, "New data", `Draw another ${this.points.length} points`, () => this.regenerate()),
      h("p", { class: "nm-help", id: id("edit-help") },
        "Click the picture to add a point (Shift: the other class); Alt- or Ctrl-click deletes the nearest. ",
        "Keys on the picture: arrows move a cursor, 0 or 1 adds, Delete removes, P reads the value."));

    // Less used settings
    const fields = this.specs.filter((c) => c.kind !== "slider");
    const more = fields.length ? h("details", { class: "nm-more" }, h("summary", {}, "More settings"), fields.map((spec) => this.field(spec, id(spec.name)))) : "";

    // Numbers
    this.numbers = { caption: h("caption"), other: h("th", { scope: "col" }), now: h("th", { scope: "col" }), cells: [] };
    const table = h("table", { class: "nm-numbers" }, this.numbers.caption,
      h("thead", {}, h("tr", {}, h("td"), this.numbers.other, this.numbers.now, h("th", { scope: "col" }, "change"))),
      h("tbody", {}, NUMBERS.map(([, label]) => {
        const cells = [h("td"), h("td"), h("td", { class: "nm-change" })];
        this.numbers.cells.push(cells);
        return h("tr", {}, h("th", { scope: "row" }, label), cells);
      })));
    this.pinButton = h("button", { type: "button", onclick: () => this.togglePin(), title: "Keep this picture and these numbers to compare with" });
    this.pinNote = h("p", { class: "nm-help" });
    this.charts = {
      loss: new LineChart("Training loss", (v) => v.toFixed(2)),
      test_accuracy: new LineChart("Test accuracy", (v) => `${(100 * v).toFixed(0)} %`, [0.6, 1]),
      noisy_accuracy: new LineChart("Accuracy under test noise", (v) => `${(100 * v).toFixed(0)} %`, [0.6, 1]),
    };

    // Share
    this.copied = h("textarea", { class: "nm-copied", readonly: true, rows: 3, hidden: true, "aria-label": "Copied text" });
    const share = h("div", { class: "nm-share", role: "group", "aria-label": "Share" }, this.pinButton,
      button(null, "Copy code", "Python that builds this explorer", () => this.copyCode()),
      button(null, "Copy link", "A link to the page without a kernel, at these settings", () => this.copyLink()));

    this.root.append(
      heading, this.alert,
      h("div", { class: "nm-body" },
        picker, this.live,
        h("div", { class: "nm-left" }, stage, legend, this.notes, layers),
        h("div", { class: "nm-middle" }, sliders, transport, this.bar, edit, more),
        h("div", { class: "nm-measured" },
          h("div", {}, table, share, this.pinNote, this.copied),
          Object.values(this.charts).map((c) => c.node))));
    if (hello.note) this.root.append(h("p", { class: "nm-foot" }, hello.note));
    // The classic notebook listens on the document; JupyterLab reads the attribute on the root.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    this.buildStage(stage);
  }

  buildStage(stage) {
    const make = (lane, small) => {
      const canvas = h("canvas", { "data-lane": lane, role: "img", tabindex: small ? null : 0 });
      const badge = h("span", { class: "nm-badge", hidden: true });
      const box = h("div", { class: "nm-canvas" }, canvas, badge);
      const panel = { lane, canvas, badge };
      if (!small) { this.bindCanvas(canvas); panel.node = box; return panel; }
      panel.note = h("span", { class: "nm-note" });
      panel.node = h("figure", { class: `nm-tile nm-lane-${lane}` },
        h("figcaption", {}, h("button", { type: "button", title: "Show large", onclick: () => this.choose(lane, false) }, LANE_LABELS[lane])), box, panel.note);
      return panel;
    };
    this.panels = this.race ? this.lanes.map((lane) => make(lane, true)) : [make(this.lane, false)];
    stage.classList.toggle("nm-race", this.race);
    this.root.classList.toggle("nm-racing", this.race);
    stage.replaceChildren(...this.panels.map((p) => p.node));
    this.laneInputs[this.race ? "all" : this.lane].checked = true;
    this.sizes?.disconnect();
    this.sizes = new ResizeObserver(() => this.redraw());
    this.panels.forEach((p) => this.sizes.observe(p.canvas));
    this.redraw();
  }

  /** A native range input; in the page without a kernel it moves over the values of the atlas. */
  slider(spec, id) {
    const { values } = spec;
    const input = h("input", {
      type: "range", id, "data-name": spec.name, "aria-describedby": `${id}-help`,
      min: values ? 0 : spec.min, max: values ? values.length - 1 : spec.max, step: values ? 1 : spec.step,
    });
    const output = h("output", { for: id, "aria-live": "off" }); // the slider says its value itself
    const put = (value) => {
      output.textContent = show(spec, value);
      input.setAttribute("aria-valuetext", `${show(spec, value)}${spec.unit ? ` ${spec.unit}` : ""}`);
      const low = Number(input.min), part = (Number(input.value) - low) / (Number(input.max) - low);
      input.style.setProperty("--part", `${(100 * part).toFixed(2)}%`);
    };
    this.controls[spec.name] = {
      show: (value) => {
        const at = values ? nearest(values, value) : value;
        if (!values && at > Number(input.max)) input.max = at; // Python may go further than we offer
        if (Math.abs(Number(input.value) - at) > 1e-9) input.value = at;
        put(value);
      },
    };
    const read = () => (values ? values[Number(input.value)] : Number(Number(input.value).toFixed(6)));
    input.addEventListener("input", () => { const v = read(); if (v !== this.params[spec.name]) this.change({ [spec.name]: v }); });
    const hold = () => { this.held.add(spec.name); };
    const release = () => {
      if (!this.held.delete(spec.name)) return;
      this.dragGhost = false;
      this.pump();
    };
    input.addEventListener("pointerdown", hold);
    for (const name of ["pointerup", "pointercancel", "blur", "change"]) input.addEventListener(name, release);
    const row = h("div", { class: "nm-slider" },
      h("label", { for: id }, spec.label, " ", symbol(spec.symbol)), output, input,
      h("span", { class: "nm-help", id: `${id}-help` }, spec.help));
    input.value = values ? nearest(values, this.params[spec.name]) : this.params[spec.name];
    put(this.params[spec.name]);
    return row;
  }

  field(spec, id) {
    const input = spec.choices
      ? h("select", { id, "data-name": spec.name }, spec.choices.map((c) => h("option", { value: c }, c)))
      : h("input", { id, type: "number", "data-name": spec.name, min: spec.min, max: spec.max, step: spec.step });
    input.value = this.params[spec.name];
    this.controls[spec.name] = { show: (value) => { if (document.activeElement !== input) input.value = value; } };
    input.addEventListener("change", () => {
      if (!spec.choices && !input.checkValidity()) { input.reportValidity(); return; }
      this.change({ [spec.name]: spec.choices ? input.value : Number(input.value) });
    });
    return h("div", { class: "nm-field" }, h("label", { for: id, title: spec.help }, spec.label), input);
  }

  bindCanvas(canvas) {
    if (this.atlas) { canvas.removeAttribute("tabindex"); return; }
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-describedby", `${this.id}-edit-help`);
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        ((event.clientX - box.left) / box.width) * 2 * this.extent - this.extent,
        this.extent - ((event.clientY - box.top) / box.height) * 2 * this.extent,
      ];
    };
    const chosen = () => (this.editClass[1].checked ? 1 : 0);
    canvas.addEventListener("click", (event) => {
      const [x, y] = at(event);
      this.cursor = [x, y];
      this.cursorOn = false;
      if (event.altKey || event.ctrlKey || event.metaKey) this.deletePoint(x, y);
      else this.addPoint(x, y, event.shiftKey ? 1 - chosen() : chosen());
    });
    canvas.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.2 : 0.05;
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      const [x, y] = this.cursor;
      if (by) {
        const limit = (v) => Math.max(-this.extent, Math.min(this.extent, v));
        this.cursor = [limit(x + by[0]), limit(y + by[1])];
      } else if (event.key === "0" || event.key === "1") this.addPoint(x, y, Number(event.key));
      else if (event.key === "Enter") this.addPoint(x, y, event.shiftKey ? 1 - chosen() : chosen());
      else if (event.key === "Delete" || event.key === "Backspace") this.deletePoint(x, y);
      else if (event.key === "p" || event.key === "P") {
        const { grid, size } = this.frames[this.lane];
        const cell = (v) => Math.min(size - 1, Math.max(0, Math.floor(((v + this.extent) / (2 * this.extent)) * size)));
        this.announce(`At ${place(x, y)}: P(class 1) = ${percent(grid[cell(-y) * size + cell(x)] / 255)}.`);
      } else return;
      this.cursorOn = true;
      event.preventDefault();
      this.redraw();
    });
    canvas.addEventListener("focus", () => { this.cursorOn = canvas.matches(":focus-visible"); this.redraw(); });
    canvas.addEventListener("blur", () => { this.cursorOn = false; this.redraw(); });
  }

  // ----- sharing ---------------------------------------------------------------------------------

  async copyCode() {
    let text;
    if (this.atlas) {
      const settings = this.specs.map((c) => `${c.name}=${JSON.stringify(this.params[c.name])}`);
      text = `from nmlib.lab.toy import explore\n\nexplore(${settings.join(", ")})`;
    } else {
      if (this.pumping || !this.settled) { // the pump asks one thing at a time; so do we
        this.announce("Training goes on; copy again when it has finished.");
        return;
      }
      this.pumping = true;
      this.counts.inflight += 1;
      const reply = await this.transport.request({ kind: "code" });
      this.counts.inflight -= 1;
      this.pumping = false;
      text = reply.code;
      this.pump();
    }
    this.copy(text, "Copied the Python code.");
  }

  hash() {
    // The page without a kernel has a few settings only; a live one names them all, so that the
    // page can say what it cannot follow.
    const names = this.atlas ? this.specs.map((c) => c.name) : Object.keys(this.params);
    const keep = { ...Object.fromEntries(names.map((n) => [n, this.params[n]])), lane: this.race ? "all" : this.lane };
    return `#${Object.entries(keep).map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&")}`;
  }

  /** Address of the page without a kernel, as far as it can be known from here, and what it is. */
  page() {
    if (this.atlas) {
      const away = location.protocol === "file:" ? " to this file; it opens on this computer" : "";
      return [location.href.split("#")[0], `Copied the link${away}.`];
    }
    const { file, page } = this.link;
    if (file) return [file, "Copied a link to the page without a kernel: a file on the computer of the kernel, where it opens in any browser."];
    return [page, "Copied where the page without a kernel lies in the repository of nmlib; its settings stand behind the #."];
  }

  copyLink() {
    const [base, sentence] = this.page();
    this.copy(base + this.hash(), this.handMade ? `${sentence} It cannot carry points set by hand.` : sentence);
  }

  async copy(text, sentence) {
    try {
      await navigator.clipboard.writeText(text);
      this.copied.hidden = true;
    } catch { // no permission or not a secure page: show it to be copied by hand
      sentence = `Press Ctrl+C to copy. ${sentence.replace("Copied", "It is")}`;
    }
    this.copied.value = text;
    this.copied.hidden = false;
    if (sentence.startsWith("Press")) { this.copied.focus(); this.copied.select(); }
    this.announce(sentence);
  }

  saveHash() {
    if (!this.atlas) return;
    clearTimeout(this.hashing);
    this.hashing = setTimeout(() => {
      try { history.replaceState(null, "", this.hash()); } catch { /* a page in a sandbox keeps its address */ }
    }, 200);
  }

  /** The page without a kernel restores its state from the link; values snap to the atlas. */
  readHash() {
    if (!this.atlas) return;
    const wanted = new URLSearchParams(location.hash.slice(1));
    const snapped = [];
    for (const [name, text] of wanted) {
      const spec = this.specs.find((c) => c.name === name);
      if (name === "lane") {
        this.race = text === "all";
        if (this.lanes.includes(text)) this.lane = text;
      } else if (spec?.values && Number.isFinite(Number(text))) {
        const value = spec.values[nearest(spec.values, Number(text))];
        if (value !== Number(text)) snapped.push(`${spec.symbol} = ${text} to ${value}`);
        this.params[name] = value;
      } else if (Object.hasOwn(this.params, name) && String(this.params[name]) !== text) {
        snapped.push(`${name} = ${text} to ${this.params[name]}`);
      }
    }
    if (snapped.length) setTimeout(() => this.announce(`This page holds a grid of settings; moved ${snapped.join(", ")}.`), 2500);
  }

  // ----- surroundings ----------------------------------------------------------------------------

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

  /** No requests from a hidden tab or from outside the window. */
  watchSight() {
    const wake = () => { this.publish(); this.pump(); };
    document.addEventListener("visibilitychange", wake);
    const observer = new IntersectionObserver((entries) => {
      this.seen = entries[entries.length - 1].isIntersecting;
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
    this.transport.close();
  }
}

const camel = (name) => name.replace(/_(\w)/g, (_, c) => c.toUpperCase());
const nearest = (values, v) => values.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(values[best] - v) ? i : best), 0);
const place = (x, y) => `(${x.toFixed(2)}, ${y.toFixed(2)})`.replaceAll("-", "−");

/** "σ_add" with its index set low. */
function symbol(text) {
  const [letter, index] = text.split("_");
  return h("i", {}, letter, index ? h("sub", {}, index) : null);
}

function show(spec, value) {
  return Number(value).toFixed(spec.digits);
}

function button(name, label, help, onclick) {
  return h("button", { type: "button", title: help, "data-action": name || label.toLowerCase(), onclick }, name ? icon(name) : null, label);
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

/** Entry point for anywidget. */
function render({ model, el }) {
  const explorer = new Explorer(el, new KernelTransport(model));
  return () => explorer.close();
}
