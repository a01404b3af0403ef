// A film: given from a file or the camera, or shown.

import { define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { Camera, Given, fullscreen, saveLink, subtitles } from "./media.js";
import { dropZone } from "./upload.js";

define("video", class extends Given {
  patch(changed) {
    this.sized(this.body, changed);
    if (!["value", "interactive", "sources", "buttons"].some((name) => name in changed)) return;
    this.camera?.stop();
    const p = this.props;
    if (p.value) return this.show();
    if (this.interactive) return this.ask();
    this.tools.replaceChildren();
    this.body.replaceChildren(h("div", { class: "g-empty", text: "The film appears here." }));
  }

  show() {
    const p = this.props;
    const player = h("video", { src: fileUrl(p.value), controls: true, playsInline: true, preload: "metadata", "aria-label": p.label || "Video" }, subtitles(p.subtitles));
    player.loop = Boolean(p.loop);
    player.autoplay = Boolean(p.autoplay);
    player.addEventListener("play", () => this.fire("play"));
    player.addEventListener("pause", () => player.ended || this.fire("pause"));
    player.addEventListener("ended", () => {
      this.fire("stop");
      this.fire("end");
    });
    player.addEventListener("timeupdate", () => (p.playback_position = player.currentTime));
    if (p.playback_position) player.addEventListener("loadedmetadata", () => (player.currentTime = p.playback_position), { once: true });
    this.body.replaceChildren(player);
    this.tools.replaceChildren(
      tool("expand", "Full screen", () => fullscreen(player)),
      ...((p.buttons || []).includes("download") && !this.interactive ? [saveLink(p.value)] : []),
      ...(this.interactive ? [tool("close", "Clear", () => this.clear())] : []),
    );
  }

  ask() {
    const { sources = ["upload"], label } = this.props;
    const parts = [];
    if (sources.includes("upload")) parts.push(dropZone({ accept: "video/*", text: "Drop a film here, or click to choose", name: `Upload file for ${label || "Video"}` }, ([file]) => this.give(file)));
    if (sources.includes("webcam")) parts.push(h("div", { class: "g-toolbar" }, h("button", { type: "button", class: "g-button secondary sm", text: "Camera", onclick: () => this.look() })));
    this.tools.replaceChildren();
    this.body.replaceChildren(...parts);
  }

  async look() {
    let recorder = null;
    const chunks = [];
    this.camera = new Camera(this.props.webcam_options, () => {
      if (recorder) return recorder.stop();
      const type = ["video/mp4", "video/webm"].find((each) => MediaRecorder.isTypeSupported(each));
      recorder = new MediaRecorder(this.camera.stream, { mimeType: type });
      recorder.ondataavailable = (e) => chunks.push(e.data);
      recorder.onstop = () => {
        this.camera.stop();
        this.fire("stop_recording");
        this.give(new File(chunks, `camera.${type.split("/")[1]}`, { type }), null);
      };
      recorder.start();
      this.fire("start_recording");
      this.camera.shoot.textContent = "Stop recording";
    }, "Record");
    this.body.replaceChildren(this.camera.el);
    this.tools.replaceChildren(tool("close", "Close the camera", () => this.patch({ value: this.props.value })));
    if (!(await this.camera.start())) this.patch({ value: null });
    else this.camera.shoot.focus();
  }
}, "Video");
