"""Tokens for devices: what RFC 8628 asks of a server, in the addresses that the official client knows."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from enfold.hubserver.devices import DEVICE_CODE, INTERVAL, LASTING, OAuthError
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
    """Give a device that was let in its token, or a new one for its refresh token."""
    kind = call.field("grant_type")
    try:
        if kind == DEVICE_CODE:
            return JSONResponse(call.hub.devices.token(call.field("device_code")), headers=_NEVER_KEPT)
        if kind == "refresh_token":
            return JSONResponse(call.hub.devices.renew(call.field("refresh_token")), headers=_NEVER_KEPT)
        raise OAuthError("unsupported_grant_type", f"grant_type is {DEVICE_CODE!r} or 'refresh_token', not {kind!r}")
    except OAuthError as error:
        return _refused(error)


def _refused(error: OAuthError) -> Response:
    return JSONResponse({"error": error.error, "error_description": error.message}, error.status, _NEVER_KEPT)
