"""What names a commit, a folder, a collection or a repository, in each of the ways in which clients name it."""

from __future__ import annotations

import httpx
from hubserver_raw import commit, file, lines

from enfold.hubserver import EmbeddedHub


def test_a_commit_is_named_by_its_beginning_where_no_other_has_it(http: httpx.Client, name: str) -> None:
    made = commit(http, name, file("a.txt", b"a")).json()["commitOid"]
    assert http.post(f"/api/models/{name}/tag/{made[:7]}", json={"tag": "short"}).status_code == 201
    refs = http.get(f"/api/models/{name}/refs").json()
    assert refs["tags"] == [{"name": "short", "ref": "refs/tags/short", "targetCommit": made}]
    assert http.get(f"/{name}/resolve/{made[:6]}/a.txt").status_code == 404, "too short"
    http.post(f"/api/models/{name}/branch/{made[:7]}", json={"startingPoint": "main"}).raise_for_status()
    commit(http, name, file("a.txt", b"b")).raise_for_status()
    assert http.get(f"/{name}/resolve/{made[:7]}/a.txt").text == "a", "a branch of that name comes first"


def test_a_revision_that_is_not_there_is_told_before_a_bad_name(http: httpx.Client, name: str) -> None:
    missing = http.post(f"/api/models/{name}/tag/nowhere", json={"tag": "bad tag"})
    assert missing.status_code == 404 and missing.headers["x-error-code"] == "RevisionNotFound"
    assert http.post(f"/api/models/{name}/tag/main", json={"tag": "bad tag"}).status_code == 400


def test_a_folder_is_deleted_where_it_is_called_a_file(http: httpx.Client, name: str) -> None:
    commit(http, name, file("d/a.txt", b"a"), file("b.txt", b"b")).raise_for_status()
    assert commit(http, name, ("deletedFile", {"path": "d"})).status_code == 200
    assert commit(http, name, ("deletedFolder", {"path": "b.txt"})).status_code == 404, "and no file as a folder"
    assert [entry["path"] for entry in http.get(f"/api/models/{name}/tree/main").json()] == [".gitattributes", "b.txt"]


def test_an_empty_file_is_not_large(http: httpx.Client, name: str) -> None:
    asked = {"files": [{"path": "a.bin", "sample": "", "size": 0}, {"path": "b.bin", "sample": "YQ==", "size": 1}]}
    said = http.post(f"/api/models/{name}/preupload/main", json=asked).json()["files"]
    assert [item["uploadMode"] for item in said] == ["regular", "lfs"]


def test_the_history_of_a_pull_request_is_made_short(http: httpx.Client, name: str) -> None:
    said = {"title": "t", "description": "", "pullRequest": True}
    http.post(f"/api/models/{name}/discussions", json=said).raise_for_status()
    assert http.post(f"/api/models/{name}/super-squash/refs%2Fpr%2F1", json={"message": "one"}).status_code == 200
    assert [item["title"] for item in http.get(f"/api/models/{name}/commits/refs%2Fpr%2F1").json()] == ["one"]


def test_large_files_of_branches_are_listed_by_their_paths(
    http: httpx.Client, embedded: EmbeddedHub, name: str
) -> None:
    http.post(f"/api/models/{name}/branch/side", json={}).raise_for_status()
    stored = embedded.hub.blobs.put(b"large")
    with embedded.hub.database.write() as connection:
        row = embedded.hub.repositories.find(connection, "models", name, embedded.hub.tokens.viewer(embedded.token))
        embedded.hub.commits.grant(connection, row.id, stored)
    line = ("lfsFile", {"path": "side.bin", "algo": "sha256", "oid": stored.sha256, "size": stored.size})
    headers = {"content-type": "application/x-ndjson"}
    http.post(f"/api/models/{name}/commit/side", content=lines(line), headers=headers).raise_for_status()
    (found,) = http.get(f"/api/models/{name}/lfs-files").json()
    assert (found["filename"], found["ref"]) == ("side.bin", "refs/heads/side")


def test_what_is_done_with_a_legacy_name_is_not_taken_for_a_repository(http: httpx.Client) -> None:
    missing = http.delete("/api/models/missing/like")
    assert missing.status_code == 404 and missing.headers["x-error-code"] == "RepoNotFound"


def test_a_collection_holds_another_one(http: httpx.Client) -> None:
    slugs = [
        http.post("/api/collections", json={"title": title, "namespace": "owner"}).json()["slug"]
        for title in ("outer of a title that is longer than forty letters", "inner")
    ]
    assert slugs[0].startswith("owner/outer-of-a-title-that-is-longer-than-forty-letters-")
    said = {"item": {"id": slugs[1], "type": "collection"}}
    assert http.post(f"/api/collections/{slugs[0]}/items", json=said).status_code == 200
    assert http.post(f"/api/collections/{slugs[0]}/items", json=said).status_code == 409
    (item,) = http.get(f"/api/collections/{slugs[0]}").json()["items"]
    assert (item["slug"], item["type"], item["title"]) == (slugs[1], "collection", "inner")
    http.delete(f"/api/collections/{slugs[1]}").raise_for_status()
    assert http.get(f"/api/collections/{slugs[0]}").json()["items"] == []


def test_an_organisation_is_told_by_its_full_name(embedded: EmbeddedHub) -> None:
    token = embedded.create_user("ida")
    embedded.create_organisation("works", {"ida": "write"})
    embedded.hub.accounts.change_user("works", {"fullname": "The Works"})
    said = httpx.get(f"{embedded.endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}).json()
    assert [(item["name"], item["fullname"]) for item in said["orgs"]] == [("works", "The Works")]


def test_a_webhook_may_name_a_host_that_is_not_there_yet(http: httpx.Client) -> None:
    said = {"watched": [{"type": "user", "name": "owner"}], "url": "https://later.invalid/hook"}
    made = http.post("/api/settings/webhooks", json=said)
    assert made.status_code == 200, made.text
    http.delete(f"/api/settings/webhooks/{made.json()['webhook']['id']}").raise_for_status()


def test_results_of_a_card_that_cannot_be_read_are_refused(http: httpx.Client) -> None:
    for index in ("foo", "[1]", "[{name: x}]", "[{results: []}]"):
        said = {"content": f"---\nmodel-index: {index}\n---\n", "repoType": "model"}
        assert "model-index" in http.post("/api/validate-yaml", json=said).json()["errors"][0]["message"]
    good = {"content": "---\nmodel-index: [{name: x, results: []}]\n---\n", "repoType": "model"}
    assert http.post("/api/validate-yaml", json=good).json() == {"errors": [], "warnings": []}
