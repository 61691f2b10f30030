"use strict";
// A line of the table and its box on the picture point at each other.

function light(number, on) {
  for (const one of document.querySelectorAll(`[data-box="${number}"]`)) one.classList.toggle("lit", on);
}

for (const part of document.querySelectorAll("[data-box]")) {
  part.addEventListener("mouseenter", () => light(part.dataset.box, true));
  part.addEventListener("mouseleave", () => light(part.dataset.box, false));
}
