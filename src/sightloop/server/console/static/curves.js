"use strict";
// Curves of runs: one chart for metrics with one prefix, or one for each metric over several runs.
// A chart is read when it comes into view, and again when something may have been added to it.

const COLOURS = {
  light: ["#3f6894", "#b45f06", "#1c6e40", "#8a3fa0", "#b3261e", "#14808a", "#7a6a00", "#5a6778"],
  dark: ["#8fb4dd", "#efab67", "#6dd099", "#d29be6", "#ff8b82", "#66cbd4", "#d8c75a", "#a3afbd"],
};
const DASHES = [[], [6, 4], [2, 3]];
const HEIGHT = 230;
const WHOLE_STEPS = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Past the eighth line, hues a golden angle apart: neighbours never look alike.
function lineColour(index) {
  const colours = COLOURS[isDark() ? "dark" : "light"];
  return colours[index] || `hsl(${Math.round(index * 137.5) % 360} 60% ${isDark() ? 68 : 38}%)`;
}

function clipped(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

function shown(value) {
  return value === null || value === undefined ? "–" : Number(value.toPrecision(5)).toString();
}

// What the controls say; kept for the next page that draws curves.
const controls = document.querySelector("[data-curve-controls]");
const chosen = { smooth: 0, axis: "step", log: false, band: true, names: "" };
function readControls() {
  if (!controls) return;
  chosen.smooth = Number(controls.elements.smooth.value);
  chosen.axis = controls.elements.axis.value;
  chosen.log = controls.elements.log.checked;
  chosen.band = controls.elements.band.checked;
  chosen.names = controls.elements.names.value.toLowerCase();
  controls.querySelector("[data-smooth-said]").textContent = chosen.smooth.toFixed(2);
}
try {
  const before = JSON.parse(localStorage.getItem("curves") || "{}");
  if (controls) {
    if (before.smooth) controls.elements.smooth.value = before.smooth;
    if (["step", "relative", "wall"].includes(before.axis)) controls.elements.axis.value = before.axis;
    controls.elements.log.checked = before.log === true;
    controls.elements.band.checked = before.band !== false;
  }
} catch { /* What was kept is not ours: begin anew. */ }
readControls();

// An exponential mean that is not drawn to zero at its beginning, as TensorBoard's.
function smoothed(values, weight) {
  if (!weight) return values;
  let last = 0;
  let n = 0;
  return values.map((value) => {
    if (value === null) return null;
    last = last * weight + (1 - weight) * value;
    n += 1;
    return last / (1 - weight ** n);
  });
}

function axis(label, more) {
  return {
    ...more,
    label, stroke: colourOf("--soft"), labelSize: 22, size: label.startsWith("value") ? 56 : 36,
    font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    grid: { stroke: colourOf("--line"), width: 1 }, ticks: { stroke: colourOf("--line"), width: 1 },
  };
}

function placesOf(curve, startedMs, kind) {
  if (kind === "step") return curve.step;
  if (kind === "wall") return curve.at_ms.map((at) => at / 1000);
  return curve.at_ms.map((at) => (at - startedMs) / 1000);
}

// Where steps were not counted, all points lie on one: only time tells them apart.
function kindOf(lines) {
  const hasSteps = lines.some((line) => line.curve.step[0] !== line.curve.step[line.curve.step.length - 1]);
  return chosen.axis === "step" && !hasSteps ? "relative" : chosen.axis;
}

const positive = (values) => (chosen.log ? values.map((value) => (value > 0 ? value : null)) : values);

// Series and columns of a chart: of each line its mean, and where asked the raw line and the band.
function partsOf(lines, kind) {
  const parts = { series: [], tables: [], bands: [] };
  const add = (places, values, series) => {
    parts.tables.push([places, positive(values)]);
    return parts.series.push({ spanGaps: false, value: (_, value) => shown(value), ...series });
  };
  for (const line of lines) {
    const { curve } = line;
    const places = placesOf(curve, line.startedMs, kind);
    const stroke = lineColour(line.colour);
    const faint = { stroke, alpha: 0.25, width: 1, points: { show: false }, class: "extra", label: `${line.label} raw` };
    if (chosen.band && curve.low) {
      const none = { ...faint, width: 0, label: `${line.label} range` };
      const high = add(places, curve.high, none);
      const low = add(places, curve.low, none);
      parts.bands.push({ series: [high, low], fill: withAlpha(stroke, 0.16) });
    }
    if (chosen.smooth) add(places, curve.y, faint);
    add(places, smoothed(curve.y, chosen.smooth), {
      label: line.label, stroke, width: 2, dash: DASHES[Math.floor(line.colour / 8) % DASHES.length],
      points: { show: places.length < 30, size: 5 },
    });
  }
  return parts;
}

function withAlpha(colour, alpha) {
  if (colour.startsWith("#")) return colour + Math.round(alpha * 255).toString(16).padStart(2, "0");
  return colour.replace(")", ` / ${alpha})`);
}

// A metric that stays at zero would otherwise be drawn over 0 to 100.
function valueRange(_, low, high) {
  if (low === null) return [null, null];
  return low === 0 && high === 0 ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true);
}

