"""Who asks too often is told so, and for how long to wait, in the words that the official client reads."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from enfold.hubserver import EmbeddedHub, rates
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.rates import WINDOW, Rates, kind_of

PEER = Path(__file__).parents[2] / ".peers/models/bin/python"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    limits = {"api": 10, "resolvers": 3, "uploads": 1000}
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False, rates=limits) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_was_asked(hub: EmbeddedHub) -> None:
    hub.hub.rates._counts.clear()


def test_what_is_left_is_said_until_nothing_is(hub: EmbeddedHub) -> None:
    with httpx.Client(base_url=hub.endpoint) as http:
        answers = [http.get("/api/models") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert answers[0].headers["ratelimit"].startswith('"api";r=9;t=')
    assert answers[9].headers["ratelimit"].startswith('"api";r=0;t=')
    last = answers[-1]
    assert last.headers["ratelimit-policy"] == f'"fixed window";"api";q=10;w={WINDOW}'
    assert 0 < int(last.headers["retry-after"]) <= WINDOW and "Wait" in last.json()["error"]
    assert len(last.headers.get_list("ratelimit")) == 1


def test_each_account_has_its_own_count(hub: EmbeddedHub) -> None:
    tokens = [hub.create_user(name) for name in ("ann", "bob")]
    ann, bob = (httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {token}"}) for token in tokens)
    assert [ann.get("/api/whoami-v2").status_code for _ in range(11)][-1] == 429
    assert bob.get("/api/whoami-v2").status_code == 200
    assert httpx.get(f"{hub.endpoint}/api/models").status_code == 200
    again = {"Authorization": f"Bearer {hub.create_user('ann')}"}
    assert httpx.get(f"{hub.endpoint}/api/models", headers=again).status_code == 429, "another token does not help"


def test_wrong_tokens_are_counted_by_where_they_come_from(hub: EmbeddedHub) -> None:
    statuses = [
        httpx.get(f"{hub.endpoint}/api/models", headers={"Authorization": f"Bearer hf_{number}"}).status_code
        for number in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2


def test_kinds_are_counted_apart(hub: EmbeddedHub) -> None:
    with httpx.Client(base_url=hub.endpoint) as http:
        assert [http.get("/a/b/resolve/main/c").status_code for _ in range(4)] == [401] * 3 + [429]
        assert http.get("/api/models").status_code == 200
        assert [http.get("/").status_code for _ in range(20)] == [200] * 20, "pages have no limit here"


def test_the_count_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: now[0])
    made = Rates({"api": 1})
    made.take("api", "ann")
    with pytest.raises(HubServerError):
        made.take("api", "ann")
    now[0] += WINDOW
    made.take("api", "ann")
    now[0] += 2 * WINDOW
    made.take("api", "bob")
    assert len(made._counts) == 1, "old counts are forgotten"
    assert made.take("pages", "ann") == {}


def test_a_limit_for_what_is_not_counted_is_refused() -> None:
    with pytest.raises(HubServerError, match="not for 'apis'"):
        Rates({"apis": 1})


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/models/a/b/commit/main", "uploads"),
        ("POST", "/a/b.git/info/lfs/objects/batch", "uploads"),
        ("PUT", "/lfs-objects/1/x", "uploads"),
        ("GET", "/lfs-objects/1/x", "resolvers"),
        ("POST", "/cas/v1/xorbs/default/x", "uploads"),
        ("GET", "/cas/v1/parts/default/x/0-1", "resolvers"),
        ("GET", "/a/b", "pages"),
    ],
)
def test_requests_are_of_a_kind(method: str, path: str, kind: str) -> None:
    assert kind_of(method, path) == kind


@pytest.mark.peer
def test_the_official_client_reads_the_headers(hub: EmbeddedHub) -> None:
    with httpx.Client(base_url=hub.endpoint) as http:
        headers = [http.get("/api/models").headers for _ in range(11)][-1]
    code = """
import sys, json
from huggingface_hub.utils import parse_ratelimit_headers
found = parse_ratelimit_headers(json.loads(sys.argv[1]))
print(found.resource_type, found.remaining, found.limit, found.window_seconds, 0 < found.reset_in_seconds <= 300)
"""
    import json

    run = subprocess.run([PEER, "-c", code, json.dumps(dict(headers))], capture_output=True, text=True)
    assert run.stdout.split() == ["api", "0", "10", str(WINDOW), "True"], run.stderr
