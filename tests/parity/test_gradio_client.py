"""The ecosystem's own client against our server, and our description of a page against the ecosystem's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import enfold.gradio as gr
from enfold.gradio.encoding import encode

pytestmark = pytest.mark.peer

SCRIPT = """
import json, sys, threading, time
import gradio_client
from gradio_client import Client

client = Client(sys.argv[1], verbose=False)
told = {"version": gradio_client.__version__}
told["label"] = client.predict("Area man", api_name="/classify")
told["keyword"] = client.predict(greeting="Goodbye", name="Ada", api_name="/greet")
told["default"] = client.predict("Ada", api_name="/greet")
job = client.submit(4, api_name="/count")
told["last"], told["yields"] = job.result(), job.outputs()
told["states"] = [client.predict(2, api_name="/add"), client.predict(3, api_name="/add")]
client.reset_session()
told["states"].append(client.predict(5, api_name="/add"))
told["errors"] = []
for name in ("/fails", "/hides", "/absent"):
    try:
        client.predict("x", api_name=name)
    except Exception as error:
        told["errors"].append([type(error).__name__, str(error)])
job = client.submit("x", api_name="/work")
while not job.done() and not job.status().progress_data:
    time.sleep(0.01)
unit = job.status().progress_data
told["progress"] = unit and unit[0].desc
told["worked"] = job.result()
job = client.submit(0, api_name="/forever")
time.sleep(0.4)
told["cancelled"] = job.cancel()
told["iterated"] = list(client.submit("abc", api_name="/letters"))
endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
told["api"] = {
    name: [[p["parameter_name"], p["python_type"]["type"], p["parameter_has_default"]] for p in e["parameters"]]
    for name, e in endpoints.items()
}
told["many"] = [job.result() for job in [client.submit(str(n), api_name="/echo") for n in range(12)]]
told["direct"] = client.predict("x", api_name="/direct")
client.close()
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(peer: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """What the official client saw."""
    closed = threading.Event()

    def count(n: float) -> Iterator[str]:
        for i in range(int(n)):
            yield "x" * (i + 1)

    def forever(n: float) -> Iterator[float]:
        try:
            while True:
                n += 1
                time.sleep(0.02)
                yield n
        finally:
            closed.set()

    async def letters(text: str) -> Any:
        for letter in text:
            yield letter

    def fails(text: str) -> str:
        raise gr.Error("No good", print_exception=False)

    def hides(text: str) -> str:
        raise RuntimeError("secret")

    def work(text: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        for _ in progress.tqdm(range(20), desc="Working"):
            time.sleep(0.02)
        return text

    with gr.Blocks() as demo:
        name = gr.Textbox(label="Name")
        greeting = gr.Dropdown(["Hello", "Goodbye"], value="Hello", label="Greeting")
        number, out, total, button = gr.Number(), gr.Textbox(), gr.State(0), gr.Button()
        button.click(lambda s: {"a": 0.9, "b": 0.1}, name, gr.Label(), api_name="classify")
        button.click(lambda name, greeting: f"{greeting} {name}!", [name, greeting], out, api_name="greet")
        for fn in (count, forever):
            button.click(fn, number, number if fn is forever else out)
        button.click(lambda n, total: (n + total, n + total), [number, total], [number, total], api_name="add")
        for fn in (letters, fails, hides, work):
            button.click(fn, name, out)
        button.click(lambda text: text, name, out, api_name="echo", concurrency_limit=4)
        button.click(lambda text: text + "!", name, out, api_name="direct", queue=False)
        button.click(lambda text: text, name, out, api_name="kept", api_visibility="private")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    answer = peer(SCRIPT, url, timeout=90)
    answer["closed"] = closed.wait(3)
    yield answer
    demo.close()


def test_predict_takes_positions_keywords_and_defaults(told: dict[str, Any]) -> None:
    confidences = [{"label": "a", "confidence": 0.9}, {"label": "b", "confidence": 0.1}]
    assert told["label"] == {"label": "a", "confidences": confidences}
    assert (told["keyword"], told["default"]) == ("Goodbye Ada!", "Hello Ada!")
    assert told["direct"] == "x!"


def test_generators_arrive_value_by_value(told: dict[str, Any]) -> None:
    assert told["yields"] == ["x", "xx", "xxx", "xxxx"] and told["last"] == "xxxx"
    assert told["iterated"] == ["a", "b", "c"]


def test_states_live_as_long_as_the_session(told: dict[str, Any]) -> None:
    assert told["states"] == [2, 5, 5]


def test_errors_arrive_as_the_clients_own(told: dict[str, Any]) -> None:
    assert told["errors"][0] == ["AppError", "No good"]
    assert told["errors"][1][0] == "AppError" and "show_error=True" in told["errors"][1][1]
    assert told["errors"][2][0] == "ValueError"
    assert "secret" not in json.dumps(told["errors"])


def test_progress_and_cancelling_reach_the_function(told: dict[str, Any]) -> None:
    assert (told["progress"], told["worked"]) == ("Working", "x")
    assert told["cancelled"] is True and told["closed"] is True


def test_many_calls_at_once_keep_their_answers(told: dict[str, Any]) -> None:
    assert told["many"] == [str(n) for n in range(12)]


def test_the_endpoints_are_described(told: dict[str, Any]) -> None:
    assert told["api"]["/greet"] == [["name", "str", False], ["greeting", "Literal['Hello', 'Goodbye']", True]]
    assert "/kept" not in told["api"]


FILES = """
import json, sys
from pathlib import Path
from gradio_client import Client, handle_file
from gradio_client.utils import encode_url_or_file_to_base64

client = Client(sys.argv[1], verbose=False, download_files=sys.argv[3], auth=("ada", "s3cret"))
picture = handle_file(sys.argv[2])
told = {}
flipped = client.predict(picture, api_name="/flip")
told["picture"] = [Path(flipped).suffix, Path(flipped).stat().st_size > 0]
told["sound"] = Path(client.predict(api_name="/tone")).read_bytes()[:4].decode()
told["wall"] = [[Path(each["image"]).suffix, each["caption"]] for each in client.predict(picture, api_name="/wall")]
told["names"] = client.predict([picture, picture], api_name="/names")
told["copies"] = [Path(each).name for each in client.predict([picture], api_name="/copies")]
told["table"] = client.predict({"headers": ["a"], "data": [[1], [2]], "metadata": None}, api_name="/table")
told["message"] = client.predict({"text": "look", "files": [picture]}, api_name="/message")
told["chat"] = [client.predict("hi", api_name="/answer"), client.predict("ho", api_name="/answer")]
told["stream"] = list(client.submit("abc", api_name="/answer"))
told["batches"] = [job.result() for job in [client.submit(str(n), api_name="/batched") for n in range(5)]]
told["edited"] = client.predict({"background": picture, "layers": [], "composite": None}, api_name="/edited")
endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
told["types"] = {name: [each["python_type"]["type"] for each in one["parameters"]] for name, one in endpoints.items()}
try:
    client.predict(handle_file(__file__), api_name="/flip")
except Exception as error:
    told["error"] = str(error)
try:
    Client(sys.argv[1], verbose=False, auth=("ada", "wrong"))
except Exception as error:
    told["auth"] = type(error).__name__
client.close()
print(json.dumps(told))
"""


def test_files_tables_and_conversations_travel(peer: Callable[..., Any], tmp_path: Path) -> None:
    import numpy as np
    import PIL.Image

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
        PIL.Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(tmp_path / "a.png")

        def answer(message: str, history: list[Any]) -> Iterator[str]:
            for end in range(len(message)):
                yield f"{len(history)} {message[: end + 1]}"

        with gr.Blocks() as demo:
            image, files, wall, out = gr.Image(), gr.File(file_count="multiple"), gr.Gallery(), gr.JSON()
            text, button = gr.Textbox(), gr.Button()
            button.click(lambda image: image[:, ::-1], image, gr.Image(), api_name="flip")
            button.click(lambda: (8000, np.zeros(10, np.int16)), None, gr.Audio(), api_name="tone")
            button.click(lambda image: [(image, "one"), image], image, wall, api_name="wall")
            button.click(lambda paths: [Path(path).name for path in paths], files, out, api_name="names")
            button.click(lambda paths: paths, files, gr.File(file_count="multiple"), api_name="copies")
            button.click(lambda frame: frame * 2, gr.Dataframe(), gr.Dataframe(), api_name="table")
            button.click(
                lambda given: [given["text"], Path(given["files"][0]).name],
                gr.MultimodalTextbox(),
                out,
                api_name="message",
            )
            button.click(
                lambda texts: [[each + "!" for each in texts]],
                text,
                text,
                batch=True,
                max_batch_size=3,
                api_name="batched",
            )
            button.click(lambda given: list(given["background"].shape), gr.ImageEditor(), out, api_name="edited")
            gr.ChatInterface(answer, api_name="answer")
        _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, auth=("ada", "s3cret"))
        try:
            told = peer(FILES, url, tmp_path / "a.png", tmp_path / "down", timeout=90)
        finally:
            demo.close()
    assert told["picture"] == [".webp", True] and told["sound"] == "RIFF"
    assert told["wall"] == [[".webp", "one"], [".webp", None]]
    assert told["names"] == ["a.png", "a.png"] and told["copies"] == ["a.png"]
    assert told["table"] == {"headers": ["a"], "data": [[2], [4]], "metadata": None}
    assert told["message"] == ["look", "a.png"] and told["edited"] == [4, 5, 4]
    assert told["chat"] == ["0 hi", "2 ho"] and told["stream"] == ["4 a", "4 ab", "4 abc"]
    assert told["batches"] == [f"{n}!" for n in range(5)]
    assert "not a picture" in told["error"] and told["auth"] == "ValueError"
    assert told["types"]["/flip"] == ["filepath"]
    assert told["types"]["/copies"] == ["list[filepath]"]
    assert told["types"]["/message"] == ["dict(text: str, files: list[filepath])"]


def test_configuration_and_endpoints_equal_the_ecosystems() -> None:
    """The golden file holds what gradio 6.31.0 says of this page (``benchmarks/gradio.py --golden`` writes it)."""
    golden = json.loads((Path(__file__).parent / "gradio_golden.json").read_text())
    with gr.Blocks() as demo:
        text = gr.Textbox(label="Headline", lines=2)
        number, slider = gr.Number(), gr.Slider(0, 10, 3, label="S")
        tick, radio = gr.Checkbox(label="c"), gr.Radio(["a", ("B", "b")], label="r")
        drop, many = gr.Dropdown(["x", "y"]), gr.Dropdown(["x", "y"], multiselect=True)
        group, label, tree = gr.CheckboxGroup(["p", "q"]), gr.Label(num_top_classes=2), gr.JSON()
        words, state = gr.Markdown("# hi"), gr.State(1)
        with gr.Row(), gr.Column():
            button = gr.Button("go")
        inputs = [text, number, slider, tick, radio, drop, many, group, state]
        button.click(lambda *a: a, inputs, [label, tree, words, state], api_name="all")
        button.click(lambda a: a, text, text).then(lambda a: a, text, text).success(lambda: None)
    ours = json.loads(encode(demo.get_config_file()))
    ids = {entry["id"]: number for number, entry in enumerate(ours["components"])}

    def numbered(branch: dict[str, Any]) -> Any:
        return [ids.get(branch["id"], "root"), *(numbered(child) for child in branch.get("children", []))]

    assert numbered(ours["layout"]) == golden["layout"]
    described = []
    for entry in ours["components"]:
        kept = {
            name: entry.get(name)
            for name in ("type", "props", "skip_api", "api_info", "example_inputs")
            if name in entry
        }
        described.append(kept)
    assert described == golden["components"]
    dependencies = []
    for entry in ours["dependencies"]:
        mapped = {**entry, "targets": [[ids.get(block), event] for block, event in entry["targets"]]}
        mapped |= {side: [ids[block] for block in entry[side]] for side in ("inputs", "outputs")}
        dependencies.append(mapped)
    assert dependencies == golden["dependencies"]
    info = json.loads(encode(demo.get_api_info()))
    for described in info["named_endpoints"].values():
        for each in [*described["parameters"], *described["returns"]]:
            each["label"] = each["label"].rstrip("0123456789")
    assert info == golden["info"]


NEWER = """
import json, sys
from gradio_client import Client

client = Client(sys.argv[1], verbose=False)
told = {}
lines = [{"speaker": "Ada", "text": "Hi"}, {"speaker": "Bob", "text": "Hello"}]
told["spoken"] = client.predict(lines, api_name="/spoken")
told["free"] = client.predict("words", api_name="/spoken")
told["lines"] = client.predict(api_name="/lines")
takes = {"size": {"type": "int", "description": "How *large*.", "default": "3"}}
told["takes"] = client.predict(takes, api_name="/takes")
told["described"] = client.predict(api_name="/described")
told["pages"] = [client.predict("x", api_name="/main"), client.predict(3, api_name="/second")]
try:
    client.predict("A", 3, api_name="/judged")
except Exception as error:
    told["refused"] = [type(error).__name__, str(error)]
told["accepted"] = client.predict("Ada", 30, api_name="/judged")
told["kept"] = [client.predict(2, api_name="/counted") for _ in range(3)]
told["streams"] = [list(client.submit(3, api_name="/streamed")) for _ in range(2)]
told["hinted"] = client.predict(a=3, b=4, words=["x", "y"], api_name="/hinted")
endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
told["types"] = {name: [p["python_type"]["type"] for p in e["parameters"]] for name, e in endpoints.items()}
client.close()
server = Client(sys.argv[2], verbose=False)
told["served"] = [server.predict(name="Ada", api_name="/hello"), list(server.submit(3, api_name="/count"))]
server.close()
print(json.dumps(told))
"""


def test_dialogues_pages_caches_and_hints_reach_the_client(peer: Callable[..., Any]) -> None:
    counted: list[float] = []

    @gr.cache
    def counter(n: float) -> int:
        counted.append(n)
        return len(counted)

    @gr.cache
    def streamed(n: float) -> Iterator[str]:
        counted.append(n)
        for end in range(int(n)):
            yield "x" * (end + 1)

    said = [{"speaker": "Ada", "text": "Hi"}]
    takes = {"n": {"type": "int", "description": "", "default": None}}
    with gr.Blocks() as demo:
        script, table, text = gr.Dialogue(speakers=["Ada", "Bob"]), gr.ParamViewer(), gr.Textbox()
        name, age, number, go = gr.Textbox(label="Name"), gr.Number(), gr.Number(), gr.Button()
        go.click(lambda lines: lines, script, text, api_name="spoken")
        go.click(lambda: said, None, script, api_name="lines")
        go.click(lambda takes: takes["size"]["default"], table, text, api_name="takes")
        go.click(lambda: takes, None, table, api_name="described")
        go.click(lambda text: text, text, text, api_name="main")

        def judge(name: str, age: float) -> Any:
            return [gr.validate(len(name) > 1, "A longer name"), gr.validate(age > 17, "Too young")]

        go.click(lambda name, age: name, [name, age], text, api_name="judged", validator=judge)
        go.click(counter, number, number, api_name="counted")
        go.click(streamed, number, text, api_name="streamed")

        @gr.api(api_name="hinted")
        def hinted(a: int, b: int, words: list[str]) -> tuple[int, str]:
            return a + b, "".join(words)

    with demo.route("Second"):
        year = gr.Number()
        gr.Button().click(lambda year: year + 1, year, year, api_name="second")
    server = gr.Server()

    @server.api
    def hello(name: str) -> str:
        return f"Hello {name}"

    @server.api
    def count(n: int) -> Any:
        yield from range(n)

    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    _, other, _ = server.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        told = peer(NEWER, url, other, timeout=90)
    finally:
        demo.close()
        server.close()
    assert (told["spoken"], told["free"], told["lines"]) == ("[Ada] Hi\n[Bob] Hello", "words", said)
    assert (told["takes"], told["described"]) == ("3", takes)
    assert told["pages"] == ["x", 4]
    kind, words = told["refused"]
    assert kind == "ValidationError" and "- name: A longer name" in words and "- age: Too young" in words
    assert told["accepted"] == "Ada" and told["kept"] == [1, 1, 1]
    assert told["streams"] == [["x", "xx", "xxx"]] * 2 and counted == [2, 3]
    assert told["hinted"] == [7, "xy"] and told["types"]["/hinted"] == ["int", "int", "list[str]"]
    assert told["served"] == ["Hello Ada", [0, 1, 2]]
