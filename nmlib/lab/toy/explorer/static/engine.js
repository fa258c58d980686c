// The toy lab without Python: the same draws, the same networks, the same numbers.
//
// `makeEngine` touches no page, so its text is also the source of the worker. Draws mirror
// lab/toy/draws.py, training mirrors lab/toy/ensemble, numbers mirror lab/toy/lab.py; tests hold
// the two together.

function makeEngine() {
  "use strict";
  const PURPOSES = [
    "data", "test noise", "weights", "order", "lambda", "partner", "point", "window", "scale",
    "noise", "kept", "permutation", "map", "map partner", "map noise",
  ];
  const POOL = 1 << 20, PERMUTATIONS = 1024, BLOCK = 16, MOST_VIEWS = 4, INTERVALS = 4096;
  const TURNS = [13, 15, 26, 6, 17, 29, 16, 24];
  const DECAY1 = 0.9, DECAY2 = 0.999, TINY = 1e-8;

  // -- draws -------------------------------------------------------------------------------------

  // Threefry-2x32, 20 rounds.
  function words(seed, purpose, index, count) {
    const out = new Uint32Array(count + (count & 1));
    const k0 = seed >>> 0, k1 = PURPOSES.indexOf(purpose), k2 = (k0 ^ k1 ^ 0x1bd11bda) >>> 0;
    const keys = [k0, k1, k2];
    for (let pair = 0; pair < out.length; pair += 2) {
      let x0 = ((pair >> 1) + k0) | 0, x1 = (index + k1) | 0;
      for (let r = 0; r < 20; r++) {
        const turn = TURNS[r & 7];
        x0 = (x0 + x1) | 0;
        x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
        if ((r & 3) === 3) {
          const j = (r >> 2) + 1;
          x0 = (x0 + keys[j % 3]) | 0;
          x1 = (x1 + keys[(j + 1) % 3] + j) | 0;
        }
      }
      out[pair] = x0;
      out[pair + 1] = x1;
    }
    return count & 1 ? out.subarray(0, count) : out;
  }

  function uniforms(seed, purpose, index, count) {
    const found = words(seed, purpose, index, count), out = new Float64Array(count);
    for (let i = 0; i < count; i++) out[i] = (found[i] + 0.5) / 4294967296;
    return out;
  }

  function integers(seed, purpose, index, count, below) {
    const found = words(seed, purpose, index, count), out = new Int32Array(count);
    for (let i = 0; i < count; i++) out[i] = Math.floor((found[i] * below) / 4294967296);
    return out;
  }

  function normals(seed, purpose, index, count, Type = Float64Array) {
    const u = uniforms(seed, purpose, index, count + (count & 1)), out = new Type(u.length);
    for (let i = 0; i < u.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(u[i])), angle = 2 * Math.PI * u[i + 1];
      out[i] = radius * Math.cos(angle);
      out[i + 1] = radius * Math.sin(angle);
    }
    return out.subarray(0, count);
  }

  // Words with their places in the lower bits sort as numbers: stable, and without a comparison.
  function ranked(found) {
    const keyed = new Float64Array(found.length), size = 1048576;
    for (let i = 0; i < found.length; i++) keyed[i] = found[i] * size + i;
    keyed.sort();
    return Int32Array.from(keyed, (v) => v % size);
  }

  const permutation = (seed, purpose, index, size) => ranked(words(seed, purpose, index, size));

  function cumulated(density) {
    const total = new Float64Array(density.length);
    for (let i = 1; i < total.length; i++) {
      total[i] = total[i - 1] + (density[i] + density[i - 1]) / 2;
    }
    const all = total[total.length - 1];
    return total.map((v) => v / all);
  }

  function interpolated(x, xs, ys) {
    let low = 0, high = xs.length - 1;
    if (x <= xs[0]) return ys[0];
    if (x >= xs[high]) return ys[high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    return ys[low] + ((ys[high] - ys[low]) / (xs[high] - xs[low])) * (x - xs[low]);
  }

  let betaTable = { alpha: 0 };

  function symmetricBeta(u, alpha) {
    if (betaTable.alpha !== alpha) {
      let grid, density;
      if (alpha <= 1) {
        grid = Float64Array.from({ length: INTERVALS + 1 }, (_, i) => i / INTERVALS);
        density = grid.map((v) => (1 - 0.5 * v ** (1 / alpha)) ** (alpha - 1));
      } else {
        const start = -2 * Math.asinh(Math.sqrt(Math.expm1(60 / alpha))), n = 4 * INTERVALS;
        grid = Float64Array.from({ length: n + 1 }, (_, i) => start * (1 - i / n));
        density = grid.map((v) => Math.exp(-alpha * Math.log1p(Math.sinh(v / 2) ** 2)));
      }
      betaTable = { alpha, grid, total: cumulated(density) };
    }
    const mass = 2 * Math.min(u, 1 - u), v = interpolated(mass, betaTable.total, betaTable.grid);
    const half = alpha <= 1 ? 0.5 * v ** (1 / alpha) : mass > 0 ? 1 / (1 + Math.exp(-v)) : 0;
    return u < 0.5 ? half : 1 - half;
  }

  let scaleTable = null;

  function scaleQuantile(u) {
    if (!scaleTable) {
      const grid = Float64Array.from({ length: INTERVALS + 1 }, (_, i) => i / INTERVALS);
      scaleTable = { grid, total: cumulated(grid.map((v) => v * (1 - v) ** 4)) };
    }
    return interpolated(u, scaleTable.total, scaleTable.grid);
  }

  const pools = new Map();

  // A reel of noise; the steps read windows of it. Longer than POOL it repeats itself.
  function noisePool(uniform, sparsity, length) {
    const name = `${uniform} ${sparsity}`, old = pools.get(name);
    if (old && old.length >= length) return old;
    const pool = new Float32Array(length);
    if (old) pool.set(old);
    else if (uniform) {
      const u = uniforms(0, "noise", 1, POOL);
      for (let i = 0; i < POOL; i++) pool[i] = 2 * u[i] - 1;
    } else pool.set(normals(0, "noise", 0, POOL, Float32Array));
    if (!old && sparsity) {
      const u = uniforms(0, "kept", uniform ? 1 : 0, POOL);
      for (let i = 0; i < POOL; i++) if (u[i] < sparsity) pool[i] = 0;
    }
    for (let i = old ? old.length : POOL; i < length; i++) pool[i] = pool[i - POOL];
    pools.set(name, pool);
    return pool;
  }

  const permutationPools = new Map();

  // Row `k` of the pool of permutations; made when it is first needed.
  function pooledPermutation(k, batch) {
    if (!permutationPools.has(batch)) permutationPools.set(batch, []);
    const pool = permutationPools.get(batch);
    return (pool[k] ??= permutation(0, "permutation", k, batch));
  }

  // -- data --------------------------------------------------------------------------------------

  const POLYGON = [[-0.6, 0.0], [-0.6, -0.6], [0.2, -0.7], [0.7, 0.3], [0.3, 0.3], [0.0, -0.3]];
  const BAND = 0.1;

  function signedDistance(x, y) {
    let nearest = Infinity, inside = false;
    for (let i = 0; i < POLYGON.length; i++) {
      const [ax, ay] = POLYGON[i], [bx, by] = POLYGON[(i + 1) % POLYGON.length];
      const dx = bx - ax, dy = by - ay;
      const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)));
      nearest = Math.min(nearest, Math.hypot(x - ax - t * dx, y - ay - t * dy));
      if (ay > y !== by > y && x < ax + ((y - ay) / dy) * dx) inside = !inside;
    }
    return inside ? nearest : -nearest;
  }

  // The shapes of the data; see lab/toy/shapes.py. Each takes (class, uniforms, place in the class)
  // to a point, which is then moved by SPREAD * noise * a normal number.
  const SHAPES = {
    circle: { spread: 0.6, at(label, [u, v]) {
      const radius = label ? 0.55 * Math.sqrt(u) : 0.85 + 0.4 * u, angle = 2 * Math.PI * v;
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    } },
    xor: { spread: 0.5, at(label, [u, v]) {
      const side = v < 0.5 ? 1 : -1, x = 0.1 + 1.1 * u, y = 0.1 + 1.1 * Math.abs(2 * v - 1);
      return [side * x, (label ? side : -side) * y];
    } },
    gaussians: { spread: 1, at: (label) => (label ? [0.55, 0.55] : [-0.55, -0.55]) },
    spiral: { spread: 0.3, at(label, _, part) {
      const angle = 3.5 * Math.PI * part + (label ? Math.PI : 0), radius = 0.1 + 1.15 * part;
      return [radius * Math.sin(angle), radius * Math.cos(angle)];
    } },
    moons: { spread: 0.75, at(label, _, part) {
      const x = Math.cos(Math.PI * part), y = Math.sin(Math.PI * part);
      return label ? [0.8 * (0.5 - x), 0.8 * (0.25 - y)] : [0.8 * (x - 0.5), 0.8 * (y - 0.25)];
    } },
  };

  // Rows of x, y, class, 1 if held back: half of them are.
  function toyData(shape, seed, noise, count = 500) {
    if (shape === "band") return polygonBand(seed, noise, count);
    const { spread, at } = SHAPES[shape], zeros = count - (count >> 1);
    const order = permutation(seed, "data", 0, count), shift = normals(seed, "data", 1, 2 * count);
    const u = uniforms(seed, "data", 2, 2 * count);
    return Array.from(order, (k, i) => {
      const label = k < zeros ? 0 : 1, part = label ? (k - zeros) / (count - zeros) : k / zeros;
      const [x, y] = at(label, [u[2 * i], u[2 * i + 1]], part), move = spread * noise;
      return [x + move * shift[2 * i], y + move * shift[2 * i + 1], label, i >= count >> 1 ? 1 : 0];
    });
  }

  // Two noisy rings, labelled by a polygon; see nmlib.make_polygon_band.
  function polygonBand(seed, noise, count) {
    const outer = count >> 1, order = permutation(seed, "data", 0, count), factor = 0.5;
    const shift = normals(seed, "data", 1, 2 * count), coin = uniforms(seed, "data", 2, count);
    return Array.from(order, (k, i) => {
      const [radius, at, of] = k < outer ? [1, k, outer] : [factor, k - outer, count - outer];
      const angle = (2 * Math.PI * at) / of;
      const x = radius * Math.cos(angle) + noise * shift[2 * i];
      const y = radius * Math.sin(angle) + noise * shift[2 * i + 1];
      const distance = signedDistance(x, y);
      const label = Math.abs(distance) <= BAND ? coin[i] < 0.5 : distance > 0;
      return [x, y, label ? 1 : 0, i >= count >> 1 ? 1 : 0];
    });
  }

  // -- schemes -----------------------------------------------------------------------------------

  const LANES = [
    "baseline", "noise_injection", "manifold_mixup", "nfm", "manifold_mixup_jsd", "noisymix",
  ];
  const RELEASED = { sparsity: 0.65, viewGain: 1 };

  // What a lane does at these settings; see nmlib.fig4_schemes.
  function scheme(lane, s) {
    const compares = lane.endsWith("jsd") || lane === "noisymix";
    const stability = compares ? s.stability : 0, released = s.law === "released";
    const own = { sparsity: 0, viewGain: 0, cleanViews: 0, ...(released ? RELEASED : {}) };
    let noise = ["noise_injection", "nfm", "noisymix"].includes(lane) ? own : null;
    if (lane === "manifold_mixup_jsd" && s.reading === "noise" && stability) {
      noise = { ...own, cleanViews: 1 };
    }
    if (!s.sigma_add && !s.sigma_mult) noise = null;
    const apart = stability && ["independent", "unmixed"].includes(s.reading);
    return {
      lane, stability, noise, released,
      mixes: lane !== "baseline" && lane !== "noise_injection",
      pairing: apart ? s.reading : "shared",
      views: stability ? (s.reading === "unmixed" ? 2 : 3) : 1,
      add: s.sigma_add, mult: s.sigma_mult, alpha: s.alpha,
    };
  }

  // What one step draws, the same for all lanes. `orders` keeps the order of an epoch.
  function stepDraws(s, count, step, orders) {
    const batch = Math.min(s.batch_size, count), each = Math.floor(count / batch);
    const epoch = Math.floor(step / each), block = Math.floor(s.seed / BLOCK);
    if (orders.epoch !== epoch) {
      orders.epoch = epoch;
      orders.rows = permutation(s.seed, "order", epoch, count);
    }
    const first = (step % each) * batch;
    return {
      rows: orders.rows.subarray(first, first + batch),
      uniform: uniforms(s.seed, "lambda", step, MOST_VIEWS),
      partner: integers(s.seed, "partner", step, MOST_VIEWS, PERMUTATIONS),
      point: integers(block, "point", step, 1, 2)[0],
      window: integers(block, "window", step, 2, POOL),
      scale: uniforms(s.seed, "scale", step, 2 * MOST_VIEWS),
    };
  }

  // Weights and noise levels of the views of a scheme.
  function viewsOf(what, draws, count = what.views) {
    const lam = [], add = [], mult = [], noise = what.noise;
    for (let v = 0; v < count; v++) {
      const own = what.pairing === "shared" ? 0 : v;
      const mixed = what.mixes && !(what.pairing === "unmixed" && v > 0);
      lam.push(mixed ? Math.fround(symmetricBeta(draws.uniform[own], what.alpha)) : 1);
      const level = noise && v >= noise.cleanViews ? 1 : 0;
      const scale = (k) => (what.released ? scaleQuantile(draws.scale[2 * v + k]) : 1);
      add.push(level && what.add * (1 + noise.viewGain * v) * scale(0));
      mult.push(level && what.mult * scale(1));
    }
    return { lam, add, mult };
  }

  // -- one network -------------------------------------------------------------------------------

  class Net {
    constructor(width, seed) {
      const below = uniforms(seed, "weights", 0, 3 * width), bound = 1 / Math.sqrt(2);
      const above = uniforms(seed, "weights", 1, 2 * width + 2), top = 1 / Math.sqrt(width);
      this.width = width;
      // Weights (width, 2), biases (width,), weights (2, width), biases (2,).
      this.p = new Float64Array(5 * width + 2);
      this.p.set(below.map((u) => Math.fround((2 * u - 1) * bound)));
      this.p.set(above.map((u) => Math.fround((2 * u - 1) * top)), 3 * width);
      this.first = new Float64Array(this.p.length);
      this.second = new Float64Array(this.p.length);
      this.gradient = new Float64Array(this.p.length);
      this.steps = 0;
      this.ce = this.jsd = 0;
    }

    // The difference of the logits, class 1 minus class 0, at (x, y) pairs.
    margins(xy, out = new Float64Array(xy.length >> 1)) {
      const { p, width } = this, top = 3 * width, b = 2 * width;
      const w = new Float64Array(width), bias = p[5 * width + 1] - p[5 * width];
      for (let j = 0; j < width; j++) w[j] = p[top + width + j] - p[top + j];
      for (let i = 0; i < out.length; i++) {
        const x = xy[2 * i], y = xy[2 * i + 1];
        let z = bias;
        for (let j = 0; j < width; j++) {
          const a = p[2 * j] * x + p[2 * j + 1] * y + p[b + j];
          if (a > 0) z += w[j] * a;
        }
        out[i] = z;
      }
      return out;
    }

    adam(rate) {
      const { p, first, second, gradient } = this, t = ++this.steps;
      const scale = rate / (1 - DECAY1 ** t), root = 1 / Math.sqrt(1 - DECAY2 ** t);
      for (let i = 0; i < p.length; i++) {
        const g = gradient[i];
        first[i] += (1 - DECAY1) * (g - first[i]);
        second[i] = DECAY2 * second[i] + (1 - DECAY2) * g * g;
        p[i] -= (scale * first[i]) / (Math.sqrt(second[i]) * root + TINY);
      }
    }
  }

  // Memory of a step: kept, for it has the same size each time.
  class Scratch {
    constructor(width, batch) {
      const rows = MOST_VIEWS * batch;
      this.x = new Float64Array(2 * rows);
      this.h = new Float64Array(rows * width);
      this.base = new Float64Array(batch * width);
      this.back = new Float64Array(batch * width);
      this.z = new Float64Array(rows);
      this.g = new Float64Array(rows);
      this.w = new Float64Array(width);
    }
  }

  const pointOf = (what, draws) => (what.mixes || what.noise ? draws.point : 0);

  // For each view the row in the batch that each row is mixed with; null where nothing is mixed.
  const partnersOf = (what, draws, batch) => Array.from({ length: what.views }, (_, v) => (what.mixes
    ? pooledPermutation(draws.partner[what.pairing === "shared" ? 0 : v], batch) : null));

  // The noise of a step: two pools, and where its windows of (view, row, entry) begin.
  function noiseOf(what, s, draws, batch, size) {
    if (!what.noise) return {};
    const reel = MOST_VIEWS * batch * size, place = (s.seed % BLOCK) * reel;
    const [addStart, multStart] = Array.from(draws.window, (at) => (at + place) % POOL);
    return {
      addStart, multStart,
      addPool: noisePool(false, what.noise.sparsity, POOL + reel),
      multPool: noisePool(what.released, what.noise.sparsity, POOL + reel),
    };
  }

  // Write the mixed and noised inputs of a step, (view, row, coordinate).
  function mixInputs(x, what, data, draws, { lam, add, mult }, partners, noise) {
    const batch = draws.rows.length;
    for (let v = 0; v < what.views; v++) {
      for (let b = 0; b < batch; b++) {
        const i = 2 * draws.rows[b], k = partners[v] ? 2 * draws.rows[partners[v][b]] : i;
        for (let c = 0, at = 2 * (v * batch + b); c < 2; c++, at++) {
          let value = data.x[k + c] + lam[v] * (data.x[i + c] - data.x[k + c]);
          if (mult[v]) value *= 1 + mult[v] * noise.multPool[noise.multStart + at];
          if (add[v]) value += add[v] * noise.addPool[noise.addStart + at];
          x[at] = value;
        }
      }
    }
  }

  // Write the gradient of one step into net.gradient, and the parts of its loss.
  // data: x (pairs) and y (classes). Gradients are written out by hand: autograd is in the tests.
  function backward(net, what, data, s, draws, memory) {
    const { width, p, gradient } = net, batch = draws.rows.length, V = what.views;
    const { x, h, base, back, z, g, w } = memory, rows = V * batch;
    const views = viewsOf(what, draws), { lam, add, mult } = views;
    const point = pointOf(what, draws), partners = partnersOf(what, draws, batch);
    const noise = noiseOf(what, s, draws, batch, point ? width : 2);
    const { addPool, multPool, addStart, multStart } = noise;
    const top = 3 * width, b1 = 2 * width, b2 = 5 * width, bias = p[b2 + 1] - p[b2];
    for (let j = 0; j < width; j++) w[j] = p[top + width + j] - p[top + j];
    gradient.fill(0);

    // Forward. At point 0 the inputs are mixed and noised, at point 1 the hidden layer.
    if (point === 0) {
      mixInputs(x, what, data, draws, views, partners, noise);
      for (let r = 0; r < rows; r++) {
        const x0 = x[2 * r], x1 = x[2 * r + 1];
        let sum = bias;
        for (let j = 0, at = r * width; j < width; j++, at++) {
          const a = p[2 * j] * x0 + p[2 * j + 1] * x1 + p[b1 + j];
          h[at] = a > 0 ? a : 0;
          if (a > 0) sum += w[j] * a;
        }
        z[r] = sum;
      }
    } else {
      for (let b = 0; b < batch; b++) {
        const x0 = data.x[2 * draws.rows[b]], x1 = data.x[2 * draws.rows[b] + 1];
        for (let j = 0, at = b * width; j < width; j++, at++) {
          const a = p[2 * j] * x0 + p[2 * j + 1] * x1 + p[b1 + j];
          base[at] = a > 0 ? a : 0;
        }
      }
      for (let v = 0; v < V; v++) {
        const l = lam[v], m = mult[v], n = add[v];
        for (let b = 0; b < batch; b++) {
          const r = v * batch + b, own = b * width;
          const other = partners[v] ? partners[v][b] * width : own;
          let sum = bias;
          for (let j = 0, at = r * width; j < width; j++, at++) {
            let value = base[other + j] + l * (base[own + j] - base[other + j]);
            if (m) value *= 1 + m * multPool[multStart + at];
            if (n) value += n * addPool[addStart + at];
            h[at] = value;
            sum += w[j] * value;
          }
          z[r] = sum;
        }
      }
    }

    // The loss, and its derivative by the difference of the logits.
    let ce = 0, jsd = 0;
    for (let b = 0; b < batch; b++) {
      let mean = 0;
      for (let v = 0; v < V; v++) mean += 1 / (1 + Math.exp(-z[v * batch + b])) / V;
      const mean1 = Math.log(Math.max(mean, 1e-38)), mean0 = Math.log(Math.max(1 - mean, 1e-38));
      const y = data.y[draws.rows[b]];
      const other = partners[0] ? data.y[draws.rows[partners[0][b]]] : y;
      const target = lam[0] * y + (1 - lam[0]) * other;
      for (let v = 0; v < V; v++) {
        const r = v * batch + b, one = 1 / (1 + Math.exp(-z[r]));
        // Logarithms of the two probabilities, without cancellation.
        const log1 = Math.min(z[r], 0) - Math.log1p(Math.exp(-Math.abs(z[r]))), log0 = log1 - z[r];
        g[r] = 0;
        if (what.stability) {
          const a1 = log1 - mean1, a0 = log0 - mean0;
          jsd += (one * a1 + (1 - one) * a0) / rows;
          g[r] = (what.stability / rows) * one * (1 - one) * (a1 - a0);
        }
        if (v === 0) {
          ce -= (target * log1 + (1 - target) * log0) / batch;
          g[r] += (one - target) / batch;
        }
      }
    }
    net.ce = ce;
    net.jsd = jsd;

    // Backward.
    let sum = 0;
    for (let r = 0; r < rows; r++) sum += g[r];
    gradient[b2 + 1] = sum;
    gradient[b2] = -sum;
    if (point === 0) {
      for (let r = 0; r < rows; r++) {
        const d = g[r], x0 = x[2 * r], x1 = x[2 * r + 1];
        for (let j = 0, at = r * width; j < width; j++, at++) {
          if (h[at] > 0) {
            const e = d * w[j];
            gradient[top + width + j] += d * h[at];
            gradient[2 * j] += e * x0;
            gradient[2 * j + 1] += e * x1;
            gradient[b1 + j] += e;
          }
        }
      }
    } else {
      back.fill(0, 0, batch * width);
      for (let v = 0; v < V; v++) {
        const l = lam[v], m = mult[v];
        for (let b = 0; b < batch; b++) {
          const r = v * batch + b, d = g[r], own = b * width;
          const other = partners[v] ? partners[v][b] * width : own;
          for (let j = 0, at = r * width; j < width; j++, at++) {
            gradient[top + width + j] += d * h[at];
            let e = d * w[j];
            if (m) e *= 1 + m * multPool[multStart + at];
            back[own + j] += l * e;
            back[other + j] += (1 - l) * e;
          }
        }
      }
      for (let b = 0; b < batch; b++) {
        const x0 = data.x[2 * draws.rows[b]], x1 = data.x[2 * draws.rows[b] + 1];
        for (let j = 0, at = b * width; j < width; j++, at++) {
          if (base[at] > 0) {
            const e = back[at];
            gradient[2 * j] += e * x0;
            gradient[2 * j + 1] += e * x1;
            gradient[b1 + j] += e;
          }
        }
      }
    }
    for (let j = 0; j < width; j++) gradient[top + j] = -gradient[top + width + j];
  }

  // -- the lab -----------------------------------------------------------------------------------

  const EXTENT = 1.6, GRID = 100, TEST_NOISE = 0.2, TEST_DRAWS = 8, ENOUGH_STEPS = 100;
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  // Centres of the pixels, row by row from the top left.
  function gridPoints(size) {
    const xy = new Float32Array(2 * size * size);
    for (let i = 0, at = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        xy[at++] = ((j + 0.5) / size) * 2 * EXTENT - EXTENT;
        xy[at++] = EXTENT - ((i + 0.5) / size) * 2 * EXTENT;
      }
    }
    return xy;
  }

  // Length of the zero level, and the mean gradient along it, by marching squares; see
  // nmlib.lab.toy.boundary.
  function measureBoundary(z, size) {
    const step = (2 * EXTENT) / size;
    let total = 0, steep = 0;
    for (let i = 0; i + 1 < size; i++) {
      for (let j = 0; j + 1 < size; j++) {
        const at = i * size + j;
        const a = z[at], b = z[at + 1], d = z[at + size], c = z[at + size + 1];
        const A = a > 0, B = b > 0, C = c > 0, D = d > 0;
        if (A === B && B === C && C === D) continue;
        const t = a / (a - b), r = b / (b - c), u = d / (d - c), s = a / (a - d), ends = [];
        if (A !== B) ends.push([t, 0]);
        if (B !== C) ends.push([1, r]);
        if (D !== C) ends.push([u, 1]);
        if (A !== D) ends.push([0, s]);
        let length;
        if (ends.length === 2) length = Math.hypot(ends[0][0] - ends[1][0], ends[0][1] - ends[1][1]);
        else if (a + b + c + d > 0 === A) length = Math.hypot(1 - t, r) + Math.hypot(u, 1 - s);
        else length = Math.hypot(t, s) + Math.hypot(1 - u, 1 - r);
        total += length;
        steep += (length * Math.hypot(b + c - a - d, a + b - c - d)) / (2 * step);
      }
    }
    return { length: total * step, steepness: total ? steep / total : null };
  }

  const split = (rows, test) => {
    const own = rows.filter((row) => Boolean(row[3]) === test);
    return {
      x: Float32Array.from(own.flatMap((row) => [row[0], row[1]])),
      y: Uint8Array.from(own, (row) => row[2]),
    };
  };

  // Six schemes at the same settings, each trained as far as it was asked to.
  class Lab {
    // rows: [x, y, class, 1 if held back]; default the polygon band of settings.data_seed.
    constructor(settings, rows = null) {
      this.settings = { ...settings };
      this.rows = rows ?? toyData(settings.shape, settings.data_seed, settings.data_noise);
      this.train = split(this.rows, false);
      this.test = split(this.rows, true);
      this.count = this.train.y.length;
      this.batch = Math.min(settings.batch_size, this.count);
      this.stepsPerEpoch = Math.floor(this.count / this.batch);
      this.totalSteps = settings.epochs * this.stepsPerEpoch;
      this.memory = new Scratch(settings.width, this.batch);
      this.nets = new Map();
      this.bands = new Map();
      this.fields = new Map();
      const n = this.test.x.length, shift = normals(0, "test noise", 0, TEST_DRAWS * n);
      this.noisy = Float32Array.from(shift, (v, i) => this.test.x[i % n] + TEST_NOISE * v);
    }

    net(lane) {
      if (!this.nets.has(lane)) {
        const { width, seed } = this.settings;
        this.nets.set(lane, { net: new Net(width, seed), what: scheme(lane, this.settings), orders: {} });
      }
      return this.nets.get(lane);
    }

    steps(lane) {
      return this.net(lane).net.steps;
    }

    // Train a lane up to a step, or until the clock says stop (checked between steps).
    run(lane, goal, until = Infinity) {
      const found = this.net(lane), last = Math.min(goal, this.totalSteps);
      this.fields.delete(lane);
      advance(found, this, this.settings, last, until);
      return found.net.steps;
    }

    margins(lane, size = GRID) {
      const kept = this.fields.get(lane);
      if (kept && kept.size === size) return kept.z;
      const z = this.net(lane).net.margins(gridPoints(size));
      this.fields.set(lane, { size, z });
      return z;
    }

    // 255 * P(class 1), rounded.
    field(lane, size = GRID) {
      return Uint8Array.from(this.margins(lane, size), (z) => Math.round(255 * sigmoid(z)));
    }

    numbers(lane) {
      const { net, what } = this.net(lane), z = this.margins(lane);
      const right = (data, m) => {
        let count = 0;
        for (let i = 0; i < m.length; i++) count += m[i] > 0 === (data.y[i % data.y.length] === 1);
        return count;
      };
      const train = net.margins(this.train.x), test = net.margins(this.test.x);
      const noisy = net.margins(this.noisy), held = right(this.test, test);
      let confidence = 0;
      for (const m of test) confidence += sigmoid(Math.abs(m)) / test.length;
      const { length, steepness } = measureBoundary(z, GRID);
      const oneClass = z.every((v) => v > 0) || z.every((v) => v <= 0);
      const jsd = what.stability ? net.jsd : 0, untrained = !net.steps;
      return {
        step: net.steps, epoch: net.steps / this.stepsPerEpoch,
        ce: untrained ? null : net.ce, jsd: untrained ? 0 : jsd,
        loss: untrained ? null : net.ce + what.stability * jsd,
        train_accuracy: right(this.train, train) / train.length,
        test_accuracy: held / test.length,
        noisy_accuracy: right(this.test, noisy) / noisy.length,
        errors: test.length - held,
        boundary_length: length, steepness, confidence, one_class: oneClass,
        collapsed: oneClass && net.steps >= Math.max(this.totalSteps, ENOUGH_STEPS),
      };
    }

    // What the network was shown in its last step; null before the first.
    saw(lane) {
      const { net, what } = this.net(lane), s = this.settings;
      if (!net.steps) return null;
      const draws = stepDraws(s, this.count, net.steps - 1, {}), views = viewsOf(what, draws);
      const point = pointOf(what, draws), partners = partnersOf(what, draws, this.batch);
      const at = (k) => [this.train.x[2 * k], this.train.x[2 * k + 1]];
      const points = Array.from(draws.rows, at);
      let mixed = null;
      if (!point) {
        mixInputs(this.memory.x, what, this.train, draws, views, partners,
          noiseOf(what, s, draws, this.batch, 2));
        mixed = this.memory.x.slice(0, 2 * what.views * this.batch);
      }
      return {
        points, y: Array.from(draws.rows, (k) => this.train.y[k]),
        partner: partners[0] && Array.from(partners[0]), lam: views.lam[0], point, mixed,
      };
    }

    // How much the views of each pixel disagree: 255 = log 2, the most possible.
    jsdMap(lane, size, count) {
      const { net, what } = this.net(lane), { seed } = this.settings, xy = gridPoints(size);
      const n = size * size, V = Math.max(what.views, 2), total = new Float64Array(n);
      const views = new Float32Array(2 * n), p = [];
      for (let k = 0; k < count; k++) {
        const noisy = what.noise, { lam, add, mult } = viewsOf(what, {
          uniform: uniforms(seed, "map", k, V), scale: uniforms(seed, "map noise", 2 * k + 1, 2 * V),
        }, V);
        const who = what.mixes ? integers(seed, "map partner", k, V * n, this.count) : null;
        const [addStart, multStart] = integers(seed, "map noise", 2 * k, 2, POOL);
        const sparsity = noisy ? noisy.sparsity : 0;
        const addPool = noisy && noisePool(false, sparsity, POOL + 2 * V * n);
        const multPool = noisy && noisePool(what.released, sparsity, POOL + 2 * V * n);
        for (let v = 0; v < V; v++) {
          const own = what.pairing === "shared" ? 0 : v, l = lam[v];
          for (let i = 0; i < 2 * n; i++) {
            let value = xy[i];
            if (l !== 1) value = l * value + (1 - l) * this.train.x[2 * who[own * n + (i >> 1)] + (i & 1)];
            const at = 2 * v * n + i;
            if (mult[v]) value *= 1 + mult[v] * multPool[multStart + at];
            if (add[v]) value += add[v] * addPool[addStart + at];
            views[i] = value;
          }
          p[v] = net.margins(views).map(sigmoid);
        }
        for (let i = 0; i < n; i++) total[i] += divergence(p, i, V) / count;
      }
      return Uint8Array.from(total, (d) => Math.round(Math.min(1, Math.max(0, d / Math.LN2)) * 255));
    }

    // 255 * the share of the next seeds that predict class 1, at the step of the lane shown.
    // Trains until the clock says stop; null if more is to be done.
    band(lane, seeds, size, until = Infinity) {
      const first = this.settings.seed + 1;
      if (!this.bands.has(lane)) {
        this.bands.set(lane, Array.from({ length: seeds }, (_, k) => ({
          net: new Net(this.settings.width, first + k), orders: {},
          what: scheme(lane, this.settings), settings: { ...this.settings, seed: first + k },
        })));
      }
      const band = this.bands.get(lane), goal = this.steps(lane);
      for (const one of band) {
        if (one.net.steps > goal) {
          this.bands.delete(lane);
          return this.band(lane, seeds, size, until);
        }
        advance(one, this, one.settings, goal, until);
        if (one.net.steps < goal) return null;
      }
      const share = new Float64Array(size * size), xy = gridPoints(size);
      for (const one of band) one.net.margins(xy).forEach((z, i) => (share[i] += (z > 0) / seeds));
      return Uint8Array.from(share, (v) => Math.round(255 * v));
    }
  }

  const CLOCK_EVERY = 4;

  function advance(member, lab, settings, goal, until) {
    const { net, what, orders } = member;
    while (net.steps < goal) {
      const draws = stepDraws(settings, lab.count, net.steps, orders);
      backward(net, what, lab.train, settings, draws, lab.memory);
      net.adam(settings.learning_rate);
      if (until < Infinity && net.steps % CLOCK_EVERY === 0 && performance.now() >= until) return;
    }
  }

  // The Jensen-Shannon divergence of the i-th entries of V probabilities of class 1.
  function divergence(p, i, V) {
    const term = (q, m) => (q > 0 ? q * Math.log(q / m) : 0);
    let mean = 0, sum = 0;
    for (let v = 0; v < V; v++) mean += p[v][i] / V;
    for (let v = 0; v < V; v++) sum += term(p[v][i], mean) + term(1 - p[v][i], 1 - mean);
    return Math.max(sum / V, 0);
  }

  const norm = (values) => Math.hypot(...values);

  // The next step of a lane on the first point of its batch, without taking it; null at the end.
  function slowMotion(lab, lane) {
    const { net, what } = lab.net(lane), s = lab.settings;
    if (net.steps >= lab.totalSteps) return null;
    const draws = stepDraws(s, lab.count, net.steps, {}), levels = viewsOf(what, draws);
    const point = pointOf(what, draws), partners = partnersOf(what, draws, lab.batch);
    const copy = Object.assign(new Net(s.width, s.seed), {
      p: net.p.slice(), first: net.first.slice(), second: net.second.slice(), steps: net.steps,
    });
    const { x, h, base, z } = lab.memory, row = (k) => [lab.train.x[2 * k], lab.train.x[2 * k + 1], lab.train.y[k]];
    backward(copy, what, lab.train, s, draws, lab.memory);
    const own = row(draws.rows[0]), other = partners[0] && row(draws.rows[partners[0][0]]);
    const views = levels.lam.map((lam, v) => ({
      lam, p: sigmoid(z[v * lab.batch]),
      x: point ? null : [x[2 * v * lab.batch], x[2 * v * lab.batch + 1]],
    }));
    const target = other ? levels.lam[0] * own[2] + (1 - levels.lam[0]) * other[2] : own[2];
    const p = views.map((view) => [view.p]), [{ p: first }] = views;
    let unit = null;
    if (point) {
      const of = (j) => views.map((_, v) => h[v * lab.batch * s.width + j]);
      const shift = (j) => Math.max(...of(j).map((after) => Math.abs(after - base[j])));
      let index = 0;
      for (let j = 1; j < s.width; j++) if (shift(j) > shift(index)) index = j;
      unit = { index, before: base[index], after: of(index) };
    }
    const weights = copy.p.slice(), at = Float32Array.from(own.slice(0, 2)), before = sigmoid(copy.margins(at)[0]);
    copy.adam(s.learning_rate);
    return {
      lane, point, unit, views, target, before, pair: [own, other], step: net.steps, batch: lab.batch,
      noisy: what.noise !== null, stability: what.stability, parameters: weights.length,
      ce: -(target * Math.log(first) + (1 - target) * Math.log(1 - first)),
      jsd: divergence(p, 0, views.length), batchCe: copy.ce, batchJsd: copy.jsd, gradient: norm(copy.gradient),
      moved: norm(weights.map((w, i) => copy.p[i] - w)), after: sigmoid(copy.margins(at)[0]),
    };
  }

  return {
    POOL, PERMUTATIONS, BLOCK, MOST_VIEWS,
    words, uniforms, integers, normals, permutation, symmetricBeta, scaleQuantile, noisePool,
    pooledPermutation, toyData, LANES, EXTENT, scheme, stepDraws, viewsOf, Net,
    Scratch, backward, Lab, slowMotion,
  };
}
