"""Every component in a real browser, driven through its accessible name, on two pages."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enfold.gradio as gr

pytestmark = pytest.mark.browser
ARRAY = np.stack(np.meshgrid(np.arange(90), np.arange(60), indexing="xy"), -1).astype(np.uint8)
ARRAY = np.concatenate([ARRAY * 2, np.full((60, 90, 1), 120, np.uint8)], -1)


def describe(value: Any) -> str:
    """What a function received, in words."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    if isinstance(value, tuple):
        return f"({', '.join(describe(each) for each in value)})"
    if isinstance(value, list):
        return f"[{', '.join(describe(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {describe(each)}' for key, each in value.items())}}}"
    if hasattr(value, "columns"):
        return f"frame {value.values.tolist()}"
    return Path(value).name if isinstance(value, str) and value.startswith("/") else repr(value)


def cell(event: gr.SelectData) -> str:
    return f"{event.index} {event.value}"


def wall_place(event: gr.SelectData) -> str:
    return f"wall {event.index}"


def opinion(event: gr.LikeData) -> str:
    return f"{event.index} {event.liked}"


def option(event: gr.SelectData) -> str:
    return f"option {event.value}"


def span(event: gr.SelectData) -> str:
    return f"from {len(event.index)}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a picture, a sound and a text, and the place where files are kept."""
    import PIL.Image

    folder = tmp_path_factory.mktemp("files")
    PIL.Image.fromarray(ARRAY).save(folder / "sun set.png")
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes((np.sin(np.arange(4000) / 3) * 20000).astype("<i2").tobytes())
    corners, faces = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], ["1 3 2", "1 2 4", "1 4 3", "2 3 4"]
    lines = [*(f"v {x} {y} {z}" for x, y, z in corners), *(f"f {face}" for face in faces)]
    (folder / "body.obj").write_text("\n".join(lines))
    (folder / "tree").mkdir()
    (folder / "tree" / "notes.txt").write_text("hello")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "kept"))
        yield folder


def components(home: Path) -> gr.Blocks:
    """A page with every component that takes something, each beside a field that says what arrived."""
    import pandas as pd

    people = pd.DataFrame({"name": ["Ada", "Bob", "Cleo"], "age": [36, 5, 44]})
    given: dict[str, Any] = {
        "Picture": lambda: gr.Image(label="Picture"),
        "Sound": lambda: gr.Audio(label="Sound", type="numpy"),
        "Papers": lambda: gr.File(label="Papers", file_count="multiple", file_types=[".txt", ".png"]),
        "Wall": lambda: gr.Gallery(label="Wall", type="numpy"),
        "Canvas": lambda: gr.ImageEditor(label="Canvas", canvas_size=(80, 40), type="numpy"),
        "Say": lambda: gr.MultimodalTextbox(label="Say", file_count="multiple"),
        "People": lambda: gr.Dataframe(people, label="People", interactive=True, show_search="search"),
        "Program": lambda: gr.Code("x = 1", language="python", label="Program"),
        "Ink": lambda: gr.ColorPicker("#4f46e5", label="Ink"),
        "Body": lambda: gr.Model3D(label="Body", height=200),
        "When": lambda: gr.DateTime(label="When", type="string"),
        "Tree": lambda: gr.FileExplorer(root_dir=home, glob="*.txt", label="Tree"),
        "Marks": lambda: gr.HighlightedText([("Ada", "PER"), (" sat", None)], label="Marks", interactive=True),
    }
    with gr.Blocks(title="Given") as page:
        heard = gr.Textbox(label="Heard")
        for name, make in given.items():
            component = make()
            button = gr.Button(f"Take {name}")
            button.click(lambda value, name=name: f"{name}: {describe(value)}", component, heard, api_name=name.lower())
            if name == "Say":
                component.submit(lambda value: f"sent {describe(value)}", component, heard, api_name="sent")
            if name == "People":
                component.select(cell, None, heard, api_name="cell")
        upload = gr.UploadButton("Send a file")
        upload.upload(lambda path: f"got {Path(path).name}", upload, heard, api_name="got")
        kept = gr.BrowserState(0, storage_key="count", secret="s")
        gr.Button("Count").click(lambda n: (n + 1, f"counted {n + 1}"), kept, [kept, heard], api_name="count")
        clock, ticks = gr.Timer(0.1), gr.State(0)
        ticked = gr.Textbox(label="Ticks")
        clock.tick(lambda n: (n + 1, str(n + 1)), ticks, [ticks, ticked], show_progress="hidden", api_name="ticked")
    return page


