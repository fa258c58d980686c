// Colours, isolines and the drawing of one square panel. No state, no DOM beyond a 2-D context.

const LANE_LABELS = {
  baseline: "Baseline",
  noise_injection: "Noise injection",
  manifold_mixup: "Manifold mixup",
  nfm: "NFM",
  manifold_mixup_jsd: "Manifold mixup + JSD",
  noisymix: "NoisyMix",
};

// Okabe-Ito: class 0 is orange, class 1 is blue; they differ in lightness too, and shapes, fills,
// hatching and isolines repeat everything that colour says.
const THEMES = {
  light: {
    ramp: [[249, 217, 168], [252, 236, 212], [252, 252, 251], [208, 231, 246], [142, 198, 234]],
    ink: "#16191d", faint: "rgba(22,25,29,.34)", halo: "rgba(255,255,255,.85)",
    ghost: "#5b6169", pin: "#a2266f", zero: "#853600", one: "#004e7d", paper: "#ffffff",
    truth: "rgba(22,25,29,.10)", truthLine: "rgba(22,25,29,.55)", hatch: "rgba(0,70,120,.30)",
    jsd: [126, 34, 120], seeds: "rgba(22,25,29,.30)", mixed: "#00704f",
  },
  dark: {
    ramp: [[74, 50, 24], [56, 44, 30], [28, 31, 36], [22, 58, 84], [18, 90, 140]],
    ink: "#f4f5f6", faint: "rgba(244,245,246,.34)", halo: "rgba(16,18,21,.8)",
    ghost: "#b3bac3", pin: "#f0a3d0", zero: "#ffc061", one: "#9ad6fb", paper: "#15181c",
    truth: "rgba(244,245,246,.12)", truthLine: "rgba(244,245,246,.55)",
    hatch: "rgba(150,210,255,.28)", jsd: [240, 140, 220], seeds: "rgba(244,245,246,.30)",
    mixed: "#4fd6a8",
  },
};

/** 256 colours for P(class 1) = 0 ... 255. */
function colourTable(ramp) {
  const table = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) {
    const t = (i / 255) * (ramp.length - 1);
    const k = Math.min(Math.floor(t), ramp.length - 2);
    for (let c = 0; c < 3; c++) {
      table[4 * i + c] = ramp[k][c] + (t - k) * (ramp[k + 1][c] - ramp[k][c]);
    }
    table[4 * i + 3] = 255;
  }
  return table;
}
for (const theme of Object.values(THEMES)) theme.table = colourTable(theme.ramp);

/** Paint a uint8 grid into a new canvas of its own size (the caller stretches it). */
function gridCanvas(grid, size, paint) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  for (let i = 0; i < size * size; i++) paint(image.data, 4 * i, grid[i]);
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * Isolines of a size x size grid by marching squares, joined into polylines.
 * Values sit at the centres of the pixels; coordinates are fractions of the square, y downwards.
 */
function isolines(grid, size, level) {
  const next = new Map(); // edge -> [[x, y], edges it is joined to]
  const across = size; // edge ids: 2 * index for the edge to the right, + 1 for the one below
  const point = (edge) => {
    const index = edge >> 1;
    const x = index % across, y = (index - x) / across;
    const a = grid[index], b = grid[edge & 1 ? index + across : index + 1];
    const t = (level - a) / (b - a);
    return edge & 1 ? [(x + 0.5) / size, (y + t + 0.5) / size]
                    : [(x + t + 0.5) / size, (y + 0.5) / size];
  };
  const join = (e, f) => {
    for (const [a, b] of [[e, f], [f, e]]) {
      const links = next.get(a);
      if (links) links.push(b); else next.set(a, [b]);
    }
  };
  for (let y = 0; y < size - 1; y++) {
    for (let x = 0; x < size - 1; x++) {
      const i = y * size + x;
      const a = grid[i] > level, b = grid[i + 1] > level;
      const c = grid[i + size + 1] > level, d = grid[i + size] > level;
      if (a === b && b === c && c === d) continue;
      const top = 2 * i, left = top + 1, bottom = 2 * (i + size), right = 2 * (i + 1) + 1;
      const cut = [];
      if (a !== b) cut.push(top);
      if (b !== c) cut.push(right);
      if (c !== d) cut.push(bottom);
      if (d !== a) cut.push(left);
      if (cut.length === 2) join(cut[0], cut[1]);
      else { // saddle: the mean decides which corners are connected
        const mean = (grid[i] + grid[i + 1] + grid[i + size] + grid[i + size + 1]) / 4 > level;
        if (mean === a) { join(top, right); join(bottom, left); }
        else { join(top, left); join(bottom, right); }
      }
    }
  }
  const lines = [], done = new Set();
  const follow = (start) => {
    const line = [point(start)];
    done.add(start);
    for (let edge = start; ;) {
      const on = next.get(edge).find((e) => !done.has(e));
      if (on === undefined) {
        if (line.length > 2 && next.get(edge).includes(start)) line.push(line[0]);
        return line;
      }
      done.add(on);
      line.push(point(on));
      edge = on;
    }
  };
  for (const [edge, links] of next) if (links.length === 1 && !done.has(edge)) lines.push(follow(edge));
  for (const edge of next.keys()) if (!done.has(edge)) lines.push(follow(edge));
  return lines;
}

