"""Login: names and passwords before a page, and the cookie that remembers."""

from __future__ import annotations

import hmac
import html
import inspect
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

__all__ = ["Login"]

_OPEN = ("/login", "/gradio.js", "/robots.txt", "/favicon.ico", "/gradio_api/ui/", "/gradio_api/startup-events")
_TRIES, _MINUTE = 20, 60.0
_KNOWN = "enfold.gradio.user"


class Login:
    """Let only those in who know a name and its password; without ``auth``, everyone.

    Args:
        auth: ``(name, password)``, a list of them, or a function that judges the two.
        message: text above the form.
        dependency: a function that tells, or a coroutine that finds out, who sends a request: their name, or None for
            nobody who may; instead of ``auth``.

    Raises:
        ValueError: both are given.
    """

    def __init__(
        self,
        auth: Callable[[str, str], Any] | tuple[str, str] | list[tuple[str, str]] | None,
        message: str | None = None,
        dependency: Callable[[Request], Any] | None = None,
    ) -> None:
        if auth is not None and dependency is not None:
            raise ValueError("auth= asks for a password and auth_dependency= does not: give one of them")
        self._dependency = dependency
        self._judge = auth if callable(auth) else None
        pairs = [auth] if isinstance(auth, tuple) else auth if isinstance(auth, list) else []
        self._passwords = {str(name): str(password) for name, password in pairs}
        self.required = auth is not None or dependency is not None
        self.message = message
        self._users: OrderedDict[str, str] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._cookie = f"access-token-{secrets.token_hex(8)}"

    def user(self, request: Request) -> str | None:
        """Who is logged in."""
        if self._dependency is not None:
            return request.scope.get(_KNOWN)  # found out when the request came
        return self._users.get(request.cookies.get(self._cookie, ""))

    def allows(self, request: Request) -> bool:
        """Whether this visitor may go on."""
        return not self.required or self.user(request) is not None

    def guard(self, app: Any, pages: Iterable[str] = ("",)) -> Any:
        """Middleware that answers 401 to those who are not logged in, except for the pages, which show the form."""
        if not self.required:
            return app
        forms = {f"/{page}" for page in pages} if self._dependency is None else set()

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                if self._dependency is not None:
                    found = self._dependency(Request(scope))
                    scope[_KNOWN] = await found if inspect.isawaitable(found) else found
                path = scope["path"][len(scope.get("root_path", "")) :] or "/"
                if path not in forms and not path.startswith(_OPEN) and not self.allows(Request(scope)):
                    await JSONResponse({"detail": "Not authenticated"}, status_code=401)(scope, receive, send)
                    return
            await app(scope, receive, send)

        return guarded

    async def enter(self, request: Request) -> Response:
        """Answer a submitted form."""
        if not self.required:
            return JSONResponse({"success": True})
        if self._dependency is not None:
            return JSONResponse({"detail": "There is no password here."}, status_code=404)
        address = request.client.host if request.client else ""
        now = time.monotonic()
        recent = [moment for moment in self._failures.get(address, []) if now - moment < _MINUTE]
        if len(recent) >= _TRIES:
            return JSONResponse({"detail": "Too many attempts; wait a minute."}, status_code=429)
        async with request.form(max_files=0, max_fields=8) as form:
            name, password = str(form.get("username", "")), str(form.get("password", ""))
        if not await self._known(name, password):
            self._failures[address] = [*recent, now]
            while len(self._failures) > 1000:
                self._failures.popitem(last=False)
            return JSONResponse({"detail": "Incorrect credentials."}, status_code=400)
        token = secrets.token_urlsafe(32)
        self._users[token] = name
        while len(self._users) > 10_000:
            self._users.popitem(last=False)
        wants_page = "text/html" in request.headers.get("accept", "")
        answer: Response = RedirectResponse("./", status_code=303) if wants_page else JSONResponse({"success": True})
        secure = request.url.scheme == "https"
        answer.set_cookie(self._cookie, token, httponly=True, samesite="lax", secure=secure, path="/")
        return answer

    async def leave(self, request: Request) -> Response:
        """Forget a visitor."""
        self._users.pop(request.cookies.get(self._cookie, ""), None)
        answer = RedirectResponse("./", status_code=303)
        answer.delete_cookie(self._cookie, path="/")
        return answer

    def form(self, title: str) -> Response:
        """The page with the form."""
        note = f"<p>{html.escape(self.message)}</p>" if self.message else ""
        from enfold.gradio.page import assets

        body = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title>"
            f'<link rel="stylesheet" href="gradio_api/ui/{assets()[0]}/base.css+login.css"></head>'
            '<body class="g-login"><main><form method="post" action="login">'
            f"<h1>{html.escape(title)}</h1>{note}"
            '<label>Name<input name="username" autocomplete="username" required autofocus></label>'
            '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
            '<button class="g-button primary lg">Log in</button></form></main></body></html>'
        )
        policy = "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return HTMLResponse(body, headers=headers)

    async def _known(self, name: str, password: str) -> bool:
        if self._judge is not None:
            verdict = self._judge(name, password)
            return bool(await verdict if inspect.isawaitable(verdict) else verdict)
        stored = self._passwords.get(name)
        # The comparison takes the same time for a name that does not exist.
        equal = hmac.compare_digest((stored or secrets.token_hex(8)).encode(), password.encode())
        return equal and stored is not None
