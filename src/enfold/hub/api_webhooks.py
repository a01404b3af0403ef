"""Calls about webhooks: addresses that the Hub tells what happens in repositories."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from enfold.hub.api_base import Caller, Token

__all__ = ["WebhookCalls", "WebhookInfo", "WebhookWatchedItem"]

_DOMAINS = ("repo", "discussion")


@dataclasses.dataclass
class WebhookWatchedItem:
    """What a webhook watches.

    Args:
        type: "user", "org", "model", "dataset" or "space".
        name: its name.
    """

    type: str
    name: str


@dataclasses.dataclass
class WebhookInfo:
    """A webhook.

    Args:
        id: its id.
        url: the address that is told.
        watched: what it watches.
        domains: "repo" (contents and settings), "discussion", or both.
        secret: sent along in the header ``X-Webhook-Secret``, so that the receiver knows the sender.
        disabled: whether it is switched off.
        job: the job that runs instead of a request, where the Hub has such.
    """

    id: str
    url: str | None
    watched: list[WebhookWatchedItem]
    domains: list[str]
    secret: str | None
    disabled: bool
    job: Any = None

    @classmethod
    def told(cls, answer: dict[str, Any]) -> WebhookInfo:
        """Return what an answer of the Hub describes."""
        watched = [WebhookWatchedItem(item["type"], item["name"]) for item in answer["watched"]]
        return cls(
            answer["id"],
            answer.get("url"),
            watched,
            answer["domains"],
            answer.get("secret"),
            answer["disabled"],
            answer.get("job"),
        )


class WebhookCalls(Caller):
    """Calls about the webhooks of the token's account."""

    def _webhook(self, method: str, token: Token, *path: str, **options: Any) -> WebhookInfo:
        address = "/".join([f"{self.endpoint}/api/settings/webhooks", *path])
        return WebhookInfo.told(self._send(method, address, token, **options).json()["webhook"])

    def list_webhooks(self, *, token: Token = None) -> list[WebhookInfo]:
        """Return the account's webhooks."""
        found = self._send("GET", f"{self.endpoint}/api/settings/webhooks", token).json()
        return [WebhookInfo.told(item) for item in found]

    def get_webhook(self, webhook_id: str, *, token: Token = None) -> WebhookInfo:
        """Return a webhook."""
        return self._webhook("GET", token, webhook_id)

    def create_webhook(
        self,
        *,
        url: str | None = None,
        job_id: str | None = None,
        watched: Sequence[dict[str, str] | WebhookWatchedItem],
        domains: Sequence[str] | None = None,
        secret: str | None = None,
        token: Token = None,
    ) -> WebhookInfo:
        """Make a webhook.

        Args:
            url: the address to tell.
            job_id: a job to run instead, where the Hub has such.
            watched: what to watch, such as ``{"type": "user", "name": "me"}``.
            domains: "repo", "discussion"; both by default.
            secret: sent along, so that the receiver knows the sender.
            token: a token that may write.

        Raises:
            ValueError: neither or both of ``url`` and ``job_id``.
        """
        if (url is None) == (job_id is None):
            raise ValueError("give either url or job_id")
        body = _body(url=url, jobSourceId=job_id, watched=watched, secret=secret)
        return self._webhook("POST", token, json={**body, "domains": list(domains or _DOMAINS)})

    def update_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        job_id: str | None = None,
        watched: Sequence[dict[str, str] | WebhookWatchedItem] | None = None,
        domains: Sequence[str] | None = None,
        secret: str | None = None,
        token: Token = None,
    ) -> WebhookInfo:
        """Change a webhook; what is None stays."""
        if url is not None and job_id is not None:
            raise ValueError("give either url or job_id")
        chosen = list(domains) if domains is not None else None
        body = _body(url=url, jobSourceId=job_id, watched=watched, domains=chosen, secret=secret)
        return self._webhook("POST", token, webhook_id, json=body)

    def enable_webhook(self, webhook_id: str, *, token: Token = None) -> WebhookInfo:
        """Switch a webhook on."""
        return self._webhook("POST", token, webhook_id, "enable")

    def disable_webhook(self, webhook_id: str, *, token: Token = None) -> WebhookInfo:
        """Switch a webhook off."""
        return self._webhook("POST", token, webhook_id, "disable")

    def delete_webhook(self, webhook_id: str, *, token: Token = None) -> None:
        """Delete a webhook."""
        self._send("DELETE", f"{self.endpoint}/api/settings/webhooks/{webhook_id}", token)


def _body(**given: Any) -> dict[str, Any]:
    """Return what was given as the Hub takes it."""
    body = {name: value for name, value in given.items() if value is not None}
    if "watched" in body:
        items = body["watched"]
        body["watched"] = [dataclasses.asdict(item) if isinstance(item, WebhookWatchedItem) else item for item in items]
    return body
