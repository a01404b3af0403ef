// The image editor: a background, layers to draw on, and tools. What was drawn is uploaded when an event needs it.

import { Base, define, fileUrl, h, tool, toast } from "./core.js";
import "./icons.js";
import { Camera, canvasFile, fullscreen } from "./media.js";
import { clipboardImage, dropZone, upload } from "./upload.js";

const STEPS = 30;

function canvas(width, height) {
  const el = document.createElement("canvas");
  Object.assign(el, { width, height });
  return el;
}

const picture = (src) => new Promise((done, fail) => {
  const img = new Image();
  img.onload = () => done(img);
  img.onerror = () => fail(new Error("a picture cannot be read"));
  img.src = src;
});

define("imageeditor", class extends Base {
  build() {
    this.tools = h("span", { class: "g-tools" });
    this.stage = h("div", { class: "g-canvas" });
    this.bar = h("div", { class: "g-toolbar g-pens", role: "toolbar", "aria-label": "Drawing tools" });
    this.side = h("div", { class: "g-toolbar g-layers" });
    this.start = h("div", {});
    this.append(...this.head("span", this.tools), this.start, this.stage, this.bar, this.side);
    this.setAttribute("role", "group");
    this.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.history = [];
    this.future = [];
    this.mode = "brush";
    this.stage.addEventListener("pointerdown", (e) => this.down(e));
    this.stage.addEventListener("keydown", (e) => {
      if (!(e.ctrlKey || e.metaKey)) return;
      const key = e.key.toLowerCase();
      if (key === "z") e.shiftKey ? this.redo() : this.undo();
      else if (key === "y") this.redo();
      else return;
      e.preventDefault();
    });
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "img");
  }

  patch(changed) {
    const p = this.props;
    this.sized(this.stage, changed, ["height", "width"]);
    if (!this.size) {
      this.size = [...(p.canvas_size || [800, 800])];
      this.colour = p.brush ? String([p.brush.default_color].flat()[0]) : "#000000";
      this.wide = p.brush && p.brush.default_size !== "auto" ? p.brush.default_size : Math.max(2, Math.round(Math.min(...this.size) / 50));
      if (!p.brush) this.mode = p.eraser ? "eraser" : "none";
      this.fresh();
    }
    if ("value" in changed) this.loading = this.take(p.value);
    this.draw();
  }

  fresh() {
    this.background = null;
    const names = this.props.layers?.layers || ["Layer 1"];
    this.layers = names.map((name) => ({ name, canvas: canvas(...this.size) }));
    this.current = 0;
    this.history = [];
    this.future = [];
    this.dirty = false;
  }

  async take(value) {
    this.fresh();
    this.size = [...(this.props.canvas_size || [800, 800])];
    if (value) {
      try {
        const back = value.background ? await picture(fileUrl(value.background)) : null;
        const drawn = await Promise.all((value.layers || []).map((file) => picture(fileUrl(file))));
        const first = back || drawn[0];
        if (first && !this.props.fixed_canvas) this.size = [first.naturalWidth, first.naturalHeight];
        if (back) this.background = this.fitted(back);
        if (drawn.length) this.layers = drawn.map((img, index) => ({ name: `Layer ${index + 1}`, canvas: this.fitted(img) }));
        else this.layers.forEach((layer) => (layer.canvas = canvas(...this.size)));
      } catch (error) {
        toast("error", "Image", error.message);
      }
    } else this.layers.forEach((layer) => (layer.canvas = canvas(...this.size)));
    this.draw();
  }

  fitted(img) {
    const el = canvas(...this.size);
    const [w, h_] = [img.naturalWidth || img.width, img.naturalHeight || img.height];
    const scale = Math.min(this.size[0] / w, this.size[1] / h_);
    el.getContext("2d").drawImage(img, (this.size[0] - w * scale) / 2, (this.size[1] - h_ * scale) / 2, w * scale, h_ * scale);
    return el;
  }

  get blank() {
    return !this.background && !this.props.value && !this.dirty;
  }

  draw() {
    const p = this.props;
    const on = this.interactive;
    this.stage.style.aspectRatio = this.size.join(" / ");
    this.stage.replaceChildren(...[this.background, ...this.layers.map((layer) => layer.canvas)].filter(Boolean));
    this.stage.setAttribute("aria-label", `${p.label || "Image"}: canvas of ${this.size.join(" by ")} pixels, ${this.layers.length} ${this.layers.length === 1 ? "layer" : "layers"}`);
    this.stage.classList.toggle("idle", !on);
    this.buttons();
    const sources = on ? p.sources || [] : [];
    const ask = sources.length && !this.background;
    this.start.replaceChildren(...(ask ? [
      sources.includes("upload") ? dropZone({ accept: "image/*", text: p.placeholder || "Drop a picture here, click to choose, or draw below", name: `Upload file for ${p.label || "Image"}` }, ([file]) => this.give(file)) : null,
      h("div", { class: "g-toolbar" },
        sources.includes("webcam") ? h("button", { type: "button", class: "g-button secondary sm", text: "Camera", onclick: () => this.look() }) : null,
        sources.includes("clipboard") ? h("button", { type: "button", class: "g-button secondary sm", text: "Paste", onclick: async () => {
          const file = await clipboardImage();
          if (file) this.give(file);
        } }) : null),
    ].filter(Boolean) : []));
    this.tools.replaceChildren(
      tool("expand", "Full screen", () => fullscreen(this)),
      ...(on ? [tool("trash", "Clear", () => this.clear())] : []),
    );
  }

  buttons() {
    const p = this.props;
    this.bar.hidden = this.side.hidden = !this.interactive;
    if (!this.interactive) return;
    const pick = (mode, label) => h("button", { type: "button", class: "g-button secondary sm", text: label, "aria-pressed": String(this.mode === mode), onclick: () => {
      this.mode = mode;
      this.buttons();
    } });
    const colours = p.brush ? [p.brush.colors].flat() : [];
    const swatches = colours.map((each) => {
      const colour = String([each].flat()[0]);
      const button = h("button", { type: "button", class: "g-paint", "aria-label": `Colour ${colour}`, "aria-pressed": String(this.colour === colour), onclick: () => {
        this.colour = colour;
        this.mode = "brush";
        this.buttons();
      } });
      button.style.setProperty("--key", colour);
      return button;
    });
    const mixed = p.brush && p.brush.color_mode !== "fixed" ? [h("input", { type: "color", class: "g-swatch small", "aria-label": "Another colour", oninput: (e) => {
      this.colour = e.target.value;
      this.mode = "brush";
    } })] : [];
    const size = h("input", { type: "range", min: "1", max: String(Math.max(20, Math.round(Math.min(...this.size) / 5))), "aria-label": "Size of the brush", oninput: (e) => (this.wide = e.target.valueAsNumber) });
    size.value = this.wide;
    this.bar.replaceChildren(
      ...(p.brush ? [pick("brush", "Draw")] : []), ...(p.eraser ? [pick("eraser", "Erase")] : []),
      ...((p.transforms || []).includes("crop") ? [pick("crop", "Crop")] : []),
      ...(p.brush ? swatches : []), ...mixed, ...(p.brush || p.eraser ? [size] : []),
      tool("undo", "Undo", () => this.undo(), { disabled: !this.history.length }),
      tool("redo", "Redo", () => this.redo(), { disabled: !this.future.length }),
      ...(this.hears("apply") ? [h("button", { type: "button", class: "g-button primary sm", text: "Apply", onclick: () => this.fire("apply") })] : []),
    );
    const { disabled, allow_additional_layers: more } = p.layers || {};
    this.side.hidden = Boolean(disabled);
    this.side.replaceChildren(
      ...this.layers.map((layer, index) => h("button", { type: "button", class: "g-button secondary sm", text: layer.name, "aria-pressed": String(index === this.current), onclick: () => {
        this.current = index;
        this.buttons();
      } })),
      ...(more ? [tool("plus", "Add a layer", () => {
        this.remember();
        this.layers.push({ name: `Layer ${this.layers.length + 1}`, canvas: canvas(...this.size) });
        this.current = this.layers.length - 1;
        this.draw();
      })] : []),
      ...(more && this.layers.length > 1 ? [tool("trash", `Remove ${this.layers[this.current].name}`, () => {
        this.remember();
        this.layers.splice(this.current, 1);
        this.current = Math.max(0, this.current - 1);
        this.drawn();
      })] : []),
    );
  }

  /** Keep what there is, so that it can come back. */
  remember() {
    const copy = (el) => {
      if (!el) return null;
      const kept = canvas(el.width, el.height);
      kept.getContext("2d").drawImage(el, 0, 0);
      return kept;
    };
    const state = { size: [...this.size], background: copy(this.background), layers: this.layers.map((layer) => ({ ...layer, canvas: copy(layer.canvas) })), current: this.current };
    this.history.push(state);
    if (this.history.length > STEPS) this.history.shift();
    this.future = [];
    return state;
  }

  undo() {
    if (this.history.length) this.swap(this.history, this.future);
  }

  redo() {
    if (this.future.length) this.swap(this.future, this.history);
  }

  swap(from, to) {
    const { size, background, layers, current } = this;
    to.push({ size, background, layers, current });
    Object.assign(this, from.pop());
    this.drawn();
  }

  drawn() {
    this.dirty = true;
    this.draw();
    this.fire("input");
    this.fire("change");
  }

  at(e) {
    const box = this.stage.getBoundingClientRect();
    return [((e.clientX - box.left) / box.width) * this.size[0], ((e.clientY - box.top) / box.height) * this.size[1]];
  }

  down(e) {
    if (!this.interactive || this.mode === "none" || e.button) return;
    e.preventDefault();
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(e.pointerId);
    this.mode === "crop" ? this.crop(e) : this.stroke(e);
  }

  stroke(e) {
    this.remember();
    const ctx = this.layers[this.current].canvas.getContext("2d");
    ctx.globalCompositeOperation = this.mode === "eraser" ? "destination-out" : "source-over";
    Object.assign(ctx, { strokeStyle: this.colour, fillStyle: this.colour, lineWidth: this.wide * 2, lineCap: "round", lineJoin: "round" });
    let last = this.at(e);
    ctx.beginPath();
    ctx.arc(...last, this.wide, 0, Math.PI * 2);
    ctx.fill();
    const move = (each) => {
      for (const point of each.getCoalescedEvents?.() ?? [each]) {
        const next = this.at(point);
        ctx.beginPath();
        ctx.moveTo(...last);
        ctx.lineTo(...next);
        ctx.stroke();
        last = next;
      }
    };
    this.follow(move, () => this.drawn());
  }

  crop(e) {
    const start = this.at(e);
    const frame = h("div", { class: "g-crop" });
    this.stage.append(frame);
    let box = null;
    const move = (each) => {
      const end = this.at(each).map((value, axis) => Math.max(0, Math.min(this.size[axis], value)));
      box = [Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1])].map(Math.round);
      const share = (value, axis) => `${(value / this.size[axis]) * 100}%`;
      Object.assign(frame.style, { left: share(box[0], 0), top: share(box[1], 1), width: share(box[2], 0), height: share(box[3], 1) });
    };
    this.follow(move, () => {
      frame.remove();
      if (!box || box[2] < 4 || box[3] < 4) return;
      this.remember();
      const cut = (el) => {
        const part = canvas(box[2], box[3]);
        part.getContext("2d").drawImage(el, -box[0], -box[1]);
        return part;
      };
      if (this.background) this.background = cut(this.background);
      for (const layer of this.layers) layer.canvas = cut(layer.canvas);
      this.size = [box[2], box[3]];
      this.drawn();
    });
  }

  follow(move, end) {
    const stop = () => {
      this.stage.removeEventListener("pointermove", move);
      end();
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", stop, { once: true });
  }

  async give(file) {
    this.remember();
    const url = URL.createObjectURL(file);
    try {
      const img = await picture(url);
      if (!this.props.fixed_canvas) {
        this.size = [img.naturalWidth, img.naturalHeight];
        for (const layer of this.layers) layer.canvas = canvas(...this.size);
      }
      this.background = this.fitted(img);
      this.drawn();
      this.fire("upload");
    } catch (error) {
      toast("error", "Image", error.message);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  async look() {
    const camera = new Camera(this.props.webcam_options, async (shot) => {
      camera.stop();
      this.give(await canvasFile(shot, "camera.png"));
    });
    this.start.replaceChildren(camera.el);
    if (!(await camera.start())) this.draw();
  }

  clear() {
    this.fresh();
    this.size = [...(this.props.canvas_size || [800, 800])];
    this.layers.forEach((layer) => (layer.canvas = canvas(...this.size)));
    this.entered(null, "input");
    this.fire("clear");
    this.draw();
  }

  /** Upload what was drawn, if anything was since the last time. */
  async settled() {
    await this.loading;
    if (!this.dirty) return;
    this.dirty = false;
    const together = canvas(...this.size);
    const ctx = together.getContext("2d");
    for (const el of [this.background, ...this.layers.map((layer) => layer.canvas)].filter(Boolean)) ctx.drawImage(el, 0, 0);
    const files = await Promise.all([
      canvasFile(this.background || canvas(...this.size), "background.png"), canvasFile(together, "composite.png"),
      ...this.layers.map((layer, index) => canvasFile(layer.canvas, `layer_${index}.png`)),
    ]);
    const [background, composite, ...layers] = await upload(files);
    this.props.value = { background, layers, composite, id: null };
  }
}, "Image");
