// A picture: given from a file, the camera or the clipboard, or shown.

import { define, dependencies, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { Camera, Given, canvasFile, fullscreen, pixelAt, saveLink } from "./media.js";
import { clipboardImage, dropZone } from "./upload.js";

define("image", class extends Given {
  patch(changed) {
    this.sized(this.body, changed);
    if (!["value", "interactive", "sources", "buttons", "alt_text", "placeholder"].some((name) => name in changed)) return;
    this.camera?.stop();
    this.camera = null;
    this.props.value ? this.show() : this.interactive ? this.ask() : this.nothing();
  }

  nothing() {
    this.tools.replaceChildren();
    this.body.replaceChildren(h("div", { class: "g-empty", text: this.props.placeholder || "The picture appears here." }));
  }

  show() {
    const { value, buttons = [], alt_text: alt, label } = this.props;
    const img = h("img", { src: fileUrl(value), alt: alt || value.alt_text || (label ? `${label}: picture` : "Picture") });
    if (this.hears("select")) {
      img.classList.add("selectable");
      img.addEventListener("click", (e) => {
        const index = pixelAt(img, e);
        if (index) this.fire("select", { index, value: null });
      });
    }
    this.body.replaceChildren(img);
    this.tools.replaceChildren(
      ...(buttons.includes("fullscreen") ? [tool("expand", "Full screen", () => fullscreen(this.body))] : []),
      ...(buttons.includes("download") && !this.interactive ? [saveLink(value)] : []),
      ...(this.interactive ? [tool("close", "Clear", () => this.clear())] : []),
    );
  }

  ask() {
    const { sources = ["upload"], placeholder, label } = this.props;
    const parts = [];
    if (sources.includes("upload")) {
      parts.push(dropZone({ accept: "image/*", text: placeholder || "Drop a picture here, or click to choose", name: `Upload file for ${label || "Image"}` }, ([file]) => this.give(file)));
    }
    const others = [];
    if (sources.includes("webcam")) others.push(h("button", { type: "button", class: "g-button secondary sm", text: "Camera", onclick: () => this.look() }));
    if (sources.includes("clipboard")) others.push(h("button", { type: "button", class: "g-button secondary sm", text: "Paste", onclick: async () => {
      const file = await clipboardImage();
      if (file) this.give(file);
    } }));
    this.tools.replaceChildren();
    this.body.replaceChildren(...parts, h("div", { class: "g-toolbar" }, ...others));
  }

  async look() {
    const streams = this.props.streaming;
    this.camera = new Camera(this.props.webcam_options, async (canvas) => {
      if (streams) return this.streamOn();
      const file = await canvasFile(canvas, "camera.png");
      this.give(file, null);
    }, streams ? "Start" : "Take a picture");
    this.body.replaceChildren(this.camera.el);
    this.tools.replaceChildren(tool("close", "Close the camera", () => this.patch({ value: this.props.value })));
    if (!(await this.camera.start())) this.patch({ value: null });
    else this.camera.shoot.focus();
  }

  // While it streams, a picture goes out as soon as the server is done with the one before.
  streamOn() {
    const { camera } = this;
    clearInterval(camera.timer);
    camera.on = !camera.on;
    camera.shoot.textContent = camera.on ? "Stop" : "Start";
    if (!camera.on) return;
    const dep = [...dependencies.values()].find((each) => each.targets.some(([id, event]) => id === this.gid && event === "stream"));
    if (dep?.time_limit) setTimeout(() => camera.on && this.streamOn(), dep.time_limit * 1000);
    camera.timer = setInterval(() => {
      if (!camera.stream || !this.isConnected) return clearInterval(camera.timer);
      this.props.value = { path: null, url: camera.picture().toDataURL("image/webp", 0.8), orig_name: "frame.webp", mime_type: "image/webp", is_stream: true, meta: { _type: "gradio.FileData" } };
      this.fire("stream");
      this.fire("change");
    }, (dep?.stream_every ?? 0.5) * 1000);
  }

  update(changed) {
    // A stream's own answer must not close its camera.
    if (this.camera?.on && "value" in changed) return;
    super.update(changed);
  }
}, "Image");
