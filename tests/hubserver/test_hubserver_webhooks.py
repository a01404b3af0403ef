"""Webhooks: who watches is told, in order, until they have heard; nobody inside the Hub's network is told unasked."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hubserver_raw import commit, file

from enfold.hub import HfApi, WebhookWatchedItem
from enfold.hub.errors import HfHubHTTPError
from enfold.hubserver import EmbeddedHub, webhooks
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.outside import address_of
from enfold.web.server import BackgroundServer


class Ear:
    """An address that hears: what came, and what it answers."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        self.heard.put(({key.decode(): value.decode() for key, value in scope["headers"]}, body))
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    def next(self) -> dict[str, Any]:
        return dict(json.loads(self.heard.get(timeout=10)[1]))

    def silent(self) -> bool:
        try:
            self.heard.get(timeout=0.3)
        except queue.Empty:
            return True
        return False


@pytest.fixture
def ear() -> Iterator[tuple[Ear, str]]:
    made = Ear()
    server = BackgroundServer(made)
    yield made, server.url
    server.stop()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path / "data", durable=False, webhook_hosts=["127.0.0.1"]) as hub:
        yield hub


@pytest.fixture
def api(running: EmbeddedHub) -> HfApi:
    return HfApi(endpoint=running.endpoint, token=running.token)


def test_what_happens_is_told_in_order(api: HfApi, running: EmbeddedHub, ear: tuple[Ear, str]) -> None:
    heard, url = ear
    hook = api.create_webhook(url=f"{url}/hear?x=1", watched=[{"type": "user", "name": "owner"}], secret="between us")
    api.create_repo("owner/told")
    first, body = heard.heard.get(timeout=10)
    assert first["x-webhook-secret"] == "between us" and first["content-type"] == "application/json"
    assert first["x-webhook-signature"] == "sha256=" + hmac.new(b"between us", body, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert told["event"] == {"action": "create", "scope": "repo"} and told["webhook"] == {"id": hook.id, "version": 3}
    assert told["repo"]["name"] == "owner/told" and told["repo"]["url"]["web"] == f"{running.endpoint}/owner/told"
    start = heard.next()["updatedRefs"][0]
    assert start["oldSha"] is None and start["ref"] == "refs/heads/main"
    made = api.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id="owner/told")
    assert heard.next()["updatedRefs"] == [{"ref": "refs/heads/main", "oldSha": start["newSha"], "newSha": made.oid}]
    api.create_tag("owner/told", tag="v1")
    assert heard.next()["updatedRefs"] == [{"ref": "refs/tags/v1", "oldSha": None, "newSha": made.oid}]
    api.create_discussion("owner/told", "Why?", description="Tell me")
    opened, said = heard.next(), heard.next()
    assert opened["event"] == {"action": "create", "scope": "discussion"} and opened["discussion"]["title"] == "Why?"
    assert said["event"]["scope"] == "discussion.comment" and said["comment"]["content"] == "Tell me"
    api.change_discussion_status("owner/told", 1, "closed")
    assert heard.next()["discussion"]["status"] == "closed"
    api.update_repo_settings("owner/told", private=True)
    assert heard.next()["event"]["scope"] == "repo.config"
    api.move_repo("owner/told", "owner/moved")
    assert heard.next()["movedTo"]["name"] == "owner/moved"
    api.delete_repo("owner/moved")
    assert heard.next()["event"] == {"action": "delete", "scope": "repo"}
    assert heard.silent()


def test_only_what_is_watched_and_may_be_seen_is_told(api: HfApi, running: EmbeddedHub, ear: tuple[Ear, str]) -> None:
    heard, url = ear
    guest = HfApi(endpoint=running.endpoint, token=running.create_user("guest"))
    hook = guest.create_webhook(url=url, watched=[WebhookWatchedItem("model", "owner/seen")], domains=["discussion"])
    api.create_repo("owner/other")
    api.create_repo("owner/seen")
    assert heard.silent()
    api.create_discussion("owner/seen", "Open")
    assert heard.next()["discussion"]["title"] == "Open" and heard.next()["event"]["scope"] == "discussion.comment"
    api.update_repo_settings("owner/seen", private=True)
    api.create_discussion("owner/seen", "Secret")
    assert heard.silent(), "what became private is nobody else's business"
    api.update_repo_settings("owner/seen", private=False)
    guest.disable_webhook(hook.id)
    api.create_discussion("owner/seen", "Unheard")
    assert heard.silent()
    guest.enable_webhook(hook.id)
    api.comment_discussion("owner/seen", 1, "Heard")
    assert heard.next()["comment"]["content"] == "Heard"


