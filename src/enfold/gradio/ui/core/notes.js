// Notes to the visitor: toasts to see, and words for readers of the screen.

import { h, icon } from "./dom.js";

export const announcer = h("div", { class: "g-sr", role: "status", "aria-live": "polite" });
export const toasts = h("div", { class: "g-toasts", role: "region", "aria-label": "Notifications" });

/** Say something to readers of the screen. */
export function announce(text) {
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = text));
}

/** Show a note: level error, warning, info or success; it leaves after `duration` seconds, or stays when null. */
export function toast(level, title, message, duration = 10) {
  const note = h("div", { class: `g-toast ${level}`, role: level === "error" ? "alert" : "status" },
    h("div", {}, h("strong", { text: title }), h("p", { text: message })),
    h("button", { type: "button", class: "g-tool", "aria-label": "Close", onclick: () => note.remove() }, icon("close")));
  toasts.append(note);
  while (toasts.children.length > 5) toasts.firstChild.remove();
  if (duration !== null && duration !== undefined) {
    let timer = setTimeout(() => note.remove(), duration * 1000);
    note.addEventListener("mouseenter", () => clearTimeout(timer));
    note.addEventListener("mouseleave", () => (timer = setTimeout(() => note.remove(), 2000)));
  }
  return note;
}
