"use strict";
// What goes with what among compared runs: parallel coordinates, and one parameter against a metric.

const data = JSON.parse(document.getElementById("relations-data").textContent);
for (const kind of ["params", "metrics"]) data[kind] = Object.fromEntries(data[kind]);
const form = document.querySelector("[data-relations]");
const metricChoice = document.getElementById("relation-metric");
const paramChoice = document.getElementById("relation-param");
const SVG = "http://www.w3.org/2000/svg";
const MOST_AXES = 7;
const brushes = new Map();

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const short = (text) => (String(text).length > 14 ? `${String(text).slice(0, 13)}…` : String(text));

// An axis of numbers where all are numbers, else of words in their order; places from 0 to 1.
function scaleOf(name, values) {
  const given = values.filter((value) => value !== "" && value !== null);
  const numbers = given.map(Number);
  if (given.length && numbers.every(Number.isFinite)) {
    const low = Math.min(...numbers);
    const high = Math.max(...numbers);
    const isLog = low > 0 && high / low > 50;
    const at = isLog ? Math.log : (value) => value;
    const span = at(high) - at(low) || 1;
    const place = (value) => (value === "" || value === null ? null : (at(Number(value)) - at(low)) / span);
    return { name, place, ticks: low === high ? [[low, 0]] : [[low, 0], [high, 1]] };
  }
  const words = [...new Set(given)].sort();
  const at = new Map(words.map((word, index) => [word, words.length > 1 ? index / (words.length - 1) : 0.5]));
  return { name, place: (value) => (at.has(value) ? at.get(value) : null), ticks: [...at].slice(0, 12) };
}

function figures() {
  const metric = metricChoice.value;
  const goal = scaleOf(metric, data.metrics[metric]);
  drawParallel(metric, goal);
  drawScatter(metric, goal);
}

function drawParallel(metric, goal) {
  const svg = document.querySelector("[data-parallel] svg");
  const names = Object.keys(data.params).slice(0, MOST_AXES);
  const axes = [...names.map((name) => [scaleOf(name, data.params[name]), data.params[name]]), [goal, data.metrics[metric]]];
  const x = (index) => 60 + (index * 760) / Math.max(axes.length - 1, 1);
  const y = (place) => 280 - place * 230;
  svg.replaceChildren();
  data.runs.forEach((run, at) => {
    const places = axes.map(([scale, values]) => scale.place(values[at]));
    const points = places.flatMap((place, index) => (place === null ? [] : [`${x(index)},${y(place)}`]));
    const isIn = [...brushes].every(([name, [low, high]]) => {
      const index = axes.findIndex(([scale]) => scale.name === name);
      return index < 0 || (places[index] !== null && places[index] >= low && places[index] <= high);
    });
    const line = element("polyline", { points: points.join(" "), class: isIn ? "run-line" : "run-line out" });
    line.style.stroke = lineColour(at);
    line.append(element("title", {}, `${run.name}: ${metric} ${data.metrics[metric][at] ?? "–"}`));
    svg.append(line);
  });
  axes.forEach(([scale], index) => {
    const group = element("g", { class: "axis" });
    group.append(element("line", { x1: x(index), x2: x(index), y1: y(0), y2: y(1) }));
    group.append(element("text", { x: x(index), y: 20 + (index % 2) * 14, "text-anchor": "middle", class: "name" }, short(scale.name.split("/").pop())));
    for (const [value, place] of scale.ticks) {
      const text = typeof value === "number" ? Number(value.toPrecision(3)) : short(value);
      group.append(element("text", { x: x(index) + 6, y: y(place) + 4 }, text));
    }
    const range = brushes.get(scale.name);
    if (range) group.append(element("rect", { x: x(index) - 7, width: 14, y: y(range[1]), height: (range[1] - range[0]) * 230, class: "brush" }));
    const grip = element("rect", { x: x(index) - 14, width: 28, y: y(1), height: 230, class: "grip" });
    grip.addEventListener("pointerdown", (event) => brush(event, svg, scale.name));
    group.append(grip);
    svg.append(group);
  });
}

function brush(event, svg, name) {
  event.preventDefault();
  const placeOf = (moved) => {
    const box = svg.getBoundingClientRect();
    const y = ((moved.clientY - box.top) / box.height) * 320;
    return Math.min(Math.max((280 - y) / 230, 0), 1);
  };
  const begun = placeOf(event);
  const move = (moved) => {
    const now = placeOf(moved);
    brushes.set(name, [Math.min(begun, now), Math.max(begun, now)]);
    figures();
  };
  const end = (moved) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    if (Math.abs(placeOf(moved) - begun) < 0.01) { brushes.delete(name); figures(); }
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
}

function drawScatter(metric, goal) {
  const svg = document.querySelector("[data-scatter] svg");
  const name = paramChoice.value;
  const scale = scaleOf(name, data.params[name]);
  const x = (place) => 60 + place * 370;
  const y = (place) => 270 - place * 240;
  svg.replaceChildren(element("path", { d: "M60 20V270H440", class: "frame" }));
  for (const [value, place] of scale.ticks) svg.append(element("text", { x: x(place), y: 288, "text-anchor": "middle" }, short(value)));
  for (const [value, place] of goal.ticks) svg.append(element("text", { x: 54, y: y(place) + 4, "text-anchor": "end" }, Number(Number(value).toPrecision(3))));
  svg.append(element("text", { x: 250, y: 310, "text-anchor": "middle", class: "name" }, short(name)));
  svg.append(element("text", { x: 60, y: 12, class: "name" }, metric.slice(-40)));
  data.runs.forEach((run, at) => {
    const [across, up] = [scale.place(data.params[name][at]), goal.place(data.metrics[metric][at])];
    if (across === null || up === null) return;
    const dot = element("circle", { cx: x(across), cy: y(up), r: 6 });
    dot.style.fill = lineColour(at);
    dot.append(element("title", {}, `${run.name}: ${name} ${data.params[name][at]}, ${metric} ${data.metrics[metric][at]}`));
    svg.append(dot);
  });
}

if (Object.keys(data.params).length && Object.keys(data.metrics).length) {
  metricChoice.append(...Object.keys(data.metrics).map((name) => new Option(name, name)));
  paramChoice.append(...Object.keys(data.params).map((name) => new Option(name, name)));
  document.querySelector("[data-no-relations]").hidden = true;
  for (const part of document.querySelectorAll("[data-relations], [data-parallel], [data-scatter]")) part.hidden = false;
  form.addEventListener("input", figures);
  form.querySelector("[data-unbrush]").addEventListener("click", () => { brushes.clear(); figures(); });
  document.addEventListener("theme", figures);
  figures();
}
