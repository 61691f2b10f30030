"use strict";
// The box editor. Everything works by keyboard alone, by mouse, and by touch. Boxes are in pixels
// of the image; one SVG shows image and boxes, and its viewBox is the zoom.
(() => {
const root = document.getElementById("editor");
if (!root) return;
const byId = (id) => document.getElementById(id);
const work = JSON.parse(root.dataset.work);
const csrf = root.dataset.csrf;
const [stage, svg, picture, said] = ["stage", "canvas", "image", "said"].map(byId);
const canEdit = work.work !== "";
const NAMES = new Map(work.classes.map((one, index) => [one.id, { ...one, index }]));
const MODES = ["drag", "corners", "extremes"];
const MODE_WORDS = { drag: "Draw by dragging", corners: "Draw by two corners", extremes: "Draw by the four outermost points: top, left, bottom, right" };
const MIN_SIDE = 1, MAX_UNDO = 300, IDLE_MS = 60000, RENEW_MS = 180000;
const DRAFT = `sightloop draft ${work.task} ${work.work}`;

let boxes = work.boxes.map((box) => ({ ...box }));
let at = -1;                       // index of the selected box
let nextClass = work.classes.length ? work.classes[0].id : "";
let mode = localStorage.getItem("draw-mode") || "drag";
let view = null;                   // {x, y, w, h} in image pixels
let past = [], future = [], lastTag = "", lastChange = 0;
let points = [];                   // corners or extremes clicked so far
let hover = null, gesture = null, spaceDown = false, spaceUsed = false;
let isHidden = false, showsUnder = false, isSaving = false, isShown = false;
let activeMs = 0, lastInput = Date.now(), lease = "";
const pointers = new Map();
if (!MODES.includes(mode)) mode = "drag";

// --- what a box is called -------------------------------------------------------------------
const nameOf = (id) => NAMES.get(id)?.name ?? id;
const clip = (text, limit) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);
const colour = (id) => `k${(NAMES.get(id)?.index ?? 0) % 10}`;
const sides = (box) => `${Math.round(box.x2 - box.x1)} × ${Math.round(box.y2 - box.y1)} px`;
const scored = (box) => (typeof box.score === "number" ? `, score ${box.score.toFixed(2)}` : "");
const tell = (text) => { said.textContent = text; };
const tellBox = () => tell(`Box ${at + 1} of ${boxes.length}: ${clip(nameOf(boxes[at].cls), 60)}, ${sides(boxes[at])}${scored(boxes[at])}`);

// --- changes, which can be undone ------------------------------------------------------------
const snapshot = () => JSON.stringify({ boxes, at });
function remember(tag) {
  const now = Date.now();
  if (tag && tag === lastTag && now - lastChange < 1000) { lastChange = now; return; }
  past.push(snapshot());
  if (past.length > MAX_UNDO) past.shift();
  future = []; lastTag = tag || ""; lastChange = now;
}
function travel(from, to, words) {
  if (!from.length) { tell(`Nothing to ${words}`); return; }
  to.push(snapshot());
  ({ boxes, at } = JSON.parse(from.pop()));
  lastTag = ""; points = [];
  changed();
  tell(`${words === "undo" ? "Undone" : "Done again"}: ${boxes.length} boxes`);
}
function changed() {
  keepDraft();
  draw();
  drawLists();
}
function select(index, isQuiet) {
  at = index;
  if (at >= 0) { reveal(boxes[at]); if (!isQuiet) tellBox(); }
  draw();
  drawLists();
}
function add(box) {
  remember();
  boxes.push(box);
  at = boxes.length - 1;
  changed();
  tellBox();
}
function removeSelected() {
  if (at < 0) { tell("No box is selected"); return; }
  remember();
  const [gone] = boxes.splice(at, 1);
  at = Math.min(at, boxes.length - 1);
  changed();
  tell(`Removed ${clip(nameOf(gone.cls), 60)}; ${boxes.length} left`);
}
function setClass(id) {
  if (!NAMES.has(id)) return;
  nextClass = id;
  if (at >= 0 && boxes[at].cls !== id) {
    remember();
    Object.assign(boxes[at], { cls: id, isMine: true });
    changed();
    tellBox();
  } else {
    drawLists();
    tell(at >= 0 ? `It is ${clip(nameOf(id), 60)} already` : `The next box is ${clip(nameOf(id), 60)}`);
  }
}
const grid = (value) => Math.round(value * 10) / 10;
const within = (value, low, high) => Math.max(low, Math.min(high, value));
function place(box, x1, y1, x2, y2) {
  const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)].map((x) => grid(within(x, 0, work.width)));
  const [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)].map((y) => grid(within(y, 0, work.height)));
  box.x1 = Math.min(left, work.width - MIN_SIDE);
  box.y1 = Math.min(top, work.height - MIN_SIDE);
  box.x2 = Math.max(right, box.x1 + MIN_SIDE);
  box.y2 = Math.max(bottom, box.y1 + MIN_SIDE);
  box.isMine = true;
  return box;
}
function shift(box, dx, dy) {
  const [w, h] = [box.x2 - box.x1, box.y2 - box.y1];
  const x = within(box.x1 + dx, 0, work.width - w), y = within(box.y1 + dy, 0, work.height - h);
  return place(box, x, y, x + w, y + h);
}
function nudge(dx, dy, isResize) {
  if (at < 0) { pan(dx * 8, dy * 8); return; }
  remember(`nudge ${at} ${isResize}`);
  const box = boxes[at];
  if (isResize) place(box, box.x1, box.y1, Math.max(box.x2 + dx, box.x1 + MIN_SIDE), Math.max(box.y2 + dy, box.y1 + MIN_SIDE));
  else shift(box, dx, dy);
  reveal(box);
  changed();
  tellBox();
}
function addInMiddle() {
  const w = Math.min(view.w, work.width) / 5, h = Math.min(view.h, work.height) / 5;
  const x = within(view.x + view.w / 2, w / 2, work.width - w / 2), y = within(view.y + view.h / 2, h / 2, work.height - h / 2);
  add(place({ cls: nextClass }, x - w / 2, y - h / 2, x + w / 2, y + h / 2));
}
function step(by) {
  const next = at < 0 ? (by > 0 ? 0 : boxes.length - 1) : at + by;
  if (next < 0 || next >= boxes.length) { select(-1); return false; }
  select(next);
  return true;
}
function nextUncertain() {
  const order = boxes.map((_, index) => index).filter((index) => typeof boxes[index].score === "number")
    .sort((a, b) => boxes[a].score - boxes[b].score);
  if (!order.length) { tell("No box has a score"); return; }
  select(order[(order.indexOf(at) + 1) % order.length]);
}

