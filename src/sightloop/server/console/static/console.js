"use strict";
// What every page does: times in the viewer's zone, keys, copying, messages.

const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const thisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", ...clock });
const anyYear = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", ...clock });

function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-ms]")) {
    const at = new Date(Number(time.dataset.ms));
    if (!time.title) time.title = time.textContent;
    const format = at.getFullYear() === new Date().getFullYear() ? thisYear : anyYear;
    time.textContent = format.format(at);
  }
}

function say(text, tone) {
  const toast = document.createElement("p");
  toast.className = `toast ${tone || ""}`;
  toast.textContent = text;
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), 6000);
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied");
  } catch {
    say("Could not copy: select the text instead", "bad");
  }
}

function nextTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  document.dispatchEvent(new CustomEvent("theme"));
}

const PLACES = { l: "/", r: "/review", d: "/datasets", u: "/runs", m: "/models", f: "/fleet", i: "/incidents", s: "/settings" };
let awaitingPlace = false;

function isTyping(event) {
  const at = event.target;
  return at.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(at.tagName);
}

function moveInRows(step) {
  const rows = [...document.querySelectorAll("[data-rows] tbody tr a[href], [data-rows] > li a[href]")]
    .filter((link, index, all) => all.findIndex((other) => other.closest("tr,li") === link.closest("tr,li")) === index);
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + step))].focus();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("[data-own-keys]")) {
    if (event.key === "?") document.getElementById("keys")?.showModal();
    return;
  }
  if (awaitingPlace) {
    awaitingPlace = false;
    if (PLACES[event.key]) location.assign(PLACES[event.key]);
  } else if (event.key === "g") {
    awaitingPlace = true;
    setTimeout(() => { awaitingPlace = false; }, 1200);
  } else if (event.key === "j" || event.key === "k") {
    moveInRows(event.key === "j" ? 1 : -1);
  } else if (event.key === "/") {
    const filter = document.querySelector("[data-filter] input, [data-filter] select");
    if (filter) { event.preventDefault(); filter.focus(); }
  } else if (event.key === "?") {
    document.getElementById("keys")?.showModal();
  }
});

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-copy], [data-theme-toggle], [data-help], [data-print]");
  if (!target) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    return;
  }
  if (target.dataset.copy !== undefined) copy(target);
  else if (target.dataset.themeToggle !== undefined) nextTheme();
  else if (target.dataset.help !== undefined) document.getElementById("keys")?.showModal();
  else print();
});

// A filter acts as soon as it is changed; nobody has to look for a button.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-filter]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=date]")) form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.addEventListener("htmx:afterSwap", (event) => showTimes(event.target));
document.addEventListener("htmx:responseError", (event) => {
  const reply = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  say(reply.querySelector(".problem")?.textContent.trim() || "The server refused that", "bad");
});
document.addEventListener("htmx:sendError", () => say("The server does not answer; trying again", "bad"));

showTimes(document);
window.sightloop = { say, showTimes };

// MLflow's clients print addresses of MLflow's pages, whose path stands behind a hash.
function placeOfMlflow(hash) {
  const [kind, name, what, which] = hash.replace(/^#\//, "").split("?")[0].split("/");
  if (!name || !hash.startsWith("#/")) return "";
  if (kind === "experiments") return what === "runs" && which ? `/runs/${which}` : `/experiments/${name}`;
  if (kind === "models") return what === "versions" && which ? `/models/${name}/${which}` : `/models/${name}`;
  return "";
}
function goToPlaceOfMlflow() {
  const place = placeOfMlflow(location.hash);
  if (place) location.replace(place);
}
goToPlaceOfMlflow();
addEventListener("hashchange", goToPlaceOfMlflow);

// On a narrow screen the rooms scroll sideways: begin with the one the person is in.
const nav = document.querySelector(".top nav");
const current = nav?.querySelector("[aria-current]");
if (current) nav.scrollLeft = current.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
