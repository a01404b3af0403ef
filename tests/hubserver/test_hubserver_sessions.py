"""People sign in on pages with a password; what their browser holds cannot be used by another site or guessed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from enfold.hubserver import EmbeddedHub, accounts
from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError

PASSWORD = "correct horse battery"
PEER = Path(__file__).parents[2] / ".peers/models/bin/python"


@pytest.fixture(scope="module", autouse=True)
def hasher() -> Iterator[Callable[[], PasswordHasher]]:
    """Hashes that are cheap, but for who asks for what a Hub really takes."""
    with pytest.MonkeyPatch.context() as patch:
        real, cheap = accounts._hasher, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(accounts, "_hasher", lambda: cheap)
        yield real


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, hasher: object) -> Iterator[EmbeddedHub]:
    database = os.environ.get("HUBSERVER_TEST_DATABASE")  # by test_hubserver_postgres.py
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False, sign_up=True, database=database) as made:
        made.hub.accounts.create_user("ann", password=PASSWORD)
        made.hub.accounts.create_user("bob", password=PASSWORD)
        yield made


@pytest.fixture(autouse=True)
def nothing_failed_before(hub: EmbeddedHub) -> None:
    with hub.hub.database.write() as connection:
        connection.execute(db.failure.delete())


@pytest.fixture
def browser(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    """What nobody has signed in with yet."""
    with httpx.Client(base_url=hub.endpoint, headers={"Accept": "text/html", "Origin": hub.endpoint}) as client:
        yield client


def sign_in(browser: httpx.Client, name: str = "ann", password: str = PASSWORD, **more: str) -> httpx.Response:
    return browser.post("/login", data={"name": name, "password": password, **more})


def proof(browser: httpx.Client) -> str:
    found = re.search(r'name="proof" value="([0-9a-f]+)"', browser.get("/settings").text)
    assert found is not None
    return found[1]


# ---------------------------------------------------------------------- in and out


def test_signing_in_shows_what_is_private_and_signing_out_hides_it(hub: EmbeddedHub, browser: httpx.Client) -> None:
    token = hub.hub.tokens.create("ann")
    made = {"name": "secret", "private": True}
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{hub.endpoint}/api/repos/create", json=made, headers=headers).raise_for_status()
    assert browser.get("/ann/secret").status_code == 404
    answer = sign_in(browser, next="/ann/secret")
    assert answer.status_code == 303 and answer.headers["location"] == "/ann/secret"
    assert browser.get("/ann/secret").status_code == 200
    assert browser.get("/ann/secret/resolve/main/.gitattributes").status_code == 200
    kept = dict(browser.cookies)
    assert browser.post("/logout", data={"proof": proof(browser)}).status_code == 303
    assert browser.get("/ann/secret").status_code == 404
    browser.cookies.update(kept)
    assert browser.get("/ann/secret").status_code == 404, "the session is over, not only the cookie gone"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(hub: EmbeddedHub, browser: httpx.Client) -> None:
    said = sign_in(browser).headers["set-cookie"].lower()
    assert said.startswith("enfold-hub=") and "httponly" in said and "samesite=lax" in said and "path=/" in said
    assert "secure" not in said
    with hub.hub.database.read() as connection:
        secrets = set(connection.scalars(select(db.session.c.digest)))
    assert browser.cookies["enfold-hub"] not in secrets


def test_behind_https_the_cookie_goes_by_nothing_else(tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path, durable=False, public_url="https://hub.example") as made:
        made.hub.accounts.create_user("ann", password=PASSWORD)
        headers = {"Origin": "https://hub.example"}
        data = {"name": "ann", "password": PASSWORD}
        answer = httpx.post(f"{made.endpoint}/login", data=data, headers=headers)
    said = answer.headers["set-cookie"]
    assert said.startswith("__Host-enfold-hub=") and "; secure" in said.lower() and "domain" not in said.lower()


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "javascript:1"]
)
def test_signing_in_leads_nowhere_else(browser: httpx.Client, target: str) -> None:
    assert sign_in(browser, next=target).headers["location"] == "/"


def test_a_wrong_name_and_a_wrong_password_look_alike(browser: httpx.Client) -> None:
    wrong = [sign_in(browser, "ann", "wrong password"), sign_in(browser, "nobody", "wrong password")]
    assert {answer.status_code for answer in wrong} == {401}
    texts = [re.sub("ann|nobody", "", answer.text) for answer in wrong]
    assert texts[0] == texts[1] and "The name or the password is wrong" in texts[0]


def test_whoever_guesses_has_to_wait(hub: EmbeddedHub, browser: httpx.Client) -> None:
    statuses = [sign_in(browser, "bob", f"wrong {number}").status_code for number in range(7)]
    assert statuses[:5] == [401] * 5 and statuses[-1] == 429
    answer = sign_in(browser, "bob")
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1, "the right one does not help now"
    assert sign_in(browser, "ann").status_code == 303, "others are not kept out"
    with hub.hub.database.write() as connection:
        connection.execute(update(db.failure).values(until=time.time() - 1))
    assert sign_in(browser, "bob").status_code == 303


def test_a_right_password_forgets_the_wrong_ones(browser: httpx.Client) -> None:
    for _ in range(3):
        for number in range(4):
            assert sign_in(browser, "bob", f"wrong {number}").status_code == 401
        assert sign_in(browser, "bob").status_code == 303


def test_many_wrong_names_from_one_address_end(hub: EmbeddedHub) -> None:
    sessions = hub.hub.sessions
    for number in range(20):
        sessions.failed(f"name{number}", "192.0.2.1")
    with pytest.raises(HubServerError) as refused:
        sessions.patience("another", "192.0.2.1")
    assert refused.value.status == 429
    sessions.patience("another", "192.0.2.2")


def test_a_cookie_opens_nothing_of_the_api(browser: httpx.Client) -> None:
    sign_in(browser)
    assert browser.get("/api/whoami-v2").status_code == 401
    assert browser.post("/api/repos/create", json={"name": "by-cookie"}).status_code == 401


def test_a_session_ends_by_itself(hub: EmbeddedHub, browser: httpx.Client) -> None:
    sign_in(browser)
    assert browser.get("/settings").status_code == 200
    with hub.hub.database.write() as connection:
        connection.execute(update(db.session).values(expires=time.time() - 1))
    assert browser.get("/settings").status_code == 401


# ---------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({}, {}),
        ({}, {"proof": "0" * 64}),
        ({}, {"proof": "ä"}),
        ({"Origin": "https://evil.example"}, {"proof": "right"}),
        ({"Sec-Fetch-Site": "cross-site"}, {"proof": "right"}),
        ({"Sec-Fetch-Site": "same-site"}, {"proof": "right"}),
    ],
)
def test_a_form_of_another_site_is_refused(
    hub: EmbeddedHub, browser: httpx.Client, headers: dict[str, str], data: dict[str, str]
) -> None:
    sign_in(browser)
    if data.get("proof") == "right":
        data = {"proof": proof(browser)}
    answer = browser.post("/settings/tokens", data={"name": "stolen", "role": "write", **data}, headers=headers)
    assert answer.status_code == 403
    with hub.hub.database.read() as connection:
        assert "stolen" not in [row.name for row in hub.hub.tokens.of(connection, "ann")]


def test_the_proof_of_one_session_is_none_of_another(hub: EmbeddedHub, browser: httpx.Client) -> None:
    sign_in(browser, "bob")
    bobs = proof(browser)
    browser.cookies.clear()
    sign_in(browser, "ann")
    assert browser.post("/logout", data={"proof": bobs}).status_code == 403


# ---------------------------------------------------------------------- tokens and passwords


def test_a_token_is_made_shown_once_and_revoked(hub: EmbeddedHub, browser: httpx.Client) -> None:
    sign_in(browser)
    data = {"proof": proof(browser), "name": "laptop", "role": "write", "days": "30"}
    made = browser.post("/settings/tokens", data=data)
    assert made.headers["cache-control"] == "no-store"
    secret = re.search(r"hf_\w{43}", made.text)
    assert secret is not None
    headers = {"Authorization": f"Bearer {secret[0]}"}
    assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=headers).json()["name"] == "ann"
    page = browser.get("/settings/tokens").text
    assert "laptop" in page and secret[0] not in page
    number = re.search(r'name="token" value="(\d+)"', page)
    assert number is not None
    answer = browser.post("/settings/tokens/revoke", data={"proof": data["proof"], "token": number[1]})
    assert answer.status_code == 303
    assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=headers).status_code == 401


def test_a_fine_grained_token_is_made_by_the_form(hub: EmbeddedHub, browser: httpx.Client) -> None:
    sign_in(browser)
    data: dict[str, Any] = {"proof": proof(browser), "name": "fine", "role": "fineGrained", "days": "365"}
    assert "at least one right" in browser.post("/settings/tokens", data=data).text
    data |= {"rights": ["repo.content.read", "discussion.write"], "places": "user:ann\nmodel:bob/one"}
    secret = re.search(r"hf_\w{43}", browser.post("/settings/tokens", data=data).text)
    assert secret is not None
    said = httpx.get(f"{hub.endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {secret[0]}"}).json()
    token = said["auth"]["accessToken"]
    assert [item["entity"]["name"] for item in token["fineGrained"]["scoped"]] == ["ann", "bob/one"]


def test_another_password_ends_every_session(hub: EmbeddedHub, browser: httpx.Client) -> None:
    hub.hub.accounts.create_user("eve", password=PASSWORD)
    with httpx.Client(base_url=hub.endpoint) as elsewhere:
        sign_in(elsewhere, "eve")
        sign_in(browser, "eve")
        new = "another one, long"
        data = {"proof": proof(browser), "password": "wrong password", "new": new, "again": new}
        assert browser.post("/settings/password", data=data).status_code == 403
        assert browser.post("/settings/password", data={**data, "password": PASSWORD}).status_code == 303
        assert browser.get("/settings").status_code == 200
        assert elsewhere.get("/settings").status_code == 401
        assert sign_in(elsewhere, "eve").status_code == 401
        assert sign_in(elsewhere, "eve", new).status_code == 303


def test_what_is_kept_of_a_password_is_argon2id(
    hub: EmbeddedHub, hasher: Callable[[], PasswordHasher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_hasher", hasher)
    hub.hub.accounts.create_user("carl", password=PASSWORD)
    with hub.hub.database.read() as connection:
        kept = hub.hub.accounts.find(connection, "carl").password
    assert kept.startswith("$argon2id$v=19$m=32768,t=3,p=1$") and PASSWORD not in kept
    with pytest.raises(HubServerError, match="10 to 1000 characters"):
        hub.hub.accounts.set_password("carl", "short")


def test_anybody_joins_only_where_that_is_allowed(hub: EmbeddedHub, browser: httpx.Client, tmp_path: Path) -> None:
    data = {"name": "newcomer", "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/join", data={**data, "again": "differs, surely"}).status_code == 400
    assert browser.post("/join", data={**data, "name": "login"}).status_code == 400
    assert browser.post("/join", data={**data, "name": "ann"}).status_code == 409
    assert browser.post("/join", data=data).status_code == 303
    assert "newcomer" in browser.get("/settings").text
    with EmbeddedHub(tmp_path, durable=False) as closed:
        assert httpx.post(f"{closed.endpoint}/join", data=data).status_code == 403


# ---------------------------------------------------------------------- devices


def test_a_device_is_let_in_by_somebody_who_is_signed_in(hub: EmbeddedHub, browser: httpx.Client) -> None:
    begun = httpx.post(f"{hub.endpoint}/oauth/device", data={"client_id": "test"}).json()
    ask = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    waiting = httpx.post(f"{hub.endpoint}/oauth/token", data=ask)
    assert waiting.status_code == 400 and waiting.json()["error"] == "authorization_pending"
    assert httpx.post(f"{hub.endpoint}/oauth/token", data=ask).json()["error"] == "slow_down"
    address = begun["verification_uri_complete"]
    sent = browser.get(address)
    assert sent.status_code == 303 and sent.headers["location"].startswith("/login?next=%2Fdevice%3Fcode%3D")
    sign_in(browser)
    assert begun["user_code"] in browser.get(address).text
    data = {"proof": proof(browser), "code": begun["user_code"].lower().replace("-", " "), "answer": "allow"}
    assert "signed in" in browser.post("/device", data=data).text
    given = httpx.post(f"{hub.endpoint}/oauth/token", data=ask).json()
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=headers).json()["name"] == "ann"
    assert httpx.post(f"{hub.endpoint}/oauth/token", data=ask).json()["error"] == "expired_token", "used up"

    renew = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    refreshed = httpx.post(f"{hub.endpoint}/oauth/token", data=renew).json()
    assert refreshed["access_token"] != given["access_token"]
    assert httpx.post(f"{hub.endpoint}/oauth/token", data=renew).json()["error"] == "invalid_grant"
    assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=headers).status_code == 401, "the old one is gone"
    only_renews = {"Authorization": f"Bearer {refreshed['refresh_token']}"}
    assert httpx.get(f"{hub.endpoint}/api/whoami-v2", headers=only_renews).status_code == 401


def test_a_refused_device_hears_so(hub: EmbeddedHub, browser: httpx.Client) -> None:
    begun = httpx.post(f"{hub.endpoint}/oauth/device").json()
    sign_in(browser)
    data = {"proof": proof(browser), "code": begun["user_code"], "answer": "deny"}
    assert "refused" in browser.post("/device", data=data).text
    ask = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"]}
    assert httpx.post(f"{hub.endpoint}/oauth/token", data=ask).json()["error"] == "access_denied"
    other = httpx.post(f"{hub.endpoint}/oauth/token", data={"grant_type": "password"}).json()
    assert other["error"] == "unsupported_grant_type"


def test_codes_cannot_be_tried_out(browser: httpx.Client) -> None:
    sign_in(browser)
    data = {"proof": proof(browser), "code": "BCDF-BCDF", "answer": "allow"}
    statuses = [browser.post("/device", data=data).status_code for _ in range(7)]
    assert statuses[0] == 404 and statuses[-1] == 429


@pytest.mark.peer
def test_the_official_client_logs_in_by_device_code(hub: EmbeddedHub, browser: httpx.Client, tmp_path: Path) -> None:
    sign_in(browser)
    known = proof(browser)
    code = "from huggingface_hub import login, whoami, get_token; login(); print(whoami()['name'], get_token()[:3])"
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONUNBUFFERED": "1"}
    done: list[bool] = []

    def let_in() -> None:
        while not done:
            with hub.hub.database.read() as connection:
                codes = connection.scalars(select(db.device.c.code).where(db.device.c.status == "pending")).all()
            for found in codes:
                browser.post("/device", data={"proof": known, "code": found, "answer": "allow"})
            time.sleep(0.05)

    helper = threading.Thread(target=let_in)
    helper.start()
    try:
        run = subprocess.run([PEER, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    finally:
        done.append(True)
        helper.join()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "ann hf_" in run.stdout
    assert "refresh_token" in (tmp_path / "stored_tokens").read_text()


def test_a_server_without_passwords_needs_no_argon2(tmp_path: Path) -> None:
    code = f"""
import sys
from enfold.hubserver import EmbeddedHub, accounts
with EmbeddedHub({str(tmp_path)!r}, durable=False) as hub:
    hub.create_user("ann")
assert "argon2" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
