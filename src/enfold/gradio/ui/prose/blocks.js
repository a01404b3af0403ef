// Markdown, and HTML with its templates.

import { Base, copyButton, define, h, serve } from "./core.js";
import { Prose } from "./growing.js";
import { sanitize } from "./sanitize.js";

class Shown extends Base {
  build() {
    this.body = h("div", { class: "g-prose" });
    if (this.props.label && this.props.show_label) this.append(...this.head("span"));
    this.append(this.body);
  }

  patch(changed) {
    const p = this.props;
    this.sized(this.body, changed);
    this.classList.toggle("padded", Boolean(p.padding));
    if (p.rtl) this.body.dir = "rtl";
    this.show(changed);
    if ((p.buttons || []).includes("copy") && !this.copies) this.append((this.copies = copyButton(() => this.props.value || "", (value) => this.fire("copy", { value }))));
    if (p.autoscroll) this.body.scrollTop = this.body.scrollHeight;
  }
}

define("markdown", class extends Shown {
  show(changed) {
    const p = this.props;
    if (!("value" in changed)) return;
    this.prose ??= new Prose(this.body, { breaks: p.line_breaks, delimiters: p.latex_delimiters, links: p.header_links });
    this.prose.show(p.value || "");
  }
}, "Markdown");

/** Fill `${…}` places of a template with a value and properties: names, dots and brackets only, never code. */
function filled(template, names) {
  return template.replace(/\$\{([^}]*)\}/g, (all, path) => {
    const steps = path.trim().match(/[\w$]+/g) || [];
    if (!/^[\w$]+(?:\.[\w$]+|\[\d+\])*$/.test(path.trim())) return all;
    const found = steps.reduce((at, step) => (at == null ? at : Object.hasOwn(Object(at), step) || step === "length" ? at[step] : undefined), names);
    return found == null ? "" : String(found);
  });
}

define("html", class extends Shown {
  show(changed) {
    const p = this.props;
    const { props: own = {} } = p;
    if ("css_template" in changed && p.css_template) this.style_();
    if (!["value", "html_template", "props"].some((name) => name in changed)) return;
    const template = p.html_template || "${value}";
    const html = template === "${value}" ? p.value || "" : filled(template, { value: p.value, label: p.label, ...own });
    this.body.replaceChildren(sanitize(html));
    for (const block of this.body.querySelectorAll("pre")) block.tabIndex = 0;
    if (!this.begun) {
      this.begun = true;
      this.script();
    }
  }

  style_() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`#${CSS.escape(this.id)} { ${filled(this.props.css_template, { value: this.props.value, ...this.props.props })} }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets.filter((each) => each.owner !== this), Object.assign(sheet, { owner: this })];
  }

  // The author's script came with the page, under its nonce; see `js_on_load`.
  script() {
    const run = window.__g_html?.[this.gid];
    if (!run) {
      this.body.addEventListener("click", () => this.fire("click"));
      return;
    }
    const node = this;
    const props = new Proxy(this.props, {
      get: (all, name) => (name in all ? all[name] : all.props?.[name]),
      set: (all, name, value) => {
        name === "value" ? node.entered(value, null) : (all.props = { ...all.props, [name]: value });
        node.patch({ value: node.props.value, props: all.props });
        return true;
      },
    });
    const server = new Proxy({}, { get: (_, name) => (data) => serve(node.gid, String(name), data) });
    run(this.body, (event, data = null) => this.fire(event, data), props, server);
  }
}, "HTML");
