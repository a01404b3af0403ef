"""Apps of several pages, links to a page's present state, and what is kept, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser
SPEC = {
    "info": {"title": "Books"},
    "paths": {"/books/{id}": {"get": {"parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}]}}},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app of three pages, the last of which has no link."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("kept")))
        with gr.Blocks(title="Shop") as demo:
            bar = gr.Navbar([("Sources", "https://example.org/")], main_page_name="Start")
            name, out = gr.Textbox(label="Name"), gr.Textbox(label="Out")
            with gr.Row():
                gr.Button("Greet", variant="primary").click(gr.cache(lambda name: f"Hello {name}"), name, out)
                gr.DeepLinkButton()
                more = gr.Button("More links")
            links = [("News", "about"), ("Bad", "javascript:window.bad=1")]
            more.click(lambda: gr.Navbar(links, main_page_name="Top"), None, bar)
        with demo.route("About us", "about"):
            gr.Markdown("# Who we are")
            gr.Number(label="Year", value=2026)
        with demo.route("Hidden", show_in_navbar=False):
            gr.Markdown("# Only for those who know")
        _, address, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
        yield address
        demo.close()


def filled(page: Any, label: str, value: str) -> None:
    page.wait_for_function(
        "([el, value]) => el.value === value", arg=[page.get_by_label(label).element_handle(), value]
    )


def test_links_lead_from_page_to_page(page: Any, url: str) -> None:
    page.goto(url)
    bar = page.get_by_role("navigation", name="Pages")
    assert bar.get_by_role("link").all_inner_texts() == ["Start", "About us", "Sources"]
    assert bar.get_by_role("link", name="Start").get_attribute("aria-current") == "page"
    assert bar.get_by_role("link", name="Sources").get_attribute("target") == "_blank"
    bar.get_by_role("link", name="About us").click()
    page.get_by_role("heading", name="Who we are").wait_for()
    assert page.title() == "About us · Shop" and page.get_by_label("Year").input_value() == "2026"
    # A page without a Navbar of its own has plain links.
    assert page.get_by_role("link").all_inner_texts()[:2] == ["Home", "About us"]
    page.get_by_role("link", name="Home").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").wait_for()
    page.goto(f"{url}hidden")
    page.get_by_role("heading", name="Only for those who know").wait_for()


def test_a_function_changes_the_links_and_the_light_stays(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(color_scheme="light")
    page.goto(f"{url}?__theme=dark")
    page.get_by_role("button", name="More links").click()
    link = page.get_by_role("navigation").get_by_role("link", name="Top")
    link.wait_for()
    # "News" leads to a page that has a link already.
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == ["Top", "About us", "Bad"]
    assert page.get_by_role("link", name="Bad").evaluate("el => el.protocol") == "http:"
    page.get_by_role("link", name="About us").click()
    page.get_by_role("heading", name="Who we are").wait_for()
    assert "dark" in (page.locator("body").get_attribute("class") or "")


def test_a_link_is_copied_and_leads_to_what_is_there_now(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(url)
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Greet").click()
    filled(page, "Out", "Hello Ada")
    page.get_by_label("Name").fill("Bob")
    page.get_by_role("button", name="Share via Link").click()
    page.get_by_role("button", name="Link Copied!").wait_for()
    page.get_by_role("button", name="Share via Link").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{url}?deep_link=")
    other = new_page()
    other.goto(link)
    filled(other, "Name", "Bob")
    filled(other, "Out", "Hello Ada")
    other.get_by_role("button", name="Greet").click()
    filled(other, "Out", "Hello Bob")


def test_a_link_that_is_none_is_told(page: Any, url: str) -> None:
    page.goto(f"{url}?deep_link={'x' * 32}")
    page.get_by_role("alert").get_by_text("Link not found").wait_for()
    assert page.get_by_label("Name").input_value() == ""


def test_a_kept_result_is_announced(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_label("Name").fill("Eve")
    page.get_by_role("button", name="Greet").click()
    filled(page, "Out", "Hello Eve")
    page.get_by_role("button", name="Greet").click()
    page.get_by_role("status").get_by_text("Done, from the cache").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    new_page: Callable[..., Any], axe: Callable[[Any], list[str]], url: str, scheme: str
) -> None:
    page = new_page(color_scheme=scheme)
    for path in ("", "about"):
        page.goto(url + path)
        page.wait_for_function("document.documentElement.dataset.ready")
        assert axe(page) == []


def test_the_api_page_tells_of_this_page_alone(page: Any, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Use via API").click()
    page.get_by_role("dialog").get_by_role("heading", name="/lambda", exact=True).wait_for()
    page.goto(f"{url}about")
    page.get_by_role("button", name="Use via API").click()
    page.get_by_role("dialog").get_by_text("This page offers no endpoints.").wait_for()


def test_links_wrap_on_a_phone(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(360, 740)
    page.goto(url)
    page.get_by_role("navigation").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(box["height"] >= 40 for link in page.get_by_role("link").all()[:3] if (box := link.bounding_box()))


def test_an_operation_is_called_from_its_form(new_page: Callable[..., Any], axe: Any, tmp_path: Path) -> None:
    demo = gr.load_openapi(SPEC, "http://127.0.0.1:9")
    _, address, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, enable_monitoring=True)
    try:
        page = new_page()
        page.goto(address)
        page.get_by_role("link", name="GET /books/{id}").wait_for()
        page.get_by_label("id", exact=True).fill("7")
        page.get_by_role("button", name="Submit").click()
        page.get_by_role("alert").get_by_text("the service cannot be reached").wait_for()
        page.get_by_role("link", name="GET /books/{id}").click()
        assert page.url.endswith("#get-books-id-") and page.locator(":target").count() == 1
        assert axe(page) == []
        page.goto(f"{address}monitoring/{demo.app.monitoring.key}")
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="get__books_id"))
        assert row.get_by_role("cell").all_inner_texts() == ["1", "1", "–", "0", "0"]
        assert axe(page) == []
    finally:
        demo.close()
