"""Links to a page's present state: what a visitor sees, kept under a name that the link carries.

What functions received and returned is what the server saw; what stands in fields that visitors fill in is what their
page sends, and is read like the input of a function before it is kept. Nothing else of a request finds its way into a
link, so that nobody can have the page say what its functions never said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from enfold.gradio.components.base import Component
from enfold.gradio.encoding import encode
from enfold.gradio.files import MARK, current_rules, folder, is_url, served

if TYPE_CHECKING:
    from enfold.gradio.block import Block
    from enfold.gradio.routes import App
    from enfold.gradio.sessions import Session

__all__ = ["DeepLinks"]

NAME = re.compile(r"[A-Za-z0-9_-]{16,64}")
LARGEST = 2**20  # bytes of one link's state
Shown = dict[int, dict[str, Any]]  # block → its properties that are not as the author wrote them


class DeepLinks:
    """The links of one app.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        blocks, fns = app.blocks.blocks, app.blocks.fns.values()
        inputs = {block._id for fn in fns for block in fn.inputs}
        outputs = {block._id for fn in fns for block in fn.outputs}
        # What visitors can fill in, as the page itself decides it; words of the author's are never a visitor's.
        self.fields = {
            number
            for number, block in blocks.items()
            if isinstance(block, Component)
            and hasattr(type(block), "input")
            and block.type_name != "html"
            and block.__dict__.get("interactive") is not False
            and (block.__dict__.get("interactive") or number in inputs or number not in outputs)
        }

    def took(self, session: Session, block: Component, payload: Any) -> None:
        """Note what a function read from a field."""
        if block._id in self.fields and not _names_address(payload):
            session.see(block, {"value": payload})

    def gave(self, session: Session, block: Block, changes: dict[str, Any]) -> None:
        """Note what a function changed."""
        if block._id in self.app.blocks.blocks:
            session.see(block, {name: value for name, value in changes.items() if name != "__type__"})

    async def make(self, request: HTTPRequest) -> Response:
        """Keep a visitor's state and answer with the name of the link to it; an empty name when there is none."""
        body: dict[str, Any] = {}
        if request.method == "POST":
            body = await self.app.calls.read(request)
        session = self.app.sessions.get(str(body.get("session_hash") or request.query_params.get("session_hash", "")))
        given = body.get("values")
        kept = dict(self.read(body.get("deep_link")) or {})
        for number, changes in dict((session.shown if session is not None else None) or {}).items():
            kept[number] = {**kept.get(number, {}), **changes}
        if isinstance(given, dict):
            for number, value in (await run_in_threadpool(self._given, given, session)).items():
                kept[number] = {**kept.get(number, {}), "value": value}
        if not kept:
            return Response(b'""', media_type="application/json")
        return Response(encode(await run_in_threadpool(self._keep, kept)), media_type="application/json")

    def _given(self, values: dict[str, Any], session: Session | None) -> dict[int, Any]:
        found: dict[int, Any] = {}
        token = current_rules.set(self.app.rules)
        try:
            for name, value in values.items():
                number = int(name) if name.isascii() and name.isdigit() else -1
                block = self.app.blocks.blocks.get(number)
                if number not in self.fields or not isinstance(block, Component) or _names_address(value):
                    continue
                try:
                    (session.component(block) if session is not None else block).preprocess(value)
                except Exception:  # what a function would not take is in no link either
                    continue
                found[number] = value
        finally:
            current_rules.reset(token)
        return found

    def _keep(self, shown: Shown) -> str:
        blocks = self.app.blocks.blocks
        body = encode({str(n): [blocks[n].type_name, changes] for n, changes in sorted(shown.items()) if n in blocks})
        if len(body) > LARGEST:
            raise HTTPException(413, f"the page holds more than the {LARGEST} bytes that a link may stand for")
        name = hashlib.sha256(body).hexdigest()[:32]
        home = Path(folder()) / "deep_links" / name
        if not (home / "state.json").exists():
            home.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=home)
            with os.fdopen(handle, "wb") as file:
                file.write(body)
            os.replace(temporary, home / "state.json")
        return name

    def read(self, name: Any) -> Shown | None:
        """What a link stands for, as far as the app still has these blocks; None when there is no such link."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            return None
        try:
            told = json.loads((Path(folder()) / "deep_links" / name / "state.json").read_bytes())
            blocks = self.app.blocks.blocks
            return {
                int(number): _filed(changes, self.app)
                for number, (kind, changes) in told.items()
                if int(number) in blocks and blocks[int(number)].type_name == kind
            }
        except (OSError, ValueError, TypeError):
            return None

    def shown(self, config: dict[str, Any], name: str) -> dict[str, Any]:
        """A page's configuration in the state that a link stands for, or as it is when the link is none."""
        state = self.read(name)
        if state is None:
            return {**config, "deep_link_state": "invalid"}
        entries = [
            {**entry, "props": {**entry["props"], **state[entry["id"]]}} if entry["id"] in state else entry
            for entry in config["components"]
        ]
        return {**config, "components": entries, "deep_link": name, "deep_link_state": "valid"}

    def enter(self, session: Session, name: Any) -> None:
        """Let a visitor who came by a link have what the link's blocks have."""
        session.shown = self.read(name) or {}
        for number, changes in session.shown.items():
            session.change(self.app.blocks.blocks[number], changes)


def _names_address(value: Any) -> bool:
    """Whether a payload has a file by its address in the web: links show files that are here."""
    if isinstance(value, dict):
        if isinstance(value.get("meta"), dict) and value["meta"].get("_type") == MARK:
            return is_url(value.get("path")) or not value.get("path")
        return any(map(_names_address, value.values()))
    return isinstance(value, list) and any(map(_names_address, value))


def _filed(value: Any, app: App) -> Any:
    """Give files their addresses again, those that are for visitors."""
    if isinstance(value, list):
        return [_filed(each, app) for each in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("meta"), dict) and value["meta"].get("_type") == MARK:
        path = value.get("path")
        if isinstance(path, str) and app.rules.readable(path) is not None:
            known: dict[str, Any] = {name: value.get(name) for name in ("size", "orig_name", "mime_type")}
            return served(path, **known)
        return value if is_url(path) or str(value.get("url") or "").startswith("data:image/") else None
    return {name: _filed(each, app) for name, each in value.items()}
