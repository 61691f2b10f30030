"use strict";
// Before anything is painted: the choice of light or dark that was made on this machine.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
