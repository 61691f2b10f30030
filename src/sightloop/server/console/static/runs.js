"use strict";
// The table of runs: choosing rows, completing the filter, further rows, and rows that stay true.

const REFRESH_MS = 5000;
const list = document.getElementById("runs-list");
const boxes = () => [...list.querySelectorAll("tbody input[name=run]")];

function showCount() {
  const n = boxes().filter((box) => box.checked).length;
  const place = list.querySelector("[data-count]");
  if (place) place.textContent = n ? `${n} chosen` : "";
}

async function fetched(address) {
  const answer = await fetch(address, { headers: { "hx-request": "true" } });
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  window.sightloop.showTimes(page);
  return page;
}

// What a row says is replaced; its box, and so what was chosen, and the focus stay.
function renew(row, fresh) {
  const hadFocus = row.contains(document.activeElement) && document.activeElement.tagName === "A";
  row.toggleAttribute("data-running", fresh.hasAttribute("data-running"));
  while (row.cells.length > 1) row.cells[1].remove();
  row.append(...[...fresh.cells].slice(1));
  if (hadFocus) row.querySelector("a[href]")?.focus();
}

// Known rows stay where they are, even if they would be sorted elsewhere by now: a table in which
// rows move while one reads them cannot be read. New ones come in where they belong.
function merge(page) {
  const body = list.querySelector("tbody");
  let next = body.rows[0] || null;
  for (const fresh of page.querySelectorAll("tbody tr[data-run]")) {
    const known = body.querySelector(`tr[data-run="${CSS.escape(fresh.dataset.run)}"]`);
    if (known) { renew(known, fresh); next = known.nextElementSibling; }
    else body.insertBefore(document.adoptNode(fresh), next);
  }
}

let isBusy = false;
async function refresh() {
  if (isBusy || document.hidden || !list.dataset.address) return;
  if (document.querySelector("dialog[open]")) return;
  isBusy = true;
  try {
    const page = await fetched(list.dataset.address);
    if (!list.querySelector("tbody")) { list.replaceChildren(...page.body.childNodes); return; }
    if (page.querySelector("tbody")) merge(page);
    const seen = new Set([...page.querySelectorAll("tr[data-run]")].map((row) => row.dataset.run));
    const further = [...list.querySelectorAll("tr[data-running]")].map((row) => row.dataset.run).filter((run) => !seen.has(run));
    if (further.length) {
      const named = further.slice(0, 200).map((run) => `run=${encodeURIComponent(run)}`).join("&");
      const rows = (await fetched(`${list.dataset.address}&${named}`)).querySelectorAll("tr[data-run]");
      for (const fresh of rows) renew(list.querySelector(`tr[data-run="${CSS.escape(fresh.dataset.run)}"]`), fresh);
    }
  } catch {
    // The server does not answer: the next time it may.
  } finally {
    isBusy = false;
  }
}

async function more(link) {
  link.setAttribute("aria-disabled", "true");
  try {
    const page = await fetched(link.getAttribute("href").replace("/runs?", "/runs/list?"));
    list.querySelector("tbody").append(...page.querySelectorAll("tbody tr"));
    const next = page.querySelector("[data-more]");
    if (next) link.replaceWith(next);
    else link.remove();
  } catch {
    location.assign(link.href);
  }
}

async function editTags(button) {
  const place = document.getElementById("tags-of-run");
  const page = await fetched(button.dataset.editTags);
  place.replaceWith(page.getElementById("tags-of-run"));
  htmx.process(document.getElementById("tags-of-run"));
  document.getElementById("tags-dialog").showModal();
}

list.addEventListener("change", showCount);
list.addEventListener("click", (event) => {
  const target = event.target.closest("[data-more], [data-edit-tags]");
  if (!target) return;
  event.preventDefault();
  if (target.dataset.more !== undefined) more(target);
  else editTags(target).catch(() => window.sightloop.say("The server does not answer", "bad"));
});
document.getElementById("tags-dialog").addEventListener("close", refresh);

document.addEventListener("keydown", (event) => {
  const isText = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (isText || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "x") {
    const box = document.activeElement.closest("tr")?.querySelector("input[name=run]");
    if (box) { box.checked = !box.checked; showCount(); }
  } else if (event.key === "c") {
    list.querySelector("[data-compare]")?.click();
  }
});

// A browser completes the whole of a field; so the names are offered behind what stands there.
const filter = document.getElementById("filter");
const names = [...document.querySelectorAll("[data-names] option")].map((option) => option.value);
filter.addEventListener("input", () => {
  const before = /^(.*(?:^|\s)(?:and\s+)?)([^\s=<>!]*)$/i.exec(filter.value);
  const begun = before ? before[2].toLowerCase().replace(/[`"]/g, "") : "";
  const fitting = before && begun ? names.filter((name) => name.toLowerCase().replace(/[`"]/g, "").includes(begun)) : [];
  document.querySelector("[data-names]").replaceChildren(...fitting.slice(0, 30).map((name) => new Option("", before[1] + name)));
});

document.querySelector("[data-narrow]").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const one of document.querySelectorAll(".choices-of-columns label")) {
    one.hidden = !one.textContent.toLowerCase().includes(wanted);
  }
});

setInterval(refresh, REFRESH_MS);
document.addEventListener("htmx:sseMessage", (event) => { if (event.detail.type === "runs") refresh(); });
showCount();
