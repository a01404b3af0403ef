"""Endpoints without a page: functions by their type hints, and FastAPI's application with a queue."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal, TypedDict

import httpx
import pytest

import enfold.gradio as gr
from enfold.gradio.errors import GradioError
from enfold.gradio.hints import schema_of


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Book(TypedDict, total=False):
    title: str


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (bytes, {"type": "string", "format": "byte"}),
        (
            dict[str, list[int]],
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        ),
        (Literal["a"], {"const": "a"}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (set[str], {"type": "array", "uniqueItems": True, "items": {"type": "string"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (Mood, {"enum": ["good", "bad"]}),
        (Book, {"type": "object", "properties": {"title": {"type": "string"}}}),
        (object, {}),
    ],
    ids=str,
)
def test_type_hints_read_as_schemas(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


def test_a_function_is_offered_by_its_hints() -> None:
    with gr.Blocks() as demo:

        @gr.api(api_name="divide")
        def divide(a: int, b: int, request: gr.Request, x_token: gr.Header, exact: bool = False) -> tuple[int, str]:
            """Divide two numbers."""
            return a // b, f"{type(b).__name__} {x_token}"

    assert divide.function.api_name == "divide"
    described = demo.get_api_info()["named_endpoints"]["/divide"]
    assert [each["parameter_name"] for each in described["parameters"]] == ["a", "b", "exact"]
    assert [each["python_type"]["type"] for each in described["returns"]] == ["int", "str"]
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        body = {"data": [7, 2, True]}
        answer = httpx.post(f"{url}gradio_api/run/divide", json=body, headers={"X-Token": "t"}).json()
        assert answer["data"] == [3, "int t"]
    finally:
        demo.close()


def test_a_function_without_hints_is_not_offered_by_them() -> None:
    with gr.Blocks(), pytest.raises(GradioError, match="parameter 'b' has none"):
        gr.api(lambda b: b)
    with pytest.raises(GradioError, match="inside"):
        gr.api(str.upper)


@pytest.fixture
def url() -> Iterator[str]:
    """A server with an endpoint and routes of its own."""
    server = gr.Server(title="Greetings")

    @server.api(name="hello", concurrency_limit=2)
    def hello(name: str) -> str:
        return f"Hello {name}"

    @server.api
    def count(n: int) -> Any:
        yield from range(n)

    @server.get("/")
    def root() -> dict[str, str]:
        return {"message": "mine"}

    @server.post("/mine")
    def mine() -> int:
        return 1

    _, url, _ = server.launch(prevent_thread_lock=True, server_port=0, quiet=True, mcp_server=True)
    yield url
    server.close()


def test_endpoints_and_routes_stand_beside_each_other(url: str) -> None:
    assert httpx.get(url).json() == {"message": "mine"} and httpx.get(f"{url}docs").status_code == 200
    assert httpx.get(f"{url}config").json()["mode"] == "server"
    assert httpx.post(f"{url}gradio_api/run/hello", json={"data": ["Ada"]}).json()["data"] == ["Hello Ada"]
    begun = httpx.post(f"{url}gradio_api/call/count", json={"data": [2]}).json()["event_id"]
    assert "event: generating" in httpx.get(f"{url}gradio_api/call/count/{begun}").text
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    said = httpx.post(f"{url}gradio_api/mcp", json=ask, headers={"Accept": "application/json, text/event-stream"})
    assert "hello" in said.text


def test_foreign_pages_reach_neither(url: str) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert httpx.post(f"{url}mine").json() == 1
    assert httpx.post(f"{url}mine", headers=foreign).status_code == 403
    assert httpx.post(f"{url}gradio_api/run/hello", json={"data": ["x"]}, headers=foreign).status_code == 403
    assert httpx.get(url, headers={"Host": "rebound.example"}).status_code == 403


def test_a_server_is_launched_again(url: str) -> None:
    server = gr.Server()
    for word in ("one", "two"):
        server.api(lambda: "x", name=word)
        _, again, _ = server.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    assert sorted(httpx.get(f"{again}gradio_api/info").json()["named_endpoints"]) == ["/one", "/two"]
    server.close()
    assert httpx.get(url).status_code == 200  # another one goes on


def test_without_fastapi_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\nimport enfold.gradio as gr\n"
        "try:\n    gr.Server\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "enfold[fastapi]" in done.stdout


def test_all_pages_are_closed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [gr.Interface(str.upper, "text", "text") for _ in range(2)]
    for page in pages:
        page.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    gr.close_all()
    assert not any(page.is_running for page in pages)
    assert capsys.readouterr().out.count("Closing server running on port") >= 2
    gr.close_all(verbose=False)
    assert capsys.readouterr().out == ""
