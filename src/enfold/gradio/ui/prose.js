// Markdown and HTML as text that is read, both reduced to harmless elements before they reach the page.

// ------------------------------------------------------------------------------------------------- the one sanitizer

const TAGS = new Set(
  ("a abbr article aside b bdi bdo blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure footer h1 h2 h3 " +
    "h4 h5 h6 header hr i img ins kbd li main mark nav ol p picture pre q s samp section small span strong sub summary sup table tbody td tfoot th " +
    "thead time tr u ul var video audio source center font").split(" "),
);
const DROPPED = new Set("script style template noscript iframe object embed form input button select textarea svg math link meta base title".split(" "));
const ATTRIBUTES = new Set(
  "class title lang dir align width height colspan rowspan scope start reversed open datetime cite alt controls loop muted role color".split(" "),
);
const STYLES = new Set(
  ("color background-color background text-align text-decoration text-transform font font-size font-style font-weight font-family line-height letter-spacing " +
    "margin margin-top margin-bottom margin-left margin-right margin-inline margin-block padding padding-top padding-bottom padding-left padding-right " +
    "border border-radius border-top border-bottom border-left border-right border-color border-collapse width height max-width max-height min-width min-height display " +
    "flex flex-direction flex-wrap flex-grow align-items justify-content gap grid-template-columns vertical-align white-space overflow opacity box-shadow list-style object-fit").split(" "),
);

function safeUrl(url, images) {
  const text = url.replace(/[\u0000-\u0020]/g, "");
  if (/^data:image\/(png|jpe?g|gif|webp);/i.test(text)) return images;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text);
  return !scheme || ["http", "https", ...(images ? ["blob"] : ["mailto", "tel"])].includes(scheme[1].toLowerCase());
}

const scratch = document.createElement("i");

function clean(node, into) {
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) {
      into.append(child.data);
      continue;
    }
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    const tag = child.localName;
    if (DROPPED.has(tag) || child.namespaceURI !== "http://www.w3.org/1999/xhtml") continue;
    if (!TAGS.has(tag)) {
      clean(child, into);
      continue;
    }
    const el = document.createElement(tag);
    for (const { name, value } of child.attributes) {
      if (ATTRIBUTES.has(name) || name.startsWith("aria-") || (name.startsWith("data-") && !name.startsWith("data-g-"))) el.setAttribute(name, value);
      else if (name === "href" && tag === "a" && safeUrl(value, false)) el.setAttribute("href", value);
      else if (name === "src" && ["img", "video", "audio", "source"].includes(tag) && safeUrl(value, true)) el.setAttribute("src", value);
    }
    scratch.style.cssText = child.getAttribute("data-g-style") || "";
    for (const property of scratch.style) {
      const value = scratch.style.getPropertyValue(property);
      const base = STYLES.has(property) || [...STYLES].some((known) => property.startsWith(`${known}-`));
      if (base && !/url\s*\(|expression|image-set/i.test(value) && !(property === "position")) el.style.setProperty(property, value);
    }
    if (el.href && new URL(el.href, location.href).origin !== location.origin) Object.assign(el, { target: "_blank", rel: "noopener noreferrer" });
    if (tag === "img") el.loading = "lazy";
    clean(child, el);
    into.append(el);
  }
  return into;
}

/** Turn HTML into elements, without anything that runs, submits, frames or reaches for the page around it. */
export function sanitize(html) {
  // The page's policy complains of styles and handlers while they are parsed, harmless as they are there: they go by other
  // names. Styles are then set through the object model, one by one; handlers are dropped.
  const renamed = html.replace(/<[a-zA-Z](?:[^>"']|"[^"]*"|'[^']*')*>/g, (tag) =>
    tag.replace(/"[^"]*"|'[^']*'|(?<=[\s/"'])(?:style|on\w+)(?=\s*=)/gi, (part) => (/^["']/.test(part) ? part : `data-g-${part.toLowerCase()}`)),
  );
  return clean(new DOMParser().parseFromString(renamed, "text/html").body, document.createDocumentFragment());
}

// ----------------------------------------------------------------------------------------------------- Markdown → HTML

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

