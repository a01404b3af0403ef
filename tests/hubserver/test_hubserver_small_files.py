"""Many small files of a revision in one answer: what is not small, not there or not for everybody stays out of it."""

from __future__ import annotations

import httpx
import pytest
from hubserver_raw import commit, file


def parts(body: bytes) -> list[bytes | None]:
    found: list[bytes | None] = []
    while body:
        length, body = int.from_bytes(body[:4], "big"), body[4:]
        found.append(None if length == 0xFFFFFFFF else body[:length])
        body = body if length == 0xFFFFFFFF else body[length:]
    return found


def test_contents_come_in_the_order_of_the_paths(http: httpx.Client, name: str) -> None:
    commit(http, name, file("a.txt", b"a"), file("b/c.txt", b""), file("large.txt", b"x" * 40_000)).raise_for_status()
    asked = ["b/c.txt", "large.txt", "a.txt", "absent.txt", "b", "a.txt", "../a.txt"]
    answer = http.post(f"/api/models/{name}/small-files/main", json={"paths": asked})
    assert parts(answer.content) == [b"", None, b"a", None, None, b"a", None]
    assert answer.headers["x-repo-commit"] == http.get(f"/api/models/{name}").json()["sha"]


def test_only_who_may_read_them_gets_them(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    commit(http, name, file("a.txt", b"a")).raise_for_status()
    address, said = f"/api/models/{name}/small-files/main", {"paths": ["a.txt"]}
    assert parts(anonymous.post(address, json=said).content) == [b"a"]
    http.put(f"/api/models/{name}/settings", json={"gated": "auto"}).raise_for_status()
    assert anonymous.post(address, json=said).status_code == 401
    http.put(f"/api/models/{name}/settings", json={"gated": "false", "private": True}).raise_for_status()
    assert anonymous.post(address, json=said).status_code == 401


@pytest.mark.parametrize("said", [{}, {"paths": "a.txt"}, {"paths": [1]}, {"paths": ["a"] * 1001}])
def test_what_is_no_list_of_paths_is_refused(http: httpx.Client, name: str, said: dict[str, object]) -> None:
    assert http.post(f"/api/models/{name}/small-files/main", json=said).status_code == 400
