// A body in space: read, drawn with WebGL, turned with the pointer or with keys.

import { define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { fullscreen, Given, saveLink } from "./media.js";
import { readMesh, settled } from "./mesh.js";
import { dropZone } from "./upload.js";

const VERTEX = `#version 300 es
layout(location=0) in vec3 place; layout(location=1) in vec3 normal; layout(location=2) in vec3 tint; layout(location=3) in vec2 uv;
uniform mat4 view; uniform mat4 lens; uniform float size;
out vec3 seen; out vec3 facing; out vec3 color; out vec2 at;
void main() { vec4 p = view * vec4(place, 1.0); seen = p.xyz; facing = mat3(view) * normal; color = tint; at = uv; gl_PointSize = size; gl_Position = lens * p; }`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 seen; in vec3 facing; in vec3 color; in vec2 at;
uniform vec4 base; uniform sampler2D picture; uniform bool textured; uniform bool lit;
out vec4 pixel;
void main() {
  vec4 own = base * vec4(color, 1.0);
  if (textured) own *= texture(picture, at);
  float light = 1.0;
  if (lit) { vec3 n = normalize(facing); light = 0.3 + 0.55 * abs(dot(n, normalize(-seen))) + 0.25 * max(0.0, dot(n, vec3(0.4, 0.8, 0.45))); }
  pixel = vec4(own.rgb * light, own.a);
}`;

/** What turns and draws; one for each canvas. */
class Scene {
  constructor(canvas, parts, options) {
    this.canvas = canvas;
    this.options = options;
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("This browser draws nothing in space: it has no WebGL 2.");
    this.program = this.compiled();
    this.parts = parts.map(settled);
    this.measured();
    this.reset();
    this.loaded = this.parts.map((part) => this.sent(part));
  }

  compiled() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "The picture cannot be drawn.");
    return program;
  }

  /** The middle of everything and how far it reaches from there. */
  measured() {
    const [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
    for (const { positions } of this.parts) {
      for (let k = 0; k < positions.length; k += 1) {
        low[k % 3] = Math.min(low[k % 3], positions[k]);
        high[k % 3] = Math.max(high[k % 3], positions[k]);
      }
    }
    this.middle = low.map((value, k) => (value + high[k]) / 2);
    this.reach = Math.hypot(...low.map((value, k) => high[k] - value)) / 2 || 1;
  }

  /** Back to where the author put the camera. */
  reset() {
    const [alpha, beta, radius] = this.options.camera || [];
    const turned = (degrees) => (degrees * Math.PI) / 180;
    this.alpha = turned(alpha ?? 45);
    this.beta = turned(beta ?? 60);
    this.radius = radius ?? this.reach * 2.6;
    this.target = [...this.middle];
  }

  turn(aside, up) {
    this.alpha += aside;
    this.beta = Math.min(Math.PI - 0.05, Math.max(0.05, this.beta + up));
    this.draw();
  }

  zoom(factor) {
    this.radius = Math.min(this.reach * 40, Math.max(this.reach * 0.05, this.radius * factor));
    this.draw();
  }

  pan(x, y) {
    const { right, up } = this.axes();
    for (let k = 0; k < 3; k += 1) this.target[k] -= (right[k] * x - up[k] * y) * this.radius * this.options.pan;
    this.draw();
  }

  axes() {
    const back = [Math.sin(this.beta) * Math.cos(this.alpha), Math.cos(this.beta), Math.sin(this.beta) * Math.sin(this.alpha)];
    const right = [Math.sin(this.alpha), 0, -Math.cos(this.alpha)];
    const up = [back[1] * right[2] - back[2] * right[1], back[2] * right[0] - back[0] * right[2], back[0] * right[1] - back[1] * right[0]];
    return { back, right, up };
  }

  /** A part on the graphics processor, as faces, edges or points. */
  sent(part) {
    const { gl } = this;
    const count = part.positions.length / 3;
    const mode = part.points ? "point_cloud" : this.options.mode || "solid";
    const buffers = [];
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    [[part.positions, 3, 0], [part.normals, 3, 1], [part.colors, 3, 2], [part.uvs, 2, 3]].forEach(([values, width, index]) => {
      if (!values) return index === 2 && gl.vertexAttrib3f(2, 1, 1, 1);
      buffers.push(gl.createBuffer());
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.at(-1));
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(index);
      gl.vertexAttribPointer(index, width, gl.FLOAT, false, 0, 0);
      return null;
    });
    let lines = 0;
    if (mode === "wireframe") {
      const edges = new Uint32Array(count * 2);
      for (let k = 0; k < count; k += 1) edges.set([k, k % 3 === 2 ? k - 2 : k + 1], k * 2);
      buffers.push(gl.createBuffer());
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffers.at(-1));
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, edges, gl.STATIC_DRAW);
      lines = edges.length;
    }
    let picture = null;
    if (part.texture && part.uvs) {
      picture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, picture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, part.texture);
      gl.generateMipmap(gl.TEXTURE_2D);
    }
    return { array, count, lines, mode, picture, part, buffers };
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.canvas.isConnected) this.paint();
    });
  }

  paint() {
    const { gl, canvas, program } = this;
    const scale = Math.min(2, devicePixelRatio || 1);
    const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(...(this.options.ground || [0, 0, 0, 0]));
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const { back, right, up } = this.axes();
    const eye = this.target.map((value, k) => value + back[k] * this.radius);
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const view = [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right, eye), -dot(up, eye), -dot(back, eye), 1];
    const [near, far, f] = [this.radius * 0.01, this.radius + this.reach * 4, 1 / Math.tan(0.4)];
    const lens = [f * (height / width), 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0];
    gl.useProgram(program);
    const at = (name) => gl.getUniformLocation(program, name);
    gl.uniformMatrix4fv(at("view"), false, view);
    gl.uniformMatrix4fv(at("lens"), false, lens);
    gl.uniform1f(at("size"), 2.5 * scale);
    for (const { array, count, lines, mode, picture, part } of this.loaded) {
      gl.bindVertexArray(array);
      if (!part.colors) gl.vertexAttrib3f(2, 1, 1, 1);
      gl.uniform4fv(at("base"), part.color || (part.colors || picture ? [1, 1, 1, 1] : [0.62, 0.66, 0.86, 1]));
      gl.uniform1i(at("textured"), picture ? 1 : 0);
      gl.uniform1i(at("lit"), mode === "solid" ? 1 : 0);
      if (picture) gl.bindTexture(gl.TEXTURE_2D, picture);
      if (mode === "wireframe") gl.drawElements(gl.LINES, lines, gl.UNSIGNED_INT, 0);
      else gl.drawArrays(mode === "solid" ? gl.TRIANGLES : gl.POINTS, 0, count);
    }
  }

  /** Give the graphics processor its memory back. */
  end() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

const TURNS = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };

define("model3d", class extends Given {
  patch(changed) {
    if (!["value", "interactive", "display_mode", "height", "camera_position", "clear_color"].some((name) => name in changed)) return;
    const p = this.props;
    this.scene?.end();
    this.scene = null;
    this.tools.replaceChildren();
    if (!p.value) {
      this.body.replaceChildren(this.interactive
        ? dropZone({ accept: ".obj,.stl,.ply,.glb,.gltf", text: "Drop a 3D model here, or click to choose", name: `Upload file for ${p.label || "3D Model"}` }, ([file]) => this.give(file))
        : h("div", { class: "g-empty", text: "The 3D model appears here." }));
      return;
    }
    const name = p.value.orig_name || p.value.path || "";
    this.canvas = h("canvas", { class: "g-space", tabindex: "0", role: "application", "aria-label": `${p.label || "3D Model"}: ${name.split(/[\\/]/).pop()}. Arrow keys turn it, plus and minus zoom, Home resets.` });
    this.canvas.style.height = typeof p.height === "number" ? `${p.height}px` : p.height || "400px";
    this.listen(this.canvas);
    this.body.replaceChildren(this.canvas);
    this.tools.replaceChildren(
      tool("reset", "Reset the view", () => {
        this.scene?.reset();
        this.scene?.draw();
      }),
      tool("expand", "Full screen", () => fullscreen(this.body)),
      saveLink(p.value),
      ...(this.interactive ? [tool("close", "Clear", () => this.clear())] : []),
    );
    this.shown = this.show(this.canvas, p.value, name);
  }

  async show(canvas, value, name) {
    const p = this.props;
    try {
      const answer = await fetch(fileUrl(value));
      if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
      const parts = await readMesh(new Uint8Array(await answer.arrayBuffer()), name);
      if (canvas !== this.canvas || !this.contains(canvas)) return;
      this.scene = new Scene(canvas, parts, { mode: p.display_mode, camera: p.camera_position, ground: p.clear_color, pan: p.pan_speed ?? 1 });
      new ResizeObserver(() => this.scene?.draw()).observe(canvas);
      canvas.dataset.faces = this.scene.parts.reduce((sum, part) => sum + (part.points ? 0 : part.positions.length / 9), 0);
    } catch (error) {
      this.body.replaceChildren(h("div", { class: "g-empty", role: "status", text: `It cannot be shown: ${error.message}` }));
    }
  }

  listen(canvas) {
    canvas.addEventListener("keydown", (event) => {
      const turn = TURNS[event.key];
      if (turn && event.shiftKey) this.scene?.pan(-turn[0] / 3, turn[1] / 3);
      else if (turn) this.scene?.turn(...turn);
      else if (event.key === "+" || event.key === "=") this.scene?.zoom(0.85);
      else if (event.key === "-") this.scene?.zoom(1 / 0.85);
      else if (event.key === "Home") {
        this.scene?.reset();
        this.scene?.draw();
      } else return;
      event.preventDefault();
    });
    const held = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before || !this.scene) return;
      const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
      if (held.size === 2) {
        const other = [...held.values()].find((each) => each.pointerId !== event.pointerId);
        const apart = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY) || 1;
        this.scene.zoom((apart(before) / apart(event)) ** (this.props.zoom_speed ?? 1));
      } else if (event.shiftKey || event.buttons & 2) this.scene.pan(x / canvas.clientHeight, y / canvas.clientHeight);
      else this.scene.turn(x * 0.01, -y * 0.01);
      held.set(event.pointerId, event);
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => held.delete(event.pointerId));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      if (!this.scene) return;
      event.preventDefault();
      this.scene.zoom(1.0015 ** (event.deltaY * (this.props.zoom_speed ?? 1)));
    }, { passive: false });
  }
}, "3D Model");
