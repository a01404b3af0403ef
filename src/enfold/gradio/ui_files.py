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
    "accordion": ("folds.js", "more.css"),
    "annotatedimage": ("annotated.js", "media.css"),
    "audio": ("audio.js", "media.js", "upload.js", "wav.js", "media.css"),
    "browserstate": ("unseen.js",),
    "checkbox": ("choices.js",),
    "checkboxgroup": ("choices.js",),
    "chatbot": ("chat.js", "prose.js", "media.js", "upload.js", "chat.css", "media.css", "more.css"),
    "code": ("code.js", "code.css"),
    "colorpicker": ("color.js", "more.css"),
    "dataframe": ("dataframe.js", "table.css"),
    "dataset": ("dataset.js", "more.css"),
    "datetime": ("color.js", "more.css"),
    "downloadbutton": ("file.js", "media.css"),
    "draggable": ("sidebar.js", "more.css"),
    "dropdown": ("dropdown.js",),
    "file": ("file.js", "media.css"),
    "fileexplorer": ("explorer.js", "more.css"),
    "gallery": ("gallery.js", "media.css"),
    "highlightedtext": ("highlighted.js", "code.css"),
    "html": ("prose.js",),
    "image": ("image.js", "media.js", "upload.js", "media.css"),
    "imageeditor": ("editor.js", "media.js", "upload.js", "media.css", "more.css"),
    "imageslider": ("compare.js", "media.css"),
    "json": ("json.js",),
    "label": ("label.js", "label.css"),
    "markdown": ("prose.js",),
    "model3d": ("model3d.js", "mesh.js", "media.js", "upload.js", "media.css"),
    "multimodaltextbox": ("multimodal.js", "upload.js", "chat.css", "media.css"),
    "nativeplot": ("chart.js", "chart.css"),
    "number": ("numbers.js",),
    "plot": ("plot.js", "media.css"),
    "radio": ("choices.js",),
    "sidebar": ("sidebar.js", "more.css"),
    "slider": ("numbers.js",),
    "tabitem": ("folds.js", "more.css"),
    "tabs": ("folds.js", "more.css"),
    "timer": ("unseen.js",),
    "uploadbutton": ("file.js", "media.css"),
    "video": ("video.js", "media.js", "upload.js", "media.css"),
    "walkthrough": ("sidebar.js", "more.css"),
    "walkthroughstep": ("sidebar.js", "more.css"),
}
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
    return sorted({name for kind in types for name in MODULES.get(kind, ())})
