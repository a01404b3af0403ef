"""The button that signs a visitor in with the Hub, pressed in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import enfold.gradio as gr
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.browser


def greet(profile: gr.OAuthProfile | None) -> str:
    return "I do not know you" if profile is None else f"Hello {profile.username}"


def test_a_visitor_signs_in_and_out(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTH_CLIENT_ID", raising=False)
    with EmbeddedHub(tmp_path / "hub", durable=False) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        told = httpx.get(f"{hub.endpoint}/api/whoami-v2", headers={"Authorization": f"Bearer {hub.token}"}).json()
        with gr.Blocks() as demo:
            gr.LoginButton()
            said = gr.Textbox(label="Said")
            demo.load(greet, None, said)
        _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
        try:
            page.goto(f"{url}?a=1")
            says = "text => document.querySelector('g-textbox textarea')?.value === text"
            page.wait_for_function(says, arg="I do not know you")
            page.get_by_role("button", name="Sign in with Hugging Face").click()
            page.wait_for_function(says, arg=f"Hello {told['name']}")
            assert page.url == f"{url}?a=1"
            page.get_by_role("button", name=f"Logout ({told['name']})").click()
            page.wait_for_function(says, arg="I do not know you")
            page.get_by_role("button", name="Sign in with Hugging Face").wait_for()
        finally:
            demo.close()
