"""Tokens for devices (RFC 8628) and for who shows an identity token (RFC 8693), where the official client asks."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from enfold.hubserver.devices import DEVICE_CODE, INTERVAL, LASTING, OAuthError
from enfold.hubserver.publishers import EXCHANGE, ID_TOKEN
from enfold.hubserver.routes.call import Call, Routes

__all__ = ["routes"]

routes = Routes()
_NEVER_KEPT = {"Cache-Control": "no-store"}


@routes.add("POST", "oauth/device")
def device(call: Call) -> Response:
    """Give a device a code to show."""
    try:
        secret, code = call.hub.devices.begin(call.field("client_id"))
    except OAuthError as error:
        return _refused(error)
    page = f"{call.base}/device"
    answer = {"device_code": secret, "user_code": code, "expires_in": LASTING, "interval": INTERVAL}
    places = {"verification_uri": page, "verification_uri_complete": f"{page}?code={code}"}
    return JSONResponse({**answer, **places}, headers=_NEVER_KEPT)


@routes.add("POST", "oauth/token")
def token(call: Call) -> Response:
    """Give a device that was let in its token, or a new one for its refresh token or for an identity token."""
    kind = call.field("grant_type")
    try:
        if kind == DEVICE_CODE:
            return JSONResponse(call.hub.devices.token(call.field("device_code")), headers=_NEVER_KEPT)
        if kind == "refresh_token":
            return JSONResponse(call.hub.devices.renew(call.field("refresh_token")), headers=_NEVER_KEPT)
        if kind == EXCHANGE:
            return JSONResponse(_exchanged(call), headers=_NEVER_KEPT)
        known = ", ".join((DEVICE_CODE, "refresh_token", EXCHANGE))
        raise OAuthError("unsupported_grant_type", f"grant_type is one of {known}, not {kind[:100]!r}")
    except OAuthError as error:
        return _refused(error)


def _exchanged(call: Call) -> dict[str, Any]:
    if call.field("subject_token_type", ID_TOKEN) != ID_TOKEN:
        raise OAuthError("invalid_request", f"subject_token_type is {ID_TOKEN!r}")
    subject, resource = call.field("subject_token"), call.field("resource")
    if not subject or not resource:
        raise OAuthError("invalid_request", "subject_token and resource say who asks, and for what")
    # Not what the request calls this Hub: a token that is meant for others could be shown here under their name.
    base = (call.hub.settings.public_url or call.hub.webhooks.base).rstrip("/")
    if not base:
        raise OAuthError("invalid_request", "this Hub does not know its own address: start it with --public-url")
    return call.hub.publishers.exchange(subject, resource, base)


def _refused(error: OAuthError) -> Response:
    return JSONResponse({"error": error.error, "error_description": error.message}, error.status, _NEVER_KEPT)
