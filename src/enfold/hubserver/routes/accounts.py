"""Who is asking."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.metadata import CardError, read_card
from enfold.hubserver.routes.call import PAGE, Call, Routes
from enfold.hubserver.views import timestamp

__all__ = ["fixed"]

fixed = Routes()


_PLAIN = {"avatarUrl": "", "canPay": False, "isEnterprise": False}  # what there is not on this Hub


@fixed.add("GET", "whoami-v2")
def whoami(call: Call) -> Response:
    """Say who holds the token."""
    viewer = call.viewer
    if viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    with call.hub.database.read() as connection:
        full = call.hub.accounts.fullnames(connection, list(viewer.organisations))
    organisations = [
        {"type": "org", "id": name, "name": name, "fullname": full[name], "roleInOrg": role, **_PLAIN}
        for name, role in viewer.organisations.items()
    ]
    token: dict[str, Any] = {
        "displayName": viewer.token_name,
        "role": viewer.role,
        "createdAt": timestamp(viewer.created),
    }
    if viewer.role == "fineGrained":
        token["fineGrained"] = viewer.scopes.view()
    return JSONResponse(
        {
            "type": "user",
            "id": str(viewer.account_id),
            "name": viewer.name,
            "fullname": viewer.fullname,
            "email": viewer.email or None,
            "emailVerified": bool(viewer.email),
            "isPro": False,
            **_PLAIN,
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


@fixed.add("GET", "audit")
def audit(call: Call) -> Response:
    """List what was done, newest first: administrators see everything, others what they did themselves."""
    viewer = call.viewer
    if viewer is None:
        raise HubServerError(401, "Invalid username or password.")
    account, cursor = call.query("account"), call.number("cursor")
    if not viewer.admin:
        if account not in {None, viewer.name} or viewer.role == "fineGrained":
            raise HubServerError(403, "Only administrators read what others did")
        account = viewer.name
    with call.hub.database.read() as connection:
        rows = call.hub.audit.page(
            connection,
            account=account,
            subject=call.query("subject"),
            action=call.query("action"),
            before=cursor or None,
            limit=PAGE + 1,
        )
    shown = [
        {
            "id": row.id,
            "date": timestamp(row.moment),
            **{name: getattr(row, name) for name in ("account", "token", "address", "action", "subject")},
            "details": json.loads(row.details),
        }
        for row in rows
    ]
    return call.page(shown, [str(row.id) for row in rows])


@fixed.add("POST", "validate-yaml")
def validate_yaml(call: Call) -> Response:
    """Say what is wrong with a card's metadata."""
    content = call.json().get("content")
    if not isinstance(content, str):
        raise HubServerError(400, '"content" must be a string: the text of a README.md')
    try:
        card = read_card(content)
    except CardError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    problem = _index_problem(card.get("model-index"))
    if problem:
        return JSONResponse({"errors": [{"message": problem}], "warnings": []}, 400)
    warnings = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [], "warnings": warnings})


def _index_problem(index: Any) -> str:
    """Say what is wrong with a card's results; nothing where they can be read."""
    if index is None:
        return ""
    if not isinstance(index, list):
        return '"model-index" must be an array'
    for place, entry in enumerate(index):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            return f'"model-index[{place}].name" is required'
        if not isinstance(entry.get("results"), list):
            return f'"model-index[{place}].results" must be an array'
    return ""


@fixed.add("GET HEAD POST", "telemetry")
def telemetry(call: Call) -> Response:
    """Take nothing, keep nothing: clients that count their calls get their answer."""
    return Response(status_code=200)