// --- the view --------------------------------------------------------------------------------
const pxSize = () => view.w / Math.max(svg.clientWidth, 1);  // image pixels per screen pixel
function fit() {
  const w = Math.max(svg.clientWidth, 1), h = Math.max(svg.clientHeight, 1);
  const scale = Math.max(work.width / w, work.height / h) * 1.04;
  view = { w: w * scale, h: h * scale };
  view.x = (work.width - view.w) / 2;
  view.y = (work.height - view.h) / 2;
  draw();
}
function zoom(factor, x = view.x + view.w / 2, y = view.y + view.h / 2) {
  const widest = Math.max(work.width, (work.height * view.w) / view.h) * 3;
  const w = within(view.w / factor, Math.min(16, widest), widest), k = w / view.w;
  view = { x: x - (x - view.x) * k, y: y - (y - view.y) * k, w, h: view.h * k };
  draw();
}
function zoomByKey(factor) {
  if (at < 0) zoom(factor);
  else zoom(factor, (boxes[at].x1 + boxes[at].x2) / 2, (boxes[at].y1 + boxes[at].y2) / 2);
}
function pan(dx, dy) {
  view.x = within(view.x + dx, -view.w / 2, work.width - view.w / 2);
  view.y = within(view.y + dy, -view.h / 2, work.height - view.h / 2);
  draw();
}
function reveal(box) {
  const x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2;
  if (x < view.x || x > view.x + view.w) view.x = x - view.w / 2;
  if (y < view.y || y > view.y + view.h) view.y = y - view.h / 2;
}
function toImage(event) {
  const frame = svg.getBoundingClientRect();
  return { x: view.x + (event.clientX - frame.left) * pxSize(), y: view.y + (event.clientY - frame.top) * pxSize() };
}

