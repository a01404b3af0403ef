"""Signing in and out, and the settings of an account: its password, its sessions, its tokens, its devices."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.responses import RedirectResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.sessions import LASTING
from enfold.hubserver.viewers import RIGHTS, Scopes
from enfold.hubserver.web.layout import page, see

__all__ = ["pages"]

pages = Routes()

_DAY = 86_400
_MANY = 200  # tokens that somebody may make on these pages


# ---------------------------------------------------------------------- in and out


def _next(call: Call, text: str) -> str:
    """Return where to go afterwards: a path of this Hub, whatever the address asks for."""
    parts = urlsplit(text.replace("\\", "/"))
    if parts.scheme or parts.netloc or not text.startswith("/") or text.startswith("//") or not text.isprintable():
        return "/"
    return text


def _enter(call: Call, name: str, password: str, target: str) -> Response:
    agent = call.request.headers.get("user-agent", "")
    cookie = call.hub.sessions.sign_in(name, password, address=call.address, agent=agent)
    response = see(target)
    options: dict[str, Any] = {"secure": call.secure, "httponly": True, "samesite": "lax", "path": "/"}
    response.set_cookie(call.cookie, cookie, max_age=LASTING, **options)
    return response


@pages.add("GET HEAD", "login")
def login_form(call: Call) -> Response:
    """Ask for name and password."""
    target = _next(call, call.query("next") or "/")
    if call.viewer is not None and call.viewer.session is not None:
        return see(target)
    return page("login.html", next=target, name="", problem=None, sign_up=call.hub.settings.sign_up)


@pages.add("POST", "login")
def login(call: Call) -> Response:
    """Begin a session."""
    name, target = call.field("name").strip(), _next(call, call.field("next", "/"))
    try:
        return _enter(call, name, call.field("password"), target)
    except HubServerError as error:
        shown: dict[str, Any] = {
            "next": target,
            "name": name,
            "problem": error.message,
            "sign_up": call.hub.settings.sign_up,
        }
        response = page("login.html", error.status, **shown)
        response.headers.update(error.headers)
        return response


@pages.add("POST", "logout")
def logout(call: Call) -> Response:
    """End the session."""
    if call.viewer is not None and call.viewer.session is not None:
        call.hub.sessions.sign_out(call.viewer.session)
    response = see("/")
    response.delete_cookie(call.cookie, path="/", secure=call.secure, httponly=True, samesite="lax")
    return response


def _require_sign_up(call: Call) -> None:
    if not call.hub.settings.sign_up:
        raise HubServerError(403, "Accounts of this Hub are made by who runs it: ask them for one.")


@pages.add("GET HEAD", "join")
def join_form(call: Call) -> Response:
    """Ask what a new account is to be called."""
    _require_sign_up(call)
    return page("join.html", name="", email="", problem=None)


@pages.add("POST", "join")
def join(call: Call) -> Response:
    """Make an account and sign in."""
    _require_sign_up(call)
    name, email, password = call.field("name").strip(), call.field("email").strip(), call.field("password")
    try:
        call.hub.sessions.patience("", call.address)
        if password != call.field("again"):
            raise HubServerError(400, "The two passwords differ.")
        call.hub.accounts.create_user(name, email=email[:200], password=password, exist_ok=False)
    except HubServerError as error:
        return page("join.html", error.status, name=name, email=email, problem=error.message)
    return _enter(call, name, password, "/")


# ---------------------------------------------------------------------- the account


@pages.add("GET HEAD", "settings")
def settings(call: Call) -> Response:
    """Show who is signed in and where."""
    return _settings(call)


def _settings(call: Call, status: int = 200, **said: Any) -> Response:
    viewer = call.signed_in()
    with call.hub.database.read() as connection:
        sessions = call.hub.sessions.of(connection, viewer.account_id)
    return page("settings.html", status, sessions=sessions, **{"problem": None, "done": None, **said})


@pages.add("POST", "settings/password")
def change_password(call: Call) -> Response:
    """Set another password; every session ends, and a new one begins."""
    viewer, new = call.signed_in(), call.field("new")
    try:
        call.hub.sessions.patience(viewer.name, call.address)
        if call.hub.accounts.check_password(viewer.name, call.field("password")) is None:
            call.hub.sessions.failed(viewer.name, call.address)
            raise HubServerError(403, "The present password is another one.")
        if new != call.field("again"):
            raise HubServerError(400, "The two passwords differ.")
        call.hub.accounts.set_password(viewer.name, new)
    except HubServerError as error:
        return _settings(call, error.status, problem=error.message)
    return _enter(call, viewer.name, new, "/settings")


@pages.add("POST", "settings/sessions")
def end_session(call: Call) -> Response:
    """End one of one's sessions."""
    viewer, digest = call.signed_in(), call.field("session")
    with call.hub.database.read() as connection:
        mine = {row.digest for row in call.hub.sessions.of(connection, viewer.account_id)}
    if digest not in mine:
        raise HubServerError(404, "there is no such session")
    call.hub.sessions.sign_out(digest)
    return see("/settings" if digest != viewer.session else "/")


