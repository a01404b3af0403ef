// Markdown as HTML, which must still be sanitized.

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
