// Files to give and to fetch, and the buttons that do one of the two.

import { Base, define, fileUrl, h, icon, tool } from "./core.js";
import "./icons.js";
import { accepts, dropZone, kilobytes, uploadFor } from "./upload.js";

const several = (props) => props.file_count && props.file_count !== "single";
const nameOf = (file) => file.orig_name || (file.path || "file").split(/[\\/]/).pop();

define("file", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: "g-files" });
    this.append(...this.head("span", this.tools), this.body);
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
  }

  get files() {
    return [this.props.value ?? []].flat();
  }

  patch(changed) {
    const p = this.props;
    this.sized(this.body, changed);
    const rows = this.files.map((file, index) => {
      const link = h("a", { href: fileUrl(file), download: nameOf(file), text: nameOf(file), onclick: () => this.fire("download", file) });
      const row = h("li", {}, icon("file"), link, h("span", { class: "g-size", text: kilobytes(file.size) }),
        p.allow_reordering && this.interactive && index ? tool("up", `Move ${nameOf(file)} up`, () => this.move(index)) : null,
        this.interactive ? tool("close", `Remove ${nameOf(file)}`, () => this.remove(index)) : null);
      if (this.hears("select")) row.addEventListener("click", () => this.fire("select", { index, value: nameOf(file), selected: true }));
      return row;
    });
    const full = rows.length && !several(p);
    const text = several(p) ? "Drop files here, or click to choose" : "Drop a file here, or click to choose";
    const zone = this.interactive && !full
      ? [dropZone({ accept: accepts(p.file_types), multiple: several(p), directory: p.file_count === "directory", text, name: `Upload file for ${p.label || "File"}` }, (files) => this.give(files))] : [];
    const empty = !rows.length && !zone.length ? [h("div", { class: "g-empty", text: "The file appears here." })] : [];
    this.body.replaceChildren(...(rows.length ? [h("ul", { class: "g-filelist" }, ...rows)] : []), ...zone, ...empty);
    this.tools.replaceChildren(...(this.interactive && rows.length ? [tool("trash", "Clear", () => {
      this.set(null);
      this.fire("clear");
    })] : []));
  }

  async give(files) {
    const sent = await uploadFor(this, files);
    if (!sent) return;
    this.set(several(this.props) ? [...this.files, ...sent] : sent[0]);
    this.fire("upload");
  }

  set(value) {
    this.entered(value, null);
    this.patch({ value });
  }

  remove(index) {
    const gone = this.files[index];
    const left = this.files.filter((_, at) => at !== index);
    this.set(several(this.props) && left.length ? left : null);
    this.fire("delete", { file: gone, index, value: gone });
  }

  move(index) {
    const files = [...this.files];
    [files[index - 1], files[index]] = [files[index], files[index - 1]];
    this.set(files);
  }

  settled() {
    return this.sending;
  }
}, "File");

class IconButton extends Base {
  build() {
    this.classList.remove("block");
    this.el = h("button", { type: "button", class: "g-button" });
    this.append(this.el);
  }

  patch() {
    const p = this.props;
    this.el.className = `g-button ${p.variant || "secondary"} ${p.size || "lg"}`;
    this.el.replaceChildren(p.icon ? h("img", { src: fileUrl(p.icon), alt: "", class: "g-buttonicon" }) : icon(this.gtype === "uploadbutton" ? "upload" : "download"), p.label || "");
    this.el.disabled = p.interactive === false;
  }

  status(state) {
    this.el.classList.toggle("busy", state.kind === "pending");
    this.el.setAttribute("aria-busy", String(state.kind === "pending"));
  }
}

define("uploadbutton", class extends IconButton {
  build() {
    super.build();
    this.input = h("input", { type: "file", class: "g-sr", tabIndex: -1, "aria-hidden": "true" });
    this.append(this.input);
    this.el.addEventListener("click", () => {
      this.fire("click");
      this.input.click();
    });
    this.input.addEventListener("change", async () => {
      const files = [...this.input.files];
      this.input.value = "";
      const sent = files.length && (await uploadFor(this, files));
      if (!sent) return;
      this.entered(several(this.props) ? sent : sent[0], null);
      this.fire("upload");
    });
  }

  patch(changed) {
    super.patch(changed);
    const p = this.props;
    Object.assign(this.input, { accept: accepts(p.file_types), multiple: several(p), webkitdirectory: p.file_count === "directory" });
  }

  settled() {
    return this.sending;
  }
}, "Upload");

define("downloadbutton", class extends IconButton {
  build() {
    super.build();
    this.el.addEventListener("click", () => {
      this.fire("click");
      const { value } = this.props;
      if (value) h("a", { href: fileUrl(value), download: nameOf(value) }).click();
    });
  }
}, "Download");