// --- drawing the picture ---------------------------------------------------------------------
function element(name, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  parent?.append(made);
  return made;
}
const frameOf = (box) => ({ x: box.x1, y: box.y1, width: box.x2 - box.x1, height: box.y2 - box.y1 });
const handlesOf = (b) => {
  const mx = (b.x1 + b.x2) / 2, my = (b.y1 + b.y2) / 2;
  return [[b.x1, b.y1, "x1", "y1"], [mx, b.y1, "", "y1"], [b.x2, b.y1, "x2", "y1"], [b.x2, my, "x2", ""],
    [b.x2, b.y2, "x2", "y2"], [mx, b.y2, "", "y2"], [b.x1, b.y2, "x1", "y2"], [b.x1, my, "x1", ""]];
};
function draw() {
  if (!view) return;
  const px = pxSize();
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
  picture.classList.toggle("pixels", px < 0.25);
  byId("boxes").replaceChildren();
  if (!isHidden) boxes.forEach((box, index) => {
    if (index !== at) drawBox(box, index, px);
  });
  if (!isHidden && at >= 0) drawBox(boxes[at], at, px);
  byId("under").replaceChildren(...(showsUnder ? work.under : []).map((box) => element("rect", { ...frameOf(box), class: "box-under" })));
  drawGuides(px);
}
function drawBox(box, index, px) {
  const group = element("g", { class: `box ${colour(box.cls)}${index === at ? " at" : ""}${typeof box.score === "number" && !box.isMine ? " offered" : ""}` }, byId("boxes"));
  element("rect", { ...frameOf(box), class: "halo" }, group);
  element("rect", { ...frameOf(box), class: "line" }, group);
  const isBelow = box.y1 - view.y < 18 * px;
  const label = element("text", { x: box.x1 + 2 * px, y: isBelow ? box.y1 + 13 * px : box.y1 - 5 * px, "font-size": 12 * px, "stroke-width": 3 * px }, group);
  label.textContent = clip(nameOf(box.cls), index === at ? 40 : 16) + (typeof box.score === "number" ? ` ${box.score.toFixed(2)}` : "");
  if (index !== at || !canEdit) return;
  for (const [x, y] of handlesOf(box)) element("rect", { class: "handle", x: x - 4 * px, y: y - 4 * px, width: 8 * px, height: 8 * px }, group);
}
function drawGuides(px) {
  const guides = byId("guides");
  guides.replaceChildren();
  if (!canEdit) return;
  if (hover && !pointers.size) {
    element("path", { class: "cross", d: `M${view.x} ${hover.y}h${view.w}M${hover.x} ${view.y}v${view.h}` }, guides);
  }
  for (const point of points) element("circle", { class: "point", cx: point.x, cy: point.y, r: 4 * px }, guides);
  const spanned = gesture?.kind === "draw" && gesture.moved ? [gesture.from, gesture.to] : mode === "corners" && points.length && hover ? [points[0], hover] : null;
  if (spanned) element("rect", { class: `rubber ${colour(nextClass)}`, ...frameOf(place({}, spanned[0].x, spanned[0].y, spanned[1].x, spanned[1].y)) }, guides);
}

