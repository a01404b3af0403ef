// Numbers: a field, and a slider with a field beside it.

import { Base, define, format, h } from "./core.js";

class NumberBox extends Base {
  static later = true;

  build() {
    this.el = h("input", { type: "number", class: "g-field", id: this.fieldId, inputmode: "decimal" });
    this.append(...this.head(), this.el);
  }

  heard({ type, key }) {
    if (type === "input") this.entered(this.el.value === "" ? null : this.el.valueAsNumber);
    else if (type !== "keydown") this.fire(type);
    else if (key === "Enter") this.fire("submit");
  }

  patch(changed) {
    const p = this.props;
    this.el.step = p.precision === 0 ? "1" : p.step && p.step !== 1 ? p.step : "any";
    this.el.min = p.minimum ?? "";
    this.el.max = p.maximum ?? "";
    this.el.placeholder = p.placeholder || "";
    this.el.readOnly = !this.interactive;
    const shown = this.el.value === "" ? null : this.el.valueAsNumber;
    if ("value" in changed && shown !== (p.value ?? null)) this.el.value = format(p.value);
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
  }
}

class Slider extends Base {
  static later = true;

  build() {
    this.box = h("input", { type: "number", class: "g-field g-slim", inputmode: "decimal" });
    this.range = h("input", { type: "range", id: this.fieldId });
    const tools = h("span", { class: "g-tools" }, this.box);
    this.low = h("span", { class: "g-end" });
    this.high = h("span", { class: "g-end" });
    this.append(...this.head("label", tools), h("div", { class: "g-scale" }, this.low, this.range, this.high));
    this.range.addEventListener("input", () => this.take(this.range.valueAsNumber));
    this.range.addEventListener("change", () => this.fire("release", this.props.value));
    this.box.addEventListener("change", () => {
      const number = Math.min(this.props.maximum, Math.max(this.props.minimum, this.box.valueAsNumber || 0));
      this.take(number);
      this.box.value = format(number);
      this.fire("release", number);
    });
  }

  take(number) {
    this.entered(number);
    this.show();
  }

  show() {
    const p = this.props;
    const value = p.value ?? p.minimum;
    this.range.value = value;
    if (document.activeElement !== this.box) this.box.value = format(value);
    const span = p.maximum - p.minimum;
    this.range.style.setProperty("--done", `${span ? ((value - p.minimum) / span) * 100 : 0}%`);
  }

  patch() {
    const p = this.props;
    for (const el of [this.range, this.box]) {
      Object.assign(el, { min: p.minimum, max: p.maximum, step: p.step ?? "any", disabled: !this.interactive });
    }
    const name = p.label ?? "Slider";
    this.box.setAttribute("aria-label", `number input for ${name}`);
    this.range.setAttribute("aria-label", `range slider for ${name}`);
    this.low.textContent = p.minimum;
    this.high.textContent = p.maximum;
    if (this.describedBy()) this.range.setAttribute("aria-describedby", this.describedBy());
    this.show();
  }
}

define("number", NumberBox, "Number");
define("slider", Slider, "Slider");
