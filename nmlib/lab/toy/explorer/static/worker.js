// Training beside the page: a queue of one wish, worked off in slices of a few milliseconds.
//
// `makeTrainer` runs inside a worker made from its own text, or in the page where workers are
// refused. A wish replaces the one before it, so work for an old setting ends within a slice.

function makeTrainer(engine, post, later) {
  "use strict";
  const SLICE = 6, FIRST_STEPS = 24, MAP = 50, MAP_DRAWS = 16, BAND_SEEDS = 12;
  let lab = null, wish = null, sent = new Map(), waiting = false, edges = null;

  const now = () => performance.now();

  // What the result of a lane depends on: as long as it stays, its network does.
  function fingerprint(lane, settings, data) {
    const { lane: _, ...what } = engine.scheme(lane, settings);
    const noisy = what.noise ? [what.add, what.mult] : [];
    const mixed = what.mixes ? [what.alpha, what.pairing] : [];
    const { seed, width, learning_rate: rate, batch_size: batch } = settings;
    return JSON.stringify([
      data, seed, width, rate, batch, what.views, what.stability, what.noise, what.released && noisy.length > 0,
      noisy, mixed,
    ]);
  }

  function begin(message) {
    const fresh = new engine.Lab(message.settings, message.rows);
    fresh.keys = new Map(engine.LANES.map((lane) => [lane, fingerprint(lane, message.settings, message.data)]));
    const kept = [];
    for (const lane of engine.LANES) {
      if (lab && lab.keys.get(lane) === fresh.keys.get(lane) && !message.restart) {
        if (lab.nets.has(lane)) fresh.nets.set(lane, lab.nets.get(lane));
        if (lab.bands.has(lane)) fresh.bands.set(lane, lab.bands.get(lane));
        kept.push(lane);
      }
    }
    lab = fresh;
    edges = null;
    sent = new Map();
    if (kept.length) post({ kind: "kept", gen: message.gen, lanes: kept }, []);
  }

  // Take a lane's network back to the start if it is further than it should be shown.
  function rewind(lane, goal) {
    if (lab.steps(lane) > goal) {
      lab.nets.delete(lane);
      lab.fields.delete(lane);
    }
  }

  function frame(lane, size, measured) {
    const step = lab.steps(lane), grid = lab.field(lane, size);
    const reply = {
      kind: "frame", gen: wish.gen, lane, step, total: lab.totalSteps, size, grid,
      numbers: measured ? lab.numbers(lane) : null,
    };
    sent.set(lane, { step, size, measured });
    post(reply, [grid.buffer]);
  }

  function layer(lane, name) {
    const step = lab.steps(lane), base = { kind: "layer", gen: wish.gen, lane, name, step };
    if (name === "saw") {
      post({ ...base, value: lab.saw(lane) }, []);
      return true;
    }
    const grid = name === "jsd" ? lab.jsdMap(lane, MAP, MAP_DRAWS)
      : lab.band(lane, BAND_SEEDS, MAP, now() + SLICE);
    if (!grid) return false;
    post({ ...base, value: grid, size: MAP }, [grid.buffer]);
    return true;
  }

  // One slice of work, most urgent first; false if nothing is left to do.
  function slice() {
    if (!wish) return false;
    const goal = Math.min(wish.goal, lab.totalSteps), until = now() + SLICE;
    // 1. The pictures shown: a first one after the same number of steps, then as time goes by.
    const behind = wish.lanes.filter((lane) => {
      rewind(lane, goal);
      return lab.steps(lane) < goal;
    });
    if (behind.length) {
      const lane = behind.reduce((a, b) => (lab.steps(b) < lab.steps(a) ? b : a));
      const first = lab.steps(lane) < FIRST_STEPS;
      if (first) lab.run(lane, Math.min(goal, FIRST_STEPS));
      else lab.run(lane, goal, until);
      const done = lab.steps(lane) >= goal;
      if (done || first || (sent.get(lane)?.at ?? 0) < now() - 25) {
        frame(lane, done ? wish.fine : wish.coarse, done || wish.measure);
        sent.get(lane).at = now();
      }
      return true;
    }
    // 2. Their numbers and fine pictures.
    for (const lane of wish.lanes) {
      const last = sent.get(lane), step = lab.steps(lane);
      if (!last || last.step !== step || !last.measured || last.size < wish.fine) {
        frame(lane, wish.fine, true);
        return true;
      }
    }
    if (wish.held) return false;
    // 3. The layers of what is shown.
    for (const lane of wish.lanes) {
      for (const name of wish.layers) {
        const key = `${lane} ${name}`, step = lab.steps(lane);
        if (sent.get(key) === step) continue;
        if (layer(lane, name)) sent.set(key, step);
        return true;
      }
    }
    // 4. The other schemes.
    for (const lane of engine.LANES) {
      rewind(lane, goal);
      if (lab.steps(lane) < goal) {
        lab.run(lane, goal, until);
        return true;
      }
      const last = sent.get(lane);
      if (!last || last.step !== lab.steps(lane) || !last.measured) {
        frame(lane, wish.coarse, true);
        return true;
      }
    }
    // 5. Where the sliders' ends are: the first stop at which the scheme shown collapses.
    return wish.edges && goal === lab.totalSteps ? edgeSlice(until) : false;
  }

  // By bisection over the stops of each slider, the other settings as they are.
  function edgeSlice(until) {
    const lane = wish.lanes[wish.lanes.length - 1];
    if (!edges || edges.lane !== lane) {
      edges = { lane, open: wish.edges.map(({ name, stops }) => ({ name, stops, low: 0, high: null, at: stops.length - 1 })) };
    }
    const search = edges.open[0];
    if (!search) return false;
    search.lab ??= new engine.Lab({ ...lab.settings, [search.name]: search.stops[search.at] }, lab.rows);
    if (search.lab.run(lane, search.lab.totalSteps, until) < search.lab.totalSteps) return true;
    const z = search.lab.margins(lane), plain = z.every((v) => v > 0) || z.every((v) => v <= 0);
    search.lab = null;
    if (plain) search.high = search.at;
    else search.low = search.at + 1;
    if (search.high === null || search.low >= search.high) {
      post({ kind: "edge", gen: wish.gen, lane, name: search.name, from: search.high === null ? null : search.stops[search.high] }, []);
      edges.open.shift();
    } else search.at = (search.low + search.high) >> 1;
    return true;
  }

  function work() {
    waiting = false;
    let more = false;
    try {
      more = slice();
    } catch (error) {
      post({ kind: "error", gen: wish?.gen, message: String(error?.message ?? error) }, []);
      wish = null;
    }
    if (more) wake();
    else if (wish && !wish.rested) {
      wish.rested = true;
      post({ kind: "rest", gen: wish.gen }, []);
    }
  }

  function wake() {
    if (waiting) return;
    waiting = true;
    later(work);
  }

  // {settings, rows, data (a name of the rows), gen, lanes, goal, coarse, fine, layers, ...}
  return (message) => {
    if (message.kind === "slow") {
      post({ kind: "slow", value: lab ? engine.slowMotion(lab, message.lane) : null }, []);
      return;
    }
    if (message.kind === "probe") {
      const own = new engine.Lab(message.settings);
      own.run(message.lane, own.totalSteps);
      post({ kind: "probe", id: message.id, numbers: own.numbers(message.lane) }, []);
      return;
    }
    if (!lab || !wish || message.settings) begin(message);
    const same = wish && wish.gen === message.gen;
    wish = { ...(same ? wish : {}), ...message, rested: false };
    wake();
  };
}

