// What pictures, films and sounds share: the frame with its tools, the picture at full size, and the camera.

import { Base, fileUrl, h, icon, tool } from "./core.js";
import "./icons.js";
import { capture, uploadFor } from "./upload.js";

/** A link that saves a file. */
export function saveLink(file, label = "Download") {
  return h("a", { class: "g-tool", href: fileUrl(file), download: file.orig_name || (file.path || "file").split(/[\\/]/).pop(), "aria-label": label, title: label }, icon("download"));
}

/** Show an element at the full size of the window; Escape brings it back. */
export function fullscreen(el) {
  document.fullscreenElement ? document.exitFullscreen() : el.requestFullscreen?.();
}

/** A component that is given one file, shows it, and can be emptied. */
export class Given extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.body = h("div", { class: this.look_ || "g-media", role: "group" });
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span", this.tools), this.body);
  }

  async give(file, event = "upload") {
    const sent = await uploadFor(this, [file]);
    if (!sent) return;
    this.entered(sent[0], "input");
    if (event) this.fire(event);
    this.patch({ value: sent[0] });
  }

  clear() {
    this.entered(null, "input");
    this.fire("clear");
    this.patch({ value: null });
    this.querySelector(".g-drop, .g-record")?.focus();
  }

  settled() {
    return this.sending;
  }
}

/** A view of the camera with a button; `onShot` receives each picture as a canvas. */
export class Camera {
  constructor(options, onShot, label = "Take a picture") {
    this.video = h("video", { class: "g-camera", autoplay: true, muted: true, playsInline: true, "aria-label": "Camera" });
    this.video.classList.toggle("mirrored", options?.mirror !== false);
    this.options = options;
    this.shoot = h("button", { type: "button", class: "g-button primary sm", text: label, onclick: () => onShot(this.picture()) });
    this.el = h("div", { class: "g-capture" }, this.video, h("div", { class: "g-toolbar" }, this.shoot));
  }

  async start() {
    this.stream = await capture({ video: this.options?.constraints?.video ?? this.options?.constraints ?? true });
    if (!this.stream) return false;
    this.video.srcObject = this.stream;
    await this.video.play();
    return true;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
  }

  picture() {
    const canvas = h("canvas", {});
    canvas.width = this.video.videoWidth;
    canvas.height = this.video.videoHeight;
    const ctx = canvas.getContext("2d");
    if (this.options?.mirror !== false) ctx.setTransform(-1, 0, 0, 1, canvas.width, 0);
    ctx.drawImage(this.video, 0, 0);
    return canvas;
  }
}

/** A canvas as a file. */
export const canvasFile = (canvas, name, type = "image/png") => new Promise((done) => canvas.toBlob((blob) => done(new File([blob], name, { type })), type));

/** Where a click on a picture fell, in its own pixels. */
export function pixelAt(img, event) {
  const box = img.getBoundingClientRect();
  const scale = Math.min(box.width / img.naturalWidth, box.height / img.naturalHeight);
  const [left, top] = [(box.width - img.naturalWidth * scale) / 2, (box.height - img.naturalHeight * scale) / 2];
  const [x, y] = [(event.clientX - box.left - left) / scale, (event.clientY - box.top - top) / scale].map(Math.round);
  return x < 0 || y < 0 || x >= img.naturalWidth || y >= img.naturalHeight ? null : [x, y];
}

/** A track of subtitles for a player, from a file or from `{start, end, text}`. */
export function subtitles(given) {
  if (!given) return null;
  const clock = (s) => new Date(Math.round(s * 1000)).toISOString().slice(11, 23);
  const text = Array.isArray(given) ? `WEBVTT\n\n${given.map(({ start, end, text: words }) => `${clock(start)} --> ${clock(end)}\n${words}`).join("\n\n")}` : null;
  const src = text ? URL.createObjectURL(new Blob([text], { type: "text/vtt" })) : fileUrl(given);
  return h("track", { kind: "subtitles", src, default: true, label: "Subtitles" });
}
