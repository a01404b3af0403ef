// Charts the page draws itself: lines, bars and dots in SVG, with a legend, values under the pointer and a selection by dragging.

import { Base, define, h, tool } from "./core.js";
import "./icons.js";

const NS = "http://www.w3.org/2000/svg";
const COLOURS = ["#4f46e5", "#e8590c", "#0ca678", "#c2255c", "#1c7ed6", "#f59f00", "#7048e8", "#2b8a3e"];
const SPANS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };

function s(tag, attributes = {}, ...children) {
  const el = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) el.setAttribute(name, value);
  el.append(...children);
  return el;
}

/** Round values that cover a range. */
export function ticks(from, to, count = 6) {
  if (from === to) return [from];
  const raw = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** Write a number as an author's format says: ".2f", ",.0f", "$,.2f", "%", ".1%", "d", "s". */
export function written(value, format) {
  if (typeof value !== "number") return String(value);
  if (!format) return Math.abs(value) >= 1e6 || (value && Math.abs(value) < 1e-3) ? value.toPrecision(3) : String(Number(value.toPrecision(6)));
  const [, currency, comma, digits, kind] = /^(\$?)(,?)(?:\.(\d+))?([a-z%~]*)$/i.exec(format) || [];
  if (kind === undefined) return String(value);
  const places = digits === undefined ? (kind === "f" ? 6 : kind === "%" ? 0 : undefined) : Number(digits);
  if (kind.includes("%")) return `${(value * 100).toFixed(places)}%`;
  if (kind === "e") return value.toExponential(places);
  const text = kind === "d" ? Math.round(value) : value;
  return currency + text.toLocaleString(undefined, { useGrouping: Boolean(comma), minimumFractionDigits: kind === "d" ? 0 : places, maximumFractionDigits: kind === "d" ? 0 : places ?? 6 });
}

const AGGREGATES = {
  sum: (all) => all.reduce((a, b) => a + b, 0), mean: (all) => all.reduce((a, b) => a + b, 0) / all.length, count: (all) => all.length,
  min: (all) => Math.min(...all), max: (all) => Math.max(...all),
  median: (all) => { const line = [...all].sort((a, b) => a - b); const half = line.length >> 1; return line.length % 2 ? line[half] : (line[half - 1] + line[half]) / 2; },
};

define("nativeplot", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-chart" });
    this.append(...this.head("span", this.tools), this.body);
    new ResizeObserver(() => this.width !== this.body.clientWidth && this.draw()).observe(this.body);
  }

  patch() {
    const p = this.props;
    this.tools.replaceChildren(
      ...((p.buttons || []).includes("fullscreen") ? [tool("expand", "Full screen", () => this.body.requestFullscreen?.())] : []),
      ...((p.buttons || []).includes("export") ? [tool("download", "Save as SVG", () => this.save())] : []),
    );
    this.draw();
  }

  save() {
    const svg = this.body.querySelector("svg");
    if (!svg) return;
    const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" }));
    h("a", { href: url, download: "chart.svg" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  /** Rows as `{x, y, series, row}`, grouped, ordered and cut as the properties say. */
  points() {
    const p = this.props;
    const { columns, data, datatypes } = p.value;
    const at = (name) => columns.indexOf(name);
    const [xAt, yAt, cAt] = [at(p.x ?? columns[0]), at(p.y ?? columns[1]), p.color ? at(p.color) : -1];
    const kind = datatypes[columns[xAt]];
    const bin = typeof p.x_bin === "string" ? parseFloat(p.x_bin) * SPANS[p.x_bin.slice(-1)] : p.x_bin;
    let points = data.map((row) => ({ x: row[xAt], y: row[yAt], series: cAt < 0 ? "" : String(row[cAt]), row })).filter(({ x, y }) => x !== null && (y !== null || p.y_aggregate === "count"));
    if (bin && kind !== "nominal") points.forEach((point) => (point.x = Math.floor(point.x / bin) * bin));
    const gather = p.y_aggregate || (bin || (p.value.mark === "bar" && kind !== "quantitative") ? "sum" : null);
    if (gather && (p.y_aggregate || bin || p.value.mark === "bar")) {
      const groups = new Map();
      for (const point of points) {
        const key = JSON.stringify([point.x, point.series]);
        groups.has(key) ? groups.get(key).push(point) : groups.set(key, [point]);
      }
      points = [...groups.values()].map((all) => ({ ...all[0], y: AGGREGATES[gather](all.map(({ y }) => y)), count: all.length }));
    }
    const [low, high] = p.x_lim || [];
    if (kind !== "nominal") points = points.filter(({ x }) => (low == null || x >= low) && (high == null || x <= high));
    return { points, kind, xName: columns[xAt], yName: columns[yAt], columns };
  }

  draw() {
    const p = this.props;
    this.width = this.body.clientWidth;
    if (!p.value?.data?.length) return this.body.replaceChildren(h("div", { class: "g-empty", text: "The chart appears here." }));
    if (!this.width) return;
    const made = this.points();
    const { points, kind, xName, yName } = made;
    const { mark } = p.value;
    const names = [...new Set(points.map((each) => each.series))];
    const colour = (name) => p.color_map?.[name] || (names.length < 2 ? "var(--color-accent)" : COLOURS[names.indexOf(name) % COLOURS.length]);
    const [width, height] = [this.width, p.height || 320];
    const band = kind === "nominal" || (mark === "bar" && new Set(points.map(({ x }) => x)).size <= 60);
    let order = [...new Set(points.map(({ x }) => x))];
    if (Array.isArray(p.sort)) order.sort((a, b) => p.sort.indexOf(String(a)) - p.sort.indexOf(String(b)));
    else if (p.sort?.endsWith("y")) {
      const total = (x) => points.reduce((sum, point) => sum + (point.x === x ? point.y : 0), 0);
      order.sort((a, b) => (total(a) - total(b)) * (p.sort[0] === "-" ? -1 : 1));
    } else if (p.sort || kind !== "nominal") order.sort((a, b) => (kind === "nominal" ? String(a).localeCompare(String(b)) : a - b) * (p.sort?.[0] === "-" ? -1 : 1));

    const stack = new Map();
    if (mark === "bar") for (const point of points) {
      point.base = stack.get(point.x) || 0;
      stack.set(point.x, point.base + point.y);
    }
    const ys = mark === "bar" ? [...stack.values(), 0] : points.map(({ y }) => y);
    let [yLow, yHigh] = [Math.min(...ys), Math.max(...ys)];
    if (mark !== "bar" && yLow === yHigh) [yLow, yHigh] = [yLow - 1, yHigh + 1];
    const room = mark === "bar" ? 0 : (yHigh - yLow) * 0.06;
    [yLow, yHigh] = [p.y_lim?.[0] ?? yLow - room, p.y_lim?.[1] ?? yHigh + (mark === "bar" ? (yHigh - yLow) * 0.04 : room)];
    const yTicks = ticks(yLow, yHigh, Math.max(2, Math.floor(height / 60)));
    const xs = points.map(({ x }) => x);
    const [xLow, xHigh] = band ? [0, 1] : [p.x_lim?.[0] ?? Math.min(...xs), p.x_lim?.[1] ?? Math.max(...xs)];
    const time = kind === "temporal";
    const day = time && xHigh - xLow > 2 * SPANS.d;
    const dated = (value) => (day || band ? new Date(value).toLocaleDateString() : new Date(value).toLocaleTimeString());
    const xText = (value) => (time ? dated(value) : written(value, p.x_axis_format));
    const yTexts = yTicks.map((value) => written(value, p.y_axis_format));
    const box = { left: 18 + Math.max(...yTexts.map((each) => each.length)) * 7 + (p.y_title !== "" ? 18 : 0), right: 14, top: 12, bottom: (p.x_axis_labels_visible === true || p.x_axis_labels_visible === undefined ? 22 : 6) + 20 + (p.x_label_angle ? 30 : 0) };
    const [inW, inH] = [Math.max(40, width - box.left - box.right), Math.max(40, height - box.top - box.bottom)];
    const step = inW / Math.max(1, order.length);
    const X = (value) => box.left + (band ? (order.indexOf(value) + 0.5) * step : xHigh === xLow ? inW / 2 : ((value - xLow) / (xHigh - xLow)) * inW);
    const Y = (value) => box.top + inH - ((value - yLow) / (yHigh - yLow || 1)) * inH;

    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: "0", "aria-label": `${p.title || p.label || "Chart"}: ${p.y_title ?? yName} by ${p.x_title ?? xName}, ${points.length} values` });
    for (const [at, value] of yTicks.entries()) {
      svg.append(s("line", { class: "g-gridline", x1: box.left, x2: box.left + inW, y1: Y(value), y2: Y(value) }));
      svg.append(s("text", { class: "g-tick", x: box.left - 8, y: Y(value) + 4, "text-anchor": "end" }, yTexts[at]));
    }
    const every = band ? order.filter((_, at) => at % Math.ceil(order.length / Math.max(1, Math.floor(inW / 70))) === 0) : ticks(xLow, xHigh, Math.max(2, Math.floor(inW / 90)));
    if (p.x_axis_labels_visible !== false && p.x_axis_labels_visible !== "hidden") for (const value of every) {
      const label = s("text", { class: "g-tick", x: X(value), y: box.top + inH + 18, "text-anchor": p.x_label_angle ? "end" : "middle", transform: p.x_label_angle ? `rotate(${-Math.abs(p.x_label_angle)} ${X(value)} ${box.top + inH + 18})` : null }, xText(value));
      svg.append(label);
    }
    svg.append(s("text", { class: "g-axis", x: box.left + inW / 2, y: height - 6, "text-anchor": "middle" }, p.x_title ?? xName));
    svg.append(s("text", { class: "g-axis", x: 12, y: box.top + inH / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${box.top + inH / 2})` }, p.y_title ?? yName));

    const clip = `${this.fieldId}-clip`;
    svg.append(s("clipPath", { id: clip }, s("rect", { x: box.left - 5, y: box.top - 5, width: inW + 10, height: inH + 10 })));
    const plot = s("g", { "clip-path": `url(#${clip})` });
    svg.append(plot);
    const place = (at) => order.indexOf(at);
    for (const name of names) {
      const line = points.filter((each) => each.series === name);
      if (mark === "line") {
        line.sort((a, b) => (band ? place(a.x) - place(b.x) : a.x - b.x));
        plot.append(s("path", { class: "g-line", d: line.map(({ x, y }, at) => `${at ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`).join(""), style: null, stroke: colour(name) }));
        if (line.length <= 60) for (const { x, y } of line) plot.append(s("circle", { class: "g-dot", cx: X(x), cy: Y(y), r: 3, fill: colour(name) }));
      } else if (mark === "bar") {
        const w = band ? step * 0.76 : Math.max(2, inW / Math.max(1, order.length) - 1);
        for (const { x, y, base } of line) plot.append(s("rect", { class: "g-barmark", x: X(x) - w / 2, y: Math.min(Y(base), Y(base + y)), width: w, height: Math.abs(Y(base) - Y(base + y)), rx: 2, fill: colour(name) }));
      } else for (const { x, y } of line) plot.append(s("circle", { class: "g-dot", cx: X(x), cy: Y(y), r: 4, fill: colour(name) }));
    }
    const tip = h("div", { class: "g-tip", hidden: true });
    const shown = p.colors_in_legend || names;
    const legend = names.length > 1 ? h("div", { class: "g-legend" }, ...shown.map((name) => {
      const key = h("span", { class: "g-key" }, h("i", { "aria-hidden": "true" }), name);
      key.style.setProperty("--key", colour(name));
      return key;
    })) : null;
    this.body.replaceChildren(...[p.title ? h("div", { class: "g-charttitle", text: p.title }) : null, legend, h("div", { class: "g-plotbox" }, svg, tip), p.caption ? h("div", { class: "g-info", text: p.caption }) : null, this.table(made)].filter(Boolean));
    this.point(svg, tip, { ...made, X, Y, box, inW, inH, band, order, xText, colour, xLow, xHigh });
  }

  /** The values as a table for readers of the screen. */
  table({ points, xName, yName }) {
    const rows = points.slice(0, 100).map(({ x, y, series }) => h("tr", {}, h("td", { text: `${x}${series ? `, ${series}` : ""}` }), h("td", { text: String(y) })));
    return h("div", { class: "g-sr" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col", text: xName }), h("th", { scope: "col", text: yName }))), h("tbody", {}, ...rows)));
  }

  point(svg, tip, view) {
    const { points, X, Y, box, inW, inH, band, order, xText, columns, xName, yName, xLow, xHigh } = view;
    const p = this.props;
    const local = (e) => {
      const frame = svg.getBoundingClientRect();
      return [e.clientX - frame.left, e.clientY - frame.top];
    };
    const show = (nearest) => {
      const names = Array.isArray(p.tooltip) ? [xName, yName, ...p.tooltip] : p.tooltip === "all" ? columns : [xName, yName, ...(p.color ? [p.color] : [])];
      const value = (name) => (name === yName ? written(nearest.y, p.y_axis_format) : name === xName ? xText(nearest.x) : String(nearest.row[columns.indexOf(name)]));
      tip.replaceChildren(...[...new Set(names)].map((name) => h("div", {}, h("b", { text: `${name}: ` }), value(name))));
      tip.hidden = false;
      const left = X(nearest.x);
      tip.style.insetInlineStart = `${Math.min(left + 10, box.left + inW - 130)}px`;
      tip.style.top = `${Math.max(0, Y((nearest.base || 0) + nearest.y) - 20)}px`;
    };
    let drag = null;
    const brush = s("rect", { class: "g-brush", y: box.top, height: inH, visibility: "hidden" });
    svg.append(brush);
    svg.addEventListener("pointermove", (e) => {
      const [x, y] = local(e);
      if (drag !== null) {
        brush.setAttribute("visibility", "visible");
        brush.setAttribute("x", Math.min(drag, x));
        brush.setAttribute("width", Math.abs(x - drag));
        return;
      }
      if (p.tooltip === "none" || x < box.left || x > box.left + inW) return (tip.hidden = true);
      let [best, far] = [null, Infinity];
      for (const each of points) {
        const away = (X(each.x) - x) ** 2 + ((Y((each.base || 0) + each.y) - y) * (p.value.mark === "point" ? 1 : 0.3)) ** 2;
        if (away < far) [best, far] = [each, away];
      }
      if (best && far < 8000) show(best);
      else tip.hidden = true;
    });
    svg.addEventListener("pointerleave", () => (tip.hidden = true));
    const ordered = [...points].sort((a, b) => X(a.x) - X(b.x));
    let focus = -1;
    svg.addEventListener("keydown", (e) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!by || !ordered.length) return;
      e.preventDefault();
      focus = Math.max(0, Math.min(ordered.length - 1, focus + by));
      show(ordered[focus]);
    });
    svg.addEventListener("dblclick", () => this.fire("double_click"));
    if (!this.hears("select")) return;
    const back = (x) => (band ? order[Math.max(0, Math.min(order.length - 1, Math.floor(((x - box.left) / inW) * order.length)))] : xLow + ((x - box.left) / inW) * (xHigh - xLow));
    svg.addEventListener("pointerdown", (e) => {
      [drag] = local(e);
      svg.setPointerCapture(e.pointerId);
    });
    svg.addEventListener("pointerup", (e) => {
      const [x] = local(e);
      const from = drag;
      drag = null;
      brush.setAttribute("visibility", "hidden");
      if (from === null || Math.abs(x - from) < 4) return;
      const index = [back(Math.min(from, x)), back(Math.max(from, x))];
      this.fire("select", { index, value: index, selected: true });
    });
  }
}, "Plot");
