"""Pages: how they are put together, and what is refused while they are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.errors import GradioError
from processor import slowness


@pytest.mark.alone
def test_the_import_is_light() -> None:
    code = (
        "import sys, time; t = time.process_time(); import enfold.gradio as gr; s = time.process_time() - t\n"
        "with gr.Blocks() as demo: gr.Button().click(lambda t: t, gr.Textbox(), gr.Label())\n"
        "gr.Interface(str.upper, 'text', 'text'); demo.get_config_file()\n"
        "heavy = {'numpy', 'pandas', 'PIL', 'pydantic', 'torch', 'httpx', 'starlette', 'fastapi'} & set(sys.modules)\n"
        "print(s, *sorted(heavy))"
    )
    times = []
    for _ in range(3):
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert not shown[1:]
        times.append(float(shown[0]))
    assert min(times) < 0.08 * slowness()


def test_what_is_created_inside_is_on_the_page_in_order() -> None:
    with gr.Blocks() as demo:
        text, number = gr.Textbox(), gr.Number()
        with gr.Row():
            button = gr.Button("Go")
    tree = demo.layout()["children"]
    form, row = (demo.blocks[branch["id"]] for branch in tree)
    assert (form.type_name, row.type_name) == ("form", "row")
    assert [child["id"] for child in tree[0]["children"]] == [text._id, number._id]
    assert tree[1]["children"] == [{"id": button._id}]


def test_a_block_is_placed_once() -> None:
    with gr.Blocks():
        box = gr.Textbox()
        with pytest.raises(ValueError, match="already on the page"):
            box.render()


def test_an_event_names_its_function_and_makes_the_name_its_own() -> None:
    with gr.Blocks() as demo:
        box, button = gr.Textbox(), gr.Button()
        button.click(str.upper, box, box)
        button.click(str.upper, box, box)
        button.click(lambda text: text, box, box, api_name=False)
        chained = button.click(str.lower, box, box, api_name="small")
        chained.then(str.title, box, box).success(None, None, box, js="() => 'x'")
    names = [(fn.api_name, fn.api_visibility, fn.trigger_after) for fn in demo.fns.values()]
    assert names == [
        ("upper", "public", None),
        ("upper_1", "public", None),
        ("lambda", "private", None),
        ("small", "public", None),
        ("title", "public", 3),
        ("js_fn", "private", 4),
    ]


def test_the_number_of_inputs_is_checked_when_the_page_is_made() -> None:
    with gr.Blocks():
        box, button = gr.Textbox(), gr.Button()
        with pytest.raises(ValueError, match="two needs at least 2 arguments and gets 1 input"):

            @button.click(inputs=box, outputs=box)
            def two(a: str, b: str) -> str:
                return a + b


def test_what_a_function_asks_for_is_not_an_input() -> None:
    def ask(text: str, request: gr.Request, event: gr.SelectData, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        return text

    with gr.Blocks() as demo:
        box = gr.Textbox()
        box.select(ask, box, box)
    fn = demo.fns[0]
    assert fn.config()["collects_event_data"]
    values, named = fn.arguments(["x"], gr.Request(), box, {"index": 3, "value": "y"})
    assert named == {}
    assert values[0] == "x" and isinstance(values[1], gr.Request) and values[2].index == 3
    assert [entry["parameter_name"] for entry in demo.get_api_info()["named_endpoints"]["/ask"]["parameters"]] == [
        "text"
    ]


def test_an_interface_labels_what_has_no_label() -> None:
    demo = gr.Interface(lambda first, second: first, ["text", gr.Number(label="N")], ["text", "label"])
    assert [c.label for c in demo.input_components] == ["first", "N"]
    assert [c.label for c in demo.output_components] == ["output 0", "output 1"]
    assert demo.get_config_file()["mode"] == "interface"


def test_pages_can_stand_behind_tabs_and_keep_their_functions() -> None:
    one = gr.Interface(str.upper, "text", "text", api_name="shout", flagging_mode="never")
    two = gr.Interface(str.lower, "text", "text", api_name="shout", flagging_mode="never")
    both = gr.TabbedInterface([one, two], ["A", "B"])
    assert list(both.get_api_info()["named_endpoints"]) == ["/shout", "/shout_1"]
    types = [block.type_name for block in both.blocks.values()]
    assert types.count("tabitem") == 2 and types.count("textbox") == 4


def test_sharing_says_what_to_do_instead() -> None:
    demo = gr.Interface(str.upper, "text", "text")
    with pytest.raises(Exception, match="share=True needs a public relay"):
        demo.launch(share=True, prevent_thread_lock=True)
    with pytest.raises(TypeError, match="did you mean 'server_port'"):
        demo.launch(server_prot=1)


def test_themes_come_by_name_and_accept_variables() -> None:
    from enfold.gradio.themes import Soft, resolve

    assert "--block-radius:2px" in Soft().set(block_radius="2px").css()
    assert resolve("gradio/monochrome").name == "monochrome"
    with pytest.raises(ValueError, match="did you mean 'soft'"):
        resolve("sotf")
    with pytest.raises(ValueError, match="not the value"):
        Soft().set(block_radius="1px}body{display:none")


def test_examples_must_fit_the_inputs() -> None:
    with gr.Blocks(), pytest.raises(ValueError, match="example 0 has 2 values for 1 input"):
        gr.Examples([["a", "b"]], gr.Textbox())


def test_inputs_go_by_the_names_of_parameters() -> None:
    def say(greeting: str, *, name: str, request: gr.Request | None = None, end: str = "!") -> str:
        return f"{greeting} {name}{end}"

    def late(first: str, second: str = "b", request: gr.Request | None = None, third: str = "c") -> str:
        return f"{first}{second}{third} {request is not None}"

    with gr.Blocks() as demo:
        one, two, three, out, go = gr.Textbox("Hi"), gr.Textbox(), gr.Textbox(), gr.Textbox(), gr.Button()
        go.click(say, one, out, inputs_kwargs={"name": two, "end": three})
        go.click(late, one, out, inputs_kwargs={"third": three})
        go.click(lambda **given: str(given), None, out, inputs_kwargs={"x": one}, api_name="any")
        go.click(late, one, out, api_name="late_alone")
        judge = lambda greeting, name, end: [gr.validate(name != "", "a name"), gr.validate(True, "")]  # noqa: E731
        go.click(say, one, out, inputs_kwargs={"name": two, "end": three}, validator=judge, api_name="judged")
        with pytest.raises(GradioError, match="did you mean 'name'"):
            go.click(say, one, out, inputs_kwargs={"nam": two})
        with pytest.raises(GradioError, match="one argument"):
            go.click(say, {one}, out, inputs_kwargs={"name": two})
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")

    def run(fn: str, *data: str) -> Any:
        return client.post(f"/gradio_api/run/{fn}", json={"data": list(data)}).json()["data"][0]

    assert run("say", "Hi", "Ada", "?") == "Hi Ada?" and run("late", "a", "z") == "abz True"
    assert run("any", "1") == "{'x': '1'}" and run("late_alone", "a") == "abc True"
    named = demo.get_api_info()["named_endpoints"]["/say"]["parameters"]
    assert [each["parameter_name"] for each in named] == ["greeting", "name", "end"]
    assert client.post("/gradio_api/call/judged", json={"data": ["Hi", "", "?"]}).status_code == 422


def test_tabs_take_further_arguments() -> None:
    pages = [gr.Interface(str.upper, "text", "text") for _ in range(2)]
    demo = gr.TabbedInterface(pages, tabs_kwargs={"elem_id": "here"})
    assert [block.elem_id for block in demo.blocks.values() if block.type_name == "tabs"] == ["here"]
