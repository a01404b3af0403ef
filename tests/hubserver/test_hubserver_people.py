"""Gated repositories, likes, and what is told of people."""

from __future__ import annotations

from itertools import count

import httpx
import pytest
from hubserver_raw import commit, file

from enfold.hubserver import EmbeddedHub

_numbers = count()


@pytest.fixture
def guest(embedded: EmbeddedHub) -> httpx.Client:
    """A fresh user who may read public repositories."""
    headers = {"Authorization": f"Bearer {embedded.create_user(f'someone-{next(_numbers)}')}"}
    return httpx.Client(base_url=embedded.endpoint, headers=headers)


def who(client: httpx.Client) -> str:
    return str(client.get("/api/whoami-v2").json()["name"])


@pytest.fixture
def gated(http: httpx.Client, name: str) -> str:
    commit(http, name, file("w.safetensors", b"weights" * 10), file("README.md", b"# Terms\n"), file("a.txt", b"a"))
    http.put(f"/api/models/{name}/settings", json={"gated": "manual"})
    return name


def test_a_gated_repository_shows_itself_and_keeps_its_files(
    http: httpx.Client, guest: httpx.Client, anonymous: httpx.Client, gated: str
) -> None:
    objects = {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}
    for client, status in ((anonymous, 401), (guest, 403)):
        assert client.get(f"/api/models/{gated}").json()["gated"] == "manual"
        assert len(client.get(f"/api/models/{gated}/tree/main").json()) == 4
        for address in (
            f"/{gated}/resolve/main/a.txt",
            f"/{gated}/raw/main/w.safetensors",
            f"/api/models/{gated}/xet-read-token/main",
            f"/api/models/{gated}/auth-check",
        ):
            refused = client.get(address)
            assert (refused.status_code, refused.headers["x-error-code"]) == (status, "GatedRepo"), address
        assert client.post(f"/{gated}.git/info/lfs/objects/batch", json=objects).status_code == status
        page = client.get(f"/{gated}/blob/main/a.txt", headers={"accept": "text/html"})
        assert page.status_code == status and "<code>a</code>" not in page.text
        assert client.get(f"/{gated}", headers={"accept": "text/html"}).status_code == 200
    assert http.get(f"/{gated}/resolve/main/a.txt").text == "a", "members need not ask"


def test_who_may_propose_may_not_read_for_that(
    http: httpx.Client, guest: httpx.Client, embedded: EmbeddedHub, gated: str
) -> None:
    told = guest.get(f"/api/models/{gated}/xet-write-token/main", params={"create_pr": "1"})
    assert told.status_code == 200
    right = {"Authorization": f"Bearer {told.json()['accessToken']}"}
    refused = httpx.get(f"{embedded.endpoint}/cas/v2/reconstructions/{'0' * 64}", headers=right)
    assert refused.status_code == 403 and "ask for one to read" in refused.json()["error"]


def test_access_is_asked_for_and_decided(http: httpx.Client, guest: httpx.Client, gated: str) -> None:
    address, name = f"/api/models/{gated}/user-access-request", who(guest)
    assert guest.post(f"/{gated}/ask-access", data={"purpose": "to learn"}).json() == {"status": "pending"}
    assert guest.post(f"/{gated}/ask-access", data={"purpose": "twice"}).json() == {"status": "pending"}
    assert "awaiting" in guest.get(f"/{gated}/resolve/main/a.txt").json()["error"]
    (request,) = http.get(f"{address}/pending").json()
    assert request["user"]["user"] == name and request["fields"] == {"purpose": "to learn"}
    assert guest.get(f"{address}/pending").status_code == 403
    assert guest.post(f"{address}/handle", json={"user": name, "status": "accepted"}).status_code == 403
    accepted = http.post(f"{address}/handle", json={"requestId": request["requestId"], "status": "accepted"})
    assert accepted.status_code == 200 and guest.get(f"/{gated}/resolve/main/a.txt").text == "a"
    http.post(f"{address}/handle", json={"user": name, "status": "rejected", "rejectionReason": "no"})
    assert "rejected" in guest.get(f"/{gated}/resolve/main/a.txt").json()["error"]
    assert [item["user"]["user"] for item in http.get(f"{address}/rejected").json()] == [name]
    assert http.post(f"{address}/grant", json={"user": name}).status_code == 200
    assert guest.get(f"/{gated}/resolve/main/a.txt").status_code == 200
    for body, status in (
        ({"user": "nobody-here"}, 404),
        ({}, 400),
        ({"user": name}, 400),
    ):
        assert http.post(f"{address}/grant", json=body).status_code == status
    assert http.post(f"{address}/handle", json={"user": name, "status": "perhaps"}).status_code == 400
    assert http.post(f"{address}/handle", json={"requestId": "0" * 24, "status": "accepted"}).status_code == 404
    http.put(f"/api/models/{gated}/settings", json={"gated": False})
    assert http.get(f"{address}/pending").status_code == 400


