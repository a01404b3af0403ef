"""A page's functions as tools, over the protocol's HTTP transport."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio import mcp


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Send one request: ``ask(method, **params)`` is its answer."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def greet(name: str, loud: bool = False) -> str:
        """Greet somebody.

        Args:
            name: who is greeted
            loud: whether in capitals
        """
        return f"HELLO {name.upper()}" if loud else f"Hello {name}"

    def fails(text: str) -> str:
        raise gr.Error("no good", print_exception=False)

    @mcp.tool(name="size_of", description="How large a picture is", structured_output=True)
    def measure(image: np.ndarray) -> list[int]:
        return list(image.shape)

    @mcp.resource("greeting://{name}", mime_type="text/markdown")
    def greeting(name: str) -> str:
        return f"# {name}"

    @mcp.prompt(description="Begin a letter")
    def letter(to: str) -> str:
        return f"Write to {to}"

    with gr.Blocks(title="Tools") as demo:
        text, tick, image, out = gr.Textbox(label="Text"), gr.Checkbox(), gr.Image(), gr.Textbox()
        gr.Button().click(greet, [text, tick], out)
        gr.api(fails, inputs=text, outputs=out)
        gr.api(measure, inputs=image, outputs=gr.JSON())
        gr.api(lambda: np.zeros((2, 3, 3), np.uint8), outputs=gr.Image(), api_name="draw")
        gr.api(greeting, inputs=text, outputs=out)
        gr.api(letter, inputs=text, outputs=out)
        gr.api(lambda text: text, inputs=text, outputs=out, api_name="hidden", api_visibility="private")
    client = TestClient(gr.App.create_app(demo, mcp=True), base_url="http://127.0.0.1")

    def send(method: str, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = client.post("/gradio_api/mcp", json=body).json()
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 1)
        return answer.get("result", answer.get("error"))

    send.client = client  # type: ignore[attr-defined]
    return send


def test_it_introduces_itself_and_lists_its_tools(ask: Callable[..., Any]) -> None:
    hello = ask("initialize", protocolVersion="2025-03-26", capabilities={})
    assert hello["protocolVersion"] == "2025-03-26" and hello["serverInfo"]["name"] == "Tools"
    note = ask.client.post("/gradio_api/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})  # type: ignore[attr-defined]
    assert note.status_code == 202
    tools = {tool["name"]: tool for tool in ask("tools/list")["tools"]}
    assert set(tools) == {"greet", "fails", "size_of", "draw"}
    schema = tools["greet"]["inputSchema"]
    assert tools["greet"]["description"] == "Greet somebody." and schema["required"] == ["name"]
    assert schema["properties"]["loud"] == {"type": "boolean", "description": "whether in capitals", "default": False}
    assert tools["size_of"]["inputSchema"]["properties"]["image"]["format"] == "uri"
    assert ask.client.get("/gradio_api/mcp/schema").json() == list(tools.values())  # type: ignore[attr-defined]


def test_tools_are_called_and_errors_are_told(ask: Callable[..., Any]) -> None:
    said = ask("tools/call", name="greet", arguments={"name": "Ada", "loud": True})
    assert said == {"content": [{"type": "text", "text": "HELLO ADA"}], "isError": False}
    assert ask("tools/call", name="fails", arguments={"text": "x"}) == {
        "content": [{"type": "text", "text": "no good"}],
        "isError": True,
    }
    assert "did you mean 'greet'" in ask("tools/call", name="gret", arguments={})["message"]
    assert "'name' is missing" in ask("tools/call", name="greet", arguments={})["message"]
    assert "no argument 'nam'" in ask("tools/call", name="greet", arguments={"nam": "x"})["message"]
    assert "no tool" in ask("tools/call", name="hidden", arguments={"text": "x"})["message"]
    assert ask("tools/cal")["code"] == -32601


def test_pictures_go_in_and_out(ask: Callable[..., Any]) -> None:
    picture, address = ask("tools/call", name="draw")["content"]
    assert picture["mimeType"] == "image/webp" and base64.b64decode(picture["data"])[:4] == b"RIFF"
    assert "/gradio_api/file=" in address["text"]
    data = f"data:image/webp;base64,{picture['data']}"
    assert ask("tools/call", name="size_of", arguments={"image": data})["structuredContent"] == {"result": [2, 3, 3]}
    inner = ask("tools/call", name="size_of", arguments={"image": "http://127.0.0.1/x"})
    assert inner["isError"] and "not a public address" in inner["content"][0]["text"]
    assert ask("tools/call", name="size_of", arguments={"image": "/etc/passwd"})["isError"]


def test_resources_and_prompts_are_read(ask: Callable[..., Any]) -> None:
    (template,) = ask("resources/templates/list")["resourceTemplates"]
    assert template["uriTemplate"] == "greeting://{name}" and ask("resources/list") == {"resources": []}
    (read,) = ask("resources/read", uri="greeting://Ada")["contents"]
    assert read == {"uri": "greeting://Ada", "mimeType": "text/markdown", "text": "# Ada"}
    assert "no resource" in ask("resources/read", uri="greeting://a/b")["message"]
    (listed,) = ask("prompts/list")["prompts"]
    assert listed["name"] == "letter" and listed["arguments"] == [{"name": "to", "required": True}]
    (message,) = ask("prompts/get", name="letter", arguments={"to": "Ada"})["messages"]
    assert message["content"]["text"] == "Write to Ada"


def test_it_is_there_only_when_asked_for() -> None:
    app = gr.App.create_app(gr.Interface(str.upper, "text", "text"))
    assert TestClient(app, base_url="http://127.0.0.1").post("/gradio_api/mcp", json={}).status_code == 404
