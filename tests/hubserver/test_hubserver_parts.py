"""Large files come in parts, and are one content only when every part is right."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.maintenance import collect
from enfold.hubserver.settings import Limits
from enfold.hubserver.store.objects import LEASE

PEER = Path(__file__).parents[2] / ".peers/models/bin/python"
PART = 100_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    limits = Limits(lfs_part=PART, regular_file=PART)
    store = os.environ.get("HUBSERVER_TEST_STORE")  # by test_hubserver_s3.py
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False, limits=limits, store=store) as made:
        yield made


@pytest.fixture(scope="module")
def http(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}) as client:
        assert client.post("/api/repos/create", json={"name": "big"}).status_code == 200
        yield client


def begin(http: httpx.Client, data: bytes, transfers: list[str] | None = None) -> dict[str, Any]:
    what = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
    body = {"operation": "upload", "objects": [what], "transfers": transfers or ["basic", "multipart"]}
    answer = http.post("/owner/big.git/info/lfs/objects/batch", json=body).raise_for_status().json()
    return {"transfer": answer["transfer"], **answer["objects"][0]["actions"]["upload"]}


def send(upload: dict[str, Any], data: bytes) -> list[dict[str, Any]]:
    size, parts = int(upload["header"]["chunk_size"]), []
    for number in range(1, len(upload["header"])):
        answer = httpx.put(upload["header"][str(number)], content=data[(number - 1) * size : number * size])
        parts.append({"partNumber": number, "etag": answer.raise_for_status().headers["etag"]})
    return parts


def complete(upload: dict[str, Any], data: bytes, parts: list[dict[str, Any]]) -> httpx.Response:
    return httpx.post(upload["href"], json={"oid": hashlib.sha256(data).hexdigest(), "parts": parts})


def add(data: bytes) -> tuple[str, dict[str, Any]]:
    oid = hashlib.sha256(data).hexdigest()
    return "lfsFile", {"path": f"{oid[:6]}.bin", "algo": "sha256", "oid": oid, "size": len(data)}


def test_parts_become_one_file(hub: EmbeddedHub, http: httpx.Client) -> None:
    data = os.urandom(3 * PART + 17)
    upload = begin(http, data)
    assert upload["transfer"] == "multipart" and len(upload["header"]) == 5
    parts = send(upload, data)
    assert commit(http, "owner/big", add(data)).status_code == 422, "not before the parts are one"
    assert complete(upload, data, parts).status_code == 200
    assert commit(http, "owner/big", add(data)).status_code == 200
    assert http.get(f"/owner/big/resolve/main/{add(data)[1]['path']}").content == data
    assert not [found.name for found in hub.hub.blobs.objects.list() if found.name.startswith("pa/rt/")]


def test_small_files_and_clients_that_know_no_parts_send_whole(http: httpx.Client) -> None:
    small, large = os.urandom(PART), os.urandom(PART + 1)
    assert begin(http, small)["transfer"] == "basic"
    assert "header" not in begin(http, large, ["basic", "ssh"])
    assert httpx.put(begin(http, large, ["basic"])["href"], content=large).status_code == 200


@pytest.mark.parametrize("fault", ["missing", "swapped", "tag", "number", "other bytes", "too few", "no list"])
def test_what_does_not_fit_together_is_refused(http: httpx.Client, fault: str) -> None:
    data = os.urandom(2 * PART + 1)
    upload = begin(http, data)
    parts = send(upload, data)
    if fault == "missing":
        parts.pop()
    elif fault == "swapped":
        parts[0]["etag"], parts[1]["etag"] = parts[1]["etag"], parts[0]["etag"]
    elif fault == "tag":
        parts[2]["etag"] = '"0"'
    elif fault == "number":
        parts[0]["partNumber"] = 7
    elif fault == "other bytes":
        answer = httpx.put(upload["header"]["1"], content=os.urandom(PART))
        parts[0]["etag"] = answer.headers["etag"]
    elif fault == "too few":
        assert httpx.put(upload["header"]["1"], content=data[:10]).status_code == 422
        assert httpx.put(upload["header"]["1"], content=data[: PART + 1]).status_code == 413
        parts = parts[:1]
    else:
        parts = [{"x": 1}]
    answer = complete(upload, data, parts)
    assert answer.status_code in {400, 422}, answer.text
    assert commit(http, "owner/big", add(data)).status_code == 422


def test_an_interrupted_upload_goes_on_where_it_stopped(http: httpx.Client) -> None:
    data = os.urandom(3 * PART)
    first = begin(http, data)
    parts = send({"header": {name: first["header"][name] for name in ("chunk_size", "1", "2")}}, data)
    again = begin(http, data)
    assert complete(again, data, parts).status_code == 400
    last = httpx.put(again["header"]["3"], content=data[2 * PART :]).headers["etag"]
    assert complete(again, data, [*parts, {"partNumber": 3, "etag": last}]).status_code == 200


def test_an_address_is_for_one_part_alone(http: httpx.Client) -> None:
    upload = begin(http, os.urandom(2 * PART))
    first, second = upload["header"]["1"], upload["header"]["2"]
    mixed = second.partition("?")[0] + "?" + first.partition("?")[2]
    assert httpx.put(mixed, content=b"x").status_code == 403
    assert httpx.post(first, json={"parts": []}).status_code in {403, 405}


@pytest.mark.skipif("HUBSERVER_TEST_STORE" in os.environ, reason="a bucket's objects cannot be made old")
def test_parts_that_nobody_puts_together_are_thrown_away(hub: EmbeddedHub, http: httpx.Client) -> None:
    data = os.urandom(2 * PART)
    send(begin(http, data), data)

    def waiting() -> int:
        return sum(found.name.startswith("pa/rt/") for found in hub.hub.blobs.objects.list())

    assert waiting() >= 2
    collect(hub.hub)
    assert waiting() >= 2, "they may still be needed"
    for found in hub.hub.blobs.objects.list():
        if found.name.startswith("pa/rt/"):
            os.utime(hub.hub.settings.folder / "blobs" / found.name, (0, found.modified - 2 * LEASE))
    collect(hub.hub)
    assert waiting() == 0


@pytest.mark.peer
def test_the_official_client_sends_parts(hub: EmbeddedHub, http: httpx.Client, tmp_path: Path) -> None:
    code = """
import hashlib, os
from huggingface_hub import HfApi, hf_hub_download
data = os.urandom(450_001)
open("model.safetensors", "wb").write(data)
HfApi().upload_file(path_or_fileobj="model.safetensors", path_in_repo="model.safetensors", repo_id="owner/big")
assert open(hf_hub_download("owner/big", "model.safetensors"), "rb").read() == data
print("same")
"""
    environment = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_XET": "1",
        "PATH": "/usr/bin",
    }
    run = subprocess.run([PEER, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert "same" in run.stdout, run.stdout + run.stderr
