"""Dialogues and tables of parameters in a real browser, by their accessible names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser
TAKES = {
    "size": {"type": "int | Shape", "description": "How *large* it is.", "default": "3"},
    "shape": {"type": "Shape", "description": "See [the notes](https://example.test/notes)."},
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with gr.Blocks(title="Lines") as page:
        heard = gr.Textbox(label="Heard")
        script = gr.Dialogue(
            [{"speaker": "Ada", "text": "Hello"}],
            speakers=["Ada", "Bob"],
            tags=["(laughs)", "(sighs)"],
            label="Script",
            interactive=True,
            submit_btn="Speak",
            buttons=["copy"],
        )
        script.submit(lambda text: text, script, heard, api_name="speak")
        said = gr.Dialogue(label="Said", color_map={"Ann": "#c02040"})
        lines = [{"speaker": "Ann", "text": "Who is there?"}, {"speaker": "Ben", "text": "<b>Me</b>."}]
        gr.Button("Listen").click(lambda: lines, None, said, api_name="listen")
        gr.ParamViewer(TAKES, header="What it takes", linkify=["Shape"], anchor_links=True)
    _, address, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield address
    page.close()


def test_lines_are_written_by_keyboard_and_sent_as_one_text(page: Any, url: str) -> None:
    page.goto(url)
    offered = page.get_by_role("listbox", name="Tags").get_by_role("option")
    first = page.get_by_label("Text of line 1")
    first.focus()
    page.keyboard.press("End")
    page.keyboard.type(" there :la")
    assert offered.all_inner_texts() == ["(laughs)"] and first.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")
    assert first.input_value() == "Hello there (laughs)" and offered.count() == 0
    page.keyboard.press("Enter")  # a new line, of whoever speaks next
    page.keyboard.type("Hi :")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.get_by_label("Speaker of line 2").input_value() == "Bob"
    page.get_by_role("button", name="Speak").click()
    page.wait_for_function("() => document.querySelector('textarea').value")
    assert page.get_by_label("Heard").input_value() == "[Ada] Hello there (laughs)\n[Bob] Hi (sighs)"
    page.get_by_role("button", name="Remove line 1").click()
    assert page.get_by_label("Text of line 1").input_value() == "Hi (sighs)"
    assert page.get_by_role("button", name="Remove line 1").is_disabled()


def test_lines_become_a_text_and_a_text_lines(page: Any, url: str) -> None:
    page.goto(url)
    turn = page.get_by_role("button", name="As text")
    turn.click()
    text = page.get_by_role("combobox", name="Script")
    text.wait_for()
    assert text.input_value() == "[Ada] Hello" and turn.get_attribute("aria-pressed") == "true"
    text.fill("[Bob] One\n[Ada] Two\nthree")
    turn.click()
    page.get_by_label("Text of line 3").wait_for()
    speakers = [page.get_by_label(f"Speaker of line {number}").input_value() for number in (1, 2, 3)]
    texts = [page.get_by_label(f"Text of line {number}").input_value() for number in (1, 2, 3)]
    assert speakers == ["Bob", "Ada", "Ada"] and texts == ["One", "Two", "three"]


def test_what_was_said_is_shown_line_by_line(page: Any, url: str) -> None:
    page.goto(url)
    said = page.get_by_role("group", name="Said")
    assert said.inner_text() == "Nothing has been said."
    page.get_by_role("button", name="Listen").click()
    said.get_by_role("listitem").first.wait_for()
    assert said.get_by_role("listitem").all_inner_texts() == ["Ann\nWho is there?", "Ben\n<b>Me</b>."]
    script = "(all) => all.map((one) => getComputedStyle(one).borderLeftColor)"
    colours = said.get_by_role("listitem").evaluate_all(script)
    assert colours[0] == "rgb(192, 32, 64)" != colours[1]


def test_parameters_open_and_lead_to_each_other(page: Any, url: str) -> None:
    page.goto(url + "#param-size")
    size = page.locator("#param-size")
    size.get_by_text("How large it is.").wait_for()  # its address opens it
    assert size.locator("em").inner_text() == "large" and size.get_by_text("Default: 3").is_visible()
    size.get_by_role("link", name="Shape").click()
    page.get_by_role("link", name="the notes").wait_for()
    everything = page.get_by_role("button", name="Close all")
    everything.click()
    assert not page.get_by_text("How large it is.").is_visible()
    page.get_by_role("button", name="Open all").click()
    assert page.get_by_role("link", name="Link to size").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    new_page: Callable[..., Any], axe: Callable[[Any], list[str]], url: str, scheme: str
) -> None:
    page = new_page(color_scheme=scheme)
    page.goto(url)
    page.get_by_role("button", name="Listen").click()
    page.get_by_text("Who is there?").wait_for()
    page.get_by_role("button", name="Open all").click()
    page.get_by_label("Text of line 1").focus()
    page.keyboard.type(":")
    page.get_by_role("listbox", name="Tags").get_by_role("option").first.wait_for()
    assert axe(page) == []
