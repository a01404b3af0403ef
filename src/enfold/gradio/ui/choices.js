// Choices in sight: yes or no, one of several, some of several.

import { Base, define, h } from "./core.js";

class Checkbox extends Base {
  static later = true;

  build() {
    this.el = h("input", { type: "checkbox", id: this.fieldId });
    this.labelEl = h("span", {});
    this.infoEl = h("div", { class: "g-info", id: `${this.fieldId}-info` });
    this.append(h("label", { class: "g-check" }, this.el, this.labelEl), this.infoEl);
    this.el.addEventListener("change", () => {
      this.entered(this.el.checked);
      this.fire("select", { index: 0, value: this.props.label, selected: this.el.checked });
    });
  }

  patch() {
    this.el.checked = Boolean(this.props.value);
    this.el.disabled = !this.interactive;
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
  }

  get value() {
    return Boolean(this.props.value);
  }
}

class Choices extends Base {
  static later = true;

  get kind() {
    return "radio";
  }

  build() {
    this.list = h("div", { class: "g-choices", role: this.kind === "radio" ? "radiogroup" : "group", "aria-labelledby": `${this.fieldId}-label` });
    this.append(...this.head("span"), this.list);
  }

  patch(changed) {
    if ("choices" in changed) {
      this.list.replaceChildren(
        ...(this.props.choices || []).map(([label, value], index) => {
          const input = h("input", { type: this.kind, name: this.fieldId, onchange: () => this.pick(index, input.checked) });
          input.choice = value;
          return h("label", { class: "g-choice" }, input, h("span", { text: label }));
        }),
      );
    }
    if (this.props.rtl) this.list.dir = "rtl";
    if (this.describedBy()) this.list.setAttribute("aria-describedby", this.describedBy());
    for (const input of this.list.querySelectorAll("input")) {
      input.checked = this.holds(input.choice);
      input.disabled = !this.interactive;
    }
  }

  holds(value) {
    return this.props.value === value;
  }

  pick(index) {
    const value = this.props.choices[index][1];
    this.entered(value);
    this.fire("select", { index, value, selected: true });
  }
}

class CheckboxGroup extends Choices {
  get kind() {
    return "checkbox";
  }

  holds(value) {
    return (this.props.value || []).includes(value);
  }

  pick(index, selected) {
    const value = this.props.choices[index][1];
    const chosen = new Set(this.props.value || []);
    selected ? chosen.add(value) : chosen.delete(value);
    this.entered(this.props.choices.map(([, each]) => each).filter((each) => chosen.has(each)));
    this.fire("select", { index, value, selected });
  }

  get value() {
    return this.props.value || [];
  }
}

define("checkbox", Checkbox, "Checkbox");
define("radio", class extends Choices {}, "Radio");
define("checkboxgroup", CheckboxGroup, "Checkbox Group");
