"""Our part of Sphinx's build: pages of ``api/`` are completed from the code, files outside are named."""

from __future__ import annotations

import posixpath
import re
from typing import Any

import api
import commands
from names import PAGES
from sphinx import addnodes

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)[^)\s]*\)")


def complete(app: Any, name: str, text: list[str]) -> None:
    """Append what a page of ``api/`` lists to the few lines that its file holds."""
    folder, _, page = name.partition("/")
    if folder == "api" and page == "cli":
        text[0] += "\n" + commands.markdown()
    elif folder == "api" and page in PAGES:
        text[0] += "\n" + api.markdown(page)


def name_files(app: Any, name: str, text: list[str]) -> None:
    """Show the path of a file outside of ``docs/`` instead of a link, which leads nowhere on the site."""

    def shown(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(name), link[2]))
        if path.startswith("docs/"):
            return link[0]
        return f"`{path}`" if link[1].strip("`") in path else f"{link[1]} (`{path}`)"

    text[0] = LINK.sub(shown, text[0])


def plain_signatures(app: Any, tree: Any) -> None:
    """Take the links out of signatures: a name such as ``Sequence`` is Python's there, and not a class of ours."""
    for signature in tree.findall(addnodes.desc_signature):
        for link in list(signature.findall(addnodes.pending_xref)):
            link.replace_self(link.children)


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", name_files)
    app.connect("source-read", complete)
    app.connect("doctree-read", plain_signatures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
