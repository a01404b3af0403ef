"""Who did what, when and from where is written down with what was done, and stays written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hubserver_raw import commit, file
from postgres import postgres
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from enfold.hubserver import EmbeddedHub


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    folder = tmp_path_factory.mktemp("hub")
    if request.param == "sqlite":
        with EmbeddedHub(folder, durable=False) as made:
            yield made
        return
    import psycopg

    with postgres() as address:
        with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE hub")
        with EmbeddedHub(folder, durable=False, database=address.format(name="hub")) as made:
            yield made


@pytest.fixture(scope="module")
def http(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}) as client:
        yield client


def test_what_is_done_is_written_down(hub: EmbeddedHub, http: httpx.Client) -> None:
    assert http.post("/api/repos/create", json={"name": "told"}).status_code == 200
    head = commit(http, "owner/told", file("a", b"a")).json()["commitOid"]
    assert http.put("/api/models/owner/told/settings", json={"private": True}).status_code == 200
    assert http.post("/api/repos/move", json={"fromRepo": "owner/told", "toRepo": "owner/moved"}).status_code == 200
    assert http.request("DELETE", "/api/repos/delete", json={"name": "moved"}).status_code == 200
    with hub.hub.database.read() as connection:
        rows = hub.hub.audit.page(connection, account="owner", action="repo")
    assert [row.action for row in reversed(rows)] == [
        "repo.create",
        "repo.content.update",
        "repo.content.update",
        "repo.config.update",
        "repo.move",
        "repo.delete",
    ]
    assert {row.address for row in rows} == {"127.0.0.1"} and {row.token for row in rows} == {"embedded session"}
    assert json.loads(rows[3].details)["updatedRefs"][0]["newSha"] == head
    assert rows[0].subject == "models/owner/moved" and rows[-1].subject == "models/owner/told"


def test_what_did_not_happen_is_not_written_down(hub: EmbeddedHub, http: httpx.Client) -> None:
    with hub.hub.database.read() as connection:
        before = hub.hub.audit.page(connection, limit=1)[0].id
    assert http.post("/api/repos/create", json={"name": "bad--name"}).status_code == 400
    with hub.hub.database.read() as connection:
        assert hub.hub.audit.page(connection, limit=1)[0].id == before


def test_secrets_are_not_written_down(hub: EmbeddedHub) -> None:
    hub.hub.accounts.create_user("ann", password="a long password")
    secret = hub.hub.tokens.create("ann", name="laptop")
    with hub.hub.database.read() as connection:
        rows = hub.hub.audit.page(connection, subject="ann")
    assert {"account.create", "token.create"} <= {row.action for row in rows}
    assert rows[0].token == "this machine" and rows[0].account == ""
    assert not any(secret in row.details or "a long password" in row.details for row in rows)


def test_pages_of_the_log_follow_each_other(hub: EmbeddedHub) -> None:
    with hub.hub.database.read() as connection:
        whole = [row.id for row in hub.hub.audit.page(connection, limit=1000)]
        pages, before = list[int](), None
        while part := hub.hub.audit.page(connection, before=before, limit=3):
            pages += [row.id for row in part]
            before = part[-1].id
    assert pages == whole == sorted(whole, reverse=True)


def test_administrators_read_it_all_and_others_their_own(hub: EmbeddedHub, http: httpx.Client) -> None:
    secret = hub.create_user("bob")
    bob = {"Authorization": f"Bearer {secret}"}
    httpx.post(f"{hub.endpoint}/api/repos/create", json={"name": "bobs"}, headers=bob).raise_for_status()
    mine = httpx.get(f"{hub.endpoint}/api/audit", headers=bob).json()
    assert {item["account"] for item in mine} == {"bob"} and mine[0]["action"] == "repo.content.update"
    assert httpx.get(f"{hub.endpoint}/api/audit?account=owner", headers=bob).status_code == 403
    assert httpx.get(f"{hub.endpoint}/api/audit").status_code == 401
    seen = http.get("/api/audit", params={"account": "bob", "action": "repo.create"}).json()
    assert [item["subject"] for item in seen] == ["models/owner/bobs".replace("owner", "bob")]
    assert len(http.get("/api/audit").json()) > 3


@pytest.mark.parametrize("statement", ["UPDATE audit SET account = 'eve'", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_the_log(hub: EmbeddedHub, statement: str) -> None:
    with pytest.raises(DatabaseError, match="only added to"), hub.hub.database.write() as connection:
        connection.execute(text(statement))


def test_a_log_that_was_changed_in_spite_of_that_shows(hub: EmbeddedHub) -> None:
    assert hub.hub.audit.verify() is None
    with hub.hub.database.write() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update" + ("" if hub.hub.database.sqlite else " ON audit")))
        connection.execute(text("UPDATE audit SET account = 'eve' WHERE id = 3"))
    assert "the row 3" in str(hub.hub.audit.verify())


def test_a_new_server_has_an_empty_log_that_is_sound(tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path, durable=False) as made:
        assert made.hub.audit.verify() is None
