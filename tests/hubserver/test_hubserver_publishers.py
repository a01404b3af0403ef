"""Trusted publishers: whoever proves to be the named program gets a short token for the one place that trusts it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from enfold.hubserver import EmbeddedHub, idtokens
from enfold.hubserver.publishers import EXCHANGE, ID_TOKEN
from enfold.web.server import BackgroundServer

PEER = Path(__file__).parents[2] / ".peers/models/bin/python"
WIDE = rsa.generate_private_key(65537, 2048)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
SUBJECT = "repo:ann/model:ref:refs/heads/main"


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """A provider of identity tokens: its two documents, and what it signs."""

    def __init__(self) -> None:
        self.asked = 0
        self.called: str | None = None
        public, curve = WIDE.public_key().public_numbers(), ELLIPTIC.public_key().public_numbers()
        self.keys: list[dict[str, Any]] = [
            {"kty": "RSA", "kid": "wide", "use": "sig", "n": number(public.n), "e": number(public.e)},
            {
                "kty": "EC",
                "kid": "curve",
                "crv": "P-256",
                "x": text(curve.x.to_bytes(32, "big")),
                "y": text(curve.y.to_bytes(32, "big")),
            },
            {"kty": "OKP", "kid": "edwards", "crv": "Ed25519", "x": text(EDWARDS.public_key().public_bytes_raw())},
        ]
        self.server = BackgroundServer(self, host="127.0.0.1", port=0)

    @property
    def url(self) -> str:
        return self.server.url

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.asked += 1
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.called or self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": self.keys},
        }
        found = documents.get(scope["path"])
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    def sign(self, claims: dict[str, Any], algorithm: str = "RS256", kid: str = "wide", **header: Any) -> str:
        head = {"alg": algorithm, "kid": kid, **header}
        signed = f"{text(json.dumps(head).encode())}.{text(json.dumps(claims).encode())}"
        data = signed.encode()
        if algorithm == "ES256":
            pair = decode_dss_signature(ELLIPTIC.sign(data, ec.ECDSA(hashes.SHA256())))
            signature = b"".join(part.to_bytes(32, "big") for part in pair)
        elif algorithm == "EdDSA":
            signature = EDWARDS.sign(data)
        elif algorithm == "PS256":
            signature = WIDE.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        elif algorithm == "none":
            signature = b""
        else:
            signature = WIDE.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{text(signature)}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    database = os.environ.get("HUBSERVER_TEST_DATABASE")  # by test_hubserver_postgres.py
    folder = tmp_path_factory.mktemp("hub")
    with EmbeddedHub(folder, durable=False, database=database, webhook_hosts={"127.0.0.1"}) as made:
        yield made


@pytest.fixture
def issuer(hub: EmbeddedHub) -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.stop()


@pytest.fixture(scope="module")
def ann(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {hub.create_user('ann')}"}
    with httpx.Client(base_url=hub.endpoint, headers=headers) as client:
        for name in ("model", "other"):
            client.post("/api/repos/create", json={"name": name, "private": True}).raise_for_status()
        yield client


@pytest.fixture
def claims(hub: EmbeddedHub, issuer: Issuer) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": issuer.url, "aud": hub.endpoint, "sub": SUBJECT, "run": 7, "iat": now, "exp": now + 300}


@pytest.fixture
def exchange(hub: EmbeddedHub) -> Callable[..., dict[str, Any]]:
    def ask(token: str, resource: str = "ann/model") -> dict[str, Any]:
        said = {"grant_type": EXCHANGE, "subject_token_type": ID_TOKEN, "subject_token": token, "resource": resource}
        return dict(httpx.post(f"{hub.endpoint}/oauth/token", json=said).json())

    return ask


@pytest.fixture
def trusted(ann: httpx.Client, issuer: Issuer) -> Iterator[str]:
    said = {"issuer": issuer.url, "claims": {"sub": SUBJECT, "run": "7"}}
    made = ann.post("/api/models/ann/model/trusted-publishers", json=said)
    assert made.status_code == 200, made.text
    yield made.json()["id"]
    ann.delete(f"/api/models/ann/model/trusted-publishers/{made.json()['id']}")


def bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer['access_token']}"}


def commit(hub: EmbeddedHub, headers: dict[str, str], name: str) -> httpx.Response:
    lines = [
        {"key": "header", "value": {"summary": "by a machine", "description": ""}},
        {"key": "file", "value": {"path": "a.txt", "content": "YQ==", "encoding": "base64"}},
    ]
    body = "\n".join(map(json.dumps, lines))
    headers = {**headers, "Content-Type": "application/x-ndjson"}
    return httpx.post(f"{hub.endpoint}/api/models/{name}/commit/main", content=body, headers=headers)


@pytest.mark.parametrize(
    ("algorithm", "kid"), [("RS256", "wide"), ("PS256", "wide"), ("ES256", "curve"), ("EdDSA", "edwards")]
)
def test_who_is_trusted_writes_to_the_one_repository_for_an_hour(
    hub: EmbeddedHub, issuer: Issuer, trusted: str, claims: Any, exchange: Any, algorithm: str, kid: str
) -> None:
    answer = exchange(issuer.sign(claims, algorithm, kid))
    assert answer["token_type"] == "bearer" and answer["expires_in"] == 3600, answer
    assert commit(hub, bearer(answer), "ann/model").status_code == 200
    assert httpx.get(f"{hub.endpoint}/api/models/ann/model", headers=bearer(answer)).status_code == 200
    assert commit(hub, bearer(answer), "ann/other").status_code in {403, 404}
    assert httpx.get(f"{hub.endpoint}/api/models/ann/other", headers=bearer(answer)).status_code == 404
    with hub.hub.database.read() as connection:
        row = hub.hub.tokens.find(connection, answer["access_token"])
    assert row is not None and time.time() < row.expires <= time.time() + 3600


def test_a_machine_s_token_names_no_further_publishers(
    hub: EmbeddedHub, issuer: Issuer, trusted: str, claims: Any, exchange: Any
) -> None:
    headers = bearer(exchange(issuer.sign(claims)))
    said = {"issuer": issuer.url, "claims": {"sub": "me again"}}
    address = f"{hub.endpoint}/api/models/ann/model/trusted-publishers"
    assert httpx.post(address, json=said, headers=headers).status_code == 403
    assert httpx.get(address, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sub": "repo:mallory/model:ref:refs/heads/main"}, "no trusted publisher"),
        ({"run": 8}, "no trusted publisher"),
        ({"run": True}, "no trusted publisher"),
        ({"aud": "https://example.org"}, "meant for"),
        ({"aud": None}, "meant for"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "tomorrow"}, "no numbers"),
        ({"nbf": 32503680000}, "not good yet"),
        ({"iss": "https://example.org"}, "no trusted publisher"),
    ],
)
def test_a_token_that_says_something_else_gets_nothing(
    issuer: Issuer, trusted: str, claims: Any, exchange: Any, change: dict[str, Any], said: str
) -> None:
    answer = exchange(issuer.sign({**claims, **change}))
    assert answer["error"] == "invalid_grant" and said in answer["error_description"], answer


def test_a_token_that_its_issuer_did_not_sign_gets_nothing(
    issuer: Issuer, trusted: str, claims: Any, exchange: Any
) -> None:
    good = issuer.sign(claims)
    head, body, signature = good.split(".")
    other = text(json.dumps({**claims, "sub": SUBJECT, "more": 1}).encode())
    strange = rsa.generate_private_key(65537, 2048).sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    forged = [
        f"{head}.{other}.{signature}",
        f"{head}.{body}.{text(strange)}",
        issuer.sign(claims, "none"),
        issuer.sign(claims, "HS256"),
        issuer.sign(claims, "RS256", "edwards"),
        issuer.sign(claims, "RS256", "unknown"),
        issuer.sign(claims, crit=["b64"]),
    ]
    assert {exchange(token)["error"] for token in forged} == {"invalid_grant"}
    assert exchange("nothing")["error"] == exchange(f"{head}.{body}")["error"] == "invalid_request"
    assert "access_token" in exchange(good)


def test_keys_are_asked_for_once_and_again_when_a_new_one_signs(
    issuer: Issuer, trusted: str, claims: Any, exchange: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = issuer.keys.pop()
    exchange(issuer.sign(claims))
    exchange(issuer.sign(claims))
    assert issuer.asked == 2, "a document and the keys"
    issuer.keys.append(last)
    assert exchange(issuer.sign(claims, "EdDSA", "edwards"))["error"] == "invalid_grant", "not asked again so soon"
    assert issuer.asked == 2
    monkeypatch.setattr(idtokens, "_AGAIN", 0.0)
    assert "access_token" in exchange(issuer.sign(claims, "EdDSA", "edwards"))


def test_an_issuer_that_calls_itself_otherwise_is_not_believed(
    issuer: Issuer, trusted: str, claims: Any, exchange: Any
) -> None:
    issuer.called = "https://example.org"
    assert "calls itself" in exchange(issuer.sign(claims))["error_description"]


def test_nobody_learns_which_repositories_there_are(issuer: Issuer, trusted: str, claims: Any, exchange: Any) -> None:
    token = issuer.sign(claims)
    absent = exchange(token, "ann/never")
    assert exchange(token, "ann/other") == {
        name: value.replace("ann/never", "ann/other") for name, value in absent.items()
    }
    assert exchange(token, "datasets/ann/model")["error"] == exchange(token, "ann")["error"] == "invalid_grant"


def test_who_is_trusted_no_longer_is_out_at_once(
    hub: EmbeddedHub, ann: httpx.Client, issuer: Issuer, trusted: str, claims: Any, exchange: Any
) -> None:
    headers = bearer(exchange(issuer.sign(claims)))
    (shown,) = ann.get("/api/models/ann/model/trusted-publishers").json()
    assert shown["id"] == trusted and shown["claims"] == {"sub": SUBJECT, "run": "7"} and shown["createdBy"] == "ann"
    assert shown["lastUsedAt"] is not None
    assert ann.delete(f"/api/models/ann/model/trusted-publishers/{trusted}").status_code == 200
    assert httpx.get(f"{hub.endpoint}/api/models/ann/model", headers=headers).status_code == 401
    assert exchange(issuer.sign(claims))["error"] == "invalid_grant"


def test_a_publisher_that_only_reads_does_not_write(
    hub: EmbeddedHub, ann: httpx.Client, issuer: Issuer, claims: Any, exchange: Any
) -> None:
    said = {"issuer": issuer.url, "claims": {"sub": SUBJECT}, "readOnly": True}
    made = ann.post("/api/models/ann/other/trusted-publishers", json=said).json()
    headers = bearer(exchange(issuer.sign(claims), "ann/other"))
    assert httpx.get(f"{hub.endpoint}/api/models/ann/other", headers=headers).status_code == 200
    assert commit(hub, headers, "ann/other").status_code == 403
    ann.delete(f"/api/models/ann/other/trusted-publishers/{made['id']}")


def test_an_account_s_publisher_reads_what_is_gated_and_nothing_private(
    hub: EmbeddedHub, ann: httpx.Client, issuer: Issuer, claims: Any, exchange: Any
) -> None:
    bob = {"Authorization": f"Bearer {hub.create_user('bob')}"}
    httpx.post(f"{hub.endpoint}/api/repos/create", json={"name": "gated"}, headers=bob).raise_for_status()
    assert commit(hub, bob, "bob/gated").status_code == 200
    httpx.put(f"{hub.endpoint}/api/models/bob/gated/settings", json={"gated": "auto"}, headers=bob).raise_for_status()
    said = {"issuer": issuer.url, "claims": {"sub": SUBJECT}}
    made = ann.post("/api/settings/trusted-publishers", json=said).json()
    answer = exchange(issuer.sign(claims), "Ann")
    address = f"{hub.endpoint}/bob/gated/resolve/main/a.txt"
    assert answer["scope"] == "gated-repos" and httpx.get(address, headers=bearer(answer)).status_code == 403
    ann.post("/bob/gated/ask-access").raise_for_status()
    assert httpx.get(address, headers=bearer(answer)).status_code == 200
    assert httpx.get(f"{hub.endpoint}/api/models/ann/model", headers=bearer(answer)).status_code == 404
    assert commit(hub, bearer(answer), "ann/model").status_code in {403, 404}
    ann.delete(f"/api/settings/trusted-publishers/{made['id']}")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"issuer": "http://example.org", "claims": {"sub": "x"}}, "https://"),
        ({"issuer": "https://10.0.0.1", "claims": {"sub": "x"}}, "inside"),
        ({"issuer": "https://[::1]", "claims": {"sub": "x"}}, "inside"),
        ({"issuer": "http://127.0.0.1?x=1", "claims": {"sub": "x"}}, "query"),
        ({"issuer": "http://127.0.0.1", "claims": {}}, "who it is"),
        ({"issuer": "http://127.0.0.1", "claims": {"aud": "me"}}, "who it is"),
        ({"issuer": "http://127.0.0.1", "claims": {"sub": 1}}, "text"),
        ({"issuer": "http://127.0.0.1"}, "expected"),
    ],
)
def test_what_cannot_be_trusted_is_refused(ann: httpx.Client, said: dict[str, Any], why: str) -> None:
    refused = ann.post("/api/models/ann/model/trusted-publishers", json=said)
    assert refused.status_code == 400 and why in refused.json()["error"], refused.text


@pytest.mark.skipif(not PEER.exists(), reason="the official client is not installed")
def test_the_official_client_lets_a_job_in(hub: EmbeddedHub, issuer: Issuer, trusted: str, claims: Any) -> None:
    code = "from huggingface_hub import HfApi; print(HfApi().model_info('ann/model').id)"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHONPATH"))}
    said = {"HF_ENDPOINT": hub.endpoint, "HF_OIDC_RESOURCE": "ann/model", "HF_OIDC_ID_TOKEN": issuer.sign(claims)}
    done = subprocess.run([str(PEER), "-c", code], env={**kept, **said}, capture_output=True, text=True)
    assert done.stdout.strip() == "ann/model", done.stderr
