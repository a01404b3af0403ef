"""The page a browser receives: a shell with the configuration inside, and the files of the front end."""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.gradio.components.structured import HTML
from enfold.gradio.ui_files import MODULES, assets, needed

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["ICON", "body_css", "page"]

LONG = 100  # blocks from which on a page leaves some for later: as in core/page.js


def body_css() -> dict[str, str]:
    """Colours of the page before its style sheet is there; pages that embed it read them."""
    return {
        "body_background_fill": "#f7f8fb",
        "body_text_color": "#1a1f2b",
        "body_background_fill_dark": "#0d1017",
        "body_text_color_dark": "#e7eaf0",
    }


def page(blocks: Blocks, config: Mapping[str, Any], *, favicon: str | None = None) -> tuple[str, dict[str, str]]:
    """Write the HTML of a page.

    Args:
        blocks: the page.
        config: what ``/config`` says for this visitor.
        favicon: address of the tab's image; a built-in one when None.

    Returns:
        The HTML, and the headers that go with it: scripts run only from this server, or with this answer's nonce.
    """
    nonce = secrets.token_urlsafe(16)
    digest, _ = assets()
    base = f"gradio_api/ui/{digest}"
    several = len(config["pages"]) > 1
    linked = config.get("deep_link_state")
    types = {entry["type"] for entry in config["components"]} | ({"navbar"} if several else set())
    wanted = needed(types)
    if len(config["components"]) > LONG:
        wanted.append("long.js")
    sheets = "+".join(["base.css", *(name for name in wanted if name.endswith(".css"))])
    begins = {kind: MODULES[kind] for kind in sorted(types) if kind in MODULES}
    own = {entry["id"] for entry in config["components"]}
    written = [block for block in blocks.blocks.values() if isinstance(block, HTML) and block._id in own]
    looks = blocks.looks
    css = "\n".join([_theme_css(looks.get("theme")), looks.get("css") or "", *_read(looks.get("css_paths"))])
    scripts = [
        f'<script nonce="{nonce}">(window.__g_js??={{}})[{entry["id"]}]=({_script_safe(entry["js"])});</script>'
        for entry in config["dependencies"]
        if entry["js"]
    ]
    scripts += [
        f'<script nonce="{nonce}">(window.__g_html??={{}})[{block._id}]='
        f"async function(element, trigger, props, server){{{_script_safe(block.script)}\n}};</script>"
        for block in written
        if block.script
    ]
    if isinstance(looks.get("js"), str):
        scripts.append(f'<script nonce="{nonce}">window.__g_load=({_script_safe(looks["js"])});</script>')
    heads = [block.head for block in written if block.head]
    head = "\n".join([looks.get("head") or "", *_read(looks.get("head_paths")), *dict.fromkeys(heads)])
    head = re.sub(r"<(script|style)\b", rf'<\1 nonce="{nonce}"', head, flags=re.IGNORECASE)
    # What describes the page to clients is in /config; here is what shows it.
    shown = {name: config[name] for name in _SHOWN if config.get(name) not in (None, False)}
    title = str(config["title"])
    if several:
        shown |= {"pages": config["pages"], "current_page": config["current_page"]}
        name = next(name for path, name, _ in config["pages"] if path == config["current_page"])
        title = f"{name} · {title}" if config["current_page"] else title
    if linked:
        shown |= {"deep_link_state": linked, "deep_link": config.get("deep_link")}
    kept = ("id", "type", "props", "key")
    shown["components"] = [_given({name: entry.get(name) for name in kept}) for entry in config["components"]]
    shown["dependencies"] = [
        {name: bool(entry["js"]) if name == "js" else entry[name] for name in _CALLED if entry.get(name) is not None}
        for entry in config["dependencies"]
    ]
    icon = html.escape(favicon) if favicon else ICON
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{html.escape(title)}</title>",
        f'<link rel="icon" href="{icon}">',
        '<link rel="manifest" href="manifest.json">' if config.get("pwa") else "",
        f'<link rel="stylesheet" href="{base}/{sheets}">',
        *(f'<link rel="modulepreload" href="{base}/{n}">' for n in ("core.js", *wanted) if n.endswith(".js")),
        f'<style nonce="{nonce}">{_style_safe(css)}</style>' if css.strip() else "",
        head,
        "</head>",
        "<body>",
        # Before the first paint, so that a dark page never flashes white.
        f'<script nonce="{nonce}">{_FIRST}</script>',
        '<div class="gradio-container" id="app"><noscript>This page needs JavaScript.</noscript></div>',
        f'<script type="application/json" id="g-config">{_json_safe(shown)}</script>',
        f'<script type="application/json" id="g-modules">{_json_safe(begins)}</script>',
        *scripts,
        f'<script type="module" src="{base}/core.js"></script>',
        "</body>",
        "</html>",
    ]
    # Drawing libraries write styles of their own: pages with figures let them (a nonce would forbid it again).
    drawn = any(entry["type"] == "plot" for entry in config["components"])
    styles = "'unsafe-inline'" if drawn else f"'nonce-{nonce}'"
    policy = (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' {styles}; "
        "img-src 'self' data: blob: https:; media-src 'self' data: blob: https:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    return "\n".join(line for line in lines if line), headers


# What the front end reads of a page, and of one of its functions.
_SHOWN = (
    *("app_id", "connect_heartbeat", "dev_mode", "fill_height", "fill_width", "footer_links", "i18n_translations"),
    *("layout", "max_file_size", "title"),
)
_CALLED = (
    *("id", "targets", "inputs", "outputs", "backend_fn", "js", "cancels", "trigger_mode", "trigger_after"),
    *("trigger_only_on_success", "trigger_only_on_failure", "show_progress", "show_progress_on", "scroll_to_output"),
    "time_limit",
)


def _given(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='8' fill='%234f46e5'/%3E"
    "%3Cpath d='M8 21V11l8 5 8-5v10l-8-5z' fill='white'/%3E%3C/svg%3E"
)

_FIRST = (
    "(()=>{let t=new URLSearchParams(location.search).get('__theme');"
    "let d=t==='dark'||(t!=='light'&&matchMedia('(prefers-color-scheme: dark)').matches);"
    "document.body.classList.toggle('dark',d);document.documentElement.style.colorScheme=d?'dark':'light'})()"
)


def _json_safe(value: Any) -> str:
    from enfold.gradio.encoding import encode

    text = encode(value).decode()
    for character, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(character, escape)
    return text


def _script_safe(code: str) -> str:
    # The page's author wrote it; it only must not end the element it stands in.
    return re.sub(r"</(script)", r"<\\/\1", code, flags=re.IGNORECASE)


def _style_safe(css: str) -> str:
    return re.sub(r"</(style)", r"<\\/\1", css, flags=re.IGNORECASE)


def _read(paths: str | Path | Sequence[str | Path] | None) -> list[str]:
    if paths is None:
        return []
    return [Path(path).read_text("utf-8") for path in ([paths] if isinstance(paths, (str, Path)) else paths)]


def _theme_css(theme: Any) -> str:
    if theme is None:
        return ""
    from enfold.gradio import themes

    return themes.resolve(theme).css()
