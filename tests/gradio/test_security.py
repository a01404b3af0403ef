"""A page on this machine answers its own visitors, not pages of other web sites."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

import enfold.gradio as gr
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