/** Two passes of 1-2-1 smoothing in each direction. */
function blur(grid, size) {
  let from = Float32Array.from(grid);
  for (const stride of [1, size, 1, size]) {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      const at = stride === 1 ? i % size : (i / size) | 0;
      const before = at ? from[i - stride] : from[i], after = at < size - 1 ? from[i + stride] : from[i];
      to[i] = (before + 2 * from[i] + after) / 4;
    }
    from = to;
  }
  return from;
}

function strokeLines(context, lines, side) {
  context.beginPath();
  for (const line of lines) {
    line.forEach(([x, y], i) => (i ? context.lineTo(x * side, y * side) : context.moveTo(x * side, y * side)));
  }
  context.stroke();
}

/** Shapes say the class (circle 0, triangle 1), fill says train (full) or test (hollow). */
function drawPoint(context, x, y, radius, label, test, theme) {
  const colour = label ? theme.one : theme.zero;
  context.beginPath();
  if (label) {
    const r = radius * 1.3;
    context.moveTo(x, y - r);
    context.lineTo(x + 0.9 * r, y + 0.65 * r);
    context.lineTo(x - 0.9 * r, y + 0.65 * r);
    context.closePath();
  } else {
    context.arc(x, y, radius, 0, 7);
  }
  if (test) {
    context.lineWidth = Math.max(1, radius * 0.42);
    context.strokeStyle = colour;
    context.stroke();
  } else {
    context.lineWidth = Math.max(0.75, radius * 0.28);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = theme.halo;
    context.stroke();
  }
}

/**
 * Draw one panel.
 * scene: {frame, extent, polygon, band, points, layers, ghost, pin, cursor, theme, small}
 */
