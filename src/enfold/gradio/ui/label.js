// A class label with bars for how sure it is.

import { Base, define, h } from "./core.js";

class Label extends Base {
  build() {
    this.top = h("div", { class: "g-top" });
    this.list = h("ul", { class: "g-confidences" });
    this.empty = h("div", { class: "g-empty", text: "The result appears here." });
    this.append(...this.head("span"), h("div", { class: "g-result", "aria-live": "polite" }, this.empty, this.top, this.list));
    this.rows = new Map();
  }

  patch(changed) {
    const p = this.props;
    if ("color" in changed) this.style.background = p.color || "";
    if (!("value" in changed) && !("show_heading" in changed)) return;
    const value = p.value || {};
    const known = value.label !== undefined && value.label !== null;
    this.empty.hidden = known;
    this.top.hidden = !known || p.show_heading === false;
    this.top.textContent = known ? value.label : "";
    const confidences = value.confidences || [];
    this.list.hidden = !confidences.length;
    // Rows are kept by label, so that bars move to their new length instead of jumping.
    const rows = confidences.map(({ label, confidence }, index) => {
      const row = this.rows.get(label) || this.row(label);
      row.index = index;
      const percent = Math.max(0, Math.min(100, confidence * 100));
      const text = `${percent >= 99.95 || percent < 0.05 ? Math.round(percent) : percent.toFixed(percent < 10 ? 1 : 0)}%`;
      row.classList.toggle("first", index === 0);
      row.meter.setAttribute("aria-valuenow", percent.toFixed(1));
      row.meter.setAttribute("aria-valuetext", text);
      row.percent.textContent = text;
      requestAnimationFrame(() => row.meter.style.setProperty("--done", `${percent}%`));
      return [label, row];
    });
    this.rows = new Map(rows);
    this.list.replaceChildren(...rows.map(([, row]) => row));
  }

  row(label) {
    const meter = h("div", { class: "g-meter", role: "meter", "aria-valuemin": "0", "aria-valuemax": "100", "aria-label": String(label) });
    const percent = h("span", { class: "g-percent", "aria-hidden": "true" });
    const row = h("li", {}, h("div", { class: "g-name" }, h("span", { text: label }), percent), meter);
    Object.assign(row, { meter, percent });
    if (this.hears("select")) {
      row.tabIndex = 0;
      row.setAttribute("role", "button");
      const pick = () => this.fire("select", { index: row.index, value: label });
      row.addEventListener("click", pick);
      row.addEventListener("keydown", (e) => e.key === "Enter" && pick());
    }
    return row;
  }
}

define("label", Label, "Label");
