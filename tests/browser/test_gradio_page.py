"""Demos in a real browser: typing, keys, themes, small screens, streams and what readers of the screen find."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser


def classify(headline: str) -> dict[str, float]:
    """Judge a headline."""
    sure = 0.9 if "area man" in headline.lower() else 0.2
    return {"sarcastic": sure, "sincere": 1 - sure}


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """The address of the demo's page: a headline in, a label out."""
    page = gr.Interface(
        classify,
        gr.Textbox(label="Headline", lines=2, placeholder="Type a headline"),
        gr.Label(label="Sounds", num_top_classes=2),
        title="Is it sarcastic?",
        description="Says whether a **headline** is meant seriously.",
        examples=["Area man wins lottery", "Rates rise again"],
        flagging_mode="never",
    )
    _, url, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield url
    page.close()


def letters(text: str) -> Iterator[str]:
    for end in range(len(text)):
        time.sleep(0.02)
        yield text[: end + 1]


def fails(text: str) -> str:
    gr.Info("Looking at it")
    raise gr.Error("That <b>cannot</b> be read", print_exception=False)


def everything() -> gr.Blocks:
    """A page with every component."""

    def collect(*values: Any) -> tuple[list[Any], str]:
        return list(values), f"{len(values)} values"

    with gr.Blocks(title="Everything") as page:
        gr.Markdown("# Everything\n\nSome *text*, `code` and\n\n| a | b |\n|---|--:|\n| 1 | 2 |")
        with gr.Row():
            with gr.Column():
                name = gr.Textbox(label="Name", info="As on your passport")
                age = gr.Number(3, label="Age")
                strength = gr.Slider(0, 10, 3, step=1, label="Strength")
                agree = gr.Checkbox(label="I agree")
                colour = gr.Radio(["red", "green"], value="red", label="Colour")
                letter = gr.CheckboxGroup(["p", "q"], value=["q"], label="Letters")
                greeting = gr.Dropdown(["Hello", "Goodbye"], label="Greeting")
                many = gr.Dropdown(["x", "y", "z"], value=["x"], multiselect=True, label="Many")
                go = gr.Button("Go", variant="primary")
                stream, stop, fail = gr.Button("Stream"), gr.Button("Halt"), gr.Button("Fail")
            with gr.Column():
                values, words = gr.JSON(label="Values"), gr.Textbox(label="Words", buttons=["copy"])
                hostile = (
                    "<b id='kept'>bold</b><script>window.bad=1</script><img alt='' src='data:,' onerror='window.bad=1'>"
                )
                red = "<p style='color:rgb(200, 0, 0);background:#fff'>red</p>"
                gr.HTML(f"{hostile}<a href='javascript:window.bad=1'>link</a>{red}")
                with gr.Accordion("More", open=False):
                    gr.Markdown("inside the fold")
                with gr.Tabs():
                    with gr.Tab("One"):
                        gr.Markdown("first page")
                    with gr.Tab("Two"):
                        gr.Textbox(label="On the second")
                count, clicks = gr.State(0), gr.Number(label="Clicks", interactive=False)
        inputs = [name, age, strength, agree, colour, letter, greeting, many]
        go.click(collect, inputs, [values, words], api_name="collect")
        go.click(lambda n: (n + 1, n + 1), count, [count, clicks], api_name="count")
        running = stream.click(letters, name, words)
        running.then(lambda text: f"{text}.", words, words, api_name="dot")
        stop.click(None, cancels=[running])
        fail.click(fails, name, words)
        age.change(lambda n: f"age {n}", age, words, api_name="age", show_progress="hidden")
        gr.Examples([["Ada", 36], ["Bob", 5]], [name, age])
    return page


@pytest.fixture(scope="module")
def all_of_it() -> Iterator[str]:
    """The address of the page with every component."""
    page = everything()
    _, url, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    yield url
    page.close()


