// Pictures and films side by side; one of them large when it is chosen, with the arrow keys to go on.

import { Base, define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { fullscreen, saveLink } from "./media.js";
import { dropZone, accepts, uploadFor } from "./upload.js";

const fileOf = (entry) => entry.image || entry.video;

define("gallery", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-gallery" });
    this.append(...this.head("span", this.tools), this.body);
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.body.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (this.open !== null && step) {
        e.preventDefault();
        this.preview((this.open + step + this.items.length) % this.items.length);
      } else if (this.open !== null && e.key === "Escape") this.close();
    });
    this.open = null;
  }

  get items() {
    return this.props.value || [];
  }

  patch(changed) {
    const p = this.props;
    this.sized(this.body, changed);
    if ("columns" in changed) this.body.style.setProperty("--columns", p.columns || 2);
    if ("object_fit" in changed) this.body.style.setProperty("--fit", p.object_fit || "cover");
    if ("selected_index" in changed && p.selected_index != null) this.open = p.selected_index;
    else if ("value" in changed) this.open = p.preview && this.items.length ? 0 : null;
    this.open !== null && this.items[this.open] ? this.preview(this.open, false) : this.grid();
  }

  thing(entry, large = false) {
    const file = fileOf(entry);
    if (entry.video) return h("video", { src: fileUrl(file), controls: large, muted: !large, playsInline: true, preload: "metadata", "aria-label": entry.caption || "Film" });
    return h("img", { src: fileUrl(file), alt: entry.caption || file.orig_name || "Picture", loading: "lazy" });
  }

  grid() {
    const p = this.props;
    const cells = this.items.map((entry, index) => {
      const button = h("button", { type: "button", class: "g-thumb", "aria-label": entry.caption || `Item ${index + 1} of ${this.items.length}`, onclick: () => this.pick(index) }, this.thing(entry), entry.caption ? h("span", { class: "g-captioned", text: entry.caption }) : null);
      return h("div", { class: "g-cell" }, button, this.interactive ? tool("close", `Remove item ${index + 1}`, () => this.remove(index)) : null);
    });
    const grid = cells.length ? [h("div", { class: "g-grid" }, ...cells)] : [];
    const more = this.interactive && (p.sources || ["upload"]).includes("upload")
      ? [dropZone({ multiple: true, accept: accepts(p.file_types) || "image/*,video/*", text: "Drop pictures here, or click to choose", name: `Upload files for ${p.label || "Gallery"}` }, (files) => this.add(files))] : [];
    const empty = !cells.length && !more.length ? [h("div", { class: "g-empty", text: "The pictures appear here." })] : [];
    this.body.replaceChildren(...grid, ...more, ...empty);
    this.tools.replaceChildren();
  }

  pick(index) {
    const entry = this.items[index];
    this.fire("select", { index, value: { image: fileOf(entry), caption: entry.caption } });
    if (this.props.allow_preview !== false) {
      this.preview(index);
      this.fire("preview_open");
    }
  }

  preview(index, focus = true) {
    this.open = index;
    const { buttons = [] } = this.props;
    const entry = this.items[index];
    const step = (by) => this.preview((index + by + this.items.length) % this.items.length);
    const view = h("figure", { class: "g-view", tabIndex: 0 }, this.thing(entry, true), entry.caption ? h("figcaption", { text: entry.caption }) : null);
    this.body.replaceChildren(view, h("div", { class: "g-toolbar" },
      h("button", { type: "button", class: "g-button secondary sm", text: "‹", "aria-label": "Previous", onclick: () => step(-1) }),
      h("span", { class: "g-count", text: `${index + 1} / ${this.items.length}` }),
      h("button", { type: "button", class: "g-button secondary sm", text: "›", "aria-label": "Next", onclick: () => step(1) })));
    this.tools.replaceChildren(
      ...(buttons.includes("fullscreen") ? [tool("expand", "Full screen", () => fullscreen(view))] : []),
      ...(buttons.includes("download") ? [saveLink(fileOf(entry))] : []),
      tool("close", "Close the preview", () => this.close()),
    );
    if (focus) view.focus();
  }

  close() {
    const index = this.open;
    this.open = null;
    this.grid();
    this.fire("preview_close");
    this.body.querySelectorAll(".g-thumb")[index]?.focus();
  }

  async add(files) {
    const sent = await uploadFor(this, files);
    if (!sent) return;
    const made = sent.map((file) => (file.mime_type?.startsWith("video/") ? { video: file, caption: null } : { image: file, caption: null }));
    this.entered([...this.items, ...made], null);
    this.fire("upload");
    this.grid();
  }

  remove(index) {
    const gone = this.items[index];
    this.entered(this.items.filter((_, at) => at !== index), null);
    this.fire("delete", { index, value: gone });
    this.grid();
  }

  settled() {
    return this.sending;
  }
}, "Gallery");