function inline(text, breaks) {
  const kept = [];
  const keep = (html) => `\u0001${kept.push(html) - 1}\u0002`;
  text = text.replace(/[\u0001\u0002]/g, "");
  text = text.replace(/\\([\\`*_{}[\]()#+\-.!~|<>$])/g, (_, c) => keep(escape(c)));
  text = text.replace(/(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/g, (_, __, code) => keep(`<code>${escape(code.replace(/^ (.*) $/, "$1"))}</code>`));
  text = text.replace(/<(https?:\/\/[^\s<>]+)>/g, (_, url) => keep(`<a href="${escape(url)}">${escape(url)}</a>`));
  text = text.replace(/<\/?[a-zA-Z][^<>]*>|<!--[\s\S]*?-->/g, (tag) => keep(tag.startsWith("<!--") ? "" : tag));
  text = escape(text).replace(/&amp;(#?\w+;)/g, "&$1");
  const target = "\\(\\s*([^\\s()]*(?:\\([^\\s()]*\\)[^\\s()]*)*)(?:\\s+&quot;(.*?)&quot;)?\\s*\\)";
  const attribute = (title) => (title ? ` title="${title}"` : "");
  text = text.replace(new RegExp(`!\\[([^\\]]*)\\]${target}`, "g"), (_, alt, url, title) => keep(`<img src="${url}" alt="${alt}"${attribute(title)}>`));
  text = text.replace(new RegExp(`\\[((?:[^\\[\\]]|\\[[^\\]]*\\])+)\\]${target}`, "g"), (_, label, url, title) => `${keep(`<a href="${url}"${attribute(title)}>`)}${label}${keep("</a>")}`);
  text = text.replace(/(^|[\s(])(https?:\/\/[^\s<\u0001]*[^\s<\u0001.,:;"')\]!?])/g, (_, before, url) => `${before}${keep(`<a href="${url}">${url}</a>`)}`);
  text = text.replace(/\*\*(?=\S)([\s\S]*?\S)\*\*/g, "<strong>$1</strong>").replace(/(^|\W)__(?=\S)([\s\S]*?\S)__(?!\w)/g, "$1<strong>$2</strong>");
  text = text.replace(/\*(?=[^\s*])([\s\S]*?[^\s*])\*(?!\*)/g, "<em>$1</em>").replace(/(^|\W)_(?=\S)([^_]*?\S)_(?!\w)/g, "$1<em>$2</em>");
  text = text.replace(/~~(?=\S)([\s\S]*?\S)~~/g, "<del>$1</del>");
  text = text.replace(breaks ? / *\n/g : / {2,}\n|\\\n/g, "<br>\n");
  for (let round = 0; round < 4 && text.includes("\u0001"); round += 1) text = text.replace(/\u0001(\d+)\u0002/g, (_, n) => kept[n]);
  return text;
}

const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());

/** Turn Markdown (CommonMark's everyday part, tables, strikethrough) into HTML, which must still be sanitized. */
export function toHtml(source, breaks = false) {
  const lines = source.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n");
  const out = [];
  let at = 0;
  const blank = (line) => /^\s*$/.test(line);
  const starts = (line) => /^ {0,3}(#{1,6}(\s|$)|```|~~~|>)/.test(line) || RULE.test(line) || ITEM.test(line);
  while (at < lines.length) {
    const line = lines[at];
    let match;
    if (blank(line)) at += 1;
    else if ((match = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/.exec(line))) {
      out.push(`<h${match[1].length}>${inline(match[2] || "", breaks)}</h${match[1].length}>`);
      at += 1;
    } else if ((match = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)/.exec(line))) {
      const body = [];
      for (at += 1; at < lines.length && !lines[at].trim().startsWith(match[1]); at += 1) body.push(lines[at]);
      at += 1;
      out.push(`<pre><code class="language-${escape(match[2])}">${escape(body.join("\n"))}</code></pre>`);
    } else if (RULE.test(line)) {
      out.push("<hr>");
      at += 1;
    } else if (/^ {0,3}>/.test(line)) {
      const body = [];
      for (; at < lines.length && !blank(lines[at]) && (/^ {0,3}>/.test(lines[at]) || !starts(lines[at])); at += 1) body.push(lines[at].replace(/^ {0,3}> ?/, ""));
      out.push(`<blockquote>${toHtml(body.join("\n"), breaks)}</blockquote>`);
    } else if ((match = ITEM.exec(line))) {
      const ordered = /\d/.test(match[2]);
      const items = [];
      let loose = false;
      while (at < lines.length && (match = ITEM.exec(lines[at])) && /\d/.test(match[2]) === ordered && !RULE.test(lines[at])) {
        const width = match[0].length > match[1].length + match[2].length + 4 ? match[1].length + match[2].length + 1 : match[0].length;
        const body = [lines[at].slice(match[0].length)];
        for (at += 1; at < lines.length; at += 1) {
          const next = lines[at];
          if (blank(next)) {
            if (at + 1 < lines.length && (/^ /.test(lines[at + 1]) && lines[at + 1].search(/\S/) >= width)) loose = true;
            else if (at + 1 >= lines.length || !ITEM.test(lines[at + 1])) break;
            else { loose = true; at += 1; break; }
            body.push("");
          } else if (next.search(/\S/) >= width) body.push(next.slice(width));
          else if (!starts(next) && !blank(lines[at - 1])) body.push(next.trim());
          else break;
        }
        items.push(body.join("\n"));
      }
      const first = ordered ? parseInt(line.trim(), 10) : 1;
      const inner = items.map((item) => {
        const task = /^\[([ xX])\]\s+/.exec(item);
        const text = task ? `${task[1] === " " ? "☐" : "☑"} ${item.slice(task[0].length)}` : item;
        const html = toHtml(text, breaks);
        return `<li>${loose ? html : html.replace(/^<p>([\s\S]*?)<\/p>/, "$1")}</li>`;
      });
      out.push(ordered ? `<ol${first === 1 ? "" : ` start="${first}"`}>${inner.join("")}</ol>` : `<ul>${inner.join("")}</ul>`);
    } else if (line.includes("|") && at + 1 < lines.length && /^ *\|?( *:?-+:? *\|)+ *(:?-+:? *)?$/.test(lines[at + 1])) {
      const aligns = cells(lines[at + 1]).map((cell) => (/^:.*:$/.test(cell) ? "center" : /:$/.test(cell) ? "right" : ""));
      const row = (text, tag) => `<tr>${cells(text).slice(0, aligns.length).map((cell, i) => `<${tag}${aligns[i] ? ` style="text-align:${aligns[i]}"` : ""}>${inline(cell.replace(/\\\|/g, "|"), false)}</${tag}>`).join("")}</tr>`;
      const head = row(line, "th");
      const body = [];
      for (at += 2; at < lines.length && !blank(lines[at]) && lines[at].includes("|"); at += 1) body.push(row(lines[at], "td"));
      out.push(`<table><thead>${head}</thead><tbody>${body.join("")}</tbody></table>`);
    } else if (/^ {4}/.test(line)) {
      const body = [];
      for (; at < lines.length && (/^ {4}/.test(lines[at]) || blank(lines[at])); at += 1) body.push(lines[at].slice(4));
      out.push(`<pre><code>${escape(body.join("\n").trimEnd())}</code></pre>`);
    } else if (/^ {0,3}<\/?(address|article|aside|blockquote|center|details|div|dl|figure|footer|form|h[1-6]|header|hr|iframe|main|nav|ol|p|pre|script|section|style|summary|table|ul|video|audio)\b|^ {0,3}<!--/i.test(line)) {
      const body = [];
      for (; at < lines.length && !blank(lines[at]); at += 1) body.push(lines[at]);
      out.push(body.join("\n"));
    } else {
      const body = [];
      for (; at < lines.length && !blank(lines[at]) && (!body.length || !starts(lines[at])); at += 1) {
        if (body.length && /^ {0,3}(=+|-+)\s*$/.test(lines[at])) break;
        body.push(lines[at].trimStart());
      }
      const under = at < lines.length && body.length && /^ {0,3}(=+|-+)\s*$/.exec(lines[at]);
      if (under) at += 1;
      const tag = under ? (under[1][0] === "=" ? "h1" : "h2") : "p";
      out.push(`<${tag}>${inline(body.join("\n").trimEnd(), breaks)}</${tag}>`);
    }
  }
  return out.join("\n");
}

// ------------------------------------------------------------------------------------------------ text that may grow

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