def shown(home: Path) -> gr.Blocks:
    """A page with every component that shows something, and the layouts beyond the everyday ones."""
    import pandas as pd

    days = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=4), "v": [1.0, 3.0, 2.0, 5.0], "who": list("abab")})
    tone = (8000, (np.sin(np.arange(4000) / 3) * 20000).astype(np.int16))
    with gr.Blocks(title="Shown") as page:
        with gr.Sidebar("Aside"):
            gr.Markdown("at the side")
        heard = gr.Textbox(label="Heard")
        gr.Markdown(
            "Euler: $e^{i\\pi}+1=0$ and `code`", latex_delimiters=[{"left": "$", "right": "$", "display": False}]
        )
        picture = gr.Image(ARRAY, label="Picture", interactive=False)
        picture.select(cell, None, heard, api_name="pixel")
        gr.ImageSlider((ARRAY, 255 - ARRAY), label="Compare", interactive=False)
        regions = gr.AnnotatedImage((ARRAY, [((5, 5, 40, 40), "left")]), label="Regions")
        regions.select(cell, None, heard, api_name="region")
        wall = gr.Gallery([ARRAY, (255 - ARRAY, "inverted")], label="Wall", interactive=False)
        wall.select(wall_place, None, heard, api_name="wall")
        gr.Audio(tone, label="Tone", interactive=False)
        gr.DownloadButton("Get notes", value=home / "tree" / "notes.txt")
        gr.File(str(home / "tree" / "notes.txt"), label="Result", interactive=False)
        talk = gr.Chatbot(
            [
                {"role": "user", "content": "Hi, **you**"},
                gr.ChatMessage("Hm", metadata={"title": "Thinking", "status": "done"}),
                {"role": "assistant", "content": "```python\nprint(2)\n```"},
                gr.ChatMessage("Go on?", options=[{"value": "yes", "label": "Yes"}]),
            ],
            label="Talk",
        )
        talk.like(opinion, None, heard, api_name="liked")
        talk.option_select(option, None, heard, api_name="option")
        lines = gr.LinePlot(days, x="day", y="v", color="who", label="Lines", title="Two walks")
        lines.select(span, None, heard, api_name="span")
        gr.BarPlot(days, x="who", y="v", label="Bars")
        gr.ScatterPlot(days, x="v", y="v", label="Dots")
        gr.HighlightedText([("Ada", "PER"), (" sat", None)], label="Entities", show_legend=True)
        gr.HTML(
            "5",
            html_template="<b>${value}</b> of ${most} <i>more</i>",
            most=10,
            js_on_load="element.addEventListener('click', () => { props.value = '6' })",
        )
        with gr.Walkthrough():
            with gr.Step("First"):
                gr.Markdown("the first step")
            with gr.Step("Second"):
                gr.Markdown("the second step")
        with gr.Draggable():
            gr.Textbox(label="A")
            gr.Textbox(label="B")
    return page


@pytest.fixture(scope="module")
def given_url(home: Path) -> Iterator[str]:
    page = components(home)
    _, url, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True, show_error=True, max_file_size="1mb")
    yield url
    page.close()


@pytest.fixture(scope="module")
def shown_url(home: Path) -> Iterator[str]:
    page = shown(home)
    _, url, _ = page.launch(prevent_thread_lock=True, server_port=0, quiet=True, show_error=True)
    yield url
    page.close()


@pytest.fixture
def page_of(new_page: Callable[..., Any]) -> Callable[[str], Any]:
    """Open an address and wait until the page can be used."""

    def start(url: str) -> Any:
        page = new_page(color_scheme="light")
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    return start


def hears(page: Any, text: str) -> None:
    """Wait until the page says that a function received this."""
    page.wait_for_function(
        "text => [...document.querySelectorAll('g-textbox textarea')].some(field => field.value.includes(text))",
        arg=text,
    )


def choose(page: Any, name: str, files: Any) -> None:
    """Choose files as a visitor does: press the button, pick in the dialog."""
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name=name).click()
    chosen.value.set_files(files)


