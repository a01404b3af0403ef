"""What administrators see and do, and that nobody else does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from hubserver_raw import commit, file

from enfold.hubserver import EmbeddedHub

PAGE = {"accept": "text/html"}
PATHS = ("/admin", "/admin/audit", "/admin/state")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("admin"), durable=False) as hub:
        hub.hub.accounts.create_user("root", password="a long pass phrase", admin=True)
        hub.hub.accounts.create_user("ann", password="a long pass phrase")
        yield hub


@contextmanager
def sign_in(hub: EmbeddedHub, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.endpoint, follow_redirects=True, headers=PAGE) as client:
        assert client.post("/login", data={"name": name, "password": "a long pass phrase"}).status_code == 200
        yield client


@pytest.fixture(scope="module")
def root(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with sign_in(hub, "root") as client:
        yield client


@pytest.fixture(scope="module")
def ann(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with sign_in(hub, "ann") as client:
        yield client


def proof(client: httpx.Client) -> str:
    return client.get("/").text.partition('name="proof" value="')[2].partition('"')[0]


def test_only_administrators_see_the_pages(hub: EmbeddedHub, ann: httpx.Client, root: httpx.Client) -> None:
    for path in PATHS:
        assert root.get(path).status_code == 200
        assert ann.get(path).status_code == 403
        assert httpx.get(hub.endpoint + path).status_code == 401
        token = {"Authorization": f"Bearer {hub.token}"}  # an administrator's: a program has no business there
        assert httpx.get(hub.endpoint + path, headers=token).status_code == 401
    for path, data in (("/admin", {"account": "root", "do": "lock"}), ("/admin/state", {"do": "collect"})):
        assert ann.post(path, data={**data, "proof": proof(ann)}).status_code == 403
        assert root.post(path, data=data).status_code == 403  # without the proof
    assert "/admin" in root.get("/").text and "/admin" not in ann.get("/").text


def test_an_account_is_locked_and_let_in(hub: EmbeddedHub, root: httpx.Client) -> None:
    hub.hub.accounts.create_user("ben", password="a long pass phrase")
    right = proof(root)
    with sign_in(hub, "ben") as ben:
        assert ben.get("/settings").status_code == 200
        page = root.post("/admin", data={"proof": right, "account": "ben", "do": "lock"})
        assert "locked" in page.text and "Let in" in page.text
        assert ben.get("/settings").status_code != 200 or "Sign in" in ben.get("/settings").text
        root.post("/admin", data={"proof": right, "account": "ben", "do": "unlock"})
    assert "locked" not in root.get("/admin?search=be").text
    page = root.post("/admin", data={"proof": right, "account": "root", "do": "lock"})
    assert page.status_code == 400 and "lock yourself out" in page.text


def test_an_account_gets_a_quota(hub: EmbeddedHub, root: httpx.Client) -> None:
    right = proof(root)
    page = root.post("/admin", data={"proof": right, "account": "ann", "do": "quota", "quota": "1.5 MB"})
    assert 'value="1.5 MB"' in page.text
    with hub.hub.database.read() as connection:
        assert hub.hub.accounts.find(connection, "ann").quota == 1_500_000
    page = root.post("/admin", data={"proof": right, "account": "ann", "do": "quota", "quota": "much"})
    assert page.status_code == 400 and "is no size" in page.text
    root.post("/admin", data={"proof": right, "account": "ann", "do": "quota", "quota": ""})
    with hub.hub.database.read() as connection:
        assert hub.hub.accounts.find(connection, "ann").quota is None


def test_what_was_done_is_listed(hub: EmbeddedHub, root: httpx.Client) -> None:
    hub.create_user("carl")
    page = root.get("/admin/audit", params={"action": "token.", "subject": "carl"}).text
    assert "token.create" in page and "carl" in page and "session.create" not in page
    assert "Nothing." in root.get("/admin/audit", params={"account": "<b>"}).text


def test_checks_are_begun_and_say_what_they_found(hub: EmbeddedHub, root: httpx.Client) -> None:
    with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}) as http:
        http.post("/api/repos/create", json={"name": "one"})
        assert commit(http, "owner/one", file("a.txt", b"a")).status_code == 200
    right = proof(root)
    for work, said in (
        ("check", "2 commits, 2 folders, 2 contents, 0 xorbs were read."),
        ("audit", "Every row follows from the one before it."),
        ("count", "0 commits, 0 folders, 0 contents, 0 xorbs: 0 bytes."),
        ("collect", "0 commits, 0 folders, 0 contents, 0 xorbs: 0 bytes."),
    ):
        assert root.post("/admin/state", data={"proof": right, "do": work}).status_code == 200
        deadline = time.monotonic() + 20
        while said not in root.get("/admin/state").text:
            assert time.monotonic() < deadline, root.get("/admin/state").text
            time.sleep(0.05)
    assert root.post("/admin/state", data={"proof": right, "do": "nonsense"}).status_code == 400
