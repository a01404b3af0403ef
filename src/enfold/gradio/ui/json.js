// JSON as a tree that opens and closes.

import { Base, copyButton, define, h } from "./core.js";

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return h("span", { class: `g-json-${kind}`, text: kind === "string" ? JSON.stringify(value) : String(value) });
}

function tree(key, value, open, depth) {
  const name = key === null ? [] : [h("span", { class: "g-json-key", text: key }), ": "];
  if (value === null || typeof value !== "object") return h("div", { class: "g-json-row" }, ...name, leaf(value));
  const list = Array.isArray(value);
  const entries = list ? value.map((each, index) => [String(index), each]) : Object.entries(value);
  if (!entries.length) return h("div", { class: "g-json-row" }, ...name, list ? "[]" : "{}");
  const count = `${list ? "[" : "{"} ${entries.length} ${list ? (entries.length === 1 ? "item" : "items") : entries.length === 1 ? "key" : "keys"} ${list ? "]" : "}"}`;
  const box = h("details", { class: "g-json-box" }, h("summary", {}, ...name, h("span", { class: "g-json-count", text: count })));
  // What is closed is not built: a large value costs nothing until it is looked at.
  const fill = () => box.children.length === 1 && box.append(...entries.map(([each, inner]) => tree(each, inner, open, depth + 1)));
  box.addEventListener("toggle", () => box.open && fill());
  if (open || depth < 2) {
    fill();
    box.open = true;
  }
  return box;
}

define("json", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-json-tree", tabindex: "0", role: "group" });
    this.append(...this.head("span", this.tools), this.body);
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
  }

  patch(changed) {
    const p = this.props;
    for (const [name, property] of [["height", "height"], ["max_height", "maxHeight"], ["min_height", "minHeight"]]) {
      if (name in changed && p[name]) this.body.style[property] = typeof p[name] === "number" ? `${p[name]}px` : p[name];
    }
    if ("buttons" in changed) this.tools.replaceChildren(...((p.buttons || []).includes("copy") ? [copyButton(() => JSON.stringify(this.props.value ?? null, null, 2))] : []));
    if (!("value" in changed)) return;
    const empty = p.value === null || p.value === undefined;
    this.body.replaceChildren(empty ? h("div", { class: "g-empty", text: "The result appears here." }) : tree(null, p.value, p.open, 0));
  }
}, "JSON");
