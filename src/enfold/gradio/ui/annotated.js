// A picture with marked regions: pointing at a label shows its region alone.

import { Base, define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { fullscreen } from "./media.js";

const HUES = [356, 212, 130, 40, 275, 180, 320, 90];

define("annotatedimage", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-media", role: "group" });
    this.legend = h("div", { class: "g-legend" });
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span", this.tools), this.body, this.legend);
  }

  patch(changed) {
    this.sized(this.body, changed);
    if (!("value" in changed)) return;
    const { value, color_map: colours = {}, buttons = [], show_legend: listed } = this.props;
    this.legend.replaceChildren();
    if (!value) return this.body.replaceChildren(h("div", { class: "g-empty", text: "The picture appears here." }));
    const masks = value.annotations.map(({ image, label }, index) => {
      const img = h("img", { src: fileUrl(image), alt: "", class: "g-mask" });
      if (!colours[label]) img.style.filter = `hue-rotate(${HUES[index % HUES.length]}deg)`;
      return img;
    });
    this.body.replaceChildren(h("div", { class: "g-stack" }, h("img", { src: fileUrl(value.image), alt: value.annotations.map((each) => each.label).join(", ") || "Picture" }), ...masks));
    this.tools.replaceChildren(...(buttons.includes("fullscreen") ? [tool("expand", "Full screen", () => fullscreen(this.body))] : []));
    this.legend.hidden = listed === false;
    const only = (index) => masks.forEach((mask, other) => mask.classList.toggle("dim", index !== null && index !== other));
    this.legend.append(...value.annotations.map(({ label }, index) => {
      const button = h("button", { type: "button", class: "g-key", onclick: () => this.fire("select", { index, value: label }) }, h("i", { "aria-hidden": "true" }), label);
      button.style.setProperty("--key", colours[label] || `hsl(${HUES[index % HUES.length]} 90% 50%)`);
      for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => only(index));
      for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => only(null));
      return button;
    }));
  }
}, "Annotated Image");
