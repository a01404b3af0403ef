// Code to write or read: a text field over the same text in colour.

import { Base, copyButton, define, h, tool } from "./core.js";
import "./icons.js";
import { coloured } from "./lexers.js";

const ENDINGS = { python: "py", javascript: "js", typescript: "ts", markdown: "md", shell: "sh", yaml: "yml", latex: "tex", cpp: "cpp", dockerfile: "Dockerfile" };

define("code", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.numbers = h("div", { class: "g-lines", "aria-hidden": "true" });
    this.view = h("pre", { class: "g-colours", "aria-hidden": "true" });
    this.area = h("textarea", { id: this.fieldId, class: "g-codearea", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off" });
    this.append(...this.head("label", this.tools), h("div", { class: "g-editor" }, this.numbers, h("div", { class: "g-codebox" }, this.view, this.area)));
    this.area.addEventListener("input", () => {
      this.entered(this.area.value);
      this.paint();
    });
    // Tab writes an indent; Escape and then Tab leaves the field, so that the keyboard is never caught in it.
    let leaves = false;
    this.area.addEventListener("keydown", (e) => {
      if (e.key === "Tab" && !leaves && this.interactive && !e.ctrlKey && !e.altKey) {
        e.preventDefault();
        this.indent(e.shiftKey);
      } else if (e.key === "Enter" && this.interactive && !e.isComposing) {
        const indent = /^[ \t]*/.exec(this.area.value.slice(0, this.area.selectionStart).split("\n").pop())[0];
        if (!indent) return;
        e.preventDefault();
        document.execCommand("insertText", false, `\n${indent}`);
      }
      leaves = e.key === "Escape";
    });
    for (const event of ["focus", "blur"]) this.area.addEventListener(event, () => this.fire(event));
  }

  indent(back) {
    const { area } = this;
    const [from, to] = [area.selectionStart, area.selectionEnd];
    const start = area.value.lastIndexOf("\n", from - 1) + 1;
    if (from === to && !back) return document.execCommand("insertText", false, "    ");
    const block = area.value.slice(start, to);
    const changed = back ? block.replace(/^ {1,4}/gm, "") : block.replace(/^/gm, "    ");
    area.setSelectionRange(start, to);
    document.execCommand("insertText", false, changed);
    area.setSelectionRange(start, start + changed.length);
  }

  patch(changed) {
    const p = this.props;
    const { area } = this;
    if ("value" in changed && area.value !== (p.value ?? "")) area.value = p.value ?? "";
    area.readOnly = !this.interactive;
    this.classList.toggle("wraps", Boolean(p.wrap_lines));
    this.numbers.hidden = p.show_line_numbers === false || p.wrap_lines;
    this.style.setProperty("--lines", p.lines || 5);
    this.style.setProperty("--most", p.max_lines || 30);
    this.paint();
    if (!("buttons" in changed)) return;
    this.tools.replaceChildren(
      ...((p.buttons || []).includes("copy") ? [copyButton(() => area.value)] : []),
      ...((p.buttons || []).includes("download") ? [tool("download", "Download", () => {
        const url = URL.createObjectURL(new Blob([area.value], { type: "text/plain" }));
        h("a", { href: url, download: `code.${ENDINGS[p.language] || p.language?.split("-")[0] || "txt"}` }).click();
        setTimeout(() => URL.revokeObjectURL(url), 1000);
      })] : []),
    );
  }

  paint() {
    const text = this.area.value;
    this.view.replaceChildren(coloured(text, this.props.language), "\n");
    const count = text.split("\n").length;
    if (this.counted !== count) {
      this.counted = count;
      this.numbers.textContent = Array.from({ length: count }, (_, line) => line + 1).join("\n");
    }
  }

  get value() {
    return this.props.value ?? null;
  }
}, "Code");
