"""Spaces in a real browser: a program that is started when somebody comes, and pages that reach nothing of the Hub."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from socket_program import PROGRAM

from enfold.hub import CommitOperationAdd, HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.browser

APP = """
import os
import gradio as gr
import helper

print("in", sorted(os.listdir(".")), os.environ.get("HF_TOKEN"), flush=True)

def count():
    for number in range(3):
        yield f"step {number}"

with gr.Blocks() as demo:
    name = gr.Textbox(label="Name")
    button = gr.Button("Greet")
    greeting = gr.Textbox(label="Greeting")
    button.click(helper.greet, name, greeting)
    gr.Button("Count").click(count, None, greeting)

demo.launch()
"""
PAGE = """<!doctype html><title>x</title><h1 id="said">Static</h1><script src="page.js"></script>"""
SCRIPT = """
const said = [];
try { said.push(document.cookie || "no cookie"); } catch (error) { said.push("no cookie"); }
fetch("/settings/tokens").then((answer) => answer.text(), () => "no page").then((text) => {
  said.push(text.slice(0, 40));
  try { said.push(window.parent.document.title); } catch (error) { said.push("no parent"); }
  document.getElementById("said").textContent = said.join(", ");
});
"""
TALK = """
const said = document.getElementById("said"), heard = [];
const line = new WebSocket(new URL("line", location.href).href.replace(/^http/, "ws"));
line.onopen = () => line.send("x".repeat(100000));
line.onmessage = (event) => {
  heard.push(event.data.length > 5000 ? event.data.length : JSON.parse(event.data).headers["Origin"] || "no origin");
  if (heard.length == 2) line.close(3000);
};
line.onclose = (event) => { said.textContent = [...heard, event.code, event.wasClean].join(", "); };
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False, spaces=spaces, space_idle=60.0) as hub:
        hub.hub.accounts.create_user("ann", password="a long pass phrase")
        hub.create_organisation("demo", {"ann": "write"})
        yield hub


def push(hub: EmbeddedHub, name: str, sdk: str, private: bool = False, **files: str) -> None:
    api = HfApi(hub.endpoint, hub.token)
    api.create_repo(name, repo_type="space", space_sdk=sdk, private=private, exist_ok=True)
    operations = [CommitOperationAdd(path, text.encode()) for path, text in files.items()]
    api.create_commit(name, operations, commit_message="Share", repo_type="space")


@pytest.fixture(scope="module")
def greeter(hub: EmbeddedHub) -> str:
    helper = 'def greet(name):\n    print("greeting", name, flush=True)\n    return f"Hello {name}!"\n'
    push(hub, "demo/greeter", "gradio", **{"app.py": APP, "helper.py": helper})
    return "demo/greeter"


def runtime(hub: EmbeddedHub, name: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {hub.token}"}
    said: dict[str, Any] = httpx.get(f"{hub.endpoint}/api/spaces/{name}/runtime", headers=headers).json()
    return said


def sign_in(page: Any, hub: EmbeddedHub) -> None:
    page.goto(f"{hub.endpoint}/login")
    page.get_by_label("Name", exact=True).fill("ann")
    page.get_by_label("Password", exact=True).fill("a long pass phrase")
    page.locator("main").get_by_role("button", name="Sign in").click()


def wait_for(field: Any, value: str) -> None:
    """Wait until a field of a page says ``value``."""
    deadline = time.monotonic() + 20
    while field.input_value() != value:
        assert time.monotonic() < deadline, field.input_value()
        time.sleep(0.05)


def test_a_program_starts_when_somebody_comes_and_answers(page: Any, hub: EmbeddedHub, greeter: str) -> None:
    assert runtime(hub, greeter)["stage"] == "SLEEPING"
    sign_in(page, hub)
    page.goto(f"{hub.endpoint}/spaces/{greeter}/app")
    frame = page.frame_locator("iframe")
    frame.get_by_label("Name").fill("Ann", timeout=60_000)
    frame.get_by_role("button", name="Greet").click()
    wait_for(frame.get_by_label("Greeting"), "Hello Ann!")
    page.console.clear()  # what asked the program before it had started
    frame.get_by_role("button", name="Count").click()
    wait_for(frame.get_by_label("Greeting"), "step 2")
    said = runtime(hub, greeter)
    assert said["stage"] == "RUNNING" and said["hardware"]["current"] == "cpu-basic"
    page.reload()
    log = page.get_by_label("Log").inner_text()
    assert "greeting Ann" in log and "'app.py'" in log and "hf_" not in log
    page.get_by_role("button", name="Stop").click()
    page.console.clear()  # what asked the program while it ended


def test_scripts_of_a_space_reach_nothing_of_the_hub(page: Any, hub: EmbeddedHub) -> None:
    push(hub, "demo/pages", "static", **{"index.html": PAGE, "page.js": SCRIPT})
    sign_in(page, hub)
    page.goto(f"{hub.endpoint}/spaces/demo/pages/app")
    said = page.frame_locator("iframe").get_by_text("no parent")
    assert said.inner_text() == "no cookie, no page, no parent"
    page.console.clear()  # the browser's refusals
    page.goto(f"{hub.endpoint}/spaces/demo/pages/run/")  # at the top, too
    assert page.get_by_text("no page").inner_text().startswith("no cookie, no page")
    page.console.clear()


def test_a_private_space_is_seen_by_those_who_may(page: Any, hub: EmbeddedHub, greeter: str) -> None:
    push(hub, "demo/hidden", "static", private=True, **{"index.html": PAGE, "page.js": "said.textContent = 'ran'"})
    for path in ("/spaces/demo/hidden/run/", "/spaces/demo/hidden/app", "/spaces/demo/hidden/run/~space:1.9.x/"):
        assert httpx.get(hub.endpoint + path).status_code == 401
    sign_in(page, hub)
    page.goto(f"{hub.endpoint}/spaces/demo/hidden/app")
    page.frame_locator("iframe").get_by_text("ran").wait_for()
    source = page.locator("iframe").get_attribute("src")
    assert httpx.get(hub.endpoint + source).status_code == 200
    other = source.replace("demo/hidden", greeter)
    assert httpx.get(hub.endpoint + other).status_code == 401
    page.console.clear()


def test_a_page_of_a_private_space_speaks_with_its_program(page: Any, hub: EmbeddedHub) -> None:
    program = PROGRAM.replace('data = b"no socket"', "data = PAGE")
    page_of_it = PAGE.replace('<script src="page.js">', f"<script>{TALK}")
    program = f"PAGE = {page_of_it!r}.encode()\n{program}"
    push(hub, "demo/talk", "gradio", private=True, **{"app.py": program})
    sign_in(page, hub)
    page.goto(f"{hub.endpoint}/spaces/demo/talk/app")
    said = page.frame_locator("iframe").locator("#said")
    said.wait_for(timeout=60_000)
    said.filter(has_text="true").wait_for()
    assert said.inner_text() == "no origin, 100000, 3000, true"
    page.console.clear()  # what asked the program before it had started
