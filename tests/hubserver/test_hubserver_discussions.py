"""Discussions and pull requests: what is said, what is proposed, and how it is taken in."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file, lines

from enfold.hubserver import EmbeddedHub


@pytest.fixture(scope="module")
def guest(embedded: EmbeddedHub) -> httpx.Client:
    """Somebody who may read public repositories and write in none of the owner's."""
    headers = {"Authorization": f"Bearer {embedded.create_user('guest')}"}
    return httpx.Client(base_url=embedded.endpoint, headers=headers)


def propose(client: httpx.Client, name: str, *records: Any, to: str = "main", new: bool = True) -> httpx.Response:
    return client.post(
        f"/api/models/{name}/commit/{to.replace('/', '%2F')}",
        params={"create_pr": "1"} if new else None,
        content=lines(*records, title="A proposal"),
        headers={"content-type": "application/x-ndjson"},
    )


def show(client: httpx.Client, name: str, num: int) -> dict[str, Any]:
    told = client.get(f"/api/models/{name}/discussions/{num}", params={"diff": "1"})
    assert told.status_code == 200, told.text
    return dict(told.json())


def post(client: httpx.Client, name: str, num: int, action: str, **body: Any) -> httpx.Response:
    return client.post(f"/api/models/{name}/discussions/{num}/{action}", json=body)


def test_a_reader_talks(http: httpx.Client, guest: httpx.Client, name: str) -> None:
    made = guest.post(f"/api/models/{name}/discussions", json={"title": "Why?", "description": "Tell me."})
    assert made.status_code == 200 and made.json()["num"] == 1
    said = post(http, name, 1, "comment", comment="Because.").json()["newMessage"]
    assert said["data"]["latest"]["raw"] == "Because." and said["author"]["name"] == "owner"
    assert post(guest, name, 1, "title", title="Why not?").json()["newTitle"]["data"] == {
        "from": "Why?",
        "to": "Why not?",
    }
    assert post(guest, name, 1, "status", status="closed", comment="I see.").status_code == 200
    edited = post(http, name, 1, f"comment/{said['id']}/edit", content="Because so.").json()["updatedComment"]
    assert edited["data"]["edited"] and edited["data"]["latest"]["raw"] == "Because so."
    told = show(guest, name, 1)
    assert (told["title"], told["status"], told["isPullRequest"]) == ("Why not?", "closed", False)
    assert [event["type"] for event in told["events"]] == [
        "comment", "comment", "title-change", "comment", "status-change",
    ]  # fmt: skip
    hidden = post(http, name, 1, f"comment/{told['events'][0]['id']}/hide").json()["updatedComment"]
    assert hidden["data"]["hidden"] and "Tell me" not in json.dumps(show(guest, name, 1))
    assert post(http, name, 1, f"comment/{told['events'][0]['id']}/edit", content="x").status_code == 403
    assert post(guest, name, 1, f"comment/{told['events'][0]['id']}/edit", content="x").status_code == 409


def test_a_reader_proposes_and_the_owner_merges(http: httpx.Client, guest: httpx.Client, name: str) -> None:
    commit(http, name, file("a.txt", b"one\ntwo\n"), file("b.txt", b"b"))
    before = http.get(f"/api/models/{name}").json()["sha"]
    made = propose(guest, name, file("a.txt", b"one\n2\n"), file("new/c.txt", b"c"), ("deletedFile", {"path": "b.txt"}))
    assert made.status_code == 200, made.text
    assert made.json()["pullRequestUrl"].endswith(f"/{name}/discussions/1")
    assert http.get(f"/api/models/{name}").json()["sha"] == before, "main is as it was"
    assert http.get(f"/{name}/resolve/refs%2Fpr%2F1/a.txt").text == "one\n2\n"
    told = show(guest, name, 1)
    assert told["status"] == "open" and told["isPullRequest"] and told["filesWithConflicts"] == []
    assert told["changes"] == {"base": "refs/heads/main", "mergeCommitId": None}
    assert "-two\n+2\n" in told["diff"] and "deleted file mode" in told["diff"] and "+++ b/new/c.txt" in told["diff"]
    more = propose(guest, name, file("d.txt", b"d"), to="refs/pr/1", new=False)
    assert more.status_code == 200 and [event["type"] for event in show(guest, name, 1)["events"]] == ["commit"] * 2
    commit(http, name, file("other.txt", b"meanwhile"))
    assert post(guest, name, 1, "merge").status_code == 403
    merged = post(http, name, 1, "merge", comment="Thanks")
    assert merged.status_code == 200, merged.text
    files = {entry["path"] for entry in http.get(f"/api/models/{name}/tree/main", params={"recursive": "1"}).json()}
    assert files == {".gitattributes", "a.txt", "d.txt", "new", "new/c.txt", "other.txt"}
    told = show(guest, name, 1)
    assert told["status"] == "merged"
    assert told["changes"]["mergeCommitId"] == http.get(f"/api/models/{name}").json()["sha"]
    for again in (post(http, name, 1, "merge"), post(http, name, 1, "status", status="open")):
        assert again.status_code == 409
    assert propose(guest, name, file("e", b"e"), to="refs/pr/1", new=False).status_code == 409


