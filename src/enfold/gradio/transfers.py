"""Files over HTTP: taken from visitors, handed to them, and the few methods of components that the page may call."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import FileResponse, Response

from enfold.gradio.components.base import Component
from enfold.gradio.encoding import encode
from enfold.gradio.files import INLINE, FileRules, current_rules, folder, keep_file, mime_type, sweep
from enfold.web.limits import BadForm, BodyTooLarge, read_form, read_json

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["Transfers"]

FILES_AT_ONCE = 1000
UPLOAD_LIMIT = 4 * 2**30  # bytes of one upload when the page sets no limit of its own
# Name in the address → the package that brings the file, and where it lies in it.
LIBRARIES = {
    "plotly": ("plotly", "package_data/plotly.min.js"),
    "bokeh": ("bokeh", "server/static/js/bokeh.min.js"),
}


class Transfers:
    """The routes of a page that move files.

    Args:
        blocks: the page.
        rules: which files may be read and shown.
        delete_cache: ``(seconds between two rounds, age in seconds after which a kept file is deleted)``.
    """

    def __init__(self, blocks: Blocks, rules: FileRules, delete_cache: tuple[float, float] | None = None) -> None:
        self.blocks, self.rules, self.delete_cache = blocks, rules, delete_cache
        self._swept = time.monotonic()

    async def upload(self, request: HTTPRequest) -> Response:
        """Keep the files of a form and answer with their paths."""
        limit = self.rules.max_size
        most = UPLOAD_LIMIT if limit is None else limit * FILES_AT_ONCE
        try:
            form = await read_form(request, most, files=FILES_AT_ONCE)
        except BadForm as error:
            raise HTTPException(400, str(error)) from None
        paths = []
        try:
            for given in form.getlist("files"):
                if isinstance(given, str):
                    raise HTTPException(400, "'files' must hold files")
                if limit is not None and (given.size or 0) > limit:
                    raise BodyTooLarge(f"{given.filename} has {given.size} bytes; at most {limit} are accepted")
                paths.append(await run_in_threadpool(self._keep, given))
        finally:
            await form.close()
        self._sweep()
        return _json(paths)

    def _keep(self, given: Any) -> str:
        import os
        import tempfile

        os.makedirs(folder(), exist_ok=True)
        token = current_rules.set(self.rules)
        handle, temporary = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as file:
                while chunk := given.file.read(1 << 20):
                    file.write(chunk)
            return keep_file(temporary, given.filename or "file")
        finally:
            os.unlink(temporary)
            current_rules.reset(token)

    async def file(self, request: HTTPRequest) -> Response:
        """Hand a file over: shown in place when a browser may, as a download otherwise."""
        found = self.rules.readable(request.path_params["path"])
        if found is None:
            raise HTTPException(403, "this file is not for visitors (launch(allowed_paths=[...]) names those that are)")
        kind = mime_type(found)
        shown = kind in INLINE
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, max-age=86400" if str(found).startswith(folder()) else "private, no-cache",
        }
        if kind != "application/pdf":  # the browser's own reader of PDF does not work in a sandbox
            headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        return FileResponse(
            found,
            media_type=kind if shown else "application/octet-stream",
            filename=found.name,
            content_disposition_type="inline" if shown else "attachment",
            headers=headers,
        )

    async def library(self, request: HTTPRequest) -> Response:
        """Hand over the browser's half of a drawing library, out of the author's own installation."""
        import importlib.util

        module, inside = LIBRARIES.get(request.path_params["name"], ("", ""))
        spec = importlib.util.find_spec(module) if module else None
        found = Path(next(iter(spec.submodule_search_locations or []), "")) / inside if spec else None
        if found is None or not found.is_file():
            raise HTTPException(404, "this library is not installed here")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
        return FileResponse(found, media_type="text/javascript", headers=headers)

    async def component(self, request: HTTPRequest) -> Response:
        """Call a method that a component offers to its page (``SERVER`` names them) and no other."""
        try:
            body = await read_json(request, 2**20)
        except ValueError as error:
            raise HTTPException(400, f"the request is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise HTTPException(400, "a JSON object is expected")
        block = self.blocks.blocks.get(body["component_id"]) if isinstance(body.get("component_id"), int) else None
        name = body.get("fn_name")
        call: Callable[..., Any] | None = None
        if isinstance(block, Component) and isinstance(name, str):
            offered = block.__dict__.get("server_functions") or []
            call = next((each for each in offered if getattr(each, "__name__", "") == name), None)
            if call is None and name in getattr(type(block), "SERVER", ()):
                call = getattr(block, name)
        if call is None:
            raise HTTPException(404, "this component offers no such function")
        try:
            if inspect.iscoroutinefunction(call):
                result = await call(body.get("data"))
            else:
                result = await run_in_threadpool(call, body.get("data"))
        except Exception as error:
            from enfold.gradio.errors import Error

            if isinstance(error, Error):
                return _json({"detail": error.message}, 422)
            raise
        return _json(result)

    def _sweep(self) -> None:
        if self.delete_cache is None:
            return
        every, age = self.delete_cache
        now = time.monotonic()
        if now - self._swept >= every:
            self._swept = now
            sweep(self.rules.kept, age)


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def existing(paths: Any) -> list[str | Path]:
    """Paths as a list, from one, several or none."""
    return [] if paths is None else [paths] if isinstance(paths, (str, Path)) else list(paths)