def open_page(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")


def test_typing_and_submitting_shows_the_label(page: Any, demo: str) -> None:
    open_page(page, demo)
    assert page.title() == "Is it sarcastic?"
    page.get_by_label("Headline").fill("Area man discovers fire")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("90%").wait_for()
    assert page.locator(".g-top").inner_text() == "sarcastic"
    assert page.get_by_role("meter", name="sincere").get_attribute("aria-valuenow") == "10.0"
    page.get_by_role("button", name="Clear").click()
    assert page.get_by_label("Headline").input_value() == ""
    assert page.locator(".g-top").is_hidden()


def test_the_keyboard_is_enough(page: Any, demo: str) -> None:
    open_page(page, demo)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.type("Area man")
    page.keyboard.press("Shift+Enter")
    page.get_by_text("90%").wait_for()
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Area man wins lottery"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('textarea').value === 'Rates rise again'")


def test_a_page_is_few_and_light_files(page: Any, demo: str) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    open_page(page, demo)
    page.wait_for_timeout(200)
    assert len(sizes) <= 6 and sum(sizes) <= 30_000, sizes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    new_page: Callable[..., Any], demo: str, all_of_it: str, axe: Any, scheme: str
) -> None:
    for url in (demo, all_of_it):
        page = new_page(color_scheme=scheme)
        open_page(page, url)
        page.wait_for_timeout(300)
        assert axe(page) == []


def test_dark_follows_the_system_the_address_and_the_button(new_page: Callable[..., Any], demo: str) -> None:
    def ground(page: Any) -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page = new_page(color_scheme="dark")
    open_page(page, demo)
    assert page.locator("body.dark").count() == 1
    dark = ground(page)
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.locator("body.dark").count() == 0 and ground(page) != dark
    open_page(page, f"{demo}?__theme=light")
    assert page.locator("body.dark").count() == 0
    light = new_page(color_scheme="light")
    open_page(light, f"{demo}?__theme=dark")
    assert ground(light) == dark


def test_a_phone_sees_everything_without_scrolling_sideways(
    new_page: Callable[..., Any], demo: str, all_of_it: str
) -> None:
    for url in (demo, all_of_it):
        page = new_page(360, 740, has_touch=True, is_mobile=True)
        open_page(page, url)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        low = page.evaluate(
            "Math.min(...[...document.querySelectorAll('main .g-button')].map(b => b.offsetHeight || 99))"
        )
        assert low >= 34
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Go").tap()
    page.locator("g-textbox", has_text="Words").locator("textarea").wait_for()
    page.wait_for_function("() => [...document.querySelectorAll('textarea')].some(t => t.value === '8 values')")


