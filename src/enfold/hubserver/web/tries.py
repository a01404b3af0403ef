"""Trying a model on its page: a question, and what the model says."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.web.repo import show_card, task_of

__all__ = ["repository"]

repository = Routes()


@repository.add("GET HEAD", "try")
def form(call: Call) -> Response:
    """Show the model's page, where the question is asked."""
    return show_card(call)


@repository.add("POST", "try")
def answer(call: Call) -> Response:
    """Ask a model a question, and show the answer on its page."""
    text = call.field("inputs")
    with call.hub.database.read() as connection:
        row = call.readable(connection)
        head = call.hub.repositories.revision(connection, row.id, "main")
        task = task_of(row)
        problem = call.hub.models.why_not(connection, head, task)
        if problem is not None or task is None:
            raise HubServerError(404, problem or "This model cannot be tried here.")
        asked = call.hub.models.ask(connection, head, task, text)
    said = call.hub.models.answer(asked)
    return show_card(call, tried=text, answer=_shown(said))


def _shown(said: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as the page shows it: labels with scores, or a text."""
    if "error" in said:
        return {"error": said["error"]}
    found = said["answer"]
    while isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not isinstance(found, list):
        found = [found]
    scores, texts = [], []
    for one in found:
        if not isinstance(one, dict):
            texts.append(str(one))
        elif "score" in one:
            label = one.get("token_str") or one.get("label") or one.get("entity_group") or one.get("entity") or ""
            if "word" in one:
                label = f"{one['word']}: {label}"
            scores.append((str(label).strip(), float(one["score"])))
        else:
            texts.append(str(next((value for key, value in one.items() if key.endswith("_text")), one)))
    return {"scores": scores, "texts": texts, "none": not scores and not texts}