/** A trainer in a worker of its own, or in this thread where the page's rules refuse one. */
function startTrainer(receive) {
  const source = `"use strict";
    const engine = (${makeEngine})();
    const channel = new MessageChannel(), jobs = [];
    channel.port1.onmessage = () => jobs.shift()();
    const later = (job) => { jobs.push(job); channel.port2.postMessage(0); };
    const trainer = (${makeTrainer})(engine, (reply, buffers) => postMessage(reply, buffers), later);
    onmessage = ({ data }) => trainer(data);`;
  const inPage = () => {
    const trainer = makeTrainer(makeEngine(), receive, (job) => setTimeout(job, 0));
    return { kind: "page", send: trainer, close() {} };
  };
  let worker;
  try {
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    worker = new Worker(address);
    URL.revokeObjectURL(address);
  } catch {
    return inPage();
  }
  const handle = { kind: "worker", close: () => worker.terminate() };
  const unsent = [];
  let heard = false;
  worker.onmessage = ({ data }) => { heard = true; receive(data); };
  // A policy that forbids workers says so later, by an error event.
  worker.onerror = (event) => {
    if (heard) { receive({ kind: "error", message: event.message }); return; }
    event.preventDefault();
    worker.terminate();
    Object.assign(handle, inPage());
    for (const message of unsent) handle.send(message);
  };
  handle.send = (message) => {
    if (!heard) unsent.push(message);
    worker.postMessage(message);
  };
  return handle;
}