function drawPanel(canvas, scene) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const side = Math.max(60, Math.round(canvas.clientWidth || 300));
  if (canvas.width !== side * ratio) canvas.width = canvas.height = Math.round(side * ratio);
  const context = canvas.getContext("2d");
  const { frame, extent, layers, theme } = scene;
  const to = (x, y) => [((x + extent) / (2 * extent)) * side, ((extent - y) / (2 * extent)) * side];
  const unit = side / (2 * extent);
  const thick = side > 300 ? 1 : 0.75;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineJoin = context.lineCap = "round";
  context.fillStyle = theme.paper;
  context.fillRect(0, 0, side, side);

  if (frame?.grid) {
    const table = theme.table;
    const image = gridCanvas(frame.grid, frame.size, (data, at, v) => {
      data[at] = table[4 * v]; data[at + 1] = table[4 * v + 1];
      data[at + 2] = table[4 * v + 2]; data[at + 3] = 255;
    });
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.globalAlpha = layers.jsd && frame.jsd ? 0.35 : 1;
    context.drawImage(image, 0, 0, side, side);
    context.globalAlpha = 1;
    if (layers.hatch) drawHatch(context, frame, side, theme);
  }
  if (layers.jsd && frame?.jsd) {
    const [r, g, b] = theme.jsd, top = Math.max(1, frame.jsdMax);
    const heat = gridCanvas(frame.jsd, frame.jsdSize, (data, at, v) => {
      data[at] = r; data[at + 1] = g; data[at + 2] = b; data[at + 3] = 200 * (v / top);
    });
    context.drawImage(heat, 0, 0, side, side);
  }
  if (layers.truth && scene.polygon) {
    context.beginPath();
    scene.polygon.forEach(([x, y], i) => (i ? context.lineTo(...to(x, y)) : context.moveTo(...to(x, y))));
    context.closePath();
    // A stroke twice as wide as the band covers exactly the points within it of the outline.
    context.strokeStyle = theme.truth;
    context.lineWidth = 2 * scene.band * unit;
    context.stroke();
    context.strokeStyle = theme.truthLine;
    context.lineWidth = 1;
    context.setLineDash([1, 3.5]);
    context.stroke();
    context.setLineDash([]);
  }
  if (frame?.grid && layers.steps) {
    context.strokeStyle = theme.faint;
    context.lineWidth = 0.9 * thick;
    for (const line of frame.steps) strokeLines(context, line, side);
  }
  if (layers.points && scene.points) {
    const radius = side > 300 ? Math.max(2.6, side / 150) : Math.max(1.3, side / 130);
    for (const p of scene.points) {
      if (p[3] && !layers.test) continue;
      context.globalAlpha = layers.saw && frame?.saw ? 0.22 : 1; // the batch comes on top
      drawPoint(context, ...to(p[0], p[1]), radius, p[2], p[3], theme);
    }
  }
  context.globalAlpha = 1;
  if (layers.seeds && frame?.seeds) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.1 * thick;
    const image = gridCanvas(frame.seeds, frame.seedsSize, (data, at, v) => {
      const share = 1 - Math.abs(2 * v / 255 - 1); // 1 where the seeds are split half and half
      data[at] = data[at + 1] = data[at + 2] = theme === THEMES.dark ? 255 : 20;
      data[at + 3] = 150 * share;
    });
    context.drawImage(image, 0, 0, side, side);
    context.setLineDash([2, 3]);
    for (const lines of frame.seedsEdges) strokeLines(context, lines, side);
    context.setLineDash([]);
  }
  if (layers.ghost && scene.ghost) {
    context.strokeStyle = theme.halo;
    context.lineWidth = 3.4 * thick;
    strokeLines(context, scene.ghost, side);
    context.strokeStyle = theme.ghost;
    context.lineWidth = 1.9 * thick;
    context.setLineDash([7 * thick, 5 * thick]);
    strokeLines(context, scene.ghost, side);
    context.setLineDash([]);
  }
  if (scene.pin) {
    context.strokeStyle = theme.halo;
    context.lineWidth = 4 * thick;
    strokeLines(context, scene.pin, side);
    context.strokeStyle = theme.pin;
    context.lineWidth = 2.2 * thick;
    context.setLineDash([10 * thick, 3 * thick, 2 * thick, 3 * thick]);
    strokeLines(context, scene.pin, side);
    context.setLineDash([]);
  }
  if (frame?.grid) {
    context.strokeStyle = theme.halo;
    context.lineWidth = 5 * thick;
    strokeLines(context, frame.boundary, side);
    context.strokeStyle = theme.ink;
    context.lineWidth = 2.4 * thick;
    strokeLines(context, frame.boundary, side);
  }
  if (layers.saw && frame?.saw) drawSaw(context, frame.saw, to, theme, side);
  if (scene.slow) drawSlow(context, scene.slow, to, theme, side);
  if (scene.cursor) {
    const [x, y] = to(...scene.cursor);
    for (const [colour, width] of [[theme.halo, 4], [theme.ink, 1.6]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(x - 11, y); context.lineTo(x - 3, y);
      context.moveTo(x + 3, y); context.lineTo(x + 11, y);
      context.moveTo(x, y - 11); context.lineTo(x, y - 3);
      context.moveTo(x, y + 3); context.lineTo(x, y + 11);
      context.stroke();
    }
  }
}

