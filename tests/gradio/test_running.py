"""Running again when a file changes, notebooks, values that are made anew, and states that do not live forever."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.sessions import Session


def test_a_program_runs_again_when_it_changes(tmp_path: Path) -> None:
    program = tmp_path / "app.py"
    text = "import enfold.gradio as gr\ndemo = gr.Interface(str.upper, 'text', 'text', title='TITLE', api_name='f')\n"
    program.write_text(text.replace("TITLE", "First"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    command = [sys.executable, "-m", "enfold.gradio", str(program)]
    watcher = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, cwd=tmp_path, text=True)

    def title() -> Any:
        for _ in range(200):
            try:
                return httpx.get(f"http://127.0.0.1:{port}/config").json()
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError("the page is not there")

    try:
        first = title()
        assert (first["title"], first["dev_mode"]) == ("First", True)
        program.write_text(text.replace("TITLE", "Second"))
        for _ in range(200):
            second = title()
            if second["title"] == "Second":
                break
            time.sleep(0.05)
        assert second["title"] == "Second" and second["app_id"] != first["app_id"]
    finally:
        watcher.send_signal(signal.SIGINT)
        watcher.wait(10)


def test_a_notebook_shows_the_page_below_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class ZMQInteractiveShell:
        pass

    display = SimpleNamespace(HTML=str, display=shown.append)
    module = SimpleNamespace(get_ipython=ZMQInteractiveShell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", module)
    demo = gr.Interface(str.upper, "text", "text")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, height=300)
    demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, inline=False)
    demo.close()
    (frame,) = shown
    assert f'src="{url}"' in frame and 'height="300"' in frame


def test_a_function_as_value_runs_for_its_inputs_and_every_so_often() -> None:
    with gr.Blocks() as demo:
        name = gr.Textbox(label="Name")
        gr.Textbox(lambda name: f"Hello {name}", inputs=name, every=2.5, label="Greeting")
    config = demo.get_config_file()
    (timer,) = [each for each in config["components"] if each["type"] == "timer"]
    assert timer["props"]["value"] == 2.5
    (fn,) = config["dependencies"]
    events = [event for _, event in fn["targets"]]
    assert events == ["load", "change", "tick"] and fn["inputs"] == [name._id]


def test_a_state_is_dropped_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, dropped = [0.0], []
    monkeypatch.setattr("enfold.gradio.sessions.time.monotonic", lambda: clock[0])
    state = gr.State([1], time_to_live=10, delete_callback=dropped.append)
    session = Session("s")
    session.write_state(state, [2])
    clock[0] = 9
    assert session.read_state(state) == [2] and dropped == []
    clock[0] = 20
    assert session.read_state(state) == [1] and dropped == [[2]]
    clock[0] = 40
    session.expire()
    assert dropped == [[2], [1]] and session.state == {}


def test_older_spellings_are_understood() -> None:
    with pytest.warns(DeprecationWarning):
        assert gr.Image(source="upload").sources == ["upload"]
    assert gr.Image(show_download_button=False).buttons == ["share", "fullscreen"]
    assert gr.Chatbot(type="messages", bubble_full_width=False).props()["name"] == "chatbot"
    assert gr.Chatbot([("hi", "ho")]).value[1]["role"] == "assistant"
    assert gr.Dataframe(col_count=(2, "fixed"), max_rows=3).col_count == (2, "fixed")
    with pytest.raises(TypeError, match="did you mean 'sources'"):
        gr.Image(sorces="upload")


def test_a_conversation_answers_in_every_shape() -> None:
    def shapes(message: str, history: list[Any]) -> Any:
        return {
            "text": "plain",
            "dict": {"role": "assistant", "content": "as dict"},
            "message": gr.ChatMessage("thought", metadata={"title": "Hm"}),
            "several": ["one", gr.ChatMessage("two")],
            "number": 3,
            "none": None,
        }[message]

    demo = gr.ChatInterface(shapes, api_name="chat")
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")

    def say(message: str) -> Any:
        return client.post("/gradio_api/run/chat", json={"data": [message]}).json()["data"][0]

    assert say("text") == "plain" and say("dict") == "as dict" and say("number") == "3" and say("none") == []
    assert say("message")["metadata"] == {"title": "Hm"}
    assert say("several") == ["one", "two"]


def test_a_conversation_fills_further_outputs_and_takes_coroutines() -> None:
    async def answer(message: str, history: list[Any], loud: bool) -> Any:
        yield (message.upper() if loud else message), f"{len(message)} letters"

    with gr.Blocks() as demo:
        seen = gr.Textbox(label="Seen")
        loud = gr.Checkbox(label="Loud")
        gr.ChatInterface(answer, additional_inputs=loud, additional_outputs=seen, api_name="chat")
    client = TestClient(gr.App.create_app(demo, show_error=True), base_url="http://127.0.0.1")
    answer_ = client.post("/gradio_api/run/chat", json={"data": ["hi", True]}).json()
    assert answer_["data"][0] == "HI" and answer_["data"][-1] == "2 letters"


def test_values_are_judged_before_the_call_is_queued() -> None:
    ran: list[str] = []

    def judge(name: str, age: float) -> Any:
        return gr.validate(len(name) > 1, "a longer name"), gr.validate(age >= 18, "too young")

    with gr.Blocks() as demo:
        name, age, out = gr.Textbox(), gr.Number(), gr.Textbox()
        gr.Button().click(lambda name, age: ran.append(name) or name, [name, age], out, api_name="f", validator=judge)
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")
    body = {"data": ["A", 20], "fn_index": 0, "session_hash": "s"}
    answer = client.post("/gradio_api/queue/join", json=body)
    assert answer.status_code == 422 and ran == []
    first, second = answer.json()["detail"]
    assert first == {"__type__": "validate", "is_valid": False, "message": "a longer name", "parameter_name": "name"}
    assert second["is_valid"] is True
    assert client.post("/gradio_api/run/f", json={"data": ["Ada", 20]}).json()["data"] == ["Ada"]
