// Choices in a list that opens.

import { Base, define, format, h, icon } from "./core.js";
import "./icons.js";

class Dropdown extends Base {
  static later = true;

  build() {
    this.chips = h("div", { class: "g-chips", hidden: true });
    this.slot_ = h("div", { class: "g-entry" });
    this.append(...this.head(), this.chips, this.slot_);
  }

  get many() {
    return Boolean(this.props.multiselect);
  }

  patch(changed) {
    const p = this.props;
    if (!this.el || "choices" in changed || "multiselect" in changed || "allow_custom_value" in changed) this.make();
    this.el.disabled = !this.interactive;
    if (this.describedBy()) this.el.setAttribute("aria-describedby", this.describedBy());
    this.show();
  }

  make() {
    const p = this.props;
    const choices = p.choices || [];
    if (p.allow_custom_value) {
      const list = h("datalist", { id: `${this.fieldId}-list` }, ...choices.map(([label]) => h("option", { value: format(label) })));
      this.el = h("input", { id: this.fieldId, class: "g-field", list: list.id, autocomplete: "off" });
      this.el.addEventListener("change", () => this.typed());
      this.el.addEventListener("keyup", (e) => this.fire("key_up", { key: e.key, input_value: this.el.value }));
      this.slot_.replaceChildren(this.el, list);
    } else {
      const options = choices.slice(0, p.num_choices_shown ?? choices.length).map(([label], index) => h("option", { value: String(index), text: label }));
      this.el = h("select", { id: this.fieldId, class: "g-field" }, ...options);
      this.el.addEventListener("change", () => this.el.value !== "" && this.choose(Number(this.el.value)));
      this.slot_.replaceChildren(this.el, icon("chevron"));
    }
    for (const event of ["focus", "blur"]) this.el.addEventListener(event, () => this.fire(event));
  }

  typed() {
    const text = this.el.value;
    const index = (this.props.choices || []).findIndex(([label]) => String(label) === text);
    if (index >= 0) return this.choose(index);
    if (this.many) {
      if (text && !this.props.value?.includes(text)) this.entered([...(this.props.value || []), text]);
    } else this.entered(text === "" ? null : text);
    this.show();
  }

  choose(index) {
    const value = this.props.choices[index][1];
    if (this.many) {
      const chosen = this.props.value || [];
      const full = this.props.max_choices && chosen.length >= this.props.max_choices;
      if (!chosen.includes(value) && !full) this.entered([...chosen, value]);
    } else this.entered(value);
    this.fire("select", { index, value, selected: true });
    this.show();
  }

  labelOf(value) {
    return format((this.props.choices || []).find(([, each]) => each === value)?.[0] ?? value);
  }

  show() {
    const p = this.props;
    if (this.many) {
      const chosen = p.value || [];
      this.chips.hidden = !chosen.length;
      this.chips.replaceChildren(
        ...chosen.map((value) =>
          h("span", { class: "g-chip" }, this.labelOf(value),
            h("button", { type: "button", "aria-label": `Remove ${this.labelOf(value)}`, disabled: !this.interactive, onclick: () => {
              this.entered(chosen.filter((each) => each !== value));
              this.fire("select", { index: (p.choices || []).findIndex(([, each]) => each === value), value, selected: false });
              this.show();
              this.el.focus();
            } }, icon("close"))),
        ),
      );
    }
    if (this.el.tagName === "INPUT") {
      this.el.value = this.many ? "" : p.value === null || p.value === undefined ? "" : this.labelOf(p.value);
      return;
    }
    let blank = this.el.querySelector("option[value='']");
    const index = this.many ? -1 : (p.choices || []).findIndex(([, each]) => each === p.value);
    if (index < 0 && !blank) {
      blank = h("option", { value: "", text: this.many ? "Add…" : "Choose…" });
      this.el.prepend(blank);
    }
    if (index >= 0) blank?.remove();
    this.el.value = index < 0 ? "" : String(index);
  }

  get value() {
    return this.many ? this.props.value || [] : this.props.value ?? null;
  }
}

define("dropdown", Dropdown, "Dropdown");
