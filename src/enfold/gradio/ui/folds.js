// Layouts that show one part at a time: a fold, and tabs.

import { Layout, define, h, icon } from "./core.js";
import "./icons.js";

class Accordion extends Layout {
  build() {
    super.build();
    this.caption = h("span", {});
    this.heading = h("button", { type: "button", class: "g-fold", "aria-controls": `${this.fieldId}-in` }, this.caption, icon("chevron"));
    this.place = h("div", { class: "g-in", id: `${this.fieldId}-in` });
    this.append(this.heading, this.place);
    this.heading.addEventListener("click", () => {
      this.update({ open: !this.props.open });
      this.fire(this.props.open ? "expand" : "collapse");
    });
  }

  patch(changed) {
    super.patch(changed);
    const open = this.props.open !== false;
    this.props.open = open;
    this.caption.textContent = this.props.label || "";
    this.heading.setAttribute("aria-expanded", String(open));
    this.place.hidden = !open;
  }
}
class Tabs extends Layout {
  build() {
    super.build();
    this.bar = h("div", { class: "g-tabbar", role: "tablist" });
    this.place = h("div", { class: "g-pages" });
    this.append(this.bar, this.place);
    this.bar.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      const usable = [...this.bar.children].filter((tab) => !tab.hidden && !tab.disabled);
      let at = usable.indexOf(document.activeElement);
      if (e.key === "Home") at = 0;
      else if (e.key === "End") at = usable.length - 1;
      else if (step) at = (at + (getComputedStyle(this).direction === "rtl" ? -step : step) + usable.length) % usable.length;
      else return;
      e.preventDefault();
      usable[at].focus();
      usable[at].click();
    });
  }

  refresh() {
    const pages = [...this.place.children];
    this.bar.replaceChildren(
      ...pages.map((page, index) => {
        page.key = page.props.id ?? index;
        page.tab = h("button", { type: "button", role: "tab", id: `${page.fieldId}-tab`, "aria-controls": page.id, text: page.props.label || `Tab ${index + 1}` });
        page.tab.hidden = page.props.visible === false;
        page.tab.disabled = page.props.interactive === false;
        page.setAttribute("aria-labelledby", page.tab.id);
        page.tab.addEventListener("click", () => {
          this.open(page.key);
          page.fire("select", { index, value: page.props.label, selected: true });
          this.fire("select", { index, value: page.props.label, selected: true });
          this.fire("change");
        });
        return page.tab;
      }),
    );
    this.open(this.props.selected ?? pages.find((page) => !page.tab.hidden)?.key);
  }

  patch(changed) {
    super.patch(changed);
    if ("selected" in changed && this.bar.children.length) this.open(this.props.selected);
  }

  open(key) {
    this.props.selected = key;
    for (const page of this.place.children) {
      const on = page.key === key;
      page.tab.setAttribute("aria-selected", String(on));
      page.tab.tabIndex = on ? 0 : -1;
      page.hidden = !on;
    }
  }
}

class TabItem extends Layout {
  build() {
    super.build();
    this.setAttribute("role", "tabpanel");
  }

  common(changed) {
    const { visible, ...rest } = changed;
    super.common(rest);
    if (this.tab && visible !== undefined) this.tab.hidden = visible === false;
  }
}

define("accordion", Accordion);
define("tabs", Tabs);
define("tabitem", TabItem);
