// What the explorer shows as plain data: settings, points, layers; and its way into a link and back.
// Nothing of a link is ever read as HTML, and whatever stands in it becomes the nearest valid value.

const VERSION = 2;
const VIEWS = ["pair", "one", "six"];
const PAGE_LAYERS = ["points", "test", "truth", "ghost", "steps", "hatch", "seeds", "saw", "jsd"];
const FIRST_LAYERS = ["points", "truth", "ghost", "steps", "hatch"];
const MOST_POINTS = 5000, REACH = 1.6;

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const rounded = (v, digits) => Number(v.toFixed(digits));

/** The nearest valid value of a setting, or null if the text says nothing. */
function validSetting(spec, text) {
  if (spec.choices) return spec.choices.includes(text) ? text : null;
  const value = typeof text === "number" ? text : Number.parseFloat(text);
  if (Number.isNaN(value)) return null;
  const near = clamp(value, spec.least ?? spec.min, spec.most ?? spec.max);
  return spec.digits === 0 ? Math.round(near) : rounded(near, 6);
}

// -- points in a link: 13 bits a coordinate, then class and test -----------------------------------

function packPoints(rows) {
  const bytes = new Uint8Array(4 * rows.length), whole = (v) => Math.round((clamp(v, -4, 4) + 4) * 1000);
  const view = new DataView(bytes.buffer);
  rows.forEach(([x, y, label, test], i) => view.setUint32(4 * i, ((whole(x) << 17) | (whole(y) << 4) | (label << 1) | test) >>> 0));
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function unpackPoints(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const rows = [], view = new DataView(Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer);
  for (let i = 0; i + 4 <= view.byteLength && rows.length < MOST_POINTS; i += 4) {
    const word = view.getUint32(i), coordinate = (bits) => rounded((bits & 8191) / 1000 - 4, 3);
    rows.push(keepable([coordinate(word >>> 17), coordinate(word >>> 4), (word >>> 1) & 1, word & 1]));
  }
  return rows;
}

/** Points that a link can hold exactly. */
const keepable = ([x, y, label, test]) => [rounded(clamp(x, -4, 4), 3), rounded(clamp(y, -4, 4), 3), label, test];

/** Why these points cannot be trained on; "" if they can. */
function lacking(rows) {
  const has = (label, test) => rows.some((row) => row[3] === test && (label === null || row[2] === label));
  if (!has(0, 0) || !has(1, 0)) return tr("lacking.class");
  return has(null, 1) ? "" : tr("lacking.test");
}

// -- links -----------------------------------------------------------------------------------------

/** The part of an address behind '#': what differs from the start, the version first. */
function writeLink(state, specs) {
  const parts = [["v", VERSION]];
  for (const spec of specs) {
    if (state.settings[spec.name] !== spec.start) parts.push([spec.name, state.settings[spec.name]]);
  }
  if (state.lane !== "noisymix") parts.push(["lane", state.lane]);
  if (state.view !== "pair") parts.push(["view", state.view]);
  const layers = PAGE_LAYERS.filter((name) => state.layers[name]);
  if (layers.join() !== FIRST_LAYERS.join()) parts.push(["layers", layers.join(".") || "none"]);
  if (state.stopped !== null) parts.push(["step", state.stopped]);
  if (state.removed.length) parts.push(["removed", state.removed.join(".")]);
  if (state.own) parts.push(["points", packPoints(state.own)]);
  if (state.added.length) parts.push(["added", packPoints(state.added)]);
  if (state.language) parts.push(["lang", state.language]);
  for (const name of ["hide", "lesson"]) if (state[name]) parts.push([name, state[name]]);
  if (state.present) parts.push(["present", 1]);
  return `#${parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
}

/** A fresh state: everything as it starts. */
function firstState(specs, given = {}) {
  return {
    settings: Object.fromEntries(specs.map((spec) => [spec.name, given[spec.name] ?? spec.start])),
    lane: "noisymix", view: "pair", stopped: null, own: null, added: [], removed: [],
    layers: Object.fromEntries(PAGE_LAYERS.map((name) => [name, FIRST_LAYERS.includes(name)])),
    hide: "", lesson: "", present: false, language: "",
  };
}

/**
 * Read a link, old or new, into a state; `said` tells what was not valid.
 * Version 1 named the settings of a live explorer, and 'all' for six pictures.
 */
function readLink(hash, specs, lanes) {
  const state = firstState(specs), said = [];
  let wanted;
  try {
    wanted = new URLSearchParams(hash.replace(/^[#?]/, ""));
  } catch {
    return { state, said: [tr("link.unreadable")] };
  }
  const known = new Map(specs.map((spec) => [spec.name, spec]));
  const old = !wanted.has("v") && [...wanted.keys()].some((name) => known.has(name) || name === "lane");
  if (old) state.view = "one";
  if (Number(wanted.get("v")) > VERSION) said.push(tr("link.newer"));
  const cut = (text) => (text.length > 24 ? `${text.slice(0, 24)}…` : text);
  const points = (name, text) => {
    try {
      return unpackPoints(text);
    } catch {
      said.push(tr("link.part", { name }));
      return null;
    }
  };
  for (const [name, text] of wanted) {
    const spec = known.get(name);
    if (spec) {
      const value = validSetting(spec, text);
      if (value === null) said.push(tr("link.unknown", { name: tr(name), value: cut(text), start: short(spec.start) }));
      else {
        if (String(value) !== text && Number(text) !== value) said.push(tr("link.became", { name: tr(name), value: cut(text), near: short(value) }));
        state.settings[name] = value;
      }
    } else if (name === "lane") {
      if (lanes.includes(text)) state.lane = text;
      else if (text === "all") state.view = "six";
      else said.push(tr("link.lane", { value: cut(text) }));
    } else if (name === "view") {
      if (VIEWS.includes(text)) state.view = text;
      else said.push(tr("link.view", { value: cut(text) }));
    } else if (name === "layers") {
      const names = text.split(".");
      for (const layer of PAGE_LAYERS) state.layers[layer] = names.includes(layer);
    } else if (name === "step") {
      const step = Math.round(Number(text));
      if (step >= 0) state.stopped = Math.min(step, 1e9);
    } else if (name === "points") {
      const rows = points(name, text), why = rows && lacking(rows);
      if (why) said.push(tr("link.points", { why }));
      else state.own = rows;
    } else if (name === "added") state.added = points(name, text) ?? [];
    else if (name === "removed") {
      state.removed = [...new Set(text.split(".").map(Number))].filter((k) => Number.isInteger(k) && k >= 0 && k < MOST_POINTS);
    } else if (name === "lang") {
      if (Object.hasOwn(TEXTS, text)) state.language = text;
      else said.push(tr("link.lang", { value: cut(text) }));
    } else if (name === "hide" || name === "lesson") state[name] = text.slice(0, 2000);
    else if (name === "present") state.present = text !== "0";
  }
  return { state, said };
}

/** The points of a state: the generated or own ones, without the removed, with the added. */
function pointsOf(state, generated) {
  const gone = new Set(state.removed);
  return [...(state.own ?? generated).filter((_, i) => !gone.has(i)), ...state.added].slice(0, MOST_POINTS);
}

// -- tables ----------------------------------------------------------------------------------------

/**
 * Points from a table: x, y, class and, if there is one, whether it is held back (0 or 1).
 * With or without a header; separated by commas, semicolons, tabs or spaces; decimal commas if
 * semicolons separate. Scaled into view. Raises an Error that says what is wrong, and where.
 */
function readTable(text) {
  const lines = text.split(/\r\n?|\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  if (!lines.length) throw new Error(tr("table.empty"));
  const sample = lines[Math.min(1, lines.length - 1)];
  const mark = [";", "\t", ","].find((m) => sample.includes(m)) ?? /\s+/;
  const cells = lines.map((line) => line.split(mark).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1").replace(/^−(?=[\d.,])/, "-")));
  const number = (cell) => (/^[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?$/i.test(cell) ? Number(cell.replace(",", ".")) : NaN);
  const header = cells.length > 1 && cells[0].slice(0, 2).every((cell) => Number.isNaN(number(cell)));
  const body = header ? cells.slice(1) : cells, first = header ? 2 : 1;
  if (body.length > MOST_POINTS) throw new Error(tr("table.many", { n: body.length, most: MOST_POINTS }));
  const labels = [], rows = body.map((row, i) => {
    const line = i + first;
    if (row.length < 3) throw new Error(tr("table.columns", { line, n: row.length }));
    const [x, y] = [number(row[0]), number(row[1])];
    if (!Number.isFinite(x) || !Number.isFinite(y)) throw new Error(tr("table.numbers", { line, x: row[0], y: row[1] }));
    if (!row[2]) throw new Error(tr("table.no_class", { line }));
    const label = Number.isNaN(number(row[2])) ? row[2] : String(number(row[2]));
    if (!labels.includes(label)) labels.push(label);
    return [x, y, label, row[3]];
  });
  if (labels.length !== 2) {
    const shown = labels.slice(0, 5).map((label) => `'${label}'`).join(", ");
    const classes = `${shown}${labels.length > 5 ? ", …" : ""}`;
    throw new Error(labels.length === 1 ? tr("table.one_class", { classes }) : tr("table.classes", { n: labels.length, classes }));
  }
  labels.sort((a, b) => (Number.isNaN(number(a)) || Number.isNaN(number(b)) ? (a < b ? -1 : 1) : number(a) - number(b)));
  const middle = [0, 1].map((c) => {
    const of = rows.map((row) => row[c]);
    return of.reduce((a, b) => Math.min(a, b)) / 2 + of.reduce((a, b) => Math.max(a, b)) / 2;
  });
  const reach = rows.reduce((most, row) => Math.max(most, Math.abs(row[0] - middle[0]), Math.abs(row[1] - middle[1])), 0) || 1;
  const scale = 1.3 / reach;
  if (![...middle, reach, scale].every(Number.isFinite)) throw new Error(tr("table.scale"));
  const named = rows.every((row) => row[3] === "0" || row[3] === "1");
  // Every second point of a class is held back, unless a fourth column says which are.
  const seen = [0, 0];
  const points = rows.map(([x, y, name, held]) => {
    const label = labels.indexOf(name), test = named ? Number(held) : seen[label]++ % 2;
    return keepable([(x - middle[0]) * scale, (y - middle[1]) * scale, label, test]);
  });
  const why = lacking(points);
  if (why) throw new Error(why);
  const show = (v) => short(Number(v.toPrecision(4)));
  const where = [["x", middle[0]], ["y", middle[1]]].map(([axis, at]) => `(${axis} − ${show(at)}) × ${show(scale)}`);
  const words = tr("table.read", { n: points.length, zero: labels[0], one: labels[1], where: where.join(tr("list")).replaceAll("− -", "+ ") })
    + (named ? "" : tr("table.held")) + (header ? tr("table.header") : "");
  return { points, words };
}
