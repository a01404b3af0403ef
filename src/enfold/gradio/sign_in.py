"""Signing in with the Hub: who a visitor is there, and the token that acts for them.

A page signs visitors in when it has a :class:`~enfold.gradio.LoginButton`, or a function that asks for an
:class:`~enfold.gradio.OAuthProfile` or an :class:`~enfold.gradio.OAuthToken`. In a Space the Hub says how, by the
environment: ``OAUTH_CLIENT_ID``, ``OAUTH_CLIENT_SECRET``, ``OAUTH_SCOPES`` and ``OPENID_PROVIDER_URL``; the page then
asks for a code (RFC 6749, section 4.1, with the proof key of RFC 7636) and fetches the token with it. Elsewhere, while
a program is written, everybody who presses the button is whoever this machine is logged in as, and the token is no
real one.

What the Hub answers stays on the server; the visitor keeps a random name for it in a cookie.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from enfold.log import get_logger

__all__ = ["SignIn", "local_target"]

log = get_logger(__name__)
VISITORS = 10_000
WAITING = 600.0  # seconds between asking for a code and coming back with it
LASTING = 8 * 3600  # seconds that a sign-in without an end of its own is good for


def local_target(asked: str | None) -> str:
    """The path after a sign-in, never on another machine: only path and query are kept, below this page.

    Example:
        >>> local_target("https://evil.example//x?a=1"), local_target("////evil.example"), local_target(None)
        ('/x?a=1', '/evil.example', '/')
    """
    parts = urlsplit((asked or "/").replace("\\", "/"))
    path = "/" + parts.path.lstrip("/")
    return f"{path}?{parts.query}" if parts.query else path


class SignIn:
    """The addresses by which visitors sign in and out, and who they are.

    Args:
        root: the page's own address for a request.
        client: makes the HTTP client that talks to the Hub; for tests.
    """

    def __init__(self, root: Callable[[Request], str], client: Callable[[], Any] | None = None) -> None:
        self._root, self._client = root, client or _client
        self._id = os.environ.get("OAUTH_CLIENT_ID")
        self._secret = os.environ.get("OAUTH_CLIENT_SECRET")
        self._scopes = os.environ.get("OAUTH_SCOPES") or "openid profile"
        self._provider = (os.environ.get("OPENID_PROVIDER_URL") or "").rstrip("/")
        self._visitors: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._asked: OrderedDict[str, tuple[float, str, str, str]] = OrderedDict()
        self._cookie = f"signed-in-{secrets.token_hex(8)}"
        if self._id and not (self._secret and self._provider):
            raise ValueError("OAUTH_CLIENT_ID is set, so OAUTH_CLIENT_SECRET and OPENID_PROVIDER_URL must be too")

    def info(self, request: Request) -> dict[str, Any] | None:
        """What the Hub said of a visitor: ``userinfo``, ``access_token``, ``scope``, ``expires_at``."""
        key = request.cookies.get(self._cookie, "")
        found = self._visitors.get(key)
        if found is not None and found["expires_at"] < time.time():
            del self._visitors[key]
            return None
        return found

    async def begin(self, request: Request) -> Response:
        """Send a visitor to the Hub; without one, sign them in as this machine's own user."""
        target = local_target(request.query_params.get("_target_url"))
        if not self._id:
            return await self._local(request, target)
        async with self._client() as http:
            places = (await http.get(f"{self._provider}/.well-known/openid-configuration")).raise_for_status().json()
        state, proof, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        self._asked[state] = (time.monotonic(), proof, target, nonce)
        while len(self._asked) > VISITORS:
            self._asked.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(proof.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": self._back(request),
            "scope": self._scopes,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        answer = RedirectResponse(f"{places['authorization_endpoint']}?{urlencode(asked)}", status_code=303)
        # Whoever comes back must be who left: the state alone could be planted by another page.
        self._remember(request, answer, nonce, "asked")
        return answer

    async def finish(self, request: Request) -> Response:
        """Take a visitor back from the Hub with a code, and fetch their token and profile."""
        given = request.query_params
        moment, proof, target, nonce = self._asked.pop(given.get("state", ""), (0.0, "", "/", ""))
        left = request.cookies.get(f"{self._cookie}-asked", "")
        if not nonce or not secrets.compare_digest(left, nonce) or time.monotonic() - moment > WAITING:
            return JSONResponse({"detail": "This sign-in was not begun here, or long ago; try again."}, 400)
        if "code" not in given:
            return JSONResponse({"detail": f"The Hub did not sign you in: {given.get('error', 'no code')}"}, 400)
        async with self._client() as http:
            places = (await http.get(f"{self._provider}/.well-known/openid-configuration")).raise_for_status().json()
            asked = {
                "grant_type": "authorization_code",
                "code": given["code"],
                "redirect_uri": self._back(request),
                "client_id": self._id,
                "code_verifier": proof,
            }
            told = await http.post(places["token_endpoint"], data=asked, auth=(self._id, self._secret))
            if told.status_code != 200:
                log.warning("the Hub refused a sign-in with status %s", told.status_code)
                return JSONResponse({"detail": "The Hub did not sign you in; try again."}, 502)
            token = told.json()
            bearer = {"Authorization": f"Bearer {token['access_token']}"}
            user = (await http.get(places["userinfo_endpoint"], headers=bearer)).raise_for_status().json()
        ends = time.time() + float(token.get("expires_in", LASTING))
        kept = {"access_token": token["access_token"], "scope": token.get("scope", self._scopes), "expires_at": ends}
        return self._enter(request, {**kept, "userinfo": user}, target)

    def leave(self, request: Request, answer: Response) -> None:
        """Forget a visitor, and have the answer take their cookie back."""
        self._visitors.pop(request.cookies.get(self._cookie, ""), None)
        answer.delete_cookie(self._cookie, path="/")

    async def _local(self, request: Request, target: str) -> Response:
        from starlette.concurrency import run_in_threadpool

        from enfold.hub import get_token, whoami
        from enfold.hub.constants import endpoint

        if get_token() is None:
            text = (
                "Outside of a Space the sign-in button stands for this machine's own user: log in with `enfold login`."
            )
            return JSONResponse({"detail": text}, 400)
        try:
            user = await run_in_threadpool(whoami)
        except Exception as error:
            return JSONResponse({"detail": f"The Hub does not say who this machine's user is: {error}"}, 502)
        profile = {
            "sub": str(user.get("id", "")),
            "name": user.get("fullname") or user["name"],
            "preferred_username": user["name"],
            "profile": f"{endpoint()}/{user['name']}",
            "picture": user.get("avatarUrl") or "",
        }
        # Never the machine's real token: whoever opens the page would have it.
        kept = {
            "access_token": "a-token-for-trying-out",
            "scope": "openid profile",
            "expires_at": time.time() + LASTING,
        }
        return self._enter(request, {**kept, "userinfo": profile}, target)

    def _enter(self, request: Request, info: dict[str, Any], target: str) -> Response:
        key = secrets.token_urlsafe(32)
        self._visitors[key] = info
        while len(self._visitors) > VISITORS:
            self._visitors.popitem(last=False)
        answer = RedirectResponse(self._root(request) + target, status_code=303)
        self._remember(request, answer, key)
        return answer

    def _remember(self, request: Request, answer: Response, value: str, what: str = "") -> None:
        secure = self._root(request).startswith("https://")
        name = f"{self._cookie}-{what}" if what else self._cookie
        # Lax, since the Hub sends visitors back from another site.
        answer.set_cookie(name, value, httponly=True, samesite="lax", secure=secure, path="/")

    def _back(self, request: Request) -> str:
        host = (os.environ.get("SPACE_HOST") or "").split(",")[0].strip()
        return f"{'https://' + host if host else self._root(request)}/login/callback"


def _client() -> Any:
    import httpx

    return httpx.AsyncClient(timeout=20, follow_redirects=False)
