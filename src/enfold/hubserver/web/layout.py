"""What every page has in common: templates, policy, who is signed in, how sizes and dates are written."""

from __future__ import annotations

import datetime
import json
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader
from sqlalchemy import Row
from starlette.responses import HTMLResponse, RedirectResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes, current
from enfold.hubserver.views import timestamp

__all__ = [
    "PREVIEW",
    "address_of",
    "card_of",
    "date",
    "error_page",
    "form",
    "moment",
    "page",
    "query_with",
    "see",
    "size",
    "static",
    "whole_number",
]

PREVIEW = 200_000  # bytes of a file that a page shows
_HERE = Path(__file__).parent
_STATIC = {"hub.css": "text/css"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

static = Routes()


@lru_cache(maxsize=1)
def _templates() -> Environment:
    loader = FileSystemLoader(_HERE / "templates")
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(size=size, date=date, moment=moment, iso=timestamp, number=lambda value: f"{value:,}")
    return made


def page(template: str, status: int = 200, *, frames: str = "", **values: Any) -> Response:
    """Return a page for the request that is being answered.

    Args:
        template: its file.
        status: of the response.
        frames: an address that the page shows in a frame.
        values: what the template fills in.
    """
    call = current.get(None)
    common: dict[str, Any] = {"kind": None, "search": "", "viewer": None, "proof": "", "base": "", "here": ""}
    if call is not None:
        query = call.request.url.query
        here = call.request.url.path + (f"?{query}" if query else "")
        common |= {"viewer": call.viewer, "proof": call.proof, "base": call.base, "here": here}
    text = _templates().get_template(template).render({**common, **values})
    caching = "no-cache" if common["viewer"] is None else "private, no-cache"
    policy = _POLICY + (f"; frame-src {frames}" if frames else "")
    headers = {"Content-Security-Policy": policy, "Vary": "Accept, Authorization, Cookie", "Cache-Control": caching}
    return HTMLResponse(text, status, headers)


def error_page(error: HubServerError) -> Response:
    """Return an error as people read it."""
    headings = {401: "Not signed in", 403: "Not allowed", 404: "Not found"}
    message = error.message
    if error.code == "RepoNotFound":
        message = "There is no such repository, or it is private and you may not see it."
    status = 404 if error.code == "RepoNotFound" else error.status
    heading = headings.get(status, "This did not work")
    response = page("error.html", status, heading=heading, message=message)
    for name, value in error.headers.items():
        response.headers[name] = value
    return response


@static.add("GET HEAD", "static")
def send_static(call: Call) -> Response:
    """Send the style sheet."""
    name = "/".join(call.rest)
    if name not in _STATIC:
        raise HubServerError(404, "there is no such file")
    data = (_HERE / "static" / name).read_bytes()
    return Response(data, media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})


# ---------------------------------------------------------------------- forms


def form(call: Call) -> dict[str, str]:
    """Return what a form says, for somebody who is signed in or has a token; that it is theirs was checked before."""
    if call.viewer is None:
        raise HubServerError(401, "Sign in first.")
    return {name: values[-1] for name, values in call.form().items()}


def see(address: str) -> Response:
    """Return the response that leads from a form to a page of this Hub."""
    return RedirectResponse(address, 303)


# ---------------------------------------------------------------------- how things are written


def address_of(row: Row[Any]) -> str:
    """Return the path of a repository's page."""
    return ("/" if row.kind == "models" else f"/{row.kind}/") + quote(row.name)


def card_of(row: Row[Any]) -> dict[str, Any]:
    """Return the metadata of a repository's card."""
    return dict(json.loads(row.card))


def date(seconds: float) -> str:
    """Return a day, such as "3 Jan 2026"."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%d %b %Y").lstrip("0")


def moment(seconds: float) -> str:
    """Return a moment, such as "3 Jan 2026, 14:05 UTC"."""
    return date(seconds) + datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(", %H:%M UTC")


def size(count: float) -> str:
    """Return a number of bytes in the unit that people use for it.

    Example:
        >>> size(999), size(12_345), size(3.2e9)
        ('999 B', '12.3 kB', '3.2 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def query_with(call: Call, **changes: str | None) -> str:
    """Return the request's query with other values for some names; None drops one."""
    kept = [item for item in call.request.query_params.multi_items() if item[0] not in changes]
    query = urlencode([*kept, *((name, value) for name, value in changes.items() if value is not None)])
    return f"?{query}"


def whole_number(call: Call, name: str, default: int = 0, most: int = 10**9) -> int:
    """Return a query parameter as a whole number that is not negative; the default where it is none."""
    text = call.query(name) or ""
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 12 else default