def test_right_to_left_pages_keep_their_shape(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    label, box = page.locator("g-number .g-caption").first.bounding_box(), page.locator("g-number").first.bounding_box()
    assert label["x"] > box["x"] + box["width"] / 2


def test_a_field_grows_with_its_text_up_to_its_limit(page: Any, demo: str) -> None:
    open_page(page, demo)
    field = page.get_by_label("Headline")
    small = field.bounding_box()["height"]
    field.fill("line\n" * 6)
    grown = field.bounding_box()["height"]
    field.fill("line\n" * 60)
    assert small == 64 and small + 60 < grown < field.bounding_box()["height"] <= 462


def test_fields_in_a_row_share_its_width(new_page: Callable[..., Any]) -> None:
    with gr.Blocks() as blocks, gr.Row():
        gr.Textbox(label="Wide", scale=3)
        gr.Number(label="Slim", scale=1)
        gr.Label("cat", label="Beside")
    _, url, _ = blocks.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page = new_page(1280, 800)
        open_page(page, url)
        wide, slim, beside = (page.locator(f"g-{kind}").bounding_box() for kind in ("textbox", "number", "label"))
        assert wide["y"] == slim["y"] == beside["y"]
        assert wide["width"] > 1.5 * slim["width"] > 200 and beside["width"] > 150
    finally:
        blocks.close()


def test_every_component_gives_its_value(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("spinbutton", name="Age").fill("36")
    page.get_by_label("range slider for Strength").fill("7")
    page.get_by_label("I agree").check()
    page.get_by_label("green").check()
    page.get_by_label("p", exact=True).check()
    page.get_by_label("Greeting").select_option(label="Goodbye")
    page.get_by_label("Many").select_option(label="z")
    page.get_by_role("button", name="Remove x").click()
    page.get_by_role("button", name="Go").click()
    tree = page.locator("g-json")
    tree.get_by_text("8 items").wait_for()
    shown = re.sub(r"\s+", " ", tree.inner_text())
    for part in ('0: "Ada"', "1: 36", "2: 7", "3: true", '4: "green"', '0: "p"', '1: "q"', '6: "Goodbye"', '0: "z"'):
        assert part in shown
    page.get_by_role("button", name="Go").click()
    clicks = page.get_by_label("Clicks")
    page.wait_for_function("el => el.value === '2'", arg=clicks.element_handle())


def test_a_stream_grows_and_what_follows_runs_after_it(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    text = "a stream of letters, one after the other, long enough for a busy machine to see it grow"
    page.get_by_label("Name").fill(text)
    page.get_by_role("button", name="Stream").click()
    words = page.get_by_label("Words").element_handle()
    page.wait_for_function("el => el.value.startsWith('a st') && el.value.length < 80", arg=words)
    page.wait_for_function("([el, text]) => el.value === text", arg=[words, f"{text}."])


def test_a_stream_can_be_stopped(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.get_by_label("Name").fill("x" * 200)
    page.get_by_role("button", name="Stream").click()
    words = page.get_by_label("Words").element_handle()
    page.wait_for_function("el => el.value.length > 3", arg=words)
    page.get_by_role("button", name="Halt").click()
    page.wait_for_timeout(100)
    reached = words.evaluate("el => el.value.length")
    page.wait_for_timeout(200)
    assert words.evaluate("el => el.value.length") == reached < 200


def test_errors_are_told_as_text(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.get_by_role("button", name="Fail").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "That <b>cannot</b> be read" in alert.inner_text()
    assert page.get_by_text("Looking at it").count() == 1
    alert.get_by_role("button", name="Close").click()
    assert page.get_by_role("alert").count() == 0


def test_hostile_html_does_nothing(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.get_by_text("link", exact=True).click()
    assert page.evaluate("window.bad") is None
    assert page.locator("g-html script").count() == 0
    assert page.locator("g-html p").evaluate("el => getComputedStyle(el).color") == "rgb(200, 0, 0)"


def test_examples_fill_the_inputs_and_changes_are_events(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    page.get_by_role("button", name="Use example 1: Ada, 36").click()
    page.wait_for_function("() => [...document.querySelectorAll('textarea')].some(t => t.value === 'age 36')")
    assert page.get_by_label("Name").input_value() == "Ada"


def test_folds_and_tabs_open_by_keyboard(page: Any, all_of_it: str) -> None:
    open_page(page, all_of_it)
    fold = page.get_by_role("button", name="More")
    assert fold.get_attribute("aria-expanded") == "false"
    fold.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("inside the fold").is_visible()
    page.get_by_role("tab", name="One").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Two").get_attribute("aria-selected") == "true"
    assert page.get_by_label("On the second").is_visible()


def test_the_api_page_shows_calls_that_work(page: Any, demo: str) -> None:
    import httpx

    open_page(page, demo)
    page.get_by_role("button", name="Use via API").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("/classify", exact=True).wait_for()
    assert 'api_name="/classify"' in dialog.inner_text()
    assert httpx.post(f"{demo}gradio_api/run/classify", json={"data": ["x"]}).json()["data"][0]["label"] == "sincere"


def test_a_restarted_server_is_noticed(new_page: Callable[..., Any]) -> None:
    import threading

    gate = threading.Event()
    with gr.Blocks() as blocks:
        box, button = gr.Textbox(label="Question"), gr.Button("Go")
        button.click(lambda text: gate.wait(5) and text, box, box, api_name="hold")
    _, url, _ = blocks.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    page = new_page()
    open_page(page, url)
    page.get_by_role("button", name="Go").click()
    page.wait_for_timeout(300)
    gate.set()
    port = blocks.server_port
    blocks.close()
    page.get_by_role("alert").wait_for()
    blocks.launch(prevent_thread_lock=True, server_port=port, quiet=True)
    page.get_by_label("Question").fill("again")
    page.get_by_role("button", name="Go").click()
    page.wait_for_function("() => document.querySelectorAll('.pending').length === 0")
    blocks.close()
    page.console.clear()


def test_styles_scripts_and_themes_of_the_author_take_hold(new_page: Callable[..., Any]) -> None:
    with gr.Blocks(css="#box textarea { color: rgb(1, 2, 3) }", theme="soft") as blocks:
        box = gr.Textbox("text", label="Text", elem_id="box", elem_classes="mine")
        gr.Button("Shout").click(None, box, box, js="(text) => text.toUpperCase()")
        gr.ClearButton([box])
    head = "<script>window.fromHead = 1</script>"
    _, url, _ = blocks.launch(
        prevent_thread_lock=True, server_port=0, quiet=True, js="() => { document.title = 'loaded' }", head=head
    )
    try:
        page = new_page(color_scheme="light")
        open_page(page, url)
        page.wait_for_function("() => document.title === 'loaded' && window.fromHead === 1")
        field = page.locator("#box.mine textarea")
        assert field.evaluate("el => getComputedStyle(el).color") == "rgb(1, 2, 3)"
        assert page.evaluate("getComputedStyle(document.body).getPropertyValue('--block-radius')") == "16px"
        page.get_by_role("button", name="Shout").click()
        page.wait_for_function("el => el.value === 'TEXT'", arg=field.element_handle())
        page.get_by_role("button", name="Clear").click()
        page.wait_for_function("el => el.value === ''", arg=field.element_handle())
    finally:
        blocks.close()


def test_an_interface_that_generates_can_be_stopped_and_flagged(new_page: Callable[..., Any], tmp_path: Any) -> None:
    demo = gr.Interface(letters, gr.Textbox(label="In"), gr.Textbox(label="Out"), flagging_dir=str(tmp_path))
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page = new_page()
        open_page(page, url)
        submit, stop = page.get_by_role("button", name="Submit"), page.get_by_role("button", name="Stop")
        assert submit.is_visible() and stop.is_hidden()
        page.get_by_label("In", exact=True).fill("y" * 300)
        submit.click()
        stop.wait_for()
        page.wait_for_function("el => el.value.length > 2", arg=page.get_by_label("Out", exact=True).element_handle())
        stop.click()
        submit.wait_for()
        page.get_by_role("button", name="Flag").click()
        page.get_by_text("were written down").wait_for()
        assert (tmp_path / "dataset1.csv").read_text().splitlines()[0] == "In,Out,flag,username,timestamp"
    finally:
        demo.close()


def test_a_mounted_page_works_below_its_path(new_page: Callable[..., Any]) -> None:
    from starlette.applications import Starlette

    from enfold.web.server import BackgroundServer

    live = gr.Interface(
        str.title, gr.Textbox(label="Words"), gr.Textbox(label="Title"), live=True, flagging_mode="never"
    )
    with BackgroundServer(gr.mount_gradio_app(Starlette(), live, "/tools/title")) as server:
        page = new_page()
        open_page(page, f"{server.url}/tools/title")
        assert page.get_by_role("button", name="Submit").count() == 0
        page.get_by_label("Words").press_sequentially("war and peace")
        page.wait_for_function(
            "el => el.value === 'War And Peace'", arg=page.get_by_label("Title", exact=True).element_handle()
        )
        page.goto("about:blank")
        live.app.end()


def test_a_password_is_asked_for_on_the_page(new_page: Callable[..., Any]) -> None:
    demo = gr.Interface(str.upper, gr.Textbox(label="In"), gr.Textbox(label="Out"), flagging_mode="never")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, auth=("ada", "s3cret"))
    try:
        page = new_page(color_scheme="dark")
        page.goto(url)
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("s3cret")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector("html[data-ready]", state="attached")
        page.get_by_label("In", exact=True).fill("hi")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_function("el => el.value === 'HI'", arg=page.get_by_label("Out", exact=True).element_handle())
    finally:
        demo.close()


def test_changes_of_properties_outlive_values_that_come_faster_than_the_page_paints(page: Any) -> None:
    def hurry() -> Any:
        yield gr.update(label="Renamed", interactive=False)
        for number in range(200):
            yield str(number)

    with gr.Blocks() as demo:
        gr.Button("Go").click(hurry, None, gr.Textbox(label="Field"))
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page.goto(url)
        # A page that is busy paints late.
        late = "(paint) => setTimeout(() => soon(paint), 150)"
        page.evaluate(f"() => {{ const soon = requestAnimationFrame; window.requestAnimationFrame = {late} }}")
        page.get_by_role("button", name="Go").click()
        field = page.get_by_label("Renamed")
        page.wait_for_function("el => el.value === '199'", arg=field.element_handle())
        assert field.get_attribute("readonly") is not None
    finally:
        demo.close()
