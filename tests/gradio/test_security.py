"""A page on this machine answers its own visitors, not pages of other web sites."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.files import keep_bytes, keep_file
from enfold.web.origin import OriginGuard, is_loopback


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://127.0.0.1:1", "file://"]
)
def test_foreign_origins_cannot_call(served: SimpleNamespace, origin: str) -> None:
    answer = served.client.post("run/shout", json={"data": ["a"]}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert served.client.get("heartbeat/x", headers={"Origin": origin}).status_code == 403


def test_its_own_origin_may_call(served: SimpleNamespace) -> None:
    port = served.url.rstrip("/").rpartition(":")[2]
    for origin in (served.url.rstrip("/"), f"http://localhost:{port}"):
        answer = served.client.post("run/shout", json={"data": ["a"]}, headers={"Origin": origin})
        assert answer.json()["data"] == ["A"]


def test_a_proxy_in_front_is_known_by_its_name() -> None:
    demo = gr.Interface(str.upper, "text", "text", api_name="shout")
    outside = "https://demo.example/shout"
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, root_path=outside)
    try:
        body = {"data": ["a"]}
        for headers in ({"Origin": "https://demo.example"}, {"Origin": "https://demo.example", "Host": "demo.example"}):
            assert httpx.post(url + "gradio_api/run/shout", json=body, headers=headers).json()["data"] == ["A"]
        assert httpx.get(url + "config", headers={"Host": "demo.example"}).json()["root"] == outside
        evil = {"Origin": "https://evil.example", "Host": "localhost"}
        assert httpx.get(url + "config", headers={"Host": "evil.example"}).status_code == 403
        assert httpx.post(url + "gradio_api/run/shout", json=body, headers=evil).status_code == 403
        forwarded = {"Origin": "https://other.example", "X-Forwarded-Host": "other.example"}
        assert httpx.post(url + "gradio_api/run/shout", json=body, headers=forwarded).status_code == 200
    finally:
        demo.close()


def test_cross_site_requests_without_an_origin_are_refused(served: SimpleNamespace) -> None:
    answer = served.client.post("run/shout", json={"data": ["a"]}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80"])
def test_rebound_names_are_refused(served: SimpleNamespace, host: str) -> None:
    assert served.client.get(served.url + "config", headers={"Host": host}).status_code == 403


def test_a_server_for_the_world_does_not_judge_host_names() -> None:
    guard = OriginGuard(None)
    headers = [(b"host", b"demo.example"), (b"origin", b"https://demo.example")]
    assert guard.refuses({"method": "POST", "path": "/x", "headers": headers}) is None


LOCAL = ["localhost", "[::1]:80", "::1", "127.0.0.2:9", "0.0.0.0", "app.localhost"]
REMOTE = ["10.0.0.1", "127.0.0.1.x", "", "localhost.x", "127.0.0.x"]


@pytest.mark.parametrize("host,expected", [(host, True) for host in LOCAL] + [(host, False) for host in REMOTE])
def test_loopback_names(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_request_may_not_be_endless(served: SimpleNamespace) -> None:
    served.demo.app.settings.max_body = 1000
    assert served.client.post("run/shout", json={"data": ["a" * 2000]}).status_code == 413


def test_a_session_has_so_many_calls_under_way(served: SimpleNamespace) -> None:
    codes = [served.join("held", ["x"]).status_code for _ in range(66)]
    assert codes.count(200) == 64 and codes[-1] == 503


def test_a_password_guards_every_route() -> None:
    with gr.Blocks() as demo:
        gr.FileExplorer()
        gr.DeepLinkButton()
    with demo.route("Other"):
        gr.Markdown("x")
    app = gr.App.create_app(demo, auth=("ada", "s3cret"), mcp=True, pwa=True, monitoring=True)
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    opened = []
    for route in app._inner.routes:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        for method in route.methods - {"HEAD"}:
            if client.request(method, path).status_code != 401:
                opened.append(path)
    for path in ("/gradio_api/heartbeat/x", "/manifest.json", "/gradio_api/mcp", "/monitoring", "/gradio_api/stream/x"):
        assert client.get(path).status_code == 401
    # The forms, and files that are in this distribution for everybody.
    forms = ["/", "/other", "/login"]
    files = ["/favicon.ico", "/gradio.js", "/gradio_api/startup-events", "/gradio_api/ui/x/x", "/robots.txt"]
    assert sorted(opened) == sorted([*forms, *files])


def test_names_and_passwords_cannot_be_tried_without_end() -> None:
    client = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text"), auth=("ada", "s3cret")))
    codes = [client.post("/login", data={"username": "ada", "password": str(n)}).status_code for n in range(22)]
    assert codes == [400] * 20 + [429] * 2
    assert client.post("/login", data={"username": "ada", "password": "s3cret"}).status_code == 429


def test_the_cookie_is_for_this_server_alone() -> None:
    app = gr.App.create_app(gr.Interface(str.upper, "text", "text"), auth=[("ada", "s3cret"), ("bob", "é")])
    given = {}
    for scheme, name, password in (("http", "ada", "s3cret"), ("https", "bob", "é")):
        client = TestClient(app, base_url=f"{scheme}://127.0.0.1")
        given[scheme] = client.post("/login", data={"username": name, "password": password}).headers["set-cookie"]
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in given.values())
    assert "Secure" in given["https"] and "Secure" not in given["http"]
    secrets = [cookie.partition("=")[2].partition(";")[0] for cookie in given.values()]
    assert secrets[0] != secrets[1] and all(len(secret) >= 43 for secret in secrets)  # 256 bits


def test_passwords_are_compared_in_the_same_time_for_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or original(a, b))
    client = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text"), auth=("ada", "s3cret")))
    for name in ("ada", "nobody"):
        assert client.post("/login", data={"username": name, "password": "x"}).status_code == 400
    assert len(compared) == 2


def test_who_sends_a_request_may_be_told_by_a_function() -> None:
    async def who(request: Any) -> str | None:
        return request.headers.get("x-user")

    def say(text: str, request: gr.Request) -> str:
        return f"{request.username} {text}"

    demo = gr.Interface(say, "text", "text", api_name="say")
    app = gr.App.create_app(demo, auth_dependency=who)
    client = TestClient(app, base_url="http://127.0.0.1")
    for path in ("/", "/config", "/gradio_api/heartbeat/x"):
        assert client.get(path).status_code == 401
    ada = {"x-user": "ada"}
    assert client.get("/config", headers=ada).json()["username"] == "ada" and client.get("/", headers=ada).is_success
    assert client.post("/gradio_api/run/say", json={"data": ["hi"]}).status_code == 401
    assert client.post("/gradio_api/run/say", json={"data": ["hi"]}, headers=ada).json()["data"] == ["ada hi"]
    with pytest.raises(ValueError, match="one of them"):
        gr.App.create_app(demo, auth=("a", "b"), auth_dependency=who)


def test_a_kept_file_is_not_named_by_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    kept = keep_bytes(b"known to all", "a.txt")
    (tmp_path / "b.txt").write_bytes(b"known to all")
    assert Path(keep_file(tmp_path / "b.txt")).parent == Path(kept).parent  # the same contents are kept once
    guessed = hashlib.sha256(b"known to all").hexdigest()
    assert guessed not in kept
    client = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text")), base_url="http://127.0.0.1")
    assert client.get(f"/gradio_api/file={tmp_path}/kept/{guessed}/a.txt").status_code == 403
    assert client.get(f"/gradio_api/file={kept}").text == "known to all"


def test_another_sessions_calls_are_neither_seen_nor_stopped(served: SimpleNamespace) -> None:
    event = served.join("held", ["x"], "mine").json()["event_id"]
    for hash in ("other", "", "MINE"):
        served.client.post("cancel", json={"session_hash": hash, "event_id": event, "fn_index": served.ids["held"]})
        assert event not in json.dumps(served.stream(hash or "none"))
    served.client.post("reset", json={"event_id": event})
    assert event in served.demo.app.sessions.get("mine").pending
    served.seen.gate.set()
    assert any(frame["event_id"] == event and frame["msg"] == "process_completed" for frame in served.stream("mine"))


def test_json_is_nested_so_deep_and_no_deeper(served: SimpleNamespace) -> None:
    deep = b'{"data":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    for path in ("run/shout", "queue/join", "call/shout", "component_server", "cancel"):
        answer = served.client.post(path, content=deep, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}


def test_headers_are_so_long_and_no_longer(served: SimpleNamespace) -> None:
    host = served.url.partition("//")[2].rstrip("/").split(":")
    with socket.create_connection((host[0], int(host[1])), timeout=10) as raw:
        raw.sendall(b"GET /config HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
        answer = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                raw.sendall(b"a" * 10_000)
            raw.sendall(b"\r\n\r\n")
            answer = raw.recv(100)
    assert b" 200 " not in answer


def test_uploads_have_so_many_files(served: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    files = [("files", (f"{number}.txt", b"x")) for number in range(1001)]
    assert served.client.post("upload", files=files).status_code == 400
    assert not (tmp_path / "kept").exists()


def test_a_session_has_so_many_streams(served: SimpleNamespace) -> None:
    with contextlib.ExitStack() as held:
        opened = [held.enter_context(served.client.stream("GET", "heartbeat/many")) for _ in range(18)]
        assert [each.status_code for each in opened] == [200] * 16 + [429] * 2


def test_flagging_copies_no_file_that_a_visitor_names(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    demo = gr.Interface(lambda path: path, gr.File(label="F"), "text", flagging_dir=str(tmp_path / "flagged"))
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")
    payload = {"path": str(tmp_path / "secret.txt"), "meta": {"_type": "gradio.FileData"}}
    client.post("/gradio_api/run/flag", json={"data": [payload, "x"]})
    written = [path for path in (tmp_path / "flagged").rglob("*") if path.is_file()]
    assert [path.suffix for path in written] == [".csv"] and "the secret" not in written[0].read_text()


def test_nobody_monitors_a_page_but_who_has_the_key(served: SimpleNamespace, capsys: Any) -> None:
    for path in ("monitoring", "monitoring/summary", "gradio_api/monitoring", "vibe-editor", "proxy=http://x"):
        assert served.client.get(served.url + path).status_code == 404

    def half(text: str) -> str:
        if text == "fails":
            raise gr.Error("no", print_exception=False)
        return text

    demo = gr.Interface(half, "text", "text", api_name="<b>", title="Mine")
    demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, enable_monitoring=True)
    try:
        url = capsys.readouterr().out.partition("Monitoring URL: ")[2].strip()
        base, _, key = url.rpartition("/")
        assert len(key) >= 32 and all(key not in httpx.get(f"{demo.local_url}{p}").text for p in ("", "config"))
        for wrong in ("summary", key[:-1], key + "x", "é"):
            assert httpx.get(f"{base}/{wrong}").status_code == 404
        for text in ("a", "fails", "b"):
            httpx.post(f"{demo.local_url}gradio_api/run/%3Cb%3E", json={"data": [text]})
        told = httpx.get(url, headers={"Accept": "application/json"}).json()["functions"]["<b>"]
        assert (told["calls"], told["failures"], told["running"], told["waiting"]) == (3, 1, 0, 0)
        page = httpx.get(url)
        assert "<b>" not in page.text and "&lt;b&gt;" in page.text and page.headers["cache-control"] == "no-store"
    finally:
        demo.close()
