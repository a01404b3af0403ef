"""What tokens allow: reading, writing, or certain rights in certain places, for as long as they last."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file
from sqlalchemy import update

from enfold.hubserver import EmbeddedHub
from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.tokens import digest_of
from enfold.hubserver.viewers import RIGHTS, Scopes


@pytest.fixture(scope="module")
def people(embedded: EmbeddedHub) -> EmbeddedHub:
    """Ann writes in the organisation "guild"; each namespace has a private model."""
    ann = embedded.create_user("ann")
    embedded.create_organisation("guild", {"ann": "write"})
    with client(embedded, ann) as http:
        for owner in ("ann", "guild"):
            for name in ("one", "two"):
                body = {"name": name, "organization": owner, "private": True}
                assert http.post("/api/repos/create", json=body).status_code == 200
    return embedded


def client(hub: EmbeddedHub, token: str) -> httpx.Client:
    return httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {token}"})


def fine(hub: EmbeddedHub, *scoped: tuple[str, str, list[str]], everywhere: list[str] = []) -> httpx.Client:  # noqa: B006
    value = {
        "global": everywhere,
        "scoped": [dict(zip(("type", "name", "rights"), item, strict=True)) for item in scoped],
    }
    return client(hub, hub.hub.tokens.create("ann", role="fineGrained", name="fine", scopes=Scopes.read(value)))


def reads(http: httpx.Client) -> set[str]:
    names = ("ann/one", "ann/two", "guild/one", "guild/two")
    return {name for name in names if http.get(f"/api/models/{name}").status_code == 200}


def writes(http: httpx.Client) -> set[str]:
    names = ("ann/one", "ann/two", "guild/one", "guild/two")
    return {name for name in names if commit(http, name, file("a", str(time.time()).encode())).status_code == 200}


@pytest.mark.parametrize(
    ("scope", "read", "written"),
    [
        (("model", "ann/one", ["repo.content.read"]), {"ann/one"}, set()),
        (("model", "ANN/One", ["repo.write"]), {"ann/one"}, {"ann/one"}),
        (("dataset", "ann/one", ["repo.write"]), set(), set()),
        (("user", "ann", ["repo.content.read"]), {"ann/one", "ann/two"}, set()),
        (("org", "guild", ["repo.write"]), {"guild/one", "guild/two"}, {"guild/one", "guild/two"}),
        (("org", "owner", ["repo.write"]), set(), set()),
        (("user", "ann", ["discussion.write"]), set(), set()),
    ],
)
def test_a_right_holds_where_it_was_given(
    people: EmbeddedHub, scope: tuple[str, str, list[str]], read: set[str], written: set[str]
) -> None:
    with fine(people, scope) as http:
        assert (reads(http), writes(http)) == (read, written)


def test_a_right_for_everything_is_still_no_more_than_the_account_has(people: EmbeddedHub) -> None:
    other = people.create_user("bob")
    with client(people, other) as http:
        assert http.post("/api/repos/create", json={"name": "shut", "private": True}).status_code == 200
        assert http.post("/api/repos/create", json={"name": "open"}).status_code == 200
    with fine(people, everywhere=["repo.write"]) as http:
        assert len(reads(http)) == len(writes(http)) == 4
        assert http.get("/api/models/bob/shut").status_code == 404
        assert commit(http, "bob/open", file("a", b"")).status_code == 403


def test_lists_show_what_the_token_may_read(people: EmbeddedHub) -> None:
    with fine(people, ("org", "guild", ["repo.content.read"])) as http:
        assert {item["id"] for item in http.get("/api/models?author=guild").json()} == {"guild/one", "guild/two"}
        assert http.get("/api/models?author=ann").json() == []


def test_a_repository_is_made_only_where_writing_is_allowed(people: EmbeddedHub) -> None:
    with fine(people, ("user", "ann", ["repo.write"])) as http:
        assert http.post("/api/repos/create", json={"name": "made"}).status_code == 200
        refused = http.post("/api/repos/create", json={"name": "made", "organization": "guild"})
        assert refused.status_code == 403 and "repo.write" in refused.json()["error"]
        assert http.request("DELETE", "/api/repos/delete", json={"name": "made"}).status_code == 200


def test_comments_webhooks_and_collections_have_rights_of_their_own(people: EmbeddedHub) -> None:
    asked: dict[str, Any] = {
        "discussion.write": ("/api/models/ann/one/discussions", {"title": "A question", "description": "?"}),
        "user.webhooks.write": ("/api/settings/webhooks", {"url": "http://127.0.0.1", "watched": []}),
        "collection.write": ("/api/collections", {"title": "mine", "namespace": "ann"}),
    }
    for right, (address, body) in asked.items():
        for other in asked:
            with fine(people, ("user", "ann", ["repo.content.read"]), everywhere=[other]) as http:
                answer = http.post(address, json=body)
                assert (answer.status_code == 403) == (other != right), (right, other, answer.text)


def test_whoami_reports_rights_as_the_official_hub_does(people: EmbeddedHub) -> None:
    with fine(people, ("model", "ann/one", ["repo.write"]), everywhere=["discussion.write"]) as http:
        token = http.get("/api/whoami-v2").json()["auth"]["accessToken"]
    assert token["role"] == "fineGrained" and token["displayName"] == "fine"
    assert token["fineGrained"]["global"] == ["discussion.write"]
    (scoped,) = token["fineGrained"]["scoped"]
    assert scoped["entity"] == {"_id": "ann/one", "type": "model", "name": "ann/one"}
    assert scoped["permissions"] == ["repo.content.read", "repo.write"]


def test_an_administrator_gives_no_more_by_a_fine_grained_token_than_it_says(people: EmbeddedHub) -> None:
    scopes = Scopes.read({"scoped": [{"type": "user", "name": "owner", "rights": ["repo.write"]}]})
    secret = people.hub.tokens.create("owner", role="fineGrained", scopes=scopes)
    with client(people, secret) as http:
        assert reads(http) == set()


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"global": ["repo.destroy"]},
        {"scoped": [{"type": "planet", "name": "x", "rights": ["repo.write"]}]},
        {"scoped": [{"type": "model", "name": "x", "rights": ["repo.write"]}]},
        {"scoped": [{"type": "user", "name": "x/y", "rights": ["repo.write"]}]},
        {"scoped": [{"type": "user", "name": "x", "rights": []}]},
        {"scoped": [{"type": "user"}]},
    ],
)
def test_scopes_that_say_nothing_sensible_are_refused(value: Any) -> None:
    with pytest.raises(HubServerError) as refused:
        Scopes.read(value)
    assert refused.value.status == 400


def test_scopes_are_read_back_as_they_were_written() -> None:
    value = {"global": sorted(RIGHTS), "scoped": [{"type": "org", "name": "Guild", "rights": ["repo.write"]}]}
    scopes = Scopes.read(value)
    assert Scopes.loads(scopes.dumps()) == scopes


def test_a_token_is_refused_once_it_expired(people: EmbeddedHub) -> None:
    secret = people.hub.tokens.create("ann", expires=time.time() + 60, name="short")
    with client(people, secret) as http:
        assert http.get("/api/whoami-v2").status_code == 200
        with people.hub.database.write() as connection:
            digest = db.token.c.digest == digest_of(secret)
            connection.execute(update(db.token).where(digest).values(expires=time.time() - 1))
        answer = http.get("/api/whoami-v2")
    assert answer.status_code == 401 and "'short' expired on" in answer.json()["error"]
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"
    with pytest.raises(HubServerError, match="expired already"):
        people.hub.tokens.create("ann", expires=time.time() - 1)


def test_when_a_token_was_last_used_is_noted(people: EmbeddedHub) -> None:
    secret = people.hub.tokens.create("ann", name="watched")

    def used() -> float | None:
        with people.hub.database.read() as connection:
            return next(row.used for row in people.hub.tokens.of(connection, "ann") if row.name == "watched")

    assert used() is None
    with client(people, secret) as http:
        http.get("/api/whoami-v2")
        first = used()
        assert first is not None and time.time() - first < 60
        http.get("/api/whoami-v2")
    people.hub.tokens.flush()
    assert used() == first, "not every use is a write"


def test_a_locked_account_may_do_nothing(people: EmbeddedHub) -> None:
    secret = people.create_user("eve")
    people.hub.accounts.change_user("eve", {"locked": True})
    with client(people, secret) as http:
        assert http.get("/api/models").status_code == 403
    people.hub.accounts.change_user("eve", {"locked": False})
    with client(people, secret) as http:
        assert http.get("/api/models").status_code == 200


def test_a_revoked_token_is_none(people: EmbeddedHub) -> None:
    secret = people.hub.tokens.create("ann", name="leaked")
    with people.hub.database.read() as connection:
        number = next(row.id for row in people.hub.tokens.of(connection, "ann") if row.name == "leaked")
    with pytest.raises(HubServerError, match="no token number"):
        people.hub.tokens.revoke("bob", number)
    assert people.hub.tokens.revoke("ann", number) == "leaked"
    with client(people, secret) as http:
        assert http.get("/api/whoami-v2").status_code == 401