// --- drawing the lists -----------------------------------------------------------------------
function html(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}
function drawLists() {
  const shownClass = at >= 0 ? boxes[at].cls : canEdit ? nextClass : "";
  const wanted = byId("find-class").value.trim().toLowerCase();
  byId("classes").replaceChildren(...work.classes
    .filter((one) => one.name.toLowerCase().includes(wanted))
    .map((one) => {
      const index = NAMES.get(one.id).index, n = boxes.filter((box) => box.cls === one.id).length;
      const button = html("button", { type: "button", "data-class": one.id, "aria-pressed": String(one.id === shownClass) },
        html("span", { class: `swatch ${colour(one.id)}` }), html("span", { class: "grow" }, clip(one.name, 60)));
      if (n) button.append(html("span", { class: "soft" }, `${n}`));
      if (index < 9 && canEdit) button.append(html("kbd", {}, `${index + 1}`));
      if (!canEdit) button.disabled = true;
      return html("li", {}, button);
    }));
  byId("n-boxes").textContent = boxes.length ? String(boxes.length) : "";
  const focused = document.activeElement?.closest?.("#list") ? document.activeElement.dataset.index : null;
  byId("list").replaceChildren(...boxes.map((box, index) => html("li", {}, html("button",
    { type: "button", "data-index": index, "aria-current": String(index === at) },
    html("span", { class: `swatch ${colour(box.cls)}` }), html("span", { class: "grow" }, clip(nameOf(box.cls), 40)),
    html("span", { class: "soft number" }, sides(box)),
    html("span", { class: "soft number" }, typeof box.score === "number" ? box.score.toFixed(2) : box.isMine ? "drawn" : "")))));
  if (focused !== null) byId("list").querySelector(`[data-index="${focused}"]`)?.focus();
  for (const button of root.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
}

// --- pointers --------------------------------------------------------------------------------
const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
const contains = (box, p) => p.x >= box.x1 && p.x <= box.x2 && p.y >= box.y1 && p.y <= box.y2;
function boxUnder(p) {
  const area = (box) => (box.x2 - box.x1) * (box.y2 - box.y1);
  return boxes.map((_, index) => index).filter((index) => contains(boxes[index], p)).sort((a, b) => area(boxes[a]) - area(boxes[b]))[0] ?? -1;
}
function handleAt(p, reach) {
  if (at < 0 || isHidden) return null;
  return handlesOf(boxes[at]).find(([x, y]) => Math.abs(x - p.x) <= reach && Math.abs(y - p.y) <= reach) ?? null;
}
function pinchOf() {
  const [a, b] = [...pointers.values()];
  return { gap: Math.max(distance(a, b), 1), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
stage.addEventListener("pointerdown", (event) => {
  if (!view || event.target.closest("a, button")) return;
  stage.focus({ preventScroll: true });
  event.preventDefault();
  svg.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const from = toImage(event), px = pxSize();
  if (pointers.size > 1) {
    if (gesture?.before) ({ boxes, at } = JSON.parse(gesture.before));
    gesture = pointers.size === 2 ? { kind: "pinch", last: pinchOf() } : null;
  } else if (event.button === 1 || spaceDown || (!canEdit && event.button === 0)) {
    gesture = { kind: "pan", from, screen: { x: event.clientX, y: event.clientY } };
    spaceUsed = true;
  } else if (event.button === 0) {
    const handle = handleAt(from, (event.pointerType === "touch" ? 18 : 8) * px);
    const isInside = at >= 0 && !isHidden && contains(boxes[at], from);
    const kind = handle ? "resize" : isInside ? "move" : mode === "drag" ? "draw" : "point";
    gesture = { kind, from, to: from, handle, before: snapshot(), slack: (event.pointerType === "touch" ? 8 : 3) * px };
  }
  draw();
});
stage.addEventListener("pointermove", (event) => {
  if (!view) return;
  hover = event.pointerType === "touch" ? null : toImage(event);
  if (pointers.has(event.pointerId)) {
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moveGesture(event);
  }
  drawGuides(pxSize());
});
stage.addEventListener("pointerleave", () => { hover = null; draw(); });
function moveGesture(event) {
  if (!gesture) return;
  const to = toImage(event);
  if (gesture.kind === "pinch" && pointers.size === 2) {
    const now = pinchOf(), px = pxSize(), frame = svg.getBoundingClientRect();
    pan((gesture.last.x - now.x) * px, (gesture.last.y - now.y) * px);
    zoom(now.gap / gesture.last.gap, view.x + (now.x - frame.left) * px, view.y + (now.y - frame.top) * px);
    gesture.last = now;
    return;
  }
  if (gesture.kind === "pan") {
    gesture.moved ||= distance(gesture.screen, { x: event.clientX, y: event.clientY }) > 3;
    pan(gesture.from.x - to.x, gesture.from.y - to.y);
    return;
  }
  gesture.moved ||= distance(gesture.from, to) > gesture.slack;
  if (!gesture.moved) return;
  gesture.to = to;
  if (gesture.kind === "move" || gesture.kind === "resize") {
    const box = boxes[at], start = JSON.parse(gesture.before).boxes[at];
    Object.assign(box, start);
    const [dx, dy] = [to.x - gesture.from.x, to.y - gesture.from.y];
    if (gesture.kind === "move") shift(box, dx, dy);
    else {
      const [, , sideX, sideY] = gesture.handle, next = { ...start };
      if (sideX) next[sideX] += dx;
      if (sideY) next[sideY] += dy;
      place(box, next.x1, next.y1, next.x2, next.y2);
    }
    draw();
  }
}
function endPointer(event) {
  if (!pointers.delete(event.pointerId)) return;
  const done = gesture;
  if (pointers.size) { if (done?.kind !== "pinch") gesture = null; return; }
  gesture = null;
  if (event.type === "pointercancel") {
    if (done?.before) ({ boxes, at } = JSON.parse(done.before));
  } else if (done?.kind === "pan") {
    if (!done.moved && !canEdit) select(boxUnder(toImage(event)));
  } else if (done && done.kind !== "pinch") finishGesture(done, toImage(event));
  draw();
}
function finishGesture(done, to) {
  if (done.kind === "point" || (!done.moved && mode !== "drag")) {
    addPoint(to);
  } else if (!done.moved) {
    select(boxUnder(to));
  } else if (done.kind === "draw") {
    finishBox([done.from, to]);
  } else {
    past.push(done.before);
    future = [];
    lastTag = "";
    changed();
    tellBox();
  }
}
function addPoint(point) {
  points.push(point);
  const wanted = mode === "corners" ? 2 : 4;
  if (points.length < wanted) {
    at = -1;
    drawLists();
    tell(mode === "corners" ? "First corner; now the opposite one" : `Point ${points.length} of 4`);
    return;
  }
  const drawn = points;
  points = [];
  finishBox(drawn);
}
function finishBox(drawn) {
  const xs = drawn.map((p) => p.x), ys = drawn.map((p) => p.y);
  if (!nextClass) { tell("There is no class to give it"); return; }
  const reach = 2 * pxSize();
  if (Math.max(...xs) - Math.min(...xs) < reach || Math.max(...ys) - Math.min(...ys) < reach) { tell("Too small for a box"); return; }
  add(place({ cls: nextClass }, Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)));
}
stage.addEventListener("pointerup", endPointer);
stage.addEventListener("pointercancel", endPointer);
stage.addEventListener("wheel", (event) => {
  if (!view) return;
  event.preventDefault();
  const p = toImage(event);
  zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), p.x, p.y);
}, { passive: false });
stage.addEventListener("contextmenu", (event) => event.preventDefault());