# ---------------------------------------------------------------------- tokens


@pages.add("GET HEAD", "settings/tokens")
def tokens(call: Call) -> Response:
    """List one's tokens."""
    return _tokens(call)


def _tokens(call: Call, status: int = 200, **said: Any) -> Response:
    viewer = call.signed_in()
    with call.hub.database.read() as connection:
        rows = call.hub.tokens.of(connection, viewer.name)
    scopes = {row.id: Scopes.loads(row.scopes).view() for row in rows if row.role == "fineGrained"}
    values: dict[str, Any] = {"tokens": rows, "scopes": scopes, "rights": RIGHTS, "now": time.time()}
    response = page("tokens.html", status, **values, **{"secret": None, "problem": None, **said})
    response.headers["Cache-Control"] = "no-store"
    return response


@pages.add("POST", "settings/tokens")
def change_tokens(call: Call) -> Response:
    """Make a token, which this one page shows, or (below ``/revoke``) revoke one."""
    viewer = call.signed_in()
    if call.rest == ("revoke",):
        number = call.field("token")
        call.hub.tokens.revoke(viewer.name, int(number) if number.isascii() and number.isdigit() else 0)
        return see("/settings/tokens")
    try:
        with call.hub.database.read() as connection:
            if len(call.hub.tokens.of(connection, viewer.name)) >= _MANY:
                raise HubServerError(400, f"{_MANY} tokens are enough: revoke one that is not used")
        secret = call.hub.tokens.create(
            viewer.name,
            name=call.field("name").strip() or "token",
            role=call.field("role", "read"),
            scopes=_scopes(call),
            expires=_expires(call.field("days")),
        )
    except HubServerError as error:
        return _tokens(call, error.status, problem=error.message)
    return _tokens(call, secret=secret)


def _expires(days: str) -> float | None:
    if days in {"", "never"}:
        return None
    if not (days.isascii() and days.isdigit() and 0 < int(days) <= 3660):
        raise HubServerError(400, "a token lasts 1 to 3660 days, or for ever")
    return time.time() + int(days) * _DAY


def _scopes(call: Call) -> Scopes | None:
    """Return what the form says: ``rights`` in ``places``, one to a line, such as ``org:guild``, ``model:ann/one``."""
    if call.field("role") != "fineGrained":
        return None
    rights, places = call.form().get("rights", []), call.field("places").split()
    scoped = []
    for place in places:
        kind, _, name = place.partition(":")
        scoped.append({"type": kind, "name": name, "rights": rights})
    return Scopes.read({"global": [] if places else rights, "scoped": scoped})


# ---------------------------------------------------------------------- devices


@pages.add("GET HEAD", "device")
def device_form(call: Call) -> Response:
    """Ask for the code that a device shows, and whether to let it in."""
    if call.viewer is None or call.viewer.session is None:
        code = call.query("code")
        here = "/device" + ("?" + urlencode({"code": code}) if code else "")
        return RedirectResponse("/login?" + urlencode({"next": here}), 303)
    return page("device.html", code=call.query("code") or "", problem=None, done=None)


@pages.add("POST", "device")
def device(call: Call) -> Response:
    """Let a device in, or refuse it."""
    viewer, code, allow = call.signed_in(), call.field("code"), call.field("answer") == "allow"
    try:
        call.hub.sessions.patience(viewer.name, call.address)
        call.hub.devices.settle(code, viewer, allow=allow, role=call.field("role", "write"))
    except HubServerError as error:
        if error.status == 404:
            call.hub.sessions.failed(viewer.name, call.address)  # codes are short: nobody may try many
        return page("device.html", error.status, code=code, problem=error.message, done=None)
    said = "The device is signed in. You can close this page." if allow else "The device was refused."
    return page("device.html", code="", problem=None, done=said)
