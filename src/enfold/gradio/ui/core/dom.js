// Making elements: never from text that could be HTML.

import { announce } from "./notes.js";

/** Make an element: h("a", {class: "x", text: "t", onclick: f, "aria-label": "l"}, ...children). Never parses HTML. */
export function h(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") el.textContent = value;
    else if (name === "class") el.className = value;
    else if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name in el && typeof value !== "string" && name !== "list") el[name] = value;
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.filter((child) => child !== null && child !== undefined));
  return el;
}

const PATHS = {
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12l5 5L20 7",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 7a5 5 0 100 10 5 5 0 000-10zM12 1v2M12 21v2M4.2 4.2l1.4 1.4M18.4 18.4l1.4 1.4M1 12h2M21 12h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
  reset: "M4 4v6h6M4.5 10a8 8 0 11-.5 4",
  chevron: "M6 9l6 6 6-6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  expand: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 100 7 3.5 3.5 0 000-7",
  mic: "M12 3a3 3 0 00-3 3v6a3 3 0 006 0V6a3 3 0 00-3-3zM6 11a6 6 0 0012 0M12 17v4",
  play: "M7 5l12 7-12 7z",
  pause: "M8 5v14M16 5v14",
  stop: "M6 6h12v12H6z",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 010 12",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 000 12",
  retry: "M20 5v6h-6M19 11a8 8 0 10.5 4",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  up: "M7 11v9H4v-9zM7 11l4-8a2 2 0 013 2l-1 5h6l-2 10H7",
  down: "M7 13V4H4v9zM7 13l4 8a2 2 0 003-2l-1-5h6L17 4H7",
  plus: "M12 5v14M5 12h14",
  send: "M4 12l16-8-6 16-3-7z",
  file: "M6 3h8l5 5v13H6zM14 3v5h5",
  folder: "M3 6h7l2 2h9v11H3z",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14M16 16l5 5",
  menu: "M4 6h16M4 12h16M4 18h16",
};

/** A line icon, hidden from readers of the screen. */
export function icon(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "g-icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export const length = (value) => (typeof value === "number" ? `${value}px` : value || "");
export const same = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);
export const format = (value) => (value === null || value === undefined ? "" : String(value));

/** A button that copies text and says so. */
export function copyButton(text, onCopy) {
  const button = h("button", { type: "button", class: "g-tool", "aria-label": "Copy", title: "Copy" }, icon("copy"));
  button.addEventListener("click", async () => {
    const value = text();
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      const area = h("textarea", { class: "g-sr", value });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.replaceChildren(icon("check"));
    announce("Copied");
    onCopy?.(value);
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

/** A button that shows only an icon; its name is what readers of the screen hear. */
export function tool(name, label, onclick, more = {}) {
  return h("button", { type: "button", class: "g-tool", "aria-label": label, title: label, onclick, ...more }, icon(name));
}