def test_a_body_is_given_and_turned_by_keys(page_of: Any, given_url: str, home: Path) -> None:
    page = page_of(given_url)
    choose(page, "Upload file for Body", home / "body.obj")
    canvas = page.get_by_role("application", name="Body: body.obj")
    page.wait_for_selector("canvas[data-faces='4']")
    page.get_by_role("button", name="Take Body").click()
    hears(page, "Body: body.obj")
    canvas.focus()

    def seen(key: str) -> bytes:
        page.keyboard.press(key)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shot: bytes = canvas.screenshot()
        return shot

    first, turned, near = seen("Home"), seen("ArrowRight"), seen("+")
    assert len({first, turned, near}) == 3 and seen("Home") == first
    page.locator("g-model3d").get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Upload file for Body").wait_for()
    # Taking pictures of what the graphics processor draws is slow, and the browser says so.
    page.console[:] = [message for message in page.console if "GPU stall" not in message]


def test_pictures_sounds_and_files_are_uploaded(page_of: Any, given_url: str, home: Path) -> None:
    page = page_of(given_url)
    choose(page, "Upload file for Picture", home / "sun set.png")
    page.get_by_role("img", name="Picture: picture").wait_for()
    page.get_by_role("button", name="Take Picture").click()
    hears(page, "Picture: array (60, 90, 3)")
    choose(page, "Upload file for Sound", home / "tone.wav")
    page.locator("g-audio audio").wait_for()
    page.get_by_role("button", name="Take Sound").click()
    hears(page, "Sound: (8000, array (4000,))")
    choose(page, "Upload file for Papers", [home / "tree" / "notes.txt", home / "sun set.png"])
    page.get_by_role("button", name="Remove sun set.png").click()
    page.get_by_role("button", name="Take Papers").click()
    hears(page, "Papers: [notes.txt]")
    choose(page, "Upload files for Wall", home / "sun set.png")
    page.get_by_role("button", name="Item 1 of 1").wait_for()
    page.get_by_role("button", name="Take Wall").click()
    hears(page, "Wall: [(array (60, 90, 3), None)]")
    choose(page, "Send a file", home / "tree" / "notes.txt")
    hears(page, "got notes.txt")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(page_of: Any, given_url: str, tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * (2**20 + 1))
    page = page_of(given_url)
    choose(page, "Send a file", tmp_path / "large.txt")
    page.get_by_role("alert").get_by_text("larger than").wait_for()


def test_a_sound_is_trimmed(page_of: Any, given_url: str, home: Path) -> None:
    page = page_of(given_url)
    choose(page, "Upload file for Sound", home / "tone.wav")
    page.locator("g-audio .g-bars").first.wait_for()
    page.locator("g-audio").get_by_role("button", name="Trim").click()
    page.get_by_label("To (s)").fill("0.2")
    page.locator("g-audio .g-toolbar").get_by_role("button", name="Trim").click()
    page.wait_for_function("() => document.querySelector('g-audio').value.path.endsWith('audio.wav')")
    page.get_by_role("button", name="Take Sound").click()
    hears(page, "array (8820,)")


def test_drawing_reaches_the_function_and_can_be_undone(page_of: Any, given_url: str) -> None:
    page = page_of(given_url)
    canvas = page.get_by_role("img", name="Canvas: canvas of 80 by 40 pixels")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 60, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Take Canvas").click()
    hears(page, "composite: array (40, 80, 4)")
    pixels = "document.querySelector('g-imageeditor canvas').getContext('2d').getImageData(0, 0, 80, 40).data"
    painted = f"() => {pixels}.some(value => value)"
    assert page.evaluate(painted)
    page.locator("g-imageeditor").get_by_role("button", name="Undo").click()
    assert not page.evaluate(painted)


def test_a_message_with_a_file_is_sent_by_enter(page_of: Any, given_url: str, home: Path) -> None:
    page = page_of(given_url)
    choose(page, "Attach files", home / "sun set.png")
    page.get_by_role("button", name="Remove sun set.png").wait_for()
    field = page.get_by_label("Say", exact=True)
    field.fill("look")
    field.press("Enter")
    hears(page, "sent {text: 'look', files: [sun set.png]}")


def test_a_table_is_read_sorted_searched_and_edited_by_keyboard(page_of: Any, given_url: str) -> None:
    page = page_of(given_url)
    grid = page.get_by_role("grid", name="People")
    grid.focus()
    page.keyboard.press("ArrowDown")
    hears(page, "[1, 0] Bob")
    page.keyboard.press("ArrowRight")
    hears(page, "[1, 1] 5")
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="age, row 2").fill("6")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take People").click()
    hears(page, "['Bob', '6']")
    page.get_by_role("button", name="age").click()
    first = grid.get_by_role("gridcell").first
    page.wait_for_function("el => el.textContent === 'Bob'", arg=first.element_handle())
    assert grid.get_by_role("columnheader", name="age").get_attribute("aria-sort") == "ascending"
    page.get_by_label("Search the table").fill("cle")
    assert grid.get_by_role("row").count() == 2
    page.get_by_label("Search the table").fill("")
    page.get_by_role("button", name="Add a row").click()
    assert grid.get_by_role("row").count() == 5