/** Diagonal hatching where class 1 is predicted: the second channel of the field. */
function drawHatch(context, frame, side, theme) {
  const step = side > 300 ? 9 : 7;
  context.strokeStyle = theme.hatch;
  context.lineWidth = 1;
  context.beginPath();
  const inside = (x, y) => {
    const column = Math.min(frame.size - 1, Math.floor((x / side) * frame.size));
    const row = Math.min(frame.size - 1, Math.floor((y / side) * frame.size));
    return frame.grid[row * frame.size + column] > 127;
  };
  for (let c = step; c < 2 * side; c += step) {
    let from = null;
    for (let x = Math.max(0, c - side); x <= Math.min(side - 1, c); x += 1.5) {
      const on = inside(x, Math.min(side - 1, c - x));
      if (on && from === null) from = x;
      if (!on && from !== null) {
        context.moveTo(from, c - from); context.lineTo(x, c - x);
        from = null;
      }
    }
    if (from !== null) {
      const end = Math.min(side, c);
      context.moveTo(from, c - from); context.lineTo(end, c - end);
    }
  }
  context.stroke();
}

/** The last batch: partner lines (opacity = weight of the partner) and the mixed, noised points. */
function drawSaw(context, saw, to, theme, side) {
  const { points: x, y, partner, lam, mixed } = saw;
  const big = side > 300;
  context.save();
  if (partner) {
    context.strokeStyle = theme.ink;
    context.lineWidth = big ? 1 : 0.7;
    x.forEach((p, i) => {
      const q = x[partner[i]];
      if (!q) return;
      const weight = Array.isArray(lam) ? lam[i] : lam;
      context.globalAlpha = 0.12 + 0.6 * Math.min(weight, 1 - weight) * 2;
      context.beginPath();
      context.moveTo(...to(...p));
      context.lineTo(...to(...q));
      context.stroke();
    });
  }
  context.globalAlpha = 1;
  const radius = big ? Math.max(3.2, side / 120) : Math.max(1.6, side / 110);
  x.forEach((p, i) => drawPoint(context, ...to(...p), radius, y[i], 0, theme));
  if (mixed) {
    for (let i = 0; i < mixed.length; i += 2) {
      context.globalAlpha = i < 2 * x.length ? 1 : 0.55; // the first view, then the others
      drawCross(context, ...to(mixed[i], mixed[i + 1]), radius * 1.15, theme);
    }
  }
  context.restore();
}

/** A cross: neither class. */
function drawCross(context, x, y, r, theme) {
  context.beginPath();
  context.moveTo(x - r, y - r); context.lineTo(x + r, y + r);
  context.moveTo(x - r, y + r); context.lineTo(x + r, y - r);
  context.strokeStyle = theme.halo;
  context.lineWidth = 3;
  context.stroke();
  context.strokeStyle = theme.mixed;
  context.lineWidth = 1.6;
  context.stroke();
}

/** One pair of a training step, as far as it has been told: see stories.js. */
function drawSlow(context, slow, to, theme, side) {
  const [own, other] = slow.pair, radius = Math.max(5, side / 60);
  const ring = (x, y) => {
    for (const [colour, width] of [[theme.halo, 5], [theme.ink, 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, radius * 1.9, 0, 7);
      context.stroke();
    }
  };
  if (other && slow.at >= 1) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.6;
    context.beginPath();
    context.moveTo(...to(own[0], own[1]));
    context.lineTo(...to(other[0], other[1]));
    context.stroke();
    drawPoint(context, ...to(other[0], other[1]), radius, other[2], 0, theme);
    if (slow.point === 0) {
      slow.views.forEach(({ lam }) => drawCross(context, ...to(lam * own[0] + (1 - lam) * other[0], lam * own[1] + (1 - lam) * other[1]), radius * 0.6, theme));
    }
  }
  drawPoint(context, ...to(own[0], own[1]), radius, own[2], 0, theme);
  ring(...to(own[0], own[1]));
  if (slow.at >= 2 && slow.point === 0) slow.views.forEach(({ x }) => drawCross(context, ...to(...x), radius, theme));
}
