// Small line charts as SVG: crisp at any size, styled by the style sheet.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

class LineChart {
  /**
   * @param title   shown above and used as the accessible name
   * @param format  number -> text of the axis and of the value
   * @param range   [low, high] or null for 0 ... largest value
   */
  constructor(title, format, range = null) {
    this.title = title;
    this.format = format;
    this.range = range;
    this.width = 220;
    this.height = 88;
    this.value = document.createElement("strong");
    this.grid = svg("g", { class: "nm-axis" });
    this.reference = svg("path", { class: "nm-reference" });
    this.lines = svg("g");
    this.svg = svg("svg", {
      viewBox: `0 0 ${this.width} ${this.height}`, role: "img", "aria-label": title,
    }, this.grid, this.reference, this.lines);
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.textContent = title;
    caption.append(name, this.value);
    this.node = document.createElement("figure");
    this.node.className = "nm-chart";
    this.node.append(caption, this.svg);
    this.paths = new Map();
    // As wide as it is shown, so that the letters keep their size.
    new ResizeObserver(([{ contentRect }]) => {
      if (!contentRect.width || Math.round(contentRect.width) === this.width) return;
      this.width = Math.round(contentRect.width);
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      if (this.last) this.draw(...this.last);
    }).observe(this.svg);
  }

  /**
   * @param series  [{name, points: [[x, y], ...], chosen, value}]; value is said above the chosen
   *                one, "…" if it is not measured yet
   * @param high    right end of the x axis
   * @param reference  y of a dotted line, or null
   */
  draw(series, high, reference = null) {
    this.last = [series, high, reference];
    const left = 34, right = 4, top = 5, bottom = 13;
    const w = this.width - left - right, h = this.height - top - bottom;
    let [low, most] = this.range || [0, 0];
    for (const s of series) for (const p of s.points) {
      if (!Number.isFinite(p[1])) continue;
      most = Math.max(most, p[1]);
      if (this.range) low = Math.min(low, p[1]);
    }
    if (!this.range) most = niceCeiling(most || 1);
    else low = Math.floor(low * 10 + 1e-9) / 10;
    const x = (v) => left + (w * v) / (high || 1);
    const y = (v) => top + h * (1 - (v - low) / (most - low || 1));
    this.grid.replaceChildren();
    for (const t of [low, (low + most) / 2, most]) {
      this.grid.append(
        svg("path", { d: `M${left} ${y(t)}h${w}` }),
        svg("text", { x: left - 4, y: y(t) + 3, "text-anchor": "end" }, this.format(t)),
      );
    }
    this.grid.append(
      svg("text", { x: left, y: this.height - 2 }, "0"),
      svg("text", { x: left + w, y: this.height - 2, "text-anchor": "end" }, tr("chart.steps", { n: high })),
    );
    this.reference.setAttribute("d", reference === null ? "" : `M${left} ${y(reference)}h${w}`);
    const seen = new Set();
    for (const s of [...series].sort((a, b) => Boolean(a.chosen) - Boolean(b.chosen))) {
      seen.add(s.name);
      let path = this.paths.get(s.name);
      if (!path) this.paths.set(s.name, (path = svg("path")));
      path.setAttribute("class", `nm-line nm-lane-${s.name}${s.chosen ? " nm-chosen" : ""}`);
      path.setAttribute("d", s.points.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join(""));
      this.lines.append(path);
      if (s.chosen) {
        this.value.textContent = s.value === null ? "…" : this.format(s.value);
        this.svg.setAttribute("aria-label", `${this.title}: ${s.value === null ? tr("chart.none") : this.format(s.value)}`);
      }
    }
    for (const [name, path] of this.paths) if (!seen.has(name)) { path.remove(); this.paths.delete(name); }
  }
}

function niceCeiling(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  for (const m of [1, 1.5, 2, 3, 5, 10]) if (v <= m * power * 1.0001) return m * power;
  return 10 * power;
}
