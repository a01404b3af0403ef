// A button, a class label with its bars, and the state that is never seen.

import { format, h } from "./dom.js";
import { Base } from "./node.js";
import { fileUrl } from "./wire.js";

export class Button extends Base {
  build() {
    this.classList.remove("block");
    this.el = h("button", { type: "button", class: "g-button" });
    this.el.addEventListener("click", () => {
      if (this.props.link) window.open(this.props.link, this.props.link_target || "_self", "noopener");
      this.fire("click");
    });
    this.append(this.el);
  }

  patch() {
    const p = this.props;
    this.el.className = `g-button ${p.variant || "secondary"} ${p.size || "lg"}`;
    this.el.replaceChildren(...(p.icon ? [h("img", { src: fileUrl(p.icon), alt: "", class: "g-buttonicon" })] : []), format(p.value));
    this.el.disabled = p.interactive === false;
  }

  status(state) {
    this.el.classList.toggle("busy", state.kind === "pending");
  }
}

export class State extends Base {
  build() {
    this.hidden = true;
  }

  get value() {
    return null;
  }
}
