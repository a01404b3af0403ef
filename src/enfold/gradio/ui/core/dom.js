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

/** Set an attribute, or take it away where there is nothing to say; the browser is told only of what changes. */
export function attribute(el, name, value) {
  if (value == null || value === "") el.hasAttribute(name) && el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

/** Lines of icons by name; icons.js has those that not every page needs. */
export const PATHS = {
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12l5 5L20 7",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 7a5 5 0 100 10 5 5 0 000-10zM12 1v2M12 21v2M4.2 4.2l1.4 1.4M18.4 18.4l1.4 1.4M1 12h2M21 12h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4",
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

/** Put text on the clipboard; older ways where the page may not use it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "g-sr", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A button that copies text and says so. */
export function copyButton(text, onCopy) {
  const button = h("button", { type: "button", class: "g-tool", "aria-label": "Copy", title: "Copy" }, icon("copy"));
  button.addEventListener("click", async () => {
    const value = text();
    await copy(value);
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
