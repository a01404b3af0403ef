// Layouts: what arranges other blocks.

import { length } from "./dom.js";
import { Base } from "./node.js";

export class Layout extends Base {
  build() {
    this.classList.remove("block");
    // A layout whose contents are all hidden takes no room.
    this.addEventListener("g-visibility", () => this.refresh());
    this.place = this;
  }

  refresh() {
    const children = [...this.place.children].filter((child) => child instanceof Base);
    // A frame of fields is as wide as its fields ask for together, not as its own properties say.
    if (this.gtype === "form") {
      this.style.setProperty("--share", children.reduce((sum, child) => sum + (child.hidden ? 0 : child.props.scale ?? 1), 0) || 1);
      this.style.flexGrow = this.style.minWidth = "";
    }
    this.classList.toggle("empty", children.length > 0 && children.every((child) => child.hidden || child.classList.contains("empty")));
    this.parentElement?.dispatchEvent(new Event("g-visibility"));
  }

  patch(changed) {
    const p = this.props;
    if ("variant" in changed) this.dataset.variant = p.variant;
    if ("equal_height" in changed) this.classList.toggle("equal", Boolean(p.equal_height));
    for (const [name, property] of [["height", "height"], ["max_height", "maxHeight"], ["min_height", "minHeight"]]) {
      if (name in changed) this.style[property] = length(p[name]);
    }
  }
}
