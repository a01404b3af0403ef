"""Pages made of a service's description, and what a visitor cannot make of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.errors import GradioError

SPEC = {
    "openapi": "3.1.0",
    "info": {"title": "Books", "description": "A *shelf*."},
    "components": {
        "schemas": {
            "Book": {
                "type": "object",
                "properties": {"title": {"type": "string", "example": "Emma"}, "pages": {"type": "integer"}},
            },
        },
        "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 3}}},
    },
    "paths": {
        "/books": {
            "get": {
                "summary": "All of them",
                "parameters": [
                    {"$ref": "#/components/parameters/Limit"},
                    {"name": "order", "in": "query", "schema": {"enum": ["old", "new"]}},
                    {"name": "tags", "in": "query", "schema": {"type": "array"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Book"}}},
                }
            },
        },
        "/books/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"summary": "One"},
            "delete": {},
        },
        "/cover": {"put": {"requestBody": {"content": {"application/octet-stream": {}}}}},
        "/internal/keys": {"get": {}},
    },
}


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    """A service that says what it was asked, and the requests it had."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked.append((self.command, self.path, dict(self.headers), body))
            if self.path == "/spec.json":
                said = json.dumps(SPEC).encode()
            elif self.path.endswith("/absent"):
                self.send_response(404)
                self.end_headers()
                self.wfile.write(b"no such book")
                return
            else:
                said = json.dumps({"method": self.command, "path": self.path, "body": body.decode()}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked)
    server.shutdown()


def client_of(page: gr.Blocks) -> Any:
    client = TestClient(gr.App.create_app(page), base_url="http://127.0.0.1")

    def call(name: str, *data: Any) -> Any:
        answer = client.post(f"/gradio_api/run/{name}", json={"data": list(data)}).json()
        return answer["data"][0] if "data" in answer else answer["error"]

    return client, call


def test_each_operation_has_a_form_that_calls_it(service: SimpleNamespace) -> None:
    page = gr.load_openapi(f"{service.url}/spec.json", f"{service.url}/v1/", auth_token="t0ken", exclude_paths=["/int"])
    info = page.get_api_info()["named_endpoints"]
    assert sorted(info) == ["/delete__books_id", "/get__books", "/get__books_id", "/post__books", "/put__cover"]
    names = [each["parameter_name"] for each in info["/get__books"]["parameters"]]
    assert names == ["limit", "order", "tags", "X_Trace"]
    assert info["/get__books"]["parameters"][0]["parameter_default"] == 3
    assert json.loads(info["/post__books"]["parameters"][0]["parameter_default"]) == {"title": "Emma", "pages": 0}
    _, call = client_of(page)
    assert call("get__books", 2, "new", '["a", "b"]', "t1")["path"] == "/v1/books?limit=2&order=new&tags=a&tags=b"
    headers = service.asked[-1][2]
    assert headers["Authorization"] == "Bearer t0ken" and headers["X-Trace"] == "t1"
    assert json.loads(call("post__books", '{"title": "Emma"}')["body"]) == {"title": "Emma"}
    assert call("delete__books_id", "7")["method"] == "DELETE"
    error = call("get__books_id", "absent")
    assert error == {"__status__": "error", "status_code": 404, "message": "no such book"}
    assert "t0ken" not in json.dumps(page.get_config_file())


def test_a_file_is_sent_as_it_is(service: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    client, call = client_of(gr.load_openapi(SPEC, service.url, methods=["put"]))
    path = client.post("/gradio_api/upload", files={"files": ("c.bin", b"\x01cover")}).json()[0]
    call("put__cover", {"path": path, "meta": {"_type": "gradio.FileData"}})
    method, where, headers, body = service.asked[-1]
    assert (method, where, body) == ("PUT", "/cover", b"\x01cover")
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("value", ["../internal/keys", "..", ".", "", "a/../../internal/keys", "x?admin=1", "x#y"])
def test_a_visitor_stays_at_the_path_of_the_operation(service: SimpleNamespace, value: str) -> None:
    _, call = client_of(gr.load_openapi(SPEC, service.url))
    call("get__books_id", value)
    for _, path, _, _ in service.asked:
        assert path.startswith("/books/") and ".." not in path.split("/") and "?" not in path and "#" not in path


@pytest.mark.parametrize("value", ["a\r\nAuthorization: Bearer x", "a\nb", "é"])
def test_a_visitor_adds_no_header(service: SimpleNamespace, value: str) -> None:
    _, call = client_of(gr.load_openapi(SPEC, service.url))
    assert "one line" in call("get__books", 1, None, "[]", value) and service.asked == []


def test_what_cannot_be_sent_is_told(service: SimpleNamespace) -> None:
    _, call = client_of(gr.load_openapi(SPEC, service.url))
    assert "not JSON" in call("post__books", "{") and "not JSON" in call("get__books", 1, None, "[", None)
    _, unreachable = client_of(gr.load_openapi(SPEC, "http://127.0.0.1:9"))
    assert "cannot be reached" in unreachable("get__books_id", "1")


def test_what_is_no_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SPEC))
    assert gr.load_openapi(str(tmp_path / "a.json"), "http://x").title == "Books"
    with pytest.raises(GradioError, match="not JSON"):
        gr.load_openapi("{nothing", "http://x")
    with pytest.raises(GradioError, match="'paths'"):
        gr.load_openapi({"info": {}}, "http://x")
    with pytest.raises(GradioError, match="no operation"):
        gr.load_openapi(SPEC, "http://x", paths=["/films"])
    with pytest.raises(GradioError, match="did you mean 'delete'"):
        gr.load_openapi(SPEC, "http://x", methods=["delet"])
