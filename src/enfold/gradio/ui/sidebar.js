// Layouts beyond the everyday ones: a side that folds away, a way in steps, and blocks whose order can be changed.

import { Layout, define, h, icon, length, tool } from "./core.js";
import "./icons.js";

define("sidebar", class extends Layout {
  build() {
    super.build();
    this.place = h("div", { class: "g-in", id: `${this.fieldId}-in` });
    this.toggle = h("button", { type: "button", class: "g-tool g-fold-side", "aria-controls": `${this.fieldId}-in` }, icon("menu"));
    this.append(this.toggle, this.place);
    this.setAttribute("role", "complementary");
    this.toggle.addEventListener("click", () => {
      this.update({ open: !this.props.open });
      this.fire(this.props.open ? "expand" : "collapse");
    });
  }

  patch(changed) {
    super.patch(changed);
    const p = this.props;
    this.classList.toggle("closed", !p.open);
    this.classList.toggle("right", p.position === "right");
    this.style.setProperty("--side", length(p.width));
    this.place.hidden = !p.open;
    this.toggle.setAttribute("aria-expanded", String(Boolean(p.open)));
    this.toggle.setAttribute("aria-label", p.open ? "Close the sidebar" : "Open the sidebar");
    this.setAttribute("aria-label", p.label || "Sidebar");
    document.body.classList.toggle(`g-side-${p.position || "left"}`, Boolean(p.open));
    document.body.style.setProperty(`--side-${p.position || "left"}`, length(p.width));
  }
});

define("walkthrough", class extends Layout {
  build() {
    super.build();
    this.bar = h("ol", { class: "g-steps" });
    this.place = h("div", { class: "g-pages" });
    this.append(this.bar, this.place);
  }

  refresh() {
    const pages = [...this.place.children];
    this.bar.replaceChildren(...pages.map((page, index) => {
      page.key = page.props.id ?? index;
      const button = h("button", { type: "button", class: "g-step", onclick: () => this.go(page.key, index, page) }, h("span", { class: "g-stepnumber", "aria-hidden": "true", text: String(index + 1) }), page.props.label || `Step ${index + 1}`);
      button.disabled = page.props.interactive === false;
      page.button = button;
      return h("li", { hidden: page.props.visible === false }, button);
    }));
    this.open(this.props.selected ?? pages[0]?.key);
  }

  go(key, index, page) {
    this.open(key);
    page.fire("select", { index, value: page.props.label, selected: true });
    this.fire("select", { index, value: page.props.label, selected: true });
    this.fire("change");
  }

  patch(changed) {
    super.patch(changed);
    if ("selected" in changed && this.bar.children.length) this.open(this.props.selected);
  }

  open(key) {
    this.props.selected = key;
    const pages = [...this.place.children];
    const at = pages.findIndex((page) => page.key === key);
    pages.forEach((page, index) => {
      page.hidden = index !== at;
      page.button?.classList.toggle("done", index < at);
      index === at ? page.button?.setAttribute("aria-current", "step") : page.button?.removeAttribute("aria-current");
    });
  }
});

define("walkthroughstep", class extends Layout {
  common(changed) {
    const { visible, ...rest } = changed;
    super.common(rest);
  }
});

define("draggable", class extends Layout {
  refresh() {
    for (const child of this.children) {
      if (child.handle) continue;
      child.handle = tool("menu", "Move: arrow keys, or drag", null, { class: "g-tool g-grip", draggable: true });
      child.prepend(child.handle);
      child.handle.addEventListener("dragstart", (e) => {
        this.dragged = child;
        e.dataTransfer.effectAllowed = "move";
      });
      child.addEventListener("dragover", (e) => {
        if (!this.dragged || this.dragged === child) return;
        e.preventDefault();
        const box = child.getBoundingClientRect();
        const after = this.props.orientation === "row" ? e.clientX > box.left + box.width / 2 : e.clientY > box.top + box.height / 2;
        child[after ? "after" : "before"](this.dragged);
      });
      child.handle.addEventListener("dragend", () => (this.dragged = null));
      child.handle.addEventListener("keydown", (e) => {
        const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[e.key];
        if (!by) return;
        e.preventDefault();
        by < 0 ? child.previousElementSibling?.before(child) : child.nextElementSibling?.after(child);
        child.handle.focus();
      });
    }
    super.refresh();
  }

  patch(changed) {
    super.patch(changed);
    this.dataset.orientation = this.props.orientation;
  }
});
