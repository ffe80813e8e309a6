// Keeps the page fresh. Everything works without it: each press is a form.
"use strict";

const parts = ["people", "sent"];

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focused = document.activeElement && document.activeElement.id;
  const seen = new Map([...document.querySelectorAll("#sent details")].map((item) => [item.id, item.open]));
  for (const id of parts) {
    const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && next) old.replaceWith(next);
  }
  for (const [id, open] of seen) {
    const item = document.getElementById(id);
    if (item) item.open = open;
  }
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

let pending = 0;
let timer;

async function refresh() {
  const turn = ++pending;
  const answer = await fetch("/");
  if (answer.ok && turn === pending) show(await answer.text());
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    await refresh();
  } catch {
    form.submit();
  } finally {
    button.removeAttribute("aria-busy");
  }
});

new EventSource("/events").addEventListener("changed", () => {
  clearTimeout(timer);
  timer = setTimeout(() => refresh().catch(() => {}), 50);
});
