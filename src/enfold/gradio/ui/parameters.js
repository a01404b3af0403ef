// What a function takes: a row for each parameter, which opens to say more.

import { Base, define, h, length } from "./core.js";
import { coloured } from "./lexers.js";
import { Prose } from "./prose.js";

define("paramviewer", class extends Base {
  build() {
    this.titleEl = h("span", {});
    this.all = h("button", { type: "button", class: "g-button secondary sm", onclick: () => this.turn() });
    this.top = h("div", { class: "g-head" }, this.titleEl, this.all);
    this.rows = h("div", { class: "g-parameters" });
    this.append(this.top, this.rows);
    this.rows.addEventListener("toggle", () => this.name(), true);
  }

  patch(changed) {
    const p = this.props;
    this.titleEl.textContent = p.header || "";
    this.titleEl.className = "g-caption";
    this.top.hidden = !p.header;
    const { maxHeight } = this.rows.style;
    if ("max_height" in changed || maxHeight) Object.assign(this.rows.style, { maxHeight: length(p.max_height), overflow: p.max_height ? "auto" : "" });
    if (p.max_height) this.rows.tabIndex = 0;
    if (p.max_height) Object.assign(this.rows, { role: "group", ariaLabel: p.header || "Parameters" });
    const entries = Object.entries(p.value || {});
    this.rows.replaceChildren(...(entries.length ? entries.map(([name, each]) => this.row(name, each)) : [h("div", { class: "g-empty", text: "Nothing is taken." })]));
    this.all.hidden = !entries.length;
    this.name();
    if (p.anchor_links && location.hash) this.reveal(decodeURIComponent(location.hash.slice(1)));
  }

  /** The address of a row in this page. */
  anchor(name) {
    const { anchor_links: links } = this.props;
    return `param-${typeof links === "string" ? `${links}-` : ""}${name}`.toLowerCase().replace(/[^\w-]+/g, "-");
  }

  row(name, { type, description, default: given }) {
    const p = this.props;
    const row = h("details", { class: "g-parameter", id: p.anchor_links ? this.anchor(name) : null });
    const shown = h("code", {});
    shown.append(coloured(type || "", p.language));
    row.append(h("summary", {}, h("code", { class: "g-parametername", text: name }), type ? h("span", { class: "g-type" }, ": ", shown) : null));
    const more = h("div", { class: "g-prose" });
    // Links stand below: the line that opens a row is a control itself.
    if (type && (p.linkify || []).some((word) => type.includes(word))) row.append(h("p", { class: "g-default" }, "Type: ", h("code", {}, this.linked(type))));
    if (given !== undefined && given !== null) {
      const code = h("code", {});
      code.append(coloured(String(given), p.language));
      row.append(h("p", { class: "g-default" }, "Default: ", code));
    }
    if (description) new Prose(more).show(description);
    row.append(more);
    if (p.anchor_links) row.append(h("p", { class: "g-default" }, h("a", { href: `#${this.anchor(name)}`, text: `Link to ${name}` })));
    return row;
  }

  /** A type with its colours; words that are rows here lead to them. */
  linked(type) {
    const words = (this.props.linkify || []).filter((word) => word);
    if (!words.length) return coloured(type, this.props.language);
    const out = document.createDocumentFragment();
    const pattern = new RegExp(`\\b(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})\\b`);
    type.split(pattern).forEach((part, index) => out.append(index % 2 ? h("a", { href: `#${this.anchor(part)}`, text: part, onclick: (e) => (e.stopPropagation(), this.reveal(this.anchor(part))) }) : coloured(part, this.props.language)));
    return out;
  }

  reveal(id) {
    const row = [...this.rows.children].find((each) => each.id === id);
    if (!row) return;
    row.open = true;
    row.scrollIntoView({ block: "nearest" });
  }

  turn() {
    const open = [...this.rows.children].every((row) => row.open);
    for (const row of this.rows.children) row.open = !open;
  }

  name() {
    this.all.textContent = [...this.rows.children].every((row) => row.open) ? "Close all" : "Open all";
  }
}, "Parameters");
