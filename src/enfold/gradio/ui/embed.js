// <gradio-app src="https://…"></gradio-app>: a demo inside any page, of this site or another.
//
// The demo stays in a frame of its own origin: its requests, cookies and files are its own, and the page around it can
// neither read them nor be read. The frame is as high as the demo.

customElements.get("gradio-app") || customElements.define("gradio-app", class extends HTMLElement {
  static observedAttributes = ["src", "space", "host"];

  connectedCallback() {
    this.style.display = "block";
    this.show();
    this.hear = (event) => {
      if (event.source !== this.frame?.contentWindow || event.data?.gradio !== "height") return;
      const least = parseInt(this.getAttribute("initial_height") || "0", 10) || 0;
      this.frame.style.height = `${Math.max(least, Number(event.data.height) || 0)}px`;
      if (!this.loaded) {
        this.loaded = true;
        this.dispatchEvent(new CustomEvent("render", { bubbles: true }));
      }
    };
    window.addEventListener("message", this.hear);
  }

  disconnectedCallback() {
    window.removeEventListener("message", this.hear);
  }

  attributeChangedCallback() {
    if (this.isConnected) this.show();
  }

  show() {
    const src = this.getAttribute("src") || this.getAttribute("host");
    if (!src) return;
    const url = new URL(src, location.href);
    if (!/^https?:$/.test(url.protocol)) return;
    const theme = this.getAttribute("theme_mode");
    if (theme) url.searchParams.set("__theme", theme);
    this.loaded = false;
    this.frame = document.createElement("iframe");
    Object.assign(this.frame, { src: url.href, title: this.getAttribute("title") || "Demo", loading: this.getAttribute("eager") === "false" ? "lazy" : "eager" });
    this.frame.allow = "camera; microphone; clipboard-read; clipboard-write; fullscreen; autoplay";
    Object.assign(this.frame.style, { width: "100%", border: "0", display: "block", height: this.getAttribute("initial_height") || "300px" });
    this.replaceChildren(this.frame);
  }
});