def test_fields_of_other_kinds_give_their_values(page_of: Any, given_url: str) -> None:
    page = page_of(given_url)
    code = page.get_by_label("Program", exact=True)
    code.fill("def f():\n    return 2")
    assert page.locator("g-code .g-tok-keyword").all_inner_texts() == ["def", "return"]
    page.get_by_role("button", name="Take Program").click()
    hears(page, "return 2")
    page.get_by_label("Ink, as text").fill("#102030")
    page.get_by_label("Ink, as text").press("Enter")
    page.get_by_role("button", name="Take Ink").click()
    hears(page, "Ink: '#102030'")
    page.get_by_label("When", exact=True).fill("2026-01-31T10:00:05")
    page.get_by_role("button", name="Take When").click()
    hears(page, "2026-01-31 10:00:05")
    page.locator("g-fileexplorer").get_by_text("tree", exact=True).click()
    page.get_by_label("notes.txt").check()
    page.get_by_role("button", name="Take Tree").click()
    hears(page, "Tree: [notes.txt]")
    page.locator("g-highlightedtext").get_by_role("button", name="Ada").click()
    page.get_by_label("Category of Ada").fill("POET")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take Marks").click()
    hears(page, "class_or_confidence: 'POET'")


def test_a_timer_ticks_and_the_browser_remembers(page_of: Any, given_url: str) -> None:
    page = page_of(given_url)
    page.wait_for_function("() => [...document.querySelectorAll('textarea')].some(field => Number(field.value) >= 3)")
    page.get_by_role("button", name="Count").click()
    hears(page, "counted 1")
    assert "1" not in page.evaluate("Object.values(localStorage).join()").split(","), "it is kept encrypted"
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.get_by_role("button", name="Count").click()
    hears(page, "counted 2")


def test_what_is_shown_tells_what_was_chosen(page_of: Any, shown_url: str) -> None:
    page = page_of(shown_url)
    page.get_by_role("img", name="Picture: picture").click(position={"x": 10, "y": 5})
    hears(page, "[10, 5]")
    page.locator("g-annotatedimage").get_by_role("button", name="left").click()
    hears(page, "0 left")
    page.get_by_role("button", name="inverted").click()
    hears(page, "wall 1")
    assert page.get_by_text("2 / 2").is_visible()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_text("1 / 2").is_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Item 1 of 2").wait_for()
    page.get_by_role("button", name="Like", exact=True).first.click()
    hears(page, "True")
    page.get_by_role("button", name="Yes").click()
    hears(page, "option yes")
    slider = page.get_by_role("slider", name="Compare: how much of the first picture is seen")
    slider.focus()
    page.keyboard.press("End")
    assert page.locator("g-imageslider .g-stack").evaluate("el => el.style.getPropertyValue('--at')") == "100%"


def test_a_chart_has_its_values_under_the_pointer_and_a_selection(page_of: Any, shown_url: str) -> None:
    page = page_of(shown_url)
    chart = page.get_by_role("img", name="Two walks: v by day, 4 values")
    chart.scroll_into_view_if_needed()
    assert page.locator("g-nativeplot").first.locator(".g-line").count() == 2
    chart.focus()
    page.keyboard.press("ArrowRight")
    assert "v: 1" in page.locator("g-nativeplot").first.locator(".g-tip").inner_text()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 90, steps=3)
    page.mouse.up()
    hears(page, "from 2")
    assert page.locator("g-nativeplot").nth(1).locator(".g-barmark").count() == 2


def test_text_sound_and_files_are_shown(page_of: Any, shown_url: str, home: Path) -> None:
    page = page_of(shown_url)
    assert page.locator("math").first.text_content() == "eiπ+1=0"
    assert page.locator("g-chatbot .g-tok-call").first.inner_text() == "print"
    assert page.locator("g-chatbot strong").inner_text() == "you"
    page.get_by_text("Thinking").click()
    assert page.get_by_text("Hm", exact=True).is_visible()
    page.locator("g-audio .g-bars").first.wait_for(state="attached")
    with page.expect_download() as got:
        page.get_by_role("button", name="Get notes").click()
    assert got.value.suggested_filename == "notes.txt" and Path(got.value.path()).read_text() == "hello"
    template = page.locator("g-html")
    assert template.inner_text() == "5 of 10 more"
    template.get_by_text("more").click()
    page.wait_for_function("el => el.innerText === '6 of 10 more'", arg=template.element_handle())


