"""Tokens: where they come from, where they are kept, and where they must never show."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from enfold.hub.http import build_hf_headers
from enfold.hubserver import EmbeddedHub


@pytest.fixture
def endpoint(server: EmbeddedHub, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return server.endpoint


def test_login_saves_a_token_only_the_user_can_read(endpoint: str, server: EmbeddedHub, hf_home: Path) -> None:
    assert hub.get_token() is None
    with pytest.raises(LocalTokenNotFoundError, match="enfold hub login"):
        hub.whoami()
    token = server.create_user("ann")
    hub.login(token)
    assert hub.get_token() == token and hub.whoami()["name"] == "ann"
    for name in ("token", "stored_tokens"):
        assert stat.S_IMODE((hf_home / name).stat().st_mode) == 0o600
    other = server.create_user("bob", role="read")
    hub.login(other)
    assert hub.auth_list() == ["ann", "bob"] and hub.whoami()["auth"]["accessToken"]["role"] == "read"
    hub.auth_switch("ann")
    assert hub.whoami()["name"] == "ann"
    hub.logout("bob")
    assert hub.auth_list() == ["ann"] and hub.get_token() == token
    hub.logout()
    assert hub.get_token() is None and not (hf_home / "stored_tokens").exists()


def test_login_refuses_what_the_hub_does_not_know(endpoint: str, hf_home: Path) -> None:
    with pytest.raises(HfHubHTTPError, match="invalid token"):
        hub.login("hf_wrong")
    assert not (hf_home / "token").exists()
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(token="hf_wrong").list_repo_files("a/b")


def test_login_takes_the_environments_token(
    endpoint: str, server: EmbeddedHub, monkeypatch: pytest.MonkeyPatch, hf_home: Path
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(LocalTokenNotFoundError, match="no terminal"):
        hub.login()
    monkeypatch.setenv("HF_TOKEN", server.token)
    hub.login()
    assert not (hf_home / "token").exists()


def test_a_read_token_reads_only(endpoint: str, server: EmbeddedHub) -> None:
    writer, reader = HfApi(token=server.create_user("carl")), HfApi(token=server.create_user("carl", role="read"))
    writer.create_repo("carl/secret", private=True)
    assert reader.repo_exists("carl/secret")
    assert not HfApi(token=server.create_user("dora")).repo_exists("carl/secret")
    assert not HfApi(token=False).repo_exists("carl/secret")
    for attempt in (
        lambda: reader.upload_file(path_or_fileobj=b"", path_in_repo="x", repo_id="carl/secret"),
        lambda: reader.create_repo("carl/other"),
        lambda: reader.delete_repo("carl/secret"),
        lambda: reader.create_tag("carl/secret", tag="t"),
    ):
        with pytest.raises(HfHubHTTPError, match="may only read"):
            attempt()
    with pytest.raises(HfHubHTTPError, match="namespace 'owner'"):
        writer.create_repo("owner/stolen")


def test_token_arguments(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "authorization" not in build_hf_headers()
    with pytest.raises(LocalTokenNotFoundError, match="token=True"):
        build_hf_headers(token=True)
    monkeypatch.setenv("HF_TOKEN", " hf_spaced\n")
    assert build_hf_headers()["authorization"] == "Bearer hf_spaced"
    assert build_hf_headers(token="hf_given")["authorization"] == "Bearer hf_given"
    assert "authorization" not in build_hf_headers(token=False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert "authorization" not in build_hf_headers()


def test_no_token_shows_in_logs_errors_or_the_database(
    endpoint: str, server: EmbeddedHub, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = server.create_user("eve")
    for logger in ("enfold", "httpx", "httpcore"):
        logging.getLogger(logger).propagate = True
        logging.getLogger(logger).setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            hub.login(token)
            api = HfApi(token=token)
            api.create_repo("eve/repo")
            api.upload_file(path_or_fileobj=b"x" * 2_000_000, path_in_repo="x.bin", repo_id="eve/repo")
            with pytest.raises(HfHubHTTPError) as caught:
                api.model_info("eve/none")
    finally:
        for logger in ("enfold", "httpx", "httpcore"):
            logging.getLogger(logger).setLevel(logging.NOTSET)
        logging.getLogger("enfold").propagate = False
        logging.getLogger("enfold").setLevel(logging.WARNING)
    assert caplog.records
    assert token not in caplog.text and token not in str(caught.value) and token not in repr(api)
    for file in server.hub.settings.folder.glob("hub.sqlite*"):
        assert token.encode() not in file.read_bytes()
