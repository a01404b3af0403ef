// Figures of other libraries: pictures of matplotlib, and plotly and bokeh by the scripts that the author's own install brings.

import { Base, address, define, h } from "./core.js";

const loading = new Map();

/** Load a library that the server hands out of its own installation. */
function library(name) {
  if (!loading.has(name)) {
    loading.set(name, new Promise((done, fail) => {
      const el = h("script", { src: address(`library/${name}.js`).href });
      el.onload = done;
      el.onerror = () => fail(new Error(`${name} cannot be loaded`));
      document.head.append(el);
    }));
  }
  return loading.get(name);
}

define("plot", class extends Base {
  build() {
    this.body = h("div", { class: "g-media g-figure", role: "group" });
    this.body.setAttribute("aria-labelledby", `${this.fieldId}-label`);
    this.append(...this.head("span"), this.body);
  }

  async patch(changed) {
    if (!("value" in changed)) return;
    const { value, label } = this.props;
    this.leave?.();
    this.leave = null;
    if (!value) return this.body.replaceChildren(h("div", { class: "g-empty", text: "The figure appears here." }));
    try {
      if (value.type === "matplotlib") {
        if (/^data:image\//.test(value.plot)) this.body.replaceChildren(h("img", { src: value.plot, alt: label || "Figure" }));
      } else if (value.type === "plotly") await this.plotly(JSON.parse(value.plot));
      else if (value.type === "bokeh") await this.bokeh(JSON.parse(value.plot));
      else this.altair(value);
    } catch (error) {
      this.body.replaceChildren(h("div", { class: "g-empty", text: `The figure cannot be shown: ${error.message}` }));
    }
  }

  async plotly({ data, layout = {} }) {
    await library("plotly");
    const host = h("div", {});
    this.body.replaceChildren(host);
    const dark = document.body.classList.contains("dark");
    const plain = layout.template ? {} : { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: dark ? "#e7eaf0" : "#1a1f2b" } };
    await window.Plotly.newPlot(host, data, { ...plain, ...layout, autosize: true }, { responsive: true, displaylogo: false });
    this.leave = () => window.Plotly.purge(host);
  }

  async bokeh(item) {
    await library("bokeh");
    const host = h("div", { id: `${this.fieldId}-bokeh` });
    this.body.replaceChildren(host);
    await window.Bokeh.embed.embed_item({ ...item, target_id: host.id }, host.id);
  }

  altair(value) {
    if (value.svg) return this.body.replaceChildren(h("img", { src: `data:image/svg+xml,${encodeURIComponent(value.svg)}`, alt: this.props.label || "Figure" }));
    this.body.replaceChildren(h("p", { class: "g-info", text: "Figures of altair are drawn where vl-convert-python is installed. This is the figure's description:" }), h("pre", { tabindex: "0", text: JSON.stringify(JSON.parse(value.plot), null, 2) }));
  }
}, "Plot");
