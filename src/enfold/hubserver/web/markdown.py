"""A small, safe subset of Markdown (https://spec.commonmark.org) as HTML: enough for cards, and nothing that can run.

Headings, paragraphs, lists, quotes, fenced and indented code, tables, rules; emphasis, code, links and images. Raw HTML
is shown as text. A link leads to http, https, mailto or a place on this Hub; images come from this Hub only, others
become links.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import quote

__all__ = ["render"]

# No pattern has two neighbours that can both take the same text: a card must not be able to make them slow.
_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})([^`]*)$")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t](.*)$")
_RULE = re.compile(r" {0,3}([-*_])\s*(?:\1\s*){2,}$")
_ITEM = re.compile(r"( *)([-*+]|\d{1,9}[.)])\s(.*)$")
_DIVIDER = re.compile(r":?-+:?")
_SPAN = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?<!`)(?P<ticks>`{1,8})(?!`)(?P<code>.{1,600}?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<image>!)?\[(?P<text>(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400})\]"
    r"\((?P<target><[^<>]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+\"[^\"]*\")?\)"
    r"|<(?P<auto>https?://[^\s<>]+)>"
    r"|(?P<bare>https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]*_])"
    r"|(?P<strong>\*\*|__)(?=\S)(?P<bold>.{1,600}?)(?<=\S)(?P=strong)"
    r"|(?P<mark>\*|(?<!\w)_)(?=\S)(?P<italic>.{1,600}?)(?<=\S)(?P=mark)(?!\w)"
    r"|~~(?P<struck>.{1,600}?)~~",
    re.DOTALL,
)
_MAX_DEPTH = 12
_MAX_SIZE = 200_000

Resolve = Callable[[str, bool], str | None]


def render(text: str, resolve: Resolve | None = None) -> str:
    """Return ``text`` as HTML that is safe to put into a page.

    Args:
        text: Markdown; what is beyond 200,000 characters is left out.
        resolve: ``(relative target, is an image)`` → its address on this Hub, or None to show it as text.

    Example:
        >>> render("# A & B\\n\\nSee <script>")
        '<h1 id="a-b">A &amp; B</h1>\\n<p>See &lt;script&gt;</p>'
    """
    return _Renderer(resolve or (lambda target, image: None)).blocks(text[:_MAX_SIZE].expandtabs(4).splitlines(), 0)


class _Renderer:
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._anchors: dict[str, int] = {}

    # ------------------------------------------------------------------ blocks

    def blocks(self, lines: list[str], depth: int) -> str:
        parts: list[str] = []
        index = 0
        while index < len(lines):
            line = lines[index]
            if not line.strip():
                index += 1
                continue
            for reader in (self._fence, self._heading, self._rule, self._quote, self._list, self._table, self._code):
                done = reader(lines, index, depth)
                if done is not None:
                    part, index = done
                    parts.append(part)
                    break
            else:
                part, index = self._paragraph(lines, index)
                parts.append(part)
        return "\n".join(parts)

    def _fence(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        found = _FENCE.match(lines[index])
        if not found:
            return None
        indent, mark = len(found.group(1)), found.group(2)
        language = (found.group(3).split() or [""])[0]
        body = []
        index += 1
        while index < len(lines):
            line = lines[index]
            index += 1
            stripped = line.strip()
            if stripped.startswith(mark) and set(stripped) == {mark[0]}:
                break
            body.append(line[indent:] if line[:indent].isspace() else line)
        label = f' class="language-{html.escape(language)}"' if language else ""
        return f'<pre tabindex="0"><code{label}>{html.escape(chr(10).join(body))}</code></pre>', index

    def _heading(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        found = _HEADING.match(lines[index])
        if not found:
            return None
        level, text = len(found.group(1)), found.group(2).strip()
        bare = text.rstrip("#")
        if bare != text and (not bare or bare.endswith(" ")):
            text = bare.rstrip()
        return f'<h{level} id="{self._anchor(text)}">{self.spans(text)}</h{level}>', index + 1

    def _anchor(self, text: str) -> str:
        plain = re.sub(r"[^\w]+", "-", re.sub(r"[*_`\[\]()]", "", text.lower())).strip("-") or "section"
        count = self._anchors.get(plain, 0)
        self._anchors[plain] = count + 1
        return html.escape(f"{plain}-{count}" if count else plain)

    def _rule(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        return ("<hr>", index + 1) if _RULE.match(lines[index]) else None

    def _quote(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        if not lines[index].lstrip().startswith(">") or depth >= _MAX_DEPTH:
            return None
        body = []
        while index < len(lines) and lines[index].strip():
            body.append(re.sub(r"^\s*> ?", "", lines[index], count=1))
            index += 1
        return f"<blockquote>{self.blocks(body, depth + 1)}</blockquote>", index

    def _list(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        first = _ITEM.match(lines[index])
        if not first or depth >= _MAX_DEPTH or len(first.group(1)) > 3:
            return None
        ordered = first.group(2)[0].isdigit()
        items: list[list[str]] = []
        loose = False
        width = 0
        while index < len(lines):
            line = lines[index]
            found = _ITEM.match(line)
            if found and len(found.group(1)) < (width or 4) and found.group(2)[0].isdigit() == ordered:
                width = len(found.group(1)) + len(found.group(2)) + 1
                items.append([found.group(3).lstrip()])
            elif not line.strip():
                following = lines[index + 1] if index + 1 < len(lines) else ""
                if not following.strip() or not (following.startswith(" " * width) or _ITEM.match(following)):
                    break
                loose = loose or not following.startswith(" " * width)
                items[-1].append("")
            elif line.startswith(" " * width):
                items[-1].append(line[width:])
            elif found or _HEADING.match(line) or _FENCE.match(line):
                break
            else:
                items[-1].append(line.strip())
            index += 1
        written = []
        for item in items:
            inner = self.blocks(item, depth + 1)
            if not loose:
                inner = re.sub(r"\A<p>(.*?)</p>", r"\1", inner, count=1, flags=re.DOTALL)
            written.append(f"<li>{inner}</li>")
        if not ordered:
            return f"<ul>{''.join(written)}</ul>", index
        start = int(first.group(2)[:-1])
        opening = f'<ol start="{start}">' if start != 1 else "<ol>"
        return f"{opening}{''.join(written)}</ol>", index

    def _table(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        if index + 1 >= len(lines) or "|" not in lines[index] or "-" not in lines[index + 1]:
            return None
        head, divider = _cells(lines[index]), _cells(lines[index + 1])
        if len(divider) != len(head) or not all(_DIVIDER.fullmatch(cell) for cell in divider):
            return None
        align = [' class="right"' if cell.endswith(":") and not cell.startswith(":") else "" for cell in divider]
        rows = []
        index += 2
        while index < len(lines) and "|" in lines[index] and lines[index].strip():
            rows.append((_cells(lines[index]) + [""] * len(head))[: len(head)])
            index += 1
        top = "".join(f'<th scope="col"{side}>{self.spans(cell)}</th>' for cell, side in zip(head, align, strict=True))
        body = "".join(
            "<tr>"
            + "".join(f"<td{side}>{self.spans(cell)}</td>" for cell, side in zip(row, align, strict=True))
            + "</tr>"
            for row in rows
        )
        return (
            f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>',
            index,
        )

    def _code(self, lines: list[str], index: int, depth: int) -> tuple[str, int] | None:
        if not lines[index].startswith("    "):
            return None
        body = []
        while index < len(lines) and (lines[index].startswith("    ") or not lines[index].strip()):
            body.append(lines[index][4:])
            index += 1
        return f'<pre tabindex="0"><code>{html.escape(chr(10).join(body).rstrip())}</code></pre>', index

    def _paragraph(self, lines: list[str], index: int) -> tuple[str, int]:
        body: list[str] = []
        while index < len(lines) and lines[index].strip():
            line = lines[index]
            if body and (_FENCE.match(line) or _HEADING.match(line) or line.lstrip().startswith(">")):
                break
            if body and re.fullmatch(r"\s{0,3}(=+|-+)\s*", line):
                level = 1 if "=" in line else 2
                text = " ".join(body)
                return f'<h{level} id="{self._anchor(text)}">{self.spans(text)}</h{level}>', index + 1
            if body and (_RULE.match(line) or re.match(r" {0,3}([-*+]|1[.)])\s+\S", line)):
                break
            body.append(line.strip() + ("\n" if line.endswith("  ") else ""))
            index += 1
        return (
            f"<p>{'<br>'.join(self.spans(part.strip()) for part in ' '.join(body).split(chr(10)) if part.strip())}</p>",
            index,
        )

    # ------------------------------------------------------------------ spans

    def spans(self, text: str, depth: int = 0) -> str:
        if depth > _MAX_DEPTH:
            return html.escape(text)
        written = []
        position = 0
        for found in _SPAN.finditer(text):
            written.append(html.escape(text[position : found.start()]))
            written.append(self._span(found, depth + 1))
            position = found.end()
        return "".join(written) + html.escape(text[position:])

    def _span(self, found: re.Match[str], depth: int) -> str:
        if found["escape"]:
            return html.escape(found["escape"][1:])
        if found["ticks"]:
            code = found["code"]
            return f"<code>{html.escape(code.strip() if code.strip() else code)}</code>"
        if found["target"] is not None:
            return self._link(found["text"], found["target"].strip("<>"), bool(found["image"]), depth)
        if found["auto"] or found["bare"]:
            address = found["auto"] or found["bare"]
            return f'<a href="{html.escape(address)}" rel="nofollow noopener">{html.escape(address)}</a>'
        if found["strong"]:
            return f"<strong>{self.spans(found['bold'], depth)}</strong>"
        if found["mark"]:
            return f"<em>{self.spans(found['italic'], depth)}</em>"
        return f"<del>{self.spans(found['struck'], depth)}</del>"

    def _link(self, text: str, target: str, image: bool, depth: int) -> str:
        label = html.escape(text) if image else self.spans(text, depth)
        if re.match(r"(https?://|mailto:)", target, re.IGNORECASE):
            return f'<a href="{html.escape(target)}" rel="nofollow noopener">{label or html.escape(target)}</a>'
        if target.startswith("#") and not image:
            return f'<a href="{html.escape(target)}">{label}</a>'
        if re.match(r"[\w.+-]*:", target) or target.startswith(("//", "\\")) or not target:
            return html.escape(f"{text} ({target})" if target else text)
        address = self._resolve(target, image)
        if address is None:
            return label
        address = html.escape(quote(address, safe="/#?=&%:@~+,;!$'()*"))
        if image:
            return f'<img src="{address}" alt="{html.escape(text)}" loading="lazy">'
        return f'<a href="{address}">{label}</a>'


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]
