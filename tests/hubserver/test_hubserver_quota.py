"""What a namespace may hold is limited, and said before the bytes come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file
from postgres import postgres
from xet_raw import shard, xorb

from enfold.hubserver import EmbeddedHub

LIMIT = 1_000_000
_names = count()


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    folder = tmp_path_factory.mktemp("hub")
    if request.param == "sqlite":
        with EmbeddedHub(folder, durable=False, quota=LIMIT) as made:
            yield made
        return
    import psycopg

    with postgres() as address:
        with psycopg.connect(address.format(name="postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE hub")
        with EmbeddedHub(folder, durable=False, quota=LIMIT, database=address.format(name="hub")) as made:
            yield made


class Person:
    """Somebody with a namespace of their own and one repository in it."""

    def __init__(self, hub: EmbeddedHub) -> None:
        self.name = f"person{next(_names)}"
        headers = {"Authorization": f"Bearer {hub.create_user(self.name)}"}
        self.http = httpx.Client(base_url=hub.endpoint, headers=headers)
        self.repo = self.make("one")

    def make(self, name: str) -> str:
        self.http.post("/api/repos/create", json={"name": name}).raise_for_status()
        return f"{self.name}/{name}"

    def ask(self, repo: str, *datas: bytes) -> httpx.Response:
        objects = [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data)} for data in datas]
        body = {"operation": "upload", "objects": objects}
        return self.http.post(f"/{repo}.git/info/lfs/objects/batch", json=body)

    def upload(self, repo: str, data: bytes) -> httpx.Response:
        answer = self.ask(repo, data)
        if answer.status_code != 200:
            return answer
        return httpx.put(answer.json()["objects"][0]["actions"]["upload"]["href"], content=data)

    def chunks(self, repo: str, contents: list[bytes]) -> tuple[httpx.Response, httpx.Response | None]:
        told = self.http.get(f"/api/models/{repo}/xet-write-token/main").json()
        headers = {"Authorization": f"Bearer {told['accessToken']}"}
        name, data = xorb(contents)
        first = httpx.post(f"{told['casUrl']}/v1/xorbs/default/{name}", content=data, headers=headers)
        if first.status_code != 200:
            return first, None
        body = shard(contents, [(name, 0, len(contents))])[1]
        return first, httpx.post(f"{told['casUrl']}/v1/shards", content=body, headers=headers)

    def usage(self) -> dict[str, Any]:
        return dict(self.http.get(f"/api/users/{self.name}/usage").json())


@pytest.fixture
def person(hub: EmbeddedHub) -> Person:
    return Person(hub)


def test_a_large_file_is_refused_before_it_is_sent(person: Person) -> None:
    assert person.upload(person.repo, os.urandom(600_000)).status_code == 200
    refused = person.ask(person.repo, os.urandom(500_000))
    assert refused.status_code == 403
    said = refused.json()["error"]
    assert "1,000,000 bytes that it may" in said and "500,000 more" in said and "ask who runs this Hub" in said
    assert person.upload(person.repo, os.urandom(300_000)).status_code == 200


def test_several_files_are_counted_together(person: Person) -> None:
    assert person.ask(person.repo, os.urandom(400_000), os.urandom(400_000)).status_code == 200
    assert person.ask(person.repo, *(os.urandom(400_000) for _ in range(3))).status_code == 403


def test_addresses_given_before_do_not_lead_past_the_limit(person: Person) -> None:
    datas = [os.urandom(600_000) for _ in range(2)]
    hrefs = [person.ask(person.repo, data).json()["objects"][0]["actions"]["upload"]["href"] for data in datas]
    statuses = [httpx.put(href, content=data).status_code for href, data in zip(hrefs, datas, strict=True)]
    assert statuses == [200, 403]


def test_a_content_counts_once(person: Person) -> None:
    data = os.urandom(700_000)
    other = person.make("two")
    assert person.upload(person.repo, data).status_code == 200
    before = person.usage()["used"]
    assert person.upload(other, data).status_code == 200
    assert person.usage()["used"] == before
    assert person.usage()["limit"] == LIMIT


def test_chunks_count_while_no_file_is_made_of_them(person: Person) -> None:
    contents = [os.urandom(100_000) for _ in range(6)]
    first, second = person.chunks(person.repo, contents)
    assert first.status_code == 200 and second is not None and second.status_code == 200
    assert 600_000 <= person.usage()["used"] < 610_000
    told = person.http.get(f"/api/models/{person.repo}/xet-write-token/main").json()
    headers = {"Authorization": f"Bearer {told['accessToken']}"}
    name, data = xorb([os.urandom(100_000) for _ in range(3)])
    assert httpx.post(f"{told['casUrl']}/v1/xorbs/default/{name}", content=data, headers=headers).status_code == 200
    assert 900_000 <= person.usage()["used"] < 910_000
    refused, _ = person.chunks(person.repo, [os.urandom(100_000) for _ in range(2)])
    assert refused.status_code == 403


def test_small_files_count_too(person: Person) -> None:
    text = os.urandom(150_000).hex().encode()
    for number in range(3):
        assert commit(person.http, person.repo, file(f"{number}.txt", text + b"%d" % number)).status_code == 200
    head = person.http.get(f"/api/models/{person.repo}").json()["sha"]
    refused = commit(person.http, person.repo, file("more.txt", text + b"more"))
    assert refused.status_code == 403
    assert person.http.get(f"/api/models/{person.repo}").json()["sha"] == head
    assert commit(person.http, person.repo, file("again.txt", text + b"0")).status_code == 200, "nothing new in it"


def test_a_long_commit_is_refused_before_it_is_read(person: Person) -> None:
    refused = commit(person.http, person.repo, file("a.bin", os.urandom(3_000_000)))
    assert refused.status_code == 403 and "may" in refused.json()["error"]


def test_what_is_deleted_makes_room(person: Person) -> None:
    data = os.urandom(900_000)
    assert person.upload(person.repo, data).status_code == 200
    assert person.ask(person.repo, os.urandom(900_000)).status_code == 403
    body = {"deletions": {"sha": [hashlib.sha256(data).hexdigest()]}}
    assert person.http.post(f"/api/models/{person.repo}/lfs-files/batch", json=body).status_code == 200
    assert person.ask(person.repo, os.urandom(900_000)).status_code == 200


def test_copies_and_moves_do_not_lead_past_the_limit(hub: EmbeddedHub, person: Person) -> None:
    assert person.upload(person.repo, os.urandom(900_000)).status_code == 200
    other = Person(hub)
    assert other.upload(other.repo, os.urandom(900_000)).status_code == 200
    target = {"repository": f"{other.name}/copy"}
    copied = other.http.post(f"/api/models/{person.repo}/duplicate", json=target)
    assert copied.status_code == 403
    assert other.http.get(f"/api/models/{other.name}/copy").status_code == 404, "and nothing is left of it"


def test_an_account_may_have_a_limit_of_its_own(hub: EmbeddedHub, person: Person) -> None:
    hub.hub.accounts.change_user(person.name, {"quota": 3 * LIMIT})
    assert person.ask(person.repo, os.urandom(2 * LIMIT)).status_code == 200
    hub.hub.accounts.change_user(person.name, {"quota": 0})
    assert person.ask(person.repo, b"x").status_code == 403


def test_only_members_see_what_is_used(hub: EmbeddedHub, person: Person) -> None:
    assert httpx.get(f"{hub.endpoint}/api/users/{person.name}/usage").status_code == 401
    assert Person(hub).http.get(f"/api/users/{person.name}/usage").status_code == 403
