// What is on the page without being seen: a clock that ticks, and a value kept in this browser.

import { Base, config, define } from "./core.js";

define("timer", class extends Base {
  build() {
    this.hidden = true;
  }

  patch() {
    clearInterval(this.clock);
    const { active = true, value } = this.props;
    if (active && value > 0) {
      this.clock = setInterval(() => (this.isConnected ? this.fire("tick") : clearInterval(this.clock)), value * 1000);
    }
  }
});

const bytes = (text) => new TextEncoder().encode(text);
const packed = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
const unpacked = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Encrypt and decrypt by a key made of the secret; pages that are not on https have no crypto and keep plain text. */
async function key(secret) {
  const digest = await crypto.subtle.digest("SHA-256", bytes(secret));
  return crypto.subtle.importKey("raw", digest, "AES-GCM", false, ["encrypt", "decrypt"]);
}

define("browserstate", class extends Base {
  build() {
    this.hidden = true;
    this.place_ = `gradio:${config.title}:${this.props.storage_key}`;
    this.reading = this.read();
  }

  async read() {
    try {
      const kept = localStorage.getItem(this.place_);
      if (kept === null) return;
      const [nonce, body] = kept.split(".");
      const plain = crypto.subtle
        ? new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv: unpacked(nonce) }, await key(this.props.secret), unpacked(body)))
        : atob(body);
      this.props.value = JSON.parse(plain);
      this.fire("change");
    } catch {
      localStorage.removeItem(this.place_); // written with another secret
    }
  }

  patch(changed) {
    if (changed === this.props || !("value" in changed)) return;
    this.reading = this.write(JSON.stringify(this.props.value ?? null));
  }

  async write(text) {
    if (!crypto.subtle) return localStorage.setItem(this.place_, `.${btoa(text)}`);
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const body = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await key(this.props.secret), bytes(text));
    localStorage.setItem(this.place_, `${packed(iv)}.${packed(body)}`);
  }

  settled() {
    return this.reading;
  }

  get value() {
    return this.props.value ?? null;
  }
});
