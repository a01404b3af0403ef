// The server's files below a folder, listed when a folder is opened.

import { Base, define, h, icon, serve, toast } from "./core.js";
import "./icons.js";

define("fileexplorer", class extends Base {
  build() {
    this.body = h("div", { class: "g-tree", role: "group", tabIndex: -1 });
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span"), this.body);
    this.open([], this.body);
  }

  get chosen() {
    return new Set((this.props.value || []).map((path) => path.join("/")));
  }

  patch(changed) {
    this.sized(this.body, changed);
    const { chosen } = this;
    for (const box of this.body.querySelectorAll("input")) {
      box.checked = chosen.has(box.path);
      box.disabled = !this.interactive;
    }
  }

  async open(path, into) {
    let entries = [];
    try {
      entries = await serve(this.gid, "ls", path);
    } catch (error) {
      toast("error", "Files", error.message);
    }
    const { chosen } = this;
    const single = this.props.file_count === "single";
    into.replaceChildren(h("ul", { class: "g-branch" }, ...entries.map(({ name, type, valid }) => {
      const full = [...path, name];
      if (type === "folder") {
        const inside = h("div", {});
        const folder = h("details", {}, h("summary", {}, icon("folder"), name), inside);
        folder.addEventListener("toggle", () => folder.open && !inside.firstChild && this.open(full, inside));
        return h("li", {}, folder);
      }
      const box = h("input", { type: single ? "radio" : "checkbox", name: this.fieldId, disabled: !valid || !this.interactive });
      box.path = full.join("/");
      box.checked = chosen.has(box.path);
      box.addEventListener("change", () => this.pick(full, box.checked));
      return h("li", {}, h("label", { class: "g-leaf" }, box, icon("file"), name));
    })));
    if (!entries.length) into.append(h("div", { class: "g-info", text: "This folder is empty." }));
  }

  pick(path, on) {
    const before = this.props.value || [];
    const key = path.join("/");
    const others = before.filter((each) => each.join("/") !== key);
    this.entered(this.props.file_count === "single" ? (on ? [path] : []) : on ? [...others, path] : others);
    this.fire("select", { index: null, value: key, selected: on });
  }
}, "Files");