// --- keys ------------------------------------------------------------------------------------
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const isField = (target) => ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
function escape() {
  if (points.length) { points = []; draw(); tell("Dropped what was half drawn"); } else { select(-1); tell("No box is selected"); }
}
function setMode(wanted) {
  mode = wanted;
  points = [];
  localStorage.setItem("draw-mode", mode);
  draw();
  drawLists();
  tell(MODE_WORDS[mode]);
}
const ACTIONS = {
  save: () => save(),
  skip: () => byId("skip")?.showModal(),
  stay: () => byId("skip").close(),
  undo: () => travel(past, future, "undo"),
  redo: () => travel(future, past, "redo"),
  remove: removeSelected,
  fit,
  in: () => zoomByKey(1.5),
  out: () => zoomByKey(1 / 1.5),
};
const LOOKING = {
  u: nextUncertain, "+": ACTIONS.in, "=": ACTIONS.in, "-": ACTIONS.out, 0: fit, Escape: escape,
  h: () => { isHidden = !isHidden; draw(); tell(isHidden ? "Boxes hidden" : "Boxes shown"); },
  p: () => { showsUnder = !showsUnder; draw(); tell(showsUnder ? "Dashed: what the model had found" : "Only the labels"); },
};
const EDITING = {
  Enter: () => save(), s: ACTIONS.skip, z: ACTIONS.undo, y: ACTIONS.redo, d: removeSelected, Delete: removeSelected, Backspace: removeSelected,
  n: () => { if (nextClass) addInMiddle(); }, m: () => setMode(MODES[(MODES.indexOf(mode) + 1) % MODES.length]),
  c: () => { byId("find-class").hidden = false; byId("find-class").focus(); },
};
document.addEventListener("keydown", (event) => {
  lastInput = Date.now();
  const { target, key } = event;
  if (document.querySelector("dialog[open]")) { chooseReason(event); return; }
  if (isField(target)) {
    if (key === "Escape") { target.blur(); stage.focus({ preventScroll: true }); }
    return;
  }
  if (!view || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey) {
    const wanted = key.toLowerCase() === "z" ? (event.shiftKey ? "redo" : "undo") : key.toLowerCase() === "y" ? "redo" : "";
    if (wanted && canEdit) { event.preventDefault(); ACTIONS[wanted](); }
    return;
  }
  if (key === "Tab") {
    if ((target === stage || target === document.body) && boxes.length && step(event.shiftKey ? -1 : 1)) event.preventDefault();
    return;
  }
  if (target.closest("button, a, summary, [href]") && (key === "Enter" || key === " ")) return;
  if (key in ARROWS && (canEdit || at < 0)) {
    event.preventDefault();
    const by = event.altKey ? 10 : 1;
    nudge(ARROWS[key][0] * by, ARROWS[key][1] * by, event.shiftKey);
    return;
  }
  if (event.altKey) return;
  if (key === " ") {
    event.preventDefault();
    if (!event.repeat) { spaceDown = true; spaceUsed = false; stage.classList.add("grab"); }
    return;
  }
  const act = LOOKING[key] || (canEdit ? EDITING[key] : key === "Enter" ? () => root.querySelector("[data-do=next]")?.click() : null);
  if (act) {
    event.preventDefault();
    if (!event.repeat || !["Enter", "s", "n", "m"].includes(key)) act();
  } else if (canEdit && key >= "1" && key <= "9" && work.classes[Number(key) - 1]) setClass(work.classes[Number(key) - 1].id);
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !spaceDown) return;
  spaceDown = false;
  stage.classList.remove("grab");
  if (!spaceUsed && canEdit) save();
});
addEventListener("blur", () => { spaceDown = false; stage.classList.remove("grab"); });
function chooseReason(event) {
  const choice = byId("skip")?.open && event.target.id !== "reason" && byId("skip").querySelectorAll("[name=choice]")[Number(event.key) - 1];
  if (choice) { choice.checked = true; choice.focus(); }
}
root.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { do: what, mode: wanted, index, class: id } = button.dataset;
  if (wanted) setMode(wanted);
  else if (id !== undefined) setClass(id);
  else if (index !== undefined) select(Number(index));
  else if (what !== "next") ACTIONS[what]?.();
  // Whoever clicked goes on with the keys on the image; who pressed a key stays where they are.
  if (event.detail && what !== "next" && what !== "skip") stage.focus({ preventScroll: true });
});
byId("skip")?.querySelector("[data-do=stay]").addEventListener("click", ACTIONS.stay);
byId("find-class").hidden = work.classes.length <= 9;
byId("find-class").addEventListener("input", drawLists);
byId("find-class").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  const first = byId("classes").querySelector("[data-class]");
  event.target.value = "";
  if (first && canEdit) setClass(first.dataset.class);
  drawLists();
  stage.focus({ preventScroll: true });
});

