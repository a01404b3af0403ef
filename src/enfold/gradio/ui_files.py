"""The files of the front end: read once, held in memory with their compressed form, known by a hash of them all.

They are plain ES modules and style sheets; nothing is built. The parts in ``ui/core`` and ``ui/prose`` are handed out
as one module each, in the order below and without their imports of each other, and a page's style sheets as one file:
a request for what every page needs. Comments and indentation stay here.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["MODULES", "Asset", "assets", "found", "needed"]

UI = Path(__file__).parent / "ui"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json"}
# Modules handed out as one. Later parts use earlier ones while they load; calls may go both ways.
BUNDLES: Mapping[str, list[str]] = {
    "core": "dom notes node text shown layouts events wire page".split(),
    "prose": "sanitize markdown growing blocks".split(),
}
# Component type → the module that shows it, and its style sheet where it has one.
MODULES: Mapping[str, tuple[str, ...]] = {
    "accordion": ("folds.js", "icons.js", "more.css"),
    "annotatedimage": ("annotated.js", "icons.js", "media.css"),
    "audio": ("audio.js", "media.js", "upload.js", "wav.js", "icons.js", "fields.css", "media.css"),
    "browserstate": ("unseen.js",),
    "checkbox": ("choices.js", "fields.css"),
    "checkboxgroup": ("choices.js", "fields.css"),
    "chatbot": (
        "chat.js",
        "prose.js",
        "media.js",
        "upload.js",
        "icons.js",
        "chat.css",
        "media.css",
        "more.css",
        "prose.css",
    ),
    "code": ("code.js", "icons.js", "code.css"),
    "colorpicker": ("color.js", "fields.css", "more.css"),
    "dataframe": ("dataframe.js", "icons.js", "prose.js", "fields.css", "prose.css", "table.css"),
    "dataset": ("dataset.js", "more.css"),
    "datetime": ("color.js", "fields.css", "more.css"),
    "dialogue": ("dialogue.js", "icons.js", "dialogue.css", "fields.css"),
    "downloadbutton": ("file.js", "icons.js", "media.css"),
    "draggable": ("sidebar.js", "icons.js", "more.css"),
    "dropdown": ("dropdown.js", "icons.js", "fields.css"),
    "file": ("file.js", "icons.js", "media.css"),
    "fileexplorer": ("explorer.js", "icons.js", "more.css"),
    "gallery": ("gallery.js", "icons.js", "media.css"),
    "highlightedtext": ("highlighted.js", "code.css", "fields.css"),
    "html": ("prose.js", "prose.css"),
    "image": ("image.js", "media.js", "upload.js", "icons.js", "media.css"),
    "imageeditor": ("editor.js", "media.js", "upload.js", "icons.js", "fields.css", "media.css", "more.css"),
    "imageslider": ("compare.js", "icons.js", "fields.css", "media.css"),
    "json": ("json.js", "json.css"),
    "label": ("label.js", "label.css"),
    "markdown": ("prose.js", "prose.css"),
    "model3d": ("model3d.js", "mesh.js", "media.js", "upload.js", "icons.js", "media.css"),
    "multimodaltextbox": ("multimodal.js", "upload.js", "icons.js", "chat.css", "fields.css", "media.css"),
    "navbar": ("navbar.js", "navbar.css"),
    "nativeplot": ("chart.js", "icons.js", "chart.css"),
    "number": ("numbers.js", "fields.css"),
    "paramviewer": ("parameters.js", "lexers.js", "prose.js", "code.css", "parameters.css", "prose.css"),
    "plot": ("plot.js", "media.css"),
    "radio": ("choices.js", "fields.css"),
    "sidebar": ("sidebar.js", "icons.js", "more.css"),
    "slider": ("numbers.js", "fields.css"),
    "tabitem": ("folds.js", "icons.js", "more.css"),
    "tabs": ("folds.js", "icons.js", "more.css"),
    "timer": ("unseen.js",),
    "uploadbutton": ("file.js", "icons.js", "media.css"),
    "video": ("video.js", "media.js", "upload.js", "icons.js", "media.css"),
    "walkthrough": ("sidebar.js", "icons.js", "more.css"),
    "walkthroughstep": ("sidebar.js", "icons.js", "more.css"),
}
SHARED = ("fields.css", "prose.css")  # style sheets that the others of a page build on
_COMMENT = re.compile(r"^\s*(//.*|/\*\*.*\*/)\n", re.MULTILINE)


class Asset:
    """A file of the front end with its compressed form."""

    def __init__(self, name: str, body: bytes) -> None:
        self.body, self.kind = body, _TYPES[Path(name).suffix]
        self.packed = gzip.compress(body, 9, mtime=0)


def bundle(name: str) -> str:
    """A module out of its parts, without their imports of each other."""
    parts = BUNDLES[name]
    between = re.compile(rf'^import \{{[^}}]*\}} from "\./({"|".join(parts)})\.js";\n', re.MULTILINE)
    return "\n".join(between.sub("", (UI / name / f"{part}.js").read_text("utf-8")) for part in parts)


def lean(name: str, text: str) -> bytes:
    """A file without indentation and comments. Texts in it never begin a line with spaces, so that nothing changes."""
    if name.endswith(".js"):
        text = re.sub(r"\n\s+", "\n", _COMMENT.sub("", text))
    else:
        text = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
        text = re.sub(r" ?([{};]) ?", r"\1", text)
    return text.strip().encode()


@functools.lru_cache(maxsize=1)
def assets() -> tuple[str, Mapping[str, Asset]]:
    """The files of the front end by name, and a hash of them all, which is part of their address."""
    texts = {path.name: path.read_text("utf-8") for path in sorted(UI.iterdir()) if path.suffix in _TYPES}
    bundles = {f"{name}.js": bundle(name) for name in BUNDLES}
    files = {name: lean(name, text) for name, text in (texts | bundles).items()}
    files["modules.json"] = json.dumps({**MODULES, "all": []}, separators=(",", ":")).encode()
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + body for name, body in files.items())).hexdigest()[:16]
    return digest, {name: Asset(name, body) for name, body in files.items()}


@functools.lru_cache(maxsize=64)
def found(name: str) -> Asset | None:
    """A file of the front end, or several style sheets joined by "+"."""
    files = assets()[1]
    if name in files:
        return files[name]
    parts = name.split("+")
    if len(set(parts)) < len(parts) or not all(part.endswith(".css") and part in files for part in parts):
        return None
    return Asset(name, b"\n".join(files[part].body for part in parts))


def needed(types: Iterable[str]) -> list[str]:
    """The files that these component types need beside ``core.js`` and ``base.css``."""
    names = {name for kind in types for name in MODULES.get(kind, ())}
    return sorted(names, key=lambda name: (name not in SHARED, name))
