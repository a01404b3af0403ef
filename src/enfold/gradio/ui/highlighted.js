// Text with marked passages, by category or by a number; where it can be edited, passages can be given another category.

import { Base, define, h } from "./core.js";

const HUES = [212, 356, 130, 40, 275, 180, 320, 90, 20, 240];

define("highlightedtext", class extends Base {
  build() {
    this.legend = h("div", { class: "g-legend" });
    this.body = h("div", { class: "g-marked" });
    this.append(...this.head("span"), this.legend, this.body);
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
  }

  patch(changed) {
    if (!["value", "color_map", "show_legend", "show_inline_category", "interactive"].some((name) => name in changed)) return;
    const p = this.props;
    const tokens = p.value || [];
    const categories = [...new Set(tokens.map((each) => each.class_or_confidence).filter((each) => typeof each === "string"))];
    const colour = (name) => p.color_map?.[name] || `hsl(${HUES[categories.indexOf(name) % HUES.length]} 85% 55%)`;
    const edits = p.interactive === true;
    this.body.dir = p.rtl ? "rtl" : "";
    this.legend.hidden = !p.show_legend || !categories.length;
    this.legend.replaceChildren(...categories.map((name) => {
      const key = h("span", { class: "g-key" }, h("i", { "aria-hidden": "true" }), name);
      key.style.setProperty("--key", colour(name));
      return key;
    }));
    if (!tokens.length) return this.body.replaceChildren(h("div", { class: "g-empty", text: "The text appears here." }));
    this.body.replaceChildren(...tokens.map(({ token, class_or_confidence: mark }, index) => {
      if (mark === null && !edits) return token;
      const known = typeof mark === "string";
      const hears = edits || this.hears("select");
      const el = h(hears ? "button" : "mark", { class: "g-mark", type: hears ? "button" : null, onclick: hears ? () => (edits ? this.rename(index) : this.fire("select", { index, value: [token, mark] })) : null }, token,
        known && p.show_inline_category !== false ? h("span", { class: "g-category", text: mark }) : null,
        typeof mark === "number" ? h("span", { class: "g-sr", text: ` (${mark})` }) : null);
      if (known) el.style.setProperty("--key", colour(mark));
      else if (typeof mark === "number") {
        el.style.setProperty("--key", mark < 0 ? "rgb(220 60 60)" : "rgb(60 110 240)");
        el.style.setProperty("--share", `${Math.min(1, Math.abs(mark)) * 100}%`);
      } else el.classList.add("plain");
      return el;
    }));
  }

  rename(index) {
    const tokens = this.props.value;
    const el = this.body.children[[...this.body.querySelectorAll(".g-mark")].length === tokens.length ? index : 0];
    const before = tokens[index].class_or_confidence;
    const input = h("input", { class: "g-field g-slim", "aria-label": `Category of ${tokens[index].token}`, value: before ?? "" });
    input.value = before ?? "";
    let over = false;
    const done = (keep) => {
      if (over) return;
      over = true; // removing the field takes its focus, which would end it again
      input.remove();
      if (keep && input.value !== (before ?? "")) {
        const mark = input.value === "" ? null : typeof before === "number" ? Number(input.value) : input.value;
        this.entered(tokens.map((each, at) => (at === index ? { ...each, class_or_confidence: mark } : each)), null);
      }
      this.patch({ value: this.props.value });
    };
    input.addEventListener("keydown", (e) => {
      if (e.key === "Enter") done(true);
      else if (e.key === "Escape") done(false);
    });
    input.addEventListener("blur", () => done(true));
    el.after(input);
    input.focus();
  }
}, "Highlighted Text");