function optionsFor(parts, kind, width, hasLegend) {
  const names = { step: "step", wall: "time of day", relative: "time since the run began (s)" };
  return {
    width, height: HEIGHT, scales: { x: { time: kind === "wall" }, y: chosen.log ? { distr: 3 } : { range: valueRange } },
    cursor: { sync: { key: "curves" } }, legend: { show: hasLegend }, bands: parts.bands,
    axes: [
      axis(names[kind], kind === "step" ? { incrs: WHOLE_STEPS } : {}),
      axis("value", chosen.log ? {} : { values: (_, ticks) => ticks.map(shown) }),
    ],
    series: [{ label: kind === "step" ? "step" : "s", ...(kind === "wall" ? {} : { value: (_, value) => shown(value) }) }, ...parts.series],
  };
}

const legend = document.querySelector("[data-legend]");
const legendButtons = legend ? [...legend.querySelectorAll("[data-run]")] : [];
const hidden = new Set();
function paintLegend() {
  legendButtons.forEach((button, index) => { button.querySelector(".mark").style.background = lineColour(index); });
}
legend?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-run]");
  if (!button) return;
  const isShown = button.getAttribute("aria-pressed") === "true";
  button.setAttribute("aria-pressed", String(!isShown));
  hidden[isShown ? "add" : "delete"](button.dataset.run);
  redrawAll();
});
paintLegend();

// One chart: its frame is there at once, its curves when it comes into view.
class Chart {
  constructor(facts, place, eachMetric) {
    Object.assign(this, { facts, eachMetric, isSeen: false, text: "", runs: [] });
    this.figure = document.createElement("figure");
    this.figure.chart = this;
    const caption = document.createElement("figcaption");
    caption.textContent = clipped(facts.title, 80);
    this.body = document.createElement("div");
    this.body.className = "chart-body";
    this.figure.append(caption, this.body);
    place.append(this.figure);
    watching.observe(this.figure);
    this.filter();
  }

  filter() {
    this.figure.hidden = Boolean(chosen.names) && !this.facts.lines.some(([, key]) => key.toLowerCase().includes(chosen.names));
  }

  address() {
    const runs = [...new Set(this.facts.lines.map(([run]) => run))].map((run) => ["run", run]);
    const keys = [...new Set(this.facts.lines.map(([, key]) => key))].map((key) => ["key", key]);
    return `/runs/curves?${new URLSearchParams([...runs, ...keys])}`;
  }

  async read() {
    if (!this.isSeen || this.isBusy || this.figure.hidden) return;
    this.isBusy = true;
    try {
      const answer = await fetch(this.address(), { headers: { accept: "application/json" } });
      const text = answer.ok ? await answer.text() : this.text;
      if (text !== this.text) { this.text = text; this.runs = JSON.parse(text).runs; this.draw(); }
    } catch {
      // The server does not answer: the next refresh tries again, and the page says so already.
    } finally {
      this.isBusy = false;
    }
  }

