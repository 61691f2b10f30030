"use strict";
// Curves of runs: one chart for metrics with one prefix, or one for each metric over several runs.
// They are drawn anew when the piece of the page that tells of the run has come again.

const COLOURS = {
  light: ["#3f6894", "#b45f06", "#1c6e40", "#8a3fa0", "#b3261e", "#14808a", "#7a6a00", "#5a6778"],
  dark: ["#8fb4dd", "#efab67", "#6dd099", "#d29be6", "#ff8b82", "#66cbd4", "#d8c75a", "#a3afbd"],
};
const DASHES = [[], [6, 4], [2, 3]];
const MOST_LINES = 12;
const HEIGHT = 230;
const WHOLE_STEPS = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function clipped(text, limit) {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

// Lines by the chart they belong to: {title, unit, lines: [{label, x, y}]}.
function chartsOf(runs, eachMetric) {
  const charts = new Map();
  for (const run of runs) {
    for (const curve of run.curves) {
      const title = eachMetric ? curve.key : curve.chart;
      const label = eachMetric ? run.name : curve.key.slice(curve.chart ? curve.chart.length + 1 : 0);
      let part = 0;
      let chart;
      do {
        const name = part ? `${title} (${part + 1})` : title;
        if (!charts.has(name)) charts.set(name, { title: name || "metrics", unit: curve.unit, lines: [] });
        chart = charts.get(name);
        part += 1;
      } while (chart.lines.length >= MOST_LINES);
      chart.lines.push({ label: clipped(label, 40), x: curve.x, y: curve.y });
    }
  }
  return [...charts.values()];
}

function axis(label, more) {
  return {
    ...more,
    label, stroke: colourOf("--soft"), labelSize: 22, size: label.startsWith("value") ? 56 : 36,
    font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    grid: { stroke: colourOf("--line"), width: 1 }, ticks: { stroke: colourOf("--line"), width: 1 },
  };
}

function shown(value) {
  return value === null || value === undefined ? "–" : Number(value.toPrecision(5)).toString();
}

function optionsFor(chart, width) {
  const colours = COLOURS[isDark() ? "dark" : "light"];
  const name = chart.unit === "s" ? "time since the run began (s)" : "step";
  return {
    width, height: HEIGHT, scales: { x: { time: false } },
    cursor: { sync: { key: "curves" } },
    axes: [
      axis(name, chart.unit === "s" ? {} : { incrs: WHOLE_STEPS }),
      axis("value", { values: (_, ticks) => ticks.map(shown) }),
    ],
    series: [
      { label: chart.unit === "s" ? "s" : "step", value: (_, value) => shown(value) },
      ...chart.lines.map((line, index) => ({
        label: line.label, stroke: colours[index % colours.length], width: 2,
        dash: DASHES[Math.floor(index / colours.length) % DASHES.length],
        points: { show: line.x.length < 30, size: 5 }, spanGaps: false,
        value: (_, value) => shown(value),
      })),
    ],
  };
}

function dataOf(chart) {
  // A step that one line lacks is no gap in it; a value that was not a number is one.
  return uPlot.join(chart.lines.map((line) => [line.x, line.y]));
}

class Curves {
  constructor(place) {
    this.place = place;
    this.drawn = new Map();
    this.text = "";
    this.isBusy = false;
  }

  async refresh() {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      const answer = await fetch(this.place.dataset.curves, { headers: { accept: "application/json" } });
      if (!answer.ok) return;
      const text = await answer.text();
      if (text === this.text) return;
      this.text = text;
      this.charts = chartsOf(JSON.parse(text).runs, "eachMetric" in this.place.dataset);
      this.draw();
    } catch {
      // The server does not answer: the next refresh tries again, and the page says so already.
    } finally {
      this.isBusy = false;
    }
  }

  draw() {
    if (!this.charts) return;
    this.place.querySelector("[data-none]")?.toggleAttribute("hidden", this.charts.length > 0);
    const added = [];
    for (const [index, chart] of this.charts.entries()) {
      const known = this.drawn.get(index);
      const labels = [chart.title, ...chart.lines.map((line) => line.label)].join("\n");
      if (known && known.labels === labels) known.plot.setData(dataOf(chart));
      else added.push([index, chart, labels, this.frame(index, chart)]);
    }
    // Only with every frame in its place is it known how wide each of them is.
    for (const [index, chart, labels, figure] of added) this.plot(index, chart, labels, figure);
  }

  frame(index, chart) {
    const before = this.drawn.get(index);
    before?.plot.destroy();
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = clipped(chart.title, 80);
    figure.append(caption);
    if (before) before.figure.replaceWith(figure);
    else this.place.append(figure);
    return figure;
  }

  plot(index, chart, labels, figure) {
    const plot = new uPlot(optionsFor(chart, Math.max(figure.clientWidth - 16, 200)), dataOf(chart), figure);
    plot.root.setAttribute("role", "img");
    plot.root.setAttribute("aria-label", clipped(`Curves of ${chart.title}: ${chart.lines.map((line) => line.label).join(", ")}`, 300));
    this.drawn.set(index, { plot, figure, labels });
  }

  // Colours and widths are baked in when a chart is made.
  again() {
    for (const { plot, figure } of this.drawn.values()) { plot.destroy(); figure.remove(); }
    this.drawn.clear();
    this.draw();
  }
}

const places = [...document.querySelectorAll("[data-curves]")].map((place) => new Curves(place));
const refreshAll = () => places.forEach((curves) => curves.refresh());
const redrawAll = () => places.forEach((curves) => curves.again());

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