def test_sides_steps_and_order_change_by_keyboard(page_of: Any, shown_url: str) -> None:
    page = page_of(shown_url)
    side = page.get_by_role("complementary", name="Aside")
    assert side.get_by_text("at the side").is_visible()
    page.get_by_role("button", name="Close the sidebar").press("Enter")
    assert side.get_by_text("at the side").is_hidden()
    page.get_by_role("button", name="Second").press("Enter")
    assert page.get_by_text("the second step").is_visible() and page.get_by_text("the first step").is_hidden()
    handle = page.get_by_role("button", name="Move: arrow keys, or drag").first
    handle.press("ArrowDown")
    assert page.locator("g-draggable label").all_inner_texts() == ["B", "A"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["given_url", "shown_url"])
def test_axe_finds_nothing_serious(
    new_page: Any, axe: Any, request: pytest.FixtureRequest, which: str, scheme: str
) -> None:
    page = new_page(1280, 900, color_scheme=scheme)
    page.goto(request.getfixturevalue(which))
    page.wait_for_selector("html[data-ready]", state="attached")
    assert axe(page) == []


def test_a_phone_shows_everything_without_scrolling_sideways(new_page: Any, given_url: str, shown_url: str) -> None:
    for url in (given_url, shown_url):
        page = new_page(360, 740, has_touch=True)
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_conversation_is_led_on_the_page(page_of: Any, tmp_path: Path) -> None:
    def answer(message: str, history: list[Any], loud: bool) -> Iterator[str]:
        for end in range(len(message)):
            time.sleep(0.03)
            yield f"{len(history)} " + (message.upper() if loud else message)[: end + 1]

    demo = gr.ChatInterface(
        answer,
        additional_inputs=[gr.Checkbox(label="Loud")],
        examples=[["an example", True]],
        editable=True,
        flagging_mode="manual",
        flagging_dir=str(tmp_path),
        save_history=True,
    )
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, show_error=True)
    try:
        page = page_of(url)
        page.get_by_role("button", name="an example").click()
        page.get_by_text("0 AN EXAMPLE").wait_for()
        page.get_by_role("button", name="Send").wait_for()  # while an answer is written nothing is sent
        field = page.get_by_placeholder("Type a message...")
        field.fill("and a longer message of mine " * 9)
        field.press("Enter")
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Send").wait_for()
        field.fill("short")
        field.press("Enter")
        page.get_by_text("4 short", exact=True).wait_for()
        page.get_by_role("button", name="Edit").last.click()
        page.get_by_label("Edit the message").fill("other")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("4 other", exact=True).wait_for()
        page.get_by_role("button", name="Like", exact=True).last.click()
        page.get_by_role("button", name="Undo").last.click()
        page.wait_for_function("el => el.value === 'other'", arg=field.element_handle())
        assert page.get_by_text("4 other", exact=True).count() == 0
        page.wait_for_function("() => true")
        assert (tmp_path / "dataset1.csv").exists()
        page.get_by_role("button", name="Open the sidebar").click()
        page.get_by_role("button", name="New conversation").click()
        page.get_by_role("button", name="an example").first.wait_for()
    finally:
        demo.close()


def test_a_part_of_the_page_is_made_anew_and_keeps_what_was_typed(page_of: Any) -> None:
    with gr.Blocks() as demo:
        count, total = gr.Slider(1, 5, 2, step=1, label="How many"), gr.Textbox(label="Total")

        @gr.render(inputs=count)
        def boxes(count: float) -> None:
            made = [gr.Textbox(label=f"Box {number}", key=number) for number in range(int(count))]
            gr.Button("Join").click(lambda *texts: "+".join(texts), made, total)

    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        page, other = page_of(url), page_of(url)
        page.get_by_label("Box 0").fill("aa")
        page.get_by_label("Box 1").fill("bb")
        page.get_by_label("range slider for How many").fill("3")
        page.get_by_label("Box 2").fill("cc")
        page.get_by_role("button", name="Join").click()
        hears(page, "aa+bb+cc")
        other.get_by_role("button", name="Join").click()
        hears(other, "+")
        assert other.get_by_label("Box 2").count() == 0
    finally:
        demo.close()
