// Markdown that may grow: only its last piece is read again.

import { toHtml } from "./markdown.js";
import { sanitize } from "./sanitize.js";

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Where a Markdown text can be cut so that each piece means the same alone. */
export function pieces(text) {
  const found = [];
  let fence = null;
  let dollars = 0;
  let piece = [];
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  lines.forEach((line, at) => {
    const mark = /^ {0,3}(```+|~~~+)/.exec(line);
    if (mark && (!fence || (mark[1][0] === fence[0] && mark[1].length >= fence.length))) fence = fence ? null : mark[1];
    if (!fence) dollars += (line.match(/\$\$|\\\[|\\\]/g) || []).length;
    piece.push(line);
    const next = lines[at + 1];
    const cut = !line.trim() && !fence && dollars % 2 === 0 && next && /^[^\s<>|]/.test(next) && !/^(?:[-*+]|\d+[.)])\s/.test(next) && !/^\s*<\w/.test(piece[0]);
    if (cut) {
      found.push(piece.join("\n"));
      piece = [];
    }
  });
  return [...found, piece.join("\n")];
}

/** Shows Markdown in an element. When the text grows, only its last piece is read again. */
export class Prose {
  constructor(el, options = {}) {
    Object.assign(this, { el, options, shown: [] });
  }

  show(text) {
    const parts = pieces(text);
    parts.forEach((part, at) => {
      if (this.shown[at]?.source === part) return;
      const nodes = [...this.read(part).childNodes];
      const [before, after] = [this.shown[at], this.shown.slice(at + 1).find((each) => each.nodes.length)];
      for (const node of nodes) this.el.insertBefore(node, before?.nodes[0] || after?.nodes[0] || null);
      before?.nodes.forEach((node) => node.remove());
      this.shown[at] = { source: part, nodes };
    });
    for (const { nodes } of this.shown.splice(parts.length)) nodes.forEach((node) => node.remove());
  }

  read(part) {
    const formulas = [];
    const out = sanitize(toHtml(this.hide(part, formulas), this.options.breaks));
    for (const block of out.querySelectorAll("pre")) {
      block.tabIndex = 0;
      const code = block.querySelector("code");
      const language = /language-([\w+#-]+)/.exec(code?.className || "")?.[1];
      if (language) import("./lexers.js").then(({ coloured }) => code.replaceChildren(coloured(code.textContent, language)));
      this.options.onCode?.(block);
    }
    if (this.options.links) for (const heading of out.querySelectorAll("h1, h2, h3, h4, h5, h6")) heading.id ||= heading.textContent.trim().toLowerCase().replace(/[^\w]+/g, "-");
    if (formulas.length) this.draw(out, formulas);
    return out;
  }

  /** Put marks where formulas stand, outside of code. */
  hide(text, formulas) {
    const delimiters = (this.options.delimiters || []).filter(({ left }) => text.includes(left));
    if (!delimiters.length) return text;
    const sides = delimiters.map(({ left, right }) => `${escaped(left)}((?:\\\\[\\s\\S]|(?!${escaped(right)})[\\s\\S])+?)${escaped(right)}`);
    const pattern = new RegExp(`\`\`\`[\\s\\S]*?(?:\`\`\`|$)|\`[^\`\\n]*\`|${sides.join("|")}`, "g");
    return text.replace(pattern, (all, ...groups) => {
      const index = groups.slice(0, delimiters.length).findIndex((group) => group !== undefined);
      if (index < 0) return all;
      formulas.push([groups[index], Boolean(delimiters[index].display)]);
      return `\u0003${formulas.length - 1}\u0004`;
    });
  }

  async draw(out, formulas) {
    const walker = document.createTreeWalker(out, NodeFilter.SHOW_TEXT);
    const places = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (!node.data.includes("\u0003")) continue;
      const parts = node.data.split(/\u0003(\d+)\u0004/);
      const made = parts.map((part, at) => {
        if (at % 2 === 0) return document.createTextNode(part);
        const span = document.createElement("span");
        span.className = "g-math";
        span.textContent = formulas[part][0];
        places.push([span, formulas[part]]);
        return span;
      });
      walker.currentNode = made[made.length - 1];
      node.replaceWith(...made);
    }
    const { formula } = await import("./math.js");
    for (const [span, [source, display]] of places) span.replaceChildren(formula(source.trim(), display));
  }
}
