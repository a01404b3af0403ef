// Sound: given from a file or the microphone, or heard, with its wave form.

import { define, fileUrl, h, tool } from "./core.js";
import "./icons.js";
import { Given, saveLink, subtitles } from "./media.js";
import { capture, dropZone } from "./upload.js";
import { Recorder, peaks, wav } from "./wav.js";

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

define("audio", class extends Given {
  look_ = "g-sound";

  queue = [];

  patch(changed) {
    if (!["value", "interactive", "sources", "buttons", "streaming", "recording"].some((name) => name in changed)) return;
    const p = this.props;
    if (this.recorder && !("value" in changed && p.value)) return;
    if (p.value?.is_stream || (p.streaming && p.value && !this.interactive)) this.next(p.value);
    else if (p.value) this.show();
    else if (this.interactive) this.ask();
    else {
      this.queue = [];
      this.player = null;
      this.tools.replaceChildren();
      this.body.replaceChildren(h("div", { class: "g-empty", text: "The sound appears here." }));
    }
    if (p.recording && this.interactive && !this.recorder) this.record();
  }

  /** A player; what it does is what its events say. */
  make(src) {
    const p = this.props;
    const player = h("audio", { controls: true, src, preload: "metadata", "aria-label": p.label || "Audio" }, subtitles(p.subtitles));
    player.loop = Boolean(p.loop);
    player.autoplay = Boolean(p.autoplay);
    player.addEventListener("play", () => this.fire("play"));
    player.addEventListener("pause", () => player.ended || this.fire("pause"));
    player.addEventListener("ended", () => this.fire("stop"));
    player.addEventListener("timeupdate", () => {
      p.playback_position = player.currentTime;
      this.wave?.style.setProperty("--at", `${(player.currentTime / (player.duration || 1)) * 100}%`);
    });
    player.addEventListener("keydown", (e) => {
      const skip = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!skip) return;
      e.preventDefault();
      player.currentTime += skip * (p.waveform_options?.skip_length ?? 5);
    });
    if (p.playback_position) player.addEventListener("loadedmetadata", () => (player.currentTime = p.playback_position), { once: true });
    return player;
  }

  show() {
    const p = this.props;
    const src = fileUrl(p.value);
    this.player = this.make(src);
    this.wave = h("div", { class: "g-wave", "aria-hidden": "true" });
    this.wave.addEventListener("click", (e) => {
      const box = this.wave.getBoundingClientRect();
      this.player.currentTime = ((e.clientX - box.left) / box.width) * (this.player.duration || 0);
    });
    const words = h("div", { class: "g-subtitle", "aria-live": "off" });
    if (p.subtitles) {
      this.player.textTracks[0]?.addEventListener("cuechange", (e) => (words.textContent = [...e.target.activeCues].map((cue) => cue.text).join("\n")));
    }
    this.body.replaceChildren(this.wave, words, this.player);
    this.tools.replaceChildren(
      ...((p.buttons || []).includes("download") && !this.interactive ? [saveLink(p.value)] : []),
      ...(this.interactive && p.editable !== false ? [tool("edit", "Trim", () => this.trim())] : []),
      ...(this.interactive ? [tool("close", "Clear", () => this.clear())] : []),
    );
    this.draw(src);
  }

  async draw(src) {
    const { wave } = this;
    try {
      const bytes = await (await fetch(src)).arrayBuffer();
      this.sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes);
    } catch {
      wave.hidden = true;
      return;
    }
    const { waveform_color: colour, waveform_progress_color: done } = this.props.waveform_options || {};
    if (colour) wave.style.setProperty("--wave", colour);
    if (done) wave.style.setProperty("--played", done);
    const bars = peaks(this.sound.getChannelData(0), 120);
    const most = Math.max(0.01, ...bars);
    const path = bars.map((peak, at) => `M${at * 4 + 1} ${24 - (peak / most) * 22}V${24 + (peak / most) * 22}`).join("");
    for (const name of ["g-bars", "g-bars g-played"]) {
      const ns = "http://www.w3.org/2000/svg";
      const svg = document.createElementNS(ns, "svg");
      svg.setAttribute("viewBox", "0 0 480 48");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("class", name);
      const line = document.createElementNS(ns, "path");
      line.setAttribute("d", path);
      svg.append(line);
      wave.append(svg);
    }
  }

  // Pieces of a stream are played one after the other, each fetched while the one before plays.
  next(piece) {
    if (!this.player || !this.body.contains(this.player) || !this.queue) {
      this.queue = [];
      this.player = this.make("");
      this.player.autoplay = true;
      this.player.addEventListener("ended", () => this.advance());
      this.body.replaceChildren(this.player);
      this.idle = true;
    }
    this.queue.push(fileUrl(piece));
    if (this.idle) this.advance();
  }

  advance() {
    const src = this.queue.shift();
    this.idle = !src;
    if (src) this.player.src = src;
  }

  ask() {
    const { sources = ["upload"], label } = this.props;
    const parts = [];
    if (sources.includes("upload")) parts.push(dropZone({ accept: "audio/*", text: "Drop a sound here, or click to choose", name: `Upload file for ${label || "Audio"}` }, ([file]) => this.give(file)));
    if (sources.includes("microphone")) parts.push(h("div", { class: "g-toolbar" }, h("button", { type: "button", class: "g-button secondary sm g-record", text: "Record", onclick: () => this.record() })));
    this.tools.replaceChildren();
    this.body.replaceChildren(...(sources[0] === "microphone" ? parts.reverse() : parts));
  }

  async record() {
    const p = this.props;
    const stream = await capture({ audio: true });
    if (!stream) return;
    const recorder = (this.recorder = new Recorder());
    await recorder.start(stream, p.waveform_options?.sample_rate);
    const time = h("span", { class: "g-count", role: "timer", text: "0:00" });
    const pause = h("button", { type: "button", class: "g-button secondary sm", text: "Pause" });
    const stop = h("button", { type: "button", class: "g-button stop sm", text: "Stop" });
    this.body.replaceChildren(h("div", { class: "g-toolbar" }, h("span", { class: "g-live", "aria-hidden": "true" }), time, pause, stop));
    this.fire("start_recording");
    stop.focus();
    let seconds = 0;
    let kept = [];
    const timer = setInterval(() => {
      if (recorder.paused) return;
      seconds += 0.5;
      time.textContent = clock(seconds);
      if (p.streaming) this.piece(wav([recorder.take()], recorder.rate));
    }, 500);
    pause.addEventListener("click", () => {
      recorder.paused = !recorder.paused;
      pause.textContent = recorder.paused ? "Resume" : "Pause";
      if (recorder.paused) this.fire("pause_recording");
    });
    stop.addEventListener("click", async () => {
      clearInterval(timer);
      kept = recorder.take();
      recorder.stop();
      this.recorder = null;
      this.fire("stop_recording");
      if (p.streaming) {
        if (kept.length) await this.piece(wav([kept], recorder.rate));
        this.ask();
      } else await this.give(wav([kept], recorder.rate), null);
    });
  }

  // One piece of a stream from the microphone.
  async piece(file) {
    const { upload } = await import("./upload.js");
    const [sent] = await upload([file]).catch(() => [null]);
    if (!sent) return;
    this.props.value = { ...sent, is_stream: true };
    this.fire("stream");
  }

  trim() {
    const { sound } = this;
    if (!sound) return;
    const length = sound.duration;
    const field = (label, value) => h("label", { class: "g-trim" }, label, h("input", { type: "number", class: "g-field g-slim", min: "0", max: String(length), step: "0.1", value: value.toFixed(1) }));
    const from = field("From (s)", 0);
    const to = field("To (s)", length);
    const apply = h("button", { type: "button", class: "g-button primary sm", text: "Trim" });
    const cancel = h("button", { type: "button", class: "g-button secondary sm", text: "Cancel", onclick: () => bar.remove() });
    const bar = h("div", { class: "g-toolbar" }, from, to, apply, cancel);
    this.body.append(bar);
    from.querySelector("input").focus();
    apply.addEventListener("click", () => {
      const [start, end] = [from, to].map((each) => Math.round(Math.min(length, Math.max(0, each.querySelector("input").valueAsNumber || 0)) * sound.sampleRate));
      if (end <= start) return;
      const cut = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index).slice(start, end));
      this.give(wav(cut, sound.sampleRate), null);
    });
  }
}, "Audio");