  lines() {
    const found = new Map(this.runs.flatMap((run) => run.curves.map((curve) => [`${run.run}\n${curve.key}`, { run, curve }])));
    return this.facts.lines.flatMap(([run, key], index) => {
      const known = found.get(`${run}\n${key}`);
      if (!known || hidden.has(run) || !known.curve.step.length) return [];
      const inLegend = legendButtons.findIndex((button) => button.dataset.run === run);
      const name = this.eachMetric ? known.run.name : key.slice(this.facts.group ? this.facts.group.length + 1 : 0);
      return [{ label: clipped(name, 40), curve: known.curve, startedMs: known.run.started_ms, colour: inLegend < 0 ? index : inLegend }];
    });
  }

  draw() {
    if (!this.runs.length) return;
    this.plot?.destroy();
    this.plot = null;
    const lines = this.lines();
    if (!lines.length) return;
    const kind = kindOf(lines);
    const parts = partsOf(lines, kind);
    const width = Math.max(this.figure.clientWidth - 16, 200);
    this.plot = new uPlot(optionsFor(parts, kind, width, !legend), uPlot.join(parts.tables), this.body);
    this.plot.root.setAttribute("role", "img");
    const names = lines.map((line) => line.label).join(", ");
    this.plot.root.setAttribute("aria-label", clipped(`Curves of ${this.facts.title}: ${names}`, 300));
  }
}

const watching = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.chart.isSeen = isIntersecting;
    if (isIntersecting) target.chart.read();
  }
}, { rootMargin: "200px" });

class Curves {
  constructor(place) {
    Object.assign(this, { place, charts: new Map() });
    if (place.dataset.every) setInterval(() => this.refresh(), 1000 * Number(place.dataset.every));
  }

  async refresh() {
    if (this.isBusy || document.hidden) return;
    this.isBusy = true;
    try {
      const answer = await fetch(`/runs/charts?${this.place.dataset.curves}`, { headers: { accept: "application/json" } });
      if (answer.ok) this.show((await answer.json()).charts);
    } catch {
      // As above.
    } finally {
      this.isBusy = false;
    }
  }

  show(charts) {
    this.place.querySelector("[data-none]")?.toggleAttribute("hidden", charts.length > 0);
    const eachMetric = this.place.dataset.curves.includes("each=metric");
    for (const facts of charts) {
      const known = this.charts.get(facts.title);
      if (!known) this.charts.set(facts.title, new Chart(facts, this.place, eachMetric));
      else { known.facts = facts; known.read(); }
    }
  }

  redraw() {
    for (const chart of this.charts.values()) { chart.filter(); if (!chart.figure.hidden) { chart.draw(); chart.read(); } }
  }
}

const places = [...document.querySelectorAll("[data-curves]")].map((place) => new Curves(place));
const refreshAll = () => places.forEach((curves) => curves.refresh());
const redrawAll = () => { paintLegend(); places.forEach((curves) => curves.redraw()); };

controls?.addEventListener("submit", (event) => event.preventDefault());
controls?.addEventListener("input", () => {
  readControls();
  localStorage.setItem("curves", JSON.stringify({ ...chosen, names: "" }));
  requestAnimationFrame(redrawAll);
});

let widthTimer = 0;
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(widthTimer);
  widthTimer = setTimeout(redrawAll, 150);
});
document.addEventListener("theme", redrawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.target?.id === "run-state") refreshAll();
});

// The newest line of the output is what one wants to see, unless one has scrolled up to read.
let isAtEnd = true;
document.addEventListener("htmx:beforeSwap", (event) => {
  const output = event.target.id === "run-log" && event.target.querySelector("pre");
  if (output) isAtEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 8;
});
document.addEventListener("htmx:afterSettle", () => {
  const output = document.querySelector("#run-log pre");
  if (output && isAtEnd) output.scrollTop = output.scrollHeight;
});

// The page is painted first: drawing takes longer than everything else on it.
requestAnimationFrame(() => setTimeout(refreshAll));
