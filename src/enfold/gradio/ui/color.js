// A colour and a moment to choose.

import { Base, define, h } from "./core.js";

const probe = document.createElement("canvas").getContext("2d");

/** Any CSS colour as #rrggbb, which is what the browser's field takes. */
function hex(colour) {
  probe.fillStyle = "#000000";
  probe.fillStyle = colour || "#000000";
  const found = probe.fillStyle;
  if (found[0] === "#") return found;
  const parts = found.match(/[\d.]+/g).slice(0, 3).map(Number);
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

define("colorpicker", class extends Base {
  build() {
    this.el = h("input", { type: "color", id: this.fieldId, class: "g-swatch" });
    this.code = h("input", { type: "text", class: "g-field g-slim g-colourcode", spellcheck: "false" });
    this.append(...this.head(), h("div", { class: "g-entry" }, this.el, this.code));
    this.el.addEventListener("input", () => this.take(this.el.value));
    this.el.addEventListener("change", () => this.fire("release"));
    this.code.addEventListener("change", () => CSS.supports("color", this.code.value) && this.take(this.code.value));
    this.code.addEventListener("keydown", (e) => {
      if (e.key !== "Enter") return;
      if (CSS.supports("color", this.code.value)) this.take(this.code.value);
      this.fire("submit");
    });
    for (const el of [this.el, this.code]) for (const event of ["focus", "blur"]) el.addEventListener(event, () => this.fire(event));
  }

  take(value) {
    this.entered(value);
    this.show();
  }

  show() {
    const { value } = this.props;
    this.el.value = hex(value);
    if (document.activeElement !== this.code || this.code.value !== value) this.code.value = value || "";
  }

  patch() {
    const p = this.props;
    for (const el of [this.el, this.code]) el.disabled = !this.interactive;
    this.code.setAttribute("aria-label", `${p.label || "Color"}, as text`);
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
    this.show();
  }
}, "Color");

define("datetime", class extends Base {
  build() {
    this.el = h("input", { id: this.fieldId, class: "g-field" });
    this.append(...this.head(), this.el);
    this.el.addEventListener("change", () => this.entered(this.read(), null));
    this.el.addEventListener("keydown", (e) => {
      if (e.key !== "Enter") return;
      this.entered(this.read(), null);
      this.fire("submit");
    });
  }

  read() {
    const text = this.el.value;
    if (!text) return null;
    return this.props.include_time ? text.replace("T", " ").padEnd(19, ":00") : text;
  }

  patch() {
    const p = this.props;
    this.el.type = p.include_time ? "datetime-local" : "date";
    this.el.step = p.include_time ? "1" : "";
    this.el.disabled = !this.interactive;
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
    const now = /^\s*now\s*(?:-\s*(\d+)\s*([dhms]))?\s*$/.exec(p.value || "");
    let text = p.value || "";
    if (now) {
      const seconds = Number(now[1] || 0) * { d: 86400, h: 3600, m: 60, s: 1 }[now[2] || "s"];
      const moment = new Date(Date.now() - seconds * 1000 - new Date().getTimezoneOffset() * 60000);
      text = moment.toISOString().slice(0, 19);
    }
    this.el.value = p.include_time ? text.replace(" ", "T") : text.slice(0, 10);
  }
}, "Time");
