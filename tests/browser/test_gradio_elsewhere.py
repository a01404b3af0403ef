"""Demos inside pages of other sites, in other languages, with values that are judged first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser


@pytest.fixture
def demo() -> Iterator[str]:
    """The address of a page in two languages that wants a name of two letters."""
    i18n = gr.I18n(en={"name": "Name", "go": "Greet"}, de={"name": "Vorname", "go": "Los"})
    with gr.Blocks(theme=gr.themes.Glass()) as page:
        name, out = gr.Textbox(label=i18n("name")), gr.Textbox(label="Out")
        gr.Button(i18n("go")).click(
            lambda name: f"Hello {name}",
            name,
            out,
            api_name="greet",
            validator=lambda name: gr.validate(len(name) > 1, "At least two letters"),
        )
    _, url, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True, i18n=i18n)
    yield url
    page.close()


@pytest.fixture
def site(demo: str) -> Iterator[str]:
    """The address of another site's page that shows the demo by one script tag."""
    body = f"""<!doctype html><html lang="de"><title>Outer</title><h1>Outer</h1>
    <script type="module" src="{demo}gradio.js"></script><gradio-app src="{demo}"></gradio-app></html>"""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 204)
            self.send_header("content-type", "text/html")
            self.end_headers()
            if self.path == "/":
                self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


def test_a_demo_works_inside_a_page_of_another_site(new_page: Any, site: str) -> None:
    page = new_page(900, 700, locale="de-DE")
    page.goto(site)
    inside = page.frame_locator("gradio-app iframe")
    inside.get_by_label("Vorname").fill("Ada")
    inside.get_by_role("button", name="Los").click()
    field = inside.get_by_label("Out")
    for _ in range(50):
        if field.input_value() == "Hello Ada":
            break
        page.wait_for_timeout(50)
    assert field.input_value() == "Hello Ada"
    height = page.locator("gradio-app iframe").evaluate("el => parseInt(el.style.height)")
    content = inside.locator("#app").evaluate("el => el.getBoundingClientRect().height")
    assert abs(height - content) <= 1


def test_what_is_wrong_stands_beside_the_field(new_page: Any, demo: str) -> None:
    page = new_page()
    page.goto(demo)
    field = page.get_by_label("Name")
    field.fill("A")
    page.get_by_role("button", name="Greet").click()
    page.get_by_text("At least two letters").first.wait_for()
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("Ada")
    assert field.get_attribute("aria-invalid") is None and page.locator(".g-problem").count() == 0
    page.get_by_role("button", name="Greet").click()
    page.wait_for_function("el => el.value === 'Hello Ada'", arg=page.get_by_label("Out").element_handle())
    page.console.clear()  # the refusal is a 422, which browsers write down


def test_an_example_with_a_picture_fills_its_input(new_page: Any, tmp_path: Any, monkeypatch: Any) -> None:
    import PIL.Image

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    PIL.Image.new("RGB", (9, 6), "teal").save(tmp_path / "sea.png")
    page_ = gr.Interface(
        lambda image, words: f"{image.shape} {words}",
        [gr.Image(label="Picture"), gr.Textbox(label="Words")],
        gr.Textbox(label="Out"),
        examples=[[str(tmp_path / "sea.png"), "one"], [str(tmp_path / "sea.png"), "two"]],
        flagging_mode="never",
    )
    _, url, _ = page_.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page = new_page()
        page.goto(url)
        page.get_by_role("button", name="Use example 2: sea.png, two").click()
        page.get_by_role("img", name="Picture: picture").wait_for()
        page.get_by_role("button", name="Submit").click()
        page.wait_for_function("el => el.value === '(6, 9, 3) two'", arg=page.get_by_label("Out").element_handle())
    finally:
        page_.close()
