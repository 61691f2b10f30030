"use strict";
// The list of runs comes anew when a run begins or ends, but never while rows are being chosen.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "runs-list" && event.target.querySelector("input:checked")) event.preventDefault();
});