def test_who_did_not_hear_is_told_again(
    api: HfApi, ear: tuple[Ear, str], monkeypatch: pytest.MonkeyPatch, running: EmbeddedHub
) -> None:
    heard, url = ear
    monkeypatch.setattr(webhooks, "_WAITS", (0.05, 0.05))
    api.create_webhook(url=url, watched=[{"type": "user", "name": "owner"}], domains=["discussion"])
    api.create_repo("owner/told")
    heard.status = 500
    api.create_pull_request("owner/told", "Draft", description="x")
    assert [heard.next()["event"]["scope"] for _ in range(2)]
    heard.status = 200
    deadline = time.monotonic() + 10
    while running.hub.webhooks.next_due() is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.hub.webhooks.next_due() is None
    heard.status = 302
    while not heard.silent():
        pass
    api.comment_discussion("owner/told", 1, "never heard")
    assert [heard.next()["comment"]["content"] for _ in range(3)] == ["never heard"] * 3, "then it is given up"
    assert heard.silent() and running.hub.webhooks.next_due() is None


def test_what_waits_is_sent_after_a_restart(tmp_path: Path, ear: tuple[Ear, str]) -> None:
    heard, url = ear
    heard.status = 503
    with EmbeddedHub(tmp_path / "data", durable=False, webhook_hosts=["127.0.0.1"]) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_webhook(url=url, watched=[{"type": "user", "name": "owner"}])
        api.create_repo("owner/late")
        heard.next()
    heard.status = 200
    while not heard.silent():
        pass
    with EmbeddedHub(tmp_path / "data", durable=False, webhook_hosts=["127.0.0.1"]):
        assert heard.next()["repo"]["name"] == "owner/late"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/x", "http://localhost/x", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data",
        "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/", "http://192.168.1.1", "http://2130706433/",
        "http://user:password@example.com/", "ftp://example.com/", "file:///etc/passwd", "http://", "x",
        "http://no-such-host.invalid/",
    ],
)  # fmt: skip
def test_no_address_inside_the_network_is_told(url: str) -> None:
    with pytest.raises(HubServerError):
        address_of(url)


def test_an_address_that_leads_inside_later_is_not_told(running: EmbeddedHub, ear: tuple[Ear, str]) -> None:
    """A name that meant a host of the internet when the webhook was made, and means an insider now."""
    heard, url = ear
    delivery = webhooks.Delivery(running.hub.webhooks)
    message: Any = SimpleNamespace(url=url, secret=None, body="{}")
    assert delivery._send(message) is False and heard.silent()
    delivery.stop()


def test_bad_webhooks_are_refused(api: HfApi, running: EmbeddedHub) -> None:
    watched = [{"type": "user", "name": "owner"}]
    where = "http://127.0.0.1:9/x"
    for words, given in {
        "something to watch": {"url": where, "watched": []},
        "not 'planet'": {"url": where, "watched": [{"type": "planet", "name": "x"}]},
        '"type" and a "name"': {"url": where, "watched": [{"type": "user"}]},
        "domains": {"url": where, "watched": watched, "domains": ["weather"]},
        "inside this Hub": {"url": "http://10.1.2.3/x", "watched": watched},
        "secret": {"url": where, "watched": watched, "secret": "\u00fc"},
        "no jobs": {"job_id": "x", "watched": watched},
    }.items():
        with pytest.raises(HfHubHTTPError, match=words):
            api.create_webhook(**given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="either url or job_id"):
        api.create_webhook(watched=watched)
    assert api.list_webhooks() == []
    hook = api.create_webhook(url=where, watched=watched)
    assert api.get_webhook(hook.id) == hook and hook.domains == ["discussion", "repo"] and not hook.disabled
    changed = api.update_webhook(hook.id, domains=["repo"], watched=[{"type": "org", "name": "team"}])
    assert (
        changed.domains == ["repo"] and changed.watched == [WebhookWatchedItem("org", "team")] and changed.url == where
    )
    guest = HfApi(endpoint=running.endpoint, token=running.create_user("guest"))
    for call in (guest.get_webhook, guest.enable_webhook, guest.delete_webhook):
        with pytest.raises(HfHubHTTPError, match="no webhook"):
            call(hook.id)  # type: ignore[operator]
    reader = HfApi(endpoint=running.endpoint, token=running.create_user("reads", role="read"))
    with pytest.raises(HfHubHTTPError, match="only read"):
        reader.create_webhook(url=where, watched=watched)
    api.delete_webhook(hook.id)
    assert api.list_webhooks() == []


def test_a_commit_does_not_wait_for_who_is_told(api: HfApi, running: EmbeddedHub) -> None:
    import socket

    import httpx

    with socket.socket() as deaf:  # takes connections and never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(50)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        api.create_webhook(url=url, watched=[{"type": "user", "name": "owner"}])
        api.create_repo("owner/quick")
        client = httpx.Client(base_url=running.endpoint, headers={"Authorization": f"Bearer {running.token}"})
        begun = time.monotonic()
        assert commit(client, "owner/quick", file("a", b"a")).status_code == 200
        assert time.monotonic() - begun < 5
        deaf.close()
