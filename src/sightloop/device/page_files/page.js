// The live picture every second, the rest of the page every two; nothing while nobody looks.
"use strict";
const stream = document.getElementById("stream");
const picture = document.getElementById("picture");
const caption = document.getElementById("caption");

async function showPicture() {
  const name = encodeURIComponent(stream.value);
  const answer = await fetch(`/live.json?stream=${name}`);
  if (!answer.ok) throw new Error(answer.statusText);
  const live = await answer.json();
  if (live.at_ms === null) {
    caption.textContent = "Waiting for an image of this stream…";
    picture.hidden = true;
    return;
  }
  const seen = `${live.n_objects} found, ${live.model}@${live.version}, ${live.duration_ms.toFixed(1)} ms`;
  const at = new Date(live.at_ms).toLocaleTimeString();
  caption.textContent = live.problem ? `${seen}, ${at}: not shown, ${live.problem}` : `${seen}, ${at}`;
  picture.hidden = Boolean(live.problem);
  if (!live.problem) {
    picture.src = `/live.jpg?stream=${name}&at=${live.at_ms}`;
    picture.alt = `Last image of ${stream.value} with ${live.n_objects} objects drawn in`;
  }
}

async function showFacts() {
  const answer = await fetch("/");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const next = fresh.getElementById(part.id);
    if (next) part.replaceWith(next);
  }
}

function every(milliseconds, show) {
  const turn = async () => {
    if (!document.hidden) {
      try { await show(); } catch { caption.textContent = "The agent does not answer."; }
    }
    setTimeout(turn, milliseconds);
  };
  turn();
}

stream.addEventListener("change", showPicture);
every(1000, showPicture);
every(2000, showFacts);