// --- saving, and losing nothing --------------------------------------------------------------
function slices() {
  const found = {};
  for (const row of document.querySelectorAll("#slices .pair-of-fields")) {
    const [field, value] = ["field", "value"].map((part) => row.querySelector(`[data-slice-${part}]`).value.trim());
    if (field && value) found[field] = value;
  }
  return found;
}
function keepDraft() {
  try { if (canEdit) sessionStorage.setItem(DRAFT, JSON.stringify({ boxes, activeMs })); } catch { /* full: the page still holds them */ }
}
function restoreDraft() {
  const kept = canEdit && sessionStorage.getItem(DRAFT);
  if (!kept) return;
  try {
    const draft = JSON.parse(kept);
    if (JSON.stringify(draft.boxes) === JSON.stringify(boxes)) return;
    past.push(snapshot());
    boxes = draft.boxes.filter((box) => NAMES.has(box.cls));
    activeMs = draft.activeMs || 0;
    tell("Your boxes of before are back; z brings the first ones");
  } catch { sessionStorage.removeItem(DRAFT); }
}
function problem(text, ...links) {
  const shown = byId("problem");
  shown.replaceChildren(text, ...links.flatMap(([words, href]) => [" ", html("a", { href }, words)]));
  shown.hidden = !text;
}
const asked = (fields) => new URLSearchParams({ csrf, ...fields });
function post(verb, fields) {
  return fetch(`/review/${work.task}/${verb}`, { method: "POST", body: asked(fields), headers: { "HX-Request": "true" } });
}
async function save() {
  if (isSaving || !canEdit) return;
  if (!isShown) { problem("The image is not shown yet, so nothing was saved. If it stays so, skip it (s)."); return; }
  isSaving = true;
  points = [];
  problem("");
  tell("Saving");
  const sent = boxes.map(({ cls, x1, y1, x2, y2 }) => ({ class_id: cls, x1, y1, x2, y2 }));
  const fields = { ...Object.fromEntries(new URLSearchParams(work.narrowed)), boxes: JSON.stringify(sent), duration_ms: String(Math.round(activeMs)) };
  if (work.work === "label") Object.assign(fields, { slices: JSON.stringify(slices()), split_key: byId("split-key").value });
  try {
    const reply = await post(work.work === "opinion" ? "opinion" : "labels", fields);
    if (reply.ok) {
      const { next } = await reply.json();
      sessionStorage.removeItem(DRAFT);
      lease = "";
      tell("Saved");
      location.assign(next);
      return;  // still saving: the next page takes over
    }
    await refused(reply);
  } catch {
    problem("Not saved: the server does not answer. Your boxes stay here; press Enter to try again.");
  }
  isSaving = false;
  tell("Not saved");
}
async function refused(reply) {
  if (reply.status === 401) {
    problem("Not saved: your session has ended. Your boxes are kept in this tab.", ["Sign in and come back", `/sign-in?onward=${encodeURIComponent(location.pathname + location.search)}`]);
    return;
  }
  const words = new DOMParser().parseFromString(await reply.text(), "text/html").querySelector(".problem")?.textContent.trim();
  const links = reply.status === 409 ? [["See what was saved", `/review/${work.task}?labels=show`], ["Back to the queue", "/review"]] : [];
  problem(`Not saved: ${words || `the server answered ${reply.status}; press Enter to try again`}`, ...links);
}

