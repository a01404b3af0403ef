"""The files of the front end: read once, held in memory with their compressed form, known by a hash of them all.

They are plain ES modules and style sheets; nothing is built. The parts in ``ui/core`` are handed out as one module,
``core.js``: in the order below, without their imports of each other and without comments, so that a page needs one
request for what every page needs.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["MODULES", "Asset", "assets", "needed"]

UI = Path(__file__).parent / "ui"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
# Later parts use earlier ones while they load; calls may go both ways.
CORE = "dom notes node text numbers choices dropdown shown layouts events wire render page".split()
# Component type → the module that shows it, and its style sheet where it has one.
MODULES: Mapping[str, tuple[str, ...]] = {
    "annotatedimage": ("annotated.js", "media.css"),
    "audio": ("audio.js", "media.css"),
    "browserstate": ("unseen.js",),
    "chatbot": ("chat.js", "chat.css", "media.css"),
    "code": ("code.js", "code.css"),
    "colorpicker": ("color.js",),
    "dataframe": ("dataframe.js", "table.css"),
    "dataset": ("dataset.js",),
    "datetime": ("color.js",),
    "downloadbutton": ("file.js", "media.css"),
    "draggable": ("sidebar.js",),
    "file": ("file.js", "media.css"),
    "fileexplorer": ("explorer.js",),
    "gallery": ("gallery.js", "media.css"),
    "highlightedtext": ("highlighted.js", "code.css"),
    "html": ("markdown.js",),
    "image": ("image.js", "media.css"),
    "imageeditor": ("editor.js", "media.css"),
    "imageslider": ("compare.js", "media.css"),
    "json": ("json.js",),
    "markdown": ("markdown.js",),
    "multimodaltextbox": ("multimodal.js", "chat.css", "media.css"),
    "nativeplot": ("chart.js", "chart.css"),
    "plot": ("plot.js", "media.css"),
    "sidebar": ("sidebar.js",),
    "timer": ("unseen.js",),
    "uploadbutton": ("file.js", "media.css"),
    "video": ("video.js", "media.css"),
    "walkthrough": ("sidebar.js",),
    "walkthroughstep": ("sidebar.js",),
}
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_COMMENT = re.compile(r"^\s*(//.*|/\*\*.*\*/)\n", re.MULTILINE)


class Asset:
    """A file of the front end with its compressed form."""

    def __init__(self, name: str, body: bytes) -> None:
        self.body, self.kind = body, _TYPES[Path(name).suffix]
        self.packed = gzip.compress(body, 9, mtime=0)


def core() -> bytes:
    """The module every page needs, out of its parts."""
    parts = [_IMPORT.sub("", (UI / "core" / f"{name}.js").read_text("utf-8")) for name in CORE]
    return re.sub(r"\n\s+", "\n", _COMMENT.sub("", "\n".join(parts))).encode()


@functools.lru_cache(maxsize=1)
def assets() -> tuple[str, Mapping[str, Asset]]:
    """The files of the front end by name, and a hash of them all, which is part of their address."""
    files = {path.name: path.read_bytes() for path in sorted(UI.iterdir()) if path.suffix in _TYPES}
    files["core.js"] = core()
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + body for name, body in files.items())).hexdigest()[:16]
    return digest, {name: Asset(name, body) for name, body in files.items()}


def needed(types: Iterable[str]) -> list[str]:
    """The files that these component types need beside ``core.js`` and ``base.css``."""
    return sorted({name for kind in types for name in MODULES.get(kind, ())})
