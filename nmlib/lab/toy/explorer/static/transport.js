// Two ways to get frames behind one interface:
//   request(message) -> Promise<reply>      reply.grids[lane] = {data: Uint8Array, size}
//   onSet(callback)                          the other side changed a setting
//   onLost(callback), onFound(callback)      nobody answers any more; somebody does again
// The explorer never has more than one request under way, so work is cancelled by not asking.

/** A running kernel, through the widget's custom messages. */
class KernelTransport {
  constructor(model) {
    this.kind = "kernel";
    this.view = Math.random().toString(36).slice(2, 10); // several views may share one model
    this.model = model;
    this.waiting = new Map();
    this.next = 1;
    this.listen = (content, buffers) => {
      if (content.view && content.view !== this.view) return;
      if (content.kind === "set") { this.set?.(content); return; }
      const resolve = this.waiting.get(content.id);
      if (!resolve) return;
      this.waiting.delete(content.id);
      resolve(unpack(content, buffers || []));
    };
    // ipywidgets says that the connection has changed, not how: ask, and see who answers.
    this.live = () => {
      clearTimeout(this.patience);
      this.patience = setTimeout(() => this.lost?.(), 2500);
      this.request({ kind: "ping" }).then(() => {
        clearTimeout(this.patience);
        for (const resolve of this.waiting.values()) resolve({ kind: "again" });
        this.waiting.clear();
        this.found?.();
      });
    };
    model.on("msg:custom", this.listen);
    model.on("comm_live_update", this.live);
  }

  request(message) {
    const id = this.next++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      try {
        this.model.send({ ...message, id, view: this.view });
      } catch { // the connection is closed
        this.lost?.();
      }
    });
  }

  onSet(callback) { this.set = callback; }
  onLost(callback) { this.lost = callback; }
  onFound(callback) { this.found = callback; }

  close() {
    clearTimeout(this.patience);
    this.model.off("msg:custom", this.listen);
    this.model.off("comm_live_update", this.live);
    this.waiting.clear();
  }
}

/** Name the buffers: content.buffers lists {name, lane, size} in their order. */
function unpack(content, buffers) {
  const reply = { ...content, grids: {}, jsd: {}, seeds: {} };
  (content.buffers || []).forEach(({ name, lane, size }, i) => {
    const view = buffers[i];
    const data = new Uint8Array(view.buffer || view, view.byteOffset || 0, view.byteLength);
    reply[name][lane] = { data, size };
  });
  return reply;
}

/**
 * Precomputed pictures in the page itself, no kernel.
 * atlas: {axes: {alpha: [...], ...}, uses: {lane: [axis, ...]}, steps: [...], size, levels,
 *         metrics: {lane: [[...] per step] per cell}, hello, bytes (base64 of deflated grids)}
 */
class AtlasTransport {
  constructor(atlas, bytes) {
    this.kind = "atlas";
    this.atlas = atlas;
    this.bytes = bytes;
    this.step = 0;
    this.key = "";
  }

  static async open(atlas, base64) {
    const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    return new AtlasTransport(atlas, bytes);
  }

  onSet() {}
  onLost() {}
  onFound() {}
  close() {}

  /** Index of the atlas cell of a lane at these settings. */
  cell(lane, params) {
    let index = 0;
    for (const axis of this.atlas.uses[lane]) {
      const values = this.atlas.axes[axis];
      let best = 0;
      values.forEach((v, i) => { if (Math.abs(v - params[axis]) < Math.abs(values[best] - params[axis])) best = i; });
      index = index * values.length + best;
    }
    return index;
  }

  /** Grid number k: each pixel is stored as its difference from the left (or upper) neighbour. */
  grid(k) {
    const { size, levels } = this.atlas, n = size * size;
    const coded = this.bytes.subarray(k * n, (k + 1) * n);
    const data = new Uint8Array(n), q = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      const before = i % size ? q[i - 1] : i ? q[i - size] : 0;
      q[i] = (coded[i] + before) & 255;
      data[i] = Math.round((q[i] * 255) / (levels - 1));
    }
    return { data, size };
  }

  async request(message) {
    const { atlas } = this;
    if (message.kind === "hello") return { ...atlas.hello, kind: "hello" };
    const key = JSON.stringify(message.params);
    if (key !== this.key || message.restart) this.step = 0;
    this.key = key;
    const last = atlas.steps.length - 1;
    const at = () => (this.step ? atlas.steps.indexOf(this.step) : -1);
    if (message.steps > 0) {
      if (message.slowly) {
        await new Promise((resolve) => setTimeout(resolve, 260));
        this.step = atlas.steps[Math.min(last, at() + 1)];
      } else {
        const goal = this.step + message.steps;
        this.step = atlas.steps.reduce((s, v) => (v <= goal ? v : s), this.step || atlas.steps[0]);
      }
    }
    const reply = {
      kind: "frame", gen: message.gen, step: this.step || atlas.steps[0], total: atlas.steps[last],
      lanes: {}, grids: {}, jsd: {}, seeds: {}, past: {}, ms: { train: 0, draw: 0 }, trained: message.steps,
    };
    const snapshot = Math.max(0, at());
    for (const lane of message.lanes) {
      const cell = this.cell(lane, message.params);
      const k = atlas.offsets[lane] + snapshot * atlas.cells[lane] + cell;
      reply.grids[lane] = this.grid(k);
      const rows = atlas.metrics[lane][cell].slice(0, snapshot + 1)
        .map((values) => Object.fromEntries(atlas.columns.map((name, i) => [name, values[i]])));
      reply.lanes[lane] = rows[snapshot];
      reply.past[lane] = rows.map((row, i) => [atlas.steps[i], row]);
    }
    return reply;
  }
}
