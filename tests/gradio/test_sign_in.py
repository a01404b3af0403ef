"""Signing in with the Hub: the code flow against a provider of its own process's making, and this machine's user."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

import enfold.gradio as gr
from enfold.gradio.sign_in import local_target
from enfold.web.server import BackgroundServer

ANN = {"sub": "1", "name": "Ann A.", "preferred_username": "ann", "profile": "http://hub/ann", "picture": ""}


class Provider:
    """What OpenID Connect asks of a Hub: it lets everybody in as Ann, and checks what RFC 6749 and 7636 say."""

    def __init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.places),
                Route("/oauth/authorize", self.authorize),
                Route("/oauth/token", self.token, methods=["POST"]),
                Route("/oauth/userinfo", self.user),
            ]
        )

    async def places(self, request: Request) -> JSONResponse:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        return JSONResponse({key: f"{self.url}/oauth/{name}" for key, name in names.items()})

    async def authorize(self, request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["client_id"] == "demo" and asked["response_type"] == "code" and asked["scope"] == "openid profile"
        code = secrets.token_hex(8)
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", status_code=303)

    async def token(self, request: Request) -> JSONResponse:
        given = parse_qs((await request.body()).decode())
        asked = self.codes.pop(given["code"][0], None)
        proof = hashlib.sha256(given["code_verifier"][0].encode()).digest()
        basic = "Basic " + base64.b64encode(b"demo:s3cret").decode()
        if (
            asked is None
            or base64.urlsafe_b64encode(proof).rstrip(b"=").decode() != asked["code_challenge"]
            or request.headers.get("authorization") != basic
            or given["redirect_uri"][0] != asked["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "tok-ann", "expires_in": 3600, "scope": asked["scope"]})

    async def user(self, request: Request) -> JSONResponse:
        good = request.headers.get("authorization") == "Bearer tok-ann"
        return JSONResponse(ANN) if good else JSONResponse({}, 401)


def hello(profile: gr.OAuthProfile | None) -> str:
    return "nobody" if profile is None else f"{profile.name} ({profile.username})"


def act(token: gr.OAuthToken) -> str:
    return f"{token.token} {token.scope} {token!r}"


def page() -> gr.Blocks:
    with gr.Blocks() as demo:
        gr.LoginButton()
        said = gr.Textbox(label="Said")
        gr.Button("Who").click(hello, None, said, api_name="who")
        gr.Button("Act").click(act, None, said, api_name="act")
    return demo


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A page in a Space of a Hub."""
    provider = Provider()
    server = BackgroundServer(provider.app, host="127.0.0.1", port=0)
    provider.url = server.url
    monkeypatch.setenv("OAUTH_CLIENT_ID", "demo")
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("OPENID_PROVIDER_URL", server.url)
    monkeypatch.delenv("OAUTH_SCOPES", raising=False)
    monkeypatch.delenv("SPACE_HOST", raising=False)
    demo = page()
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield SimpleNamespace(url=url, demo=demo, provider=provider)
    demo.close()
    server.stop()


def call(client: httpx.Client, url: str, name: str) -> Any:
    answer = client.post(f"{url}gradio_api/run/{name}", json={"data": []})
    return answer.json()["data"][0] if answer.status_code == 200 else answer.json()["error"]


def test_a_visitor_signs_in_and_out(signed: SimpleNamespace) -> None:
    with httpx.Client(follow_redirects=True) as client:
        assert call(client, signed.url, "who") == "nobody"
        assert "sign in first" in call(client, signed.url, "act")
        back = client.get(f"{signed.url}login/huggingface?_target_url=/?a=1")
        assert str(back.url) == f"{signed.url}?a=1" and back.status_code == 200
        assert call(client, signed.url, "who") == "Ann A. (ann)"
        assert call(client, signed.url, "act").startswith("tok-ann openid profile")
        assert "tok-ann" not in repr(gr.OAuthToken("tok-ann", "openid", 1)) + str(dict(client.cookies))
        with httpx.Client() as other:
            assert call(other, signed.url, "who") == "nobody"
        client.get(f"{signed.url}logout")
        assert call(client, signed.url, "who") == "nobody"


def test_a_code_is_worth_nothing_to_whom_it_was_not_given(signed: SimpleNamespace) -> None:
    with httpx.Client() as victim, httpx.Client() as attacker:
        # The attacker begins, and has the victim come back in their place: the victim would act as the attacker.
        sent = attacker.get(f"{signed.url}login/huggingface").headers["location"]
        back = attacker.get(sent).headers["location"]
        assert urlsplit(back).path == "/login/callback"
        assert victim.get(back).status_code == 400
        assert call(victim, signed.url, "who") == "nobody"
        # Nor does a state count twice, or one that was never given.
        assert attacker.get(back).status_code == 400
        assert attacker.get(f"{signed.url}login/callback?code=x&state=y").status_code == 400


def test_nobody_is_sent_to_another_machine(signed: SimpleNamespace) -> None:
    for target in ("https://evil.example/x", "////evil.example/x", "\\\\evil.example/x", "//evil.example"):
        with httpx.Client() as client:
            sent = client.get(f"{signed.url}login/huggingface", params={"_target_url": target}).headers["location"]
            back = client.get(client.get(sent).headers["location"]).headers["location"]
            assert back.startswith(signed.url) and urlsplit(back).netloc == urlsplit(signed.url).netloc
    assert local_target("////evil.example/x") == "/evil.example/x" and local_target(None) == "/"


def test_a_sign_in_ends_when_the_hub_says(signed: SimpleNamespace) -> None:
    with httpx.Client(follow_redirects=True) as client:
        client.get(f"{signed.url}login/huggingface")
        for info in signed.demo.app.sign_in._visitors.values():
            info["expires_at"] = 1.0
        assert call(client, signed.url, "who") == "nobody"


def test_a_hub_half_said_is_told_when_the_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTH_CLIENT_ID", "demo")
    monkeypatch.delenv("OAUTH_CLIENT_SECRET", raising=False)
    with pytest.raises(ValueError, match="OAUTH_CLIENT_SECRET"):
        page().launch(prevent_thread_lock=True, server_port=0, quiet=True)


def test_outside_of_a_space_it_is_this_machines_user(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold.hubserver import EmbeddedHub

    monkeypatch.delenv("OAUTH_CLIENT_ID", raising=False)
    with EmbeddedHub(tmp_path / "hub", durable=False) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        demo = page()
        _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
        try:
            with httpx.Client(follow_redirects=True) as client:
                client.get(f"{url}login/huggingface")
                name = httpx.get(f"{hub.endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {hub.token}"})
                assert f"({name.json()['name']})" in call(client, url, "who")
                assert hub.token not in call(client, url, "act")  # whoever opens the page would have it
        finally:
            demo.close()


def test_the_copy_button_opens_the_hubs_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "ann/demo")
    with gr.Blocks() as demo:
        gr.DuplicateButton()
    (entry,) = demo.get_config_file()["dependencies"]
    assert "/spaces/ann/demo?duplicate=true" in entry["js"] and not entry["backend_fn"]
