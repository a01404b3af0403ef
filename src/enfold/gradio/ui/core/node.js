// Components: custom elements in light DOM. Each patches only what changed.

import { h, length, same } from "./dom.js";
import { trigger } from "./events.js";

export const config = JSON.parse(document.getElementById("g-config").textContent);
export const app = document.getElementById("app");
export const nodes = new Map();
export const kinds = new Map();

/** Make a component type known, and what it is called while it has no label: the page's modules call it. */
export function define(type, Kind, name = "") {
  if (name) KIND_NAMES[type] = name;
  kinds.set(type, Kind);
  customElements.define(`g-${type}`, Kind);
}

const isInput = new Set();
const isOutput = new Set();
const listened = new Set();

/** Note what functions take, fill and listen to, before their components are made. */
export function wired(deps) {
  for (const dep of deps) {
    dep.inputs.forEach((id) => isInput.add(id));
    dep.outputs.forEach((id) => isOutput.add(id));
    dep.targets.forEach(([id, event]) => listened.add(`${id}:${event}`));
  }
}

/** A component inside another one, such as a table in a message: it has no place among the page's own. */
export function inner(type, props) {
  const Kind = kinds.get(type);
  const node = new Kind();
  inner.count = (inner.count || 0) + 1;
  node.setup({ id: `inner-${inner.count}`, type, props: { ...props, interactive: false } });
  return node;
}

const texts = (() => {
  const all = config.i18n_translations || {};
  const found = {};
  for (const wanted of ["en", navigator.language.split("-")[0], navigator.language]) {
    for (const [name, own] of Object.entries(all)) if (name.toLowerCase() === wanted.toLowerCase()) Object.assign(found, own);
  }
  return found;
})();

/** Texts that stand for their translation, in the visitor's language. */
export function translated(value) {
  if (typeof value === "string") return value.includes("__i18n__") ? value.replace(/__i18n__(\{[^}]*\})/g, (_, mark) => {
    const { key } = JSON.parse(mark);
    return texts[key] ?? key;
  }) : value;
  if (Array.isArray(value)) return value.map(translated);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, translated(each)]));
  return value;
}

// Copied, which is faster than made.
const HEAD = Object.fromEntries(["label", "span"].map((tag) => [tag, h("div", { class: "g-head" }, h(tag, { class: "g-caption" }))]));
const hides = ({ visible }) => visible === false || visible === "hidden";

export class Base extends HTMLElement {
  /** Become this entry; a field far down a long page is a frame until `complete` is called. */
  setup(entry, whole = true) {
    this.gid = entry.id;
    this.gtype = entry.type;
    this.props = config.i18n_translations ? translated(entry.props) : { ...entry.props };
    this.fieldId = `g-field-${entry.id}`;
    this.id = this.props.elem_id || `component-${entry.id}`;
    this.className = `g-${entry.type} block`;
    if (hides(this.props)) this.hidden = true;
    if (whole) this.complete();
  }

  /** Make what is inside, once: nothing but the frame is there before. */
  complete() {
    if (this.whole) return;
    this.whole = true;
    this.build();
    this.common(this.props);
    this.patch(this.props);
  }

  /** Make the elements, once. */
  build() {}
  /** Show properties; only those in `changed` are new. */
  patch(changed) {}

  get interactive() {
    return this.props.interactive ?? (isInput.has(this.gid) || !isOutput.has(this.gid));
  }

  /** What travels as this component's value. */
  get value() {
    return this.props.value ?? null;
  }

  /** Properties from the server or a script: an event follows when the value is another. */
  update(given) {
    this.complete();
    const changed = config.i18n_translations ? translated(given) : given;
    const before = this.props.value;
    Object.assign(this.props, changed);
    this.common(changed);
    this.patch(changed);
    if ("value" in changed && !same(before, this.props.value)) this.fire("change");
  }

  /** A value the visitor gave. */
  entered(value, event = "input") {
    const before = this.props.value;
    this.props.value = value;
    if (this.problem) this.invalid(null);
    if (event) this.fire(event);
    if (!same(before, value)) this.fire("change");
  }

