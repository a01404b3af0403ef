// Two pictures and a handle that uncovers the lower one.

import { Base, define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { fullscreen, saveLink } from "./media.js";
import { dropZone, uploadFor } from "./upload.js";

define("imageslider", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-media g-compare", role: "group" });
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span", this.tools), this.body);
  }

  patch(changed) {
    this.sized(this.body, changed);
    if (!["value", "interactive", "slider_position", "buttons"].some((name) => name in changed)) return;
    const { value, label, buttons = [], slider_position: at = 50 } = this.props;
    const pair = value || [null, null];
    if (!pair[0] && !pair[1] && !this.interactive) {
      this.body.replaceChildren(h("div", { class: "g-empty", text: "The pictures appear here." }));
      return;
    }
    if (!pair[0] || !pair[1]) {
      this.body.replaceChildren(h("div", { class: "g-pair" }, ...[0, 1].map((index) => (pair[index]
        ? h("img", { src: fileUrl(pair[index]), alt: `Picture ${index + 1}` })
        : dropZone({ accept: "image/*", text: `Picture ${index + 1}`, name: `Upload picture ${index + 1}` }, async ([file]) => {
          const sent = await uploadFor(this, [file]);
          if (!sent) return;
          const next = [...(this.props.value || [null, null])];
          next[index] = sent[0];
          this.entered(next, "input");
          this.fire("upload");
          this.patch({ value: next });
        })))));
      return;
    }
    const range = h("input", { type: "range", min: "0", max: "100", step: "1", "aria-label": `${label || "Image Slider"}: how much of the first picture is seen` });
    range.value = at;
    const upper = h("img", { src: fileUrl(pair[0]), alt: "First picture" });
    const stack = h("div", { class: "g-stack" }, h("img", { src: fileUrl(pair[1]), alt: "Second picture" }), upper, h("div", { class: "g-handle", "aria-hidden": "true" }), range);
    const show = () => stack.style.setProperty("--at", `${range.value}%`);
    range.addEventListener("input", show);
    show();
    this.body.replaceChildren(stack);
    this.tools.replaceChildren(
      ...(buttons.includes("fullscreen") ? [tool("expand", "Full screen", () => fullscreen(this.body))] : []),
      ...(buttons.includes("download") ? [saveLink(pair[1], "Download the second picture")] : []),
      ...(this.interactive ? [tool("close", "Clear", () => {
        this.entered(null, "input");
        this.fire("clear");
        this.patch({ value: null });
      })] : []),
    );
  }

  settled() {
    return this.sending;
  }
}, "Image Slider");
