"""A page of hundreds of fields: those far down are made when there is time, and work as the near ones do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser
COUNT = 240


def long_page(js: str | None = None) -> gr.Blocks:
    with gr.Blocks(js=js) as page:
        count, last = gr.Textbox(label="Count"), gr.Textbox(label="Last")
        button = gr.Button("Submit")
        fields: list[Any] = []
        for part in range(COUNT // 10):
            with gr.Row():
                fields += [gr.Textbox(f"v{part}.{number}", label=f"Field {part} {number}") for number in range(9)]
                fields.append(gr.Checkbox(True, label=f"Tick {part}"))
        hidden = gr.Textbox(label="Hidden", visible=False)
        button.click(lambda *given: (len(given), str(given[-2:])), fields, [count, last], api_name="submit")
        gr.Button("Fill").click(lambda: ("new", gr.Textbox(visible=True)), None, [fields[-2], hidden], api_name="fill")
    return page


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    page = long_page()
    _, address, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield address
    page.close()


def test_fields_far_down_have_their_values_before_they_are_made(new_page: Any, url: str) -> None:
    from playwright.sync_api import expect

    page = new_page()
    page.add_init_script("window.requestIdleCallback = () => 0;")  # there is never time
    page.goto(url)
    page.get_by_label("Field 0 0").fill("typed")
    assert page.get_by_label("Field 23 8").count() == 0
    page.get_by_role("button", name="Submit").click()
    page.wait_for_function("() => document.querySelector('textarea').value")
    assert page.get_by_label("Count").input_value() == str(COUNT)
    assert page.get_by_label("Last").input_value() == "('v23.8', True)"
    page.get_by_role("button", name="Fill").click()
    expect(page.get_by_label("Field 23 8")).to_have_value("new")  # an update makes it
    page.get_by_label("Hidden").wait_for()
    assert page.locator(".far").count() < COUNT / 10  # those at the end have come near


def test_fields_far_down_are_there_soon_and_take_what_is_typed(new_page: Any, url: str) -> None:
    page = new_page()
    page.goto(url)
    page.get_by_label("Field 23 8").fill("far")
    page.get_by_label("Tick 23").uncheck()
    page.get_by_role("button", name="Submit").click()
    page.wait_for_function("() => document.querySelector('textarea').value")
    assert page.get_by_label("Last").input_value() == "('far', False)"
    assert page.get_by_role("textbox").count() == COUNT // 10 * 9 + 2


def test_scripts_of_the_author_find_every_field(new_page: Any) -> None:
    script = "() => { window.found = document.querySelectorAll('textarea').length; }"
    demo = long_page(script)
    _, address, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page = new_page()
        page.goto(address)
        page.get_by_role("button", name="Submit").wait_for()
        assert page.evaluate("window.found") == COUNT // 10 * 9 + 3
    finally:
        demo.close()