// --- claims ----------------------------------------------------------------------------------
async function hold() {
  if (!canEdit || isSaving || document.hidden) return;
  try {
    const reply = await post("claim", {});
    if (!reply.ok) return;
    const taken = await reply.json();
    const note = byId("held");
    if (taken.work !== work.work) {
      if (taken.is_yours) giveBack(taken.claim.lease);
      note.textContent = "This image needs nothing any more: somebody has saved already.";
      note.hidden = false;
    } else if (taken.is_yours) {
      lease = taken.claim.lease;
      note.hidden = true;
    } else {
      const time = html("time", { "data-ms": taken.claim.until_ms }, new Date(taken.claim.until_ms).toISOString());
      note.replaceChildren(`${clip(taken.claim.held_by, 60)} is at this image until `, time, ". You may look and even label it: whoever saves first wins.");
      window.sightloop?.showTimes(note);
      note.hidden = false;
    }
  } catch { /* saving will say that the server is away */ }
}
function giveBack(held) {
  if (held) navigator.sendBeacon(`/review/${work.task}/release`, asked({ lease: held }));
}
addEventListener("pagehide", () => { giveBack(lease); lease = ""; });
addEventListener("pageshow", (event) => { if (event.persisted) { isSaving = false; hold(); } });
setInterval(() => { if (Date.now() - lastInput < RENEW_MS) hold(); }, RENEW_MS);

// --- beginning -------------------------------------------------------------------------------
setInterval(() => {
  if (!canEdit || document.hidden || !isShown || Date.now() - lastInput > IDLE_MS) return;
  activeMs += 250;
  byId("seconds").textContent = String(Math.floor(activeMs / 1000));
}, 250);
document.addEventListener("pointermove", () => { lastInput = Date.now(); }, { passive: true });

function showImage() {
  for (const [name, value] of Object.entries({ x: 0, y: 0, width: work.width, height: work.height, preserveAspectRatio: "none" })) picture.setAttribute(name, value);
  const load = async (address) => {
    // Asked for first: what stands in for a file that cannot be read is a picture as well.
    const reply = await fetch(address);
    if (!reply.ok) throw new Error(address);
    const tried = new Image();
    tried.src = address;
    await tried.decode();
    picture.setAttribute("href", address);
    isShown = true;
    root.dataset.ready = "true";
  };
  load(work.image).catch(() => load(work.fallback)).catch(() => {
    byId("unseen").hidden = false;
    root.dataset.ready = "unseen";
    tell("This image cannot be shown");
  });
}
restoreDraft();
fit();
drawLists();
showImage();
hold();
new ResizeObserver(() => { if (view) fit(); }).observe(stage);
stage.focus({ preventScroll: true });
if (!said.textContent) tell(boxes.length ? `${boxes.length} boxes` : "No boxes yet");
})();
