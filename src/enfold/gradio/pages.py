"""Several pages of one app: the paths they have, and what belongs to each of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from enfold.gradio.block import branch
from enfold.gradio.errors import GradioError

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["of_page", "path_of", "per_page"]

# What the server itself answers at.
RESERVED = frozenset(
    "theme.css robots.txt pwa_icon manifest.json login logout svelte config static assets favicon.ico gradio_api "
    "monitoring gradio.js user token app_id".split()
)
_LETTERS = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]]+")


def path_of(name: str, path: str | None, taken: Iterable[str]) -> str:
    """The path of a new page: as asked for, or made of its name; underscores before it make it the only one.

    Args:
        name: what the page is called.
        path: what its author wants; slashes around it are left out.
        taken: the paths of the other pages.

    Raises:
        GradioError: the path has letters that an address cannot have, or the server answers there.

    Example:
        >>> path_of("About us", None, []), path_of("About", "/about/", ["about"])
        ('about-us', '_about')
    """
    if path:
        path = path.strip("/")
        if not _LETTERS.fullmatch(path) or path in {".", ".."}:
            raise GradioError(
                f"a page cannot have the path {path!r}: one name of letters, digits and -._~!$&'()*+,;=:@[]"
            )
        if path in RESERVED:
            raise GradioError(f"a page cannot have the path {path!r}: the server itself answers there")
    else:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        path = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-_")
        if not path:
            raise GradioError(f"no path can be made of the page's name {name!r}: give one with path=")
    taken = {*taken, *RESERVED}
    while path in taken:
        path = f"_{path}"
    return path


def per_page(blocks: Blocks, entries: list[dict[str, Any]], dependencies: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``/config`` says of each page: its layout, and the numbers of its components and functions."""
    told: dict[str, Any] = {
        path: {"layout": {"id": blocks._id, "children": []}, "components": [], "dependencies": []}
        for path, _, _ in blocks.pages
    }
    by_id = {entry["id"]: entry["type"] for entry in entries}
    for child in blocks.children:
        told[child.page]["layout"]["children"].append(branch(child))
    for entry in entries:
        own = told[blocks.blocks[entry["id"]].page]["components"]
        if entry["type"] == "navbar" and "navbar" in (by_id[number] for number in own):
            raise GradioError("a page has one Navbar, and this one has two: leave one of them out")
        own.append(entry["id"])
    for entry in dependencies:
        told[blocks.fns[entry["id"]].page]["dependencies"].append(entry["id"])
    return told


def of_page(config: dict[str, Any], path: str) -> dict[str, Any]:
    """The configuration with what one page has, and nothing of the others."""
    own = config["page"][path]
    components, dependencies = set(own["components"]), set(own["dependencies"])
    return {
        **config,
        "components": [entry for entry in config["components"] if entry["id"] in components],
        "dependencies": [entry for entry in config["dependencies"] if entry["id"] in dependencies],
        "layout": own["layout"],
        "current_page": path,
    }