  /** Say what is wrong with this value, until it is another. */
  invalid(message) {
    this.complete();
    this.problem?.remove();
    this.problem = message ? h("div", { class: "g-problem", text: message }) : null;
    this.classList.toggle("failed", Boolean(message));
    const field = this.querySelector("input, textarea, select");
    message ? field?.setAttribute("aria-invalid", "true") : field?.removeAttribute("aria-invalid");
    if (message) this.append(this.problem);
  }

  fire(event, data = null) {
    if (listened.has(`${this.gid}:${event}`)) trigger(this.gid, event, data);
  }

  hears(event) {
    return listened.has(`${this.gid}:${event}`);
  }

  common(changed) {
    const p = this.props;
    if ("visible" in changed && this.hidden !== hides(p)) {
      this.hidden = hides(p);
      this.parentElement?.dispatchEvent(new Event("g-visibility"));
    }
    if ("elem_classes" in changed && (this.extra || p.elem_classes?.length)) {
      this.classList.remove(...(this.extra || []));
      this.extra = [p.elem_classes || []].flat();
      this.classList.add(...this.extra);
    }
    if ("scale" in changed && p.scale != null) this.style.flexGrow = p.scale;
    // 160 is what the style sheet says.
    if ("min_width" in changed && p.min_width != null && (p.min_width !== 160 || this.style.minWidth)) this.style.minWidth = `min(${p.min_width}px, 100%)`;
    if ("container" in changed && (p.container === false) !== this.classList.contains("bare")) this.classList.toggle("bare");
    if (this.labelEl && ("label" in changed || "show_label" in changed)) {
      this.labelEl.textContent = p.label ?? KIND_NAMES[this.gtype] ?? "";
      if (p.show_label === false || this.labelEl.className !== "g-caption") this.labelEl.classList.toggle("g-sr", p.show_label === false);
    }
    if ("info" in changed && (p.info || this.infoEl)) {
      if (!this.infoEl) this.headEl?.after((this.infoEl = h("div", { class: "g-info", id: `${this.fieldId}-info` })));
      this.infoEl.textContent = p.info || "";
      this.infoEl.hidden = !p.info;
    }
  }

  /** The row above a field: its label, and tools at the end. An explanation comes below it where there is one. */
  head(tag = "label", ...tools) {
    this.headEl = HEAD[tag].cloneNode(true);
    this.labelEl = this.headEl.firstChild;
    this.labelEl.id = `${this.fieldId}-label`;
    if (tag === "label") this.labelEl.htmlFor = this.fieldId;
    if (tools.length) this.headEl.append(...tools);
    return [this.headEl];
  }

  /** Something happened in this component's field; see the listeners below. */
  heard(event) {}

  describedBy() {
    return this.props.info ? `${this.fieldId}-info` : null;
  }

  /** Heights that authors give in pixels or any CSS length. */
  sized(el, changed, names = ["height", "max_height", "min_height", "width"]) {
    for (const name of names) {
      if (name in changed && this.props[name] != null) el.style[name.replace(/_h/, "H")] = length(this.props[name]);
    }
  }

  /** How the event that fills this component is doing. */
  status(state) {
    this.complete();
    if (!this.statusEl) {
      this.statusEl = h("div", { class: "g-status" }, h("div", { class: "g-bar" }), h("div", { class: "g-eta" }));
      this.append(this.statusEl);
    }
    const [bar, text] = this.statusEl.children;
    this.classList.toggle("pending", state.kind === "pending");
    this.classList.toggle("generating", state.kind === "generating");
    this.classList.toggle("failed", state.kind === "error");
    this.setAttribute("aria-busy", String(state.kind === "pending"));
    const known = typeof state.fraction === "number";
    bar.classList.toggle("known", known);
    bar.style.setProperty("--done", known ? `${Math.min(100, state.fraction * 100)}%` : "");
    text.textContent = state.text || "";
  }
}

// What happens in fields is listened to once for the whole page, and told to the component it happened in.
for (const kind of ["input", "keydown", "focus", "blur", "select"]) {
  document.addEventListener(kind, (event) => event.target.closest?.(".block")?.heard?.(event), true);
}

export const KIND_NAMES = { textbox: "Textbox" };
