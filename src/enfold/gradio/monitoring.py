"""How a page's functions are doing, for its author: behind a key that nobody else knows."""

from __future__ import annotations

import hmac
import html
import secrets
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, JSONResponse, Response

from enfold.gradio.ui_files import assets

if TYPE_CHECKING:
    from enfold.gradio.routes import App

__all__ = ["Monitoring"]

COLUMNS = ("function", "calls", "failures", "average seconds", "running", "waiting")


class Monitoring:
    """The page about an app.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.key = secrets.token_urlsafe(24)

    def summary(self) -> dict[str, Any]:
        """The numbers of each function since the app began, and how many visitors there are."""
        lanes = self.app.engine.lanes
        functions = {}
        for fn in self.app.names.values():
            lane = lanes.get(fn.lane)
            jobs = [job for session in self.app.sessions for job in session.pending.values() if job.fn is fn]
            functions[fn.api_name] = {
                "calls": fn.calls + fn.failures,
                "failures": fn.failures,
                "average seconds": None if fn.average is None else round(fn.average, 4),
                "running": sum(job.running for job in jobs),
                "waiting": 0 if lane is None else sum(job.fn is fn for job in lane),
            }
        visitors = sum(session.connections > 0 for session in self.app.sessions)
        return {"functions": functions, "sessions": len(self.app.sessions), "connected": visitors}

    async def page(self, request: HTTPRequest) -> Response:
        """Answer who knows the key: with a table, or with JSON where that is asked for."""
        if not hmac.compare_digest(request.path_params["key"].encode(), self.key.encode()):
            raise HTTPException(404, "Not Found")
        told = self.summary()
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(told, headers=headers)
        head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
        rows = "".join(
            f'<tr><th scope="row">{html.escape(name)}</th>'
            + "".join(f"<td>{'–' if row[column] is None else row[column]}</td>" for column in COLUMNS[1:])
            + "</tr>"
            for name, row in told["functions"].items()
        )
        title = html.escape(f"{self.app.blocks.title}: monitoring")
        sheet = f"../gradio_api/ui/{assets()[0]}/base.css+more.css"
        body = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{title}</title><link rel="stylesheet" href="{sheet}"></head>'
            f'<body><main class="gradio-container"><h1>{title}</h1>'
            f"<p>{told['sessions']} sessions, {told['connected']} connected.</p>"
            f'<div class="g-examples" tabindex="0"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
            "</main></body></html>"
        )
        policy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        return HTMLResponse(body, headers={**headers, "Content-Security-Policy": policy})
