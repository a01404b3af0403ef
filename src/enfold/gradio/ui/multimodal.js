// A field for text with files.

import { Base, define, fileUrl, h, icon, tool, toast } from "./core.js";
import "./icons.js";
import { accepts, capture, droppable, uploadFor } from "./upload.js";

const nameOf = (file) => file.orig_name || (file.path || "file").split(/[\\/]/).pop();

define("multimodaltextbox", class extends Base {
  build() {
    this.chips = h("ul", { class: "g-chosen", hidden: true });
    this.area = h("textarea", { id: this.fieldId, class: "g-field", rows: 1 });
    this.input = h("input", { type: "file", class: "g-sr", tabIndex: -1, "aria-hidden": "true" });
    this.attach = tool("plus", "Attach files", () => this.input.click());
    this.mic = tool("mic", "Record", () => this.record());
    this.send = h("button", { type: "button", class: "g-send", "aria-label": "Send", title: "Send" }, icon("send"));
    this.halt = h("button", { type: "button", class: "g-send stop", "aria-label": "Stop", title: "Stop", hidden: true }, icon("stop"));
    this.append(...this.head(), this.chips, h("div", { class: "g-entry g-multi" }, this.attach, this.mic, this.area, this.send, this.halt), this.input);
    this.area.addEventListener("input", () => this.entered({ ...this.value, text: this.area.value }));
    this.area.addEventListener("keydown", (e) => {
      const single = (this.props.lines || 1) === 1;
      if (e.key === "Enter" && !e.isComposing && (single ? !e.shiftKey : e.shiftKey)) {
        e.preventDefault();
        this.submit();
      }
    });
    this.area.addEventListener("paste", (e) => {
      const text = e.clipboardData.getData("text");
      if (e.clipboardData.files.length) this.add([...e.clipboardData.files]);
      else if (text.length > (this.props.max_plain_text_length ?? 1000)) this.add([new File([text], "pasted_text.txt", { type: "text/plain" })]);
      else return;
      e.preventDefault();
    });
    for (const event of ["focus", "blur"]) this.area.addEventListener(event, () => this.fire(event));
    this.area.addEventListener("select", () => this.fire("select", { index: [this.area.selectionStart, this.area.selectionEnd], value: this.area.value.slice(this.area.selectionStart, this.area.selectionEnd) }));
    this.input.addEventListener("change", () => {
      this.add([...this.input.files]);
      this.input.value = "";
    });
    this.send.addEventListener("click", () => this.submit());
    this.halt.addEventListener("click", () => this.fire("stop"));
    droppable(this, (list) => this.add([...list]));
  }

  get value() {
    return this.props.value || { text: "", files: [] };
  }

  patch(changed) {
    const p = this.props;
    const { area } = this;
    const { text, files } = this.value;
    if (area.value !== text) area.value = text;
    area.rows = p.lines || 1;
    const high = (count) => `${count * 22 + 20}px`;
    Object.assign(area.style, { fieldSizing: "content", minHeight: high(p.lines || 1), maxHeight: high(p.max_lines || 20), textAlign: p.text_align || "" });
    area.placeholder = p.placeholder || "";
    area.readOnly = !this.interactive;
    area.dir = p.rtl ? "rtl" : "auto";
    area.enterKeyHint = "send";
    for (const [name, value] of Object.entries(p.html_attributes || {})) if (!/^on|^style$|^id$/i.test(name)) area.setAttribute(name, value);
    const several = p.file_count !== "single";
    Object.assign(this.input, { accept: accepts(p.file_types), multiple: several, webkitdirectory: p.file_count === "directory" });
    const sources = p.sources || ["upload"];
    this.attach.hidden = !sources.includes("upload") || !this.interactive;
    this.mic.hidden = !sources.includes("microphone") || !this.interactive;
    for (const [button, name, event] of [[this.send, "submit_btn", "Send"], [this.halt, "stop_btn", "Stop"]]) {
      button.hidden = !p[name];
      const given = typeof p[name] === "string" ? p[name] : null;
      if (given) button.replaceChildren(given);
      button.setAttribute("aria-label", given || event);
    }
    this.send.disabled = !this.interactive;
    this.chips.hidden = !files.length;
    this.chips.replaceChildren(...files.map((file, index) => h("li", { class: "g-chip" },
      (file.mime_type || "").startsWith("image/") ? h("img", { src: fileUrl(file), alt: "" }) : icon("file"), nameOf(file),
      this.interactive ? tool("close", `Remove ${nameOf(file)}`, () => this.set({ text: area.value, files: files.filter((_, at) => at !== index) })) : null)));
    if (p.autofocus && !this.focused) {
      this.focused = true;
      requestAnimationFrame(() => area.focus());
    }
  }

  set(value) {
    this.entered(value);
    this.patch({ value });
  }

  submit() {
    const { text, files } = this.value;
    if (this.interactive && (text || files.length)) this.fire("submit");
  }

  async add(files) {
    const sent = await uploadFor(this, files);
    if (!sent) return;
    const before = this.props.file_count === "single" ? [] : this.value.files;
    this.set({ text: this.area.value, files: [...before, ...sent] });
    this.area.focus();
  }

  async record() {
    if (this.recorder) {
      const { wav } = await import("./wav.js");
      const recorder = this.recorder;
      this.recorder = null;
      this.mic.classList.remove("on");
      this.mic.setAttribute("aria-label", "Record");
      const samples = recorder.take();
      recorder.stop();
      this.add([wav([samples], recorder.rate)]);
      return;
    }
    const stream = await capture({ audio: true });
    if (!stream) return;
    const { Recorder } = await import("./wav.js");
    const recorder = new Recorder();
    await recorder.start(stream);
    this.recorder = recorder;
    this.mic.classList.add("on");
    this.mic.setAttribute("aria-label", "Stop recording");
    toast("info", "Microphone", "Recording; press again to stop.", 3);
  }

  settled() {
    return this.sending;
  }
}, "Message");