def test_what_both_changed_is_named(http: httpx.Client, guest: httpx.Client, name: str) -> None:
    commit(http, name, file("a.txt", b"one"), file("same.txt", b"one"))
    propose(guest, name, file("a.txt", b"theirs"), file("same.txt", b"two"))
    commit(http, name, file("a.txt", b"ours"), file("same.txt", b"two"))
    assert show(http, name, 1)["filesWithConflicts"] == ["a.txt"]
    refused = post(http, name, 1, "merge")
    assert refused.status_code == 409 and "a.txt" in refused.json()["error"]
    assert http.get(f"/{name}/resolve/main/a.txt").text == "ours"


def test_an_empty_pull_request_is_a_draft(http: httpx.Client, name: str) -> None:
    made = http.post(f"/api/models/{name}/discussions", json={"title": "Later", "pullRequest": True})
    assert made.json()["pullRequest"] and show(http, name, made.json()["num"])["status"] == "draft"
    refs = http.get(f"/api/models/{name}/refs", params={"include_prs": "1"}).json()
    assert [ref["ref"] for ref in refs["pullRequests"]] == ["refs/pr/1"]
    assert "pullRequests" not in http.get(f"/api/models/{name}/refs").json()


def test_lists_are_filtered_and_paged(http: httpx.Client, guest: httpx.Client, name: str) -> None:
    for number in range(52):
        who = guest if number % 2 else http
        who.post(f"/api/models/{name}/discussions", json={"title": str(number), "pullRequest": number == 51})
    post(http, name, 2, "status", status="closed")

    def listed(**query: Any) -> list[int]:
        told = http.get(f"/api/models/{name}/discussions", params=query).json()
        return [item["num"] for item in told["discussions"]]

    assert listed() == list(range(52, 2, -1)) and listed(p=1) == [2, 1]
    assert listed(type="pull_request") == [52] and 52 not in listed(type="discussion")
    assert listed(status="closed") == [2] and listed(author="guest", p=0)[0] == 52 and len(listed(author="guest")) == 26
    assert http.get(f"/api/models/{name}/discussions", params={"type": "x"}).status_code == 400


def test_bad_requests_are_refused_and_change_nothing(
    http: httpx.Client, guest: httpx.Client, anonymous: httpx.Client, embedded: EmbeddedHub, name: str
) -> None:
    address = f"/api/models/{name}/discussions"
    reader = {"Authorization": f"Bearer {embedded.create_user('only-reads', role='read')}"}
    assert anonymous.post(address, json={"title": "x"}).status_code == 401
    assert http.post(address, json={"title": "x"}, headers=reader).status_code == 403
    for body in ({"title": ""}, {"title": "x" * 201}, {"title": 5}, {"title": "x", "description": "y" * 70_000}):
        assert http.post(address, json=body).status_code == 400
    assert http.get(address).json()["count"] == 0
    http.post(address, json={"title": "Mine"})
    for action, body in (("title", {"title": "yours"}), ("status", {"status": "closed"})):
        assert post(guest, name, 1, action, **body).status_code == 403
    assert post(http, name, 1, "merge").status_code == 404, "it is no pull request"
    assert post(http, name, 1, "status", status="merged").status_code == 400
    assert post(http, name, 7, "comment", comment="x").status_code == 404
    assert post(http, name, 1, "comment/none/edit", content="x").status_code == 404
    assert http.get(f"{address}/x").status_code == 404 and http.get(f"{address}/{'9' * 30}").status_code == 404
    assert propose(guest, name, file("a", b"a"), to="refs/pr/1", new=False).status_code == 404
    assert propose(guest, name, file("a", b"a"), to="refs/heads/none").status_code == 404
    assert propose(guest, name, file("a", b"a"), new=False).status_code == 403, "a proposal, not a commit"
    http.put(f"/api/models/{name}/settings", json={"private": True})
    assert guest.get(address).status_code == 404 and guest.post(address, json={"title": "x"}).status_code == 404