def test_an_automatic_gate_opens_at_once(http: httpx.Client, guest: httpx.Client, gated: str) -> None:
    http.put(f"/api/models/{gated}/settings", json={"gated": "auto"})
    assert guest.post(f"/{gated}/ask-access").json() == {"status": "accepted"}
    assert guest.get(f"/{gated}/resolve/main/a.txt").text == "a"
    seen = guest.post(f"/{gated}/ask-access", headers={"accept": "text/html"}, follow_redirects=False)
    assert seen.status_code == 303 and seen.headers["location"].endswith(gated)


def test_likes_are_counted_once(http: httpx.Client, guest: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    for _ in range(2):
        assert guest.post(f"/api/models/{name}/like").status_code == 200
    http.post(f"/api/models/{name}/like")
    assert http.get(f"/api/models/{name}").json()["likes"] == 2
    assert {item["user"] for item in anonymous.get(f"/api/models/{name}/likers").json()} == {"owner", who(guest)}
    mine = anonymous.get(f"/api/users/{who(guest)}/likes").json()
    assert [item["repo"] for item in mine] == [{"name": name, "type": "model"}]
    http.put(f"/api/models/{name}/settings", json={"private": True})
    assert anonymous.get(f"/api/users/{who(guest)}/likes").json() == [], "private repositories are nobody's business"
    for _ in range(2):
        http.delete(f"/api/models/{name}/like")
    assert http.get(f"/api/models/{name}").json()["likes"] == 1
    assert anonymous.post(f"/api/models/{name}/like").status_code == 401


def test_people_and_organisations_are_described(
    http: httpx.Client, guest: httpx.Client, anonymous: httpx.Client, embedded: EmbeddedHub
) -> None:
    name = who(guest)
    embedded.create_organisation(f"team-of-{name}", {name: "write", "owner": "read"})
    guest.post("/api/repos/create", json={"name": "open", "organization": f"team-of-{name}", "type": "dataset"})
    guest.post("/api/repos/create", json={"name": "shut", "organization": f"team-of-{name}", "private": True})
    team = anonymous.get(f"/api/organizations/team-of-{name}/overview").json()
    assert (team["numUsers"], team["numDatasets"], team["numModels"]) == (2, 1, 0)
    assert guest.get(f"/api/organizations/team-of-{name}/overview").json()["numModels"] == 1
    members = anonymous.get(f"/api/organizations/team-of-{name}/members").json()
    assert [item["user"] for item in members] == sorted(["owner", name])
    person = anonymous.get(f"/api/users/{name}/overview").json()
    assert person["user"] == name and [item["name"] for item in person["orgs"]] == [f"team-of-{name}"]
    assert anonymous.get(f"/api/users/{name}/followers").json() == []
    for address in ("/api/users/nobody-here/overview", f"/api/organizations/{name}/overview", "/api/users/x/none"):
        assert anonymous.get(address).status_code == 404
