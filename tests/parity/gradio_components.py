"""What components say of themselves and how values travel, asked of the ecosystem's gradio and of ours alike.

``.peers/gradio/bin/python tests/parity/gradio_components.py gradio > tests/parity/gradio_components_golden.json``
writes what gradio 6.31.0 answers; the test asks ours the same questions. Paths are reduced to file names, and texts
that only describe are left out.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

# Constructors whose configuration is compared.
MADE = """
Image()
Image(type="pil", image_mode="L", sources="upload", height=200, label="Picture")
Audio()
Audio(type="filepath", sources=["microphone"], streaming=True)
Video()
Video(format="mp4", sources=["webcam"], include_audio=False)
File()
File(file_count="multiple", file_types=["image", ".csv"], type="binary")
UploadButton("Send", file_count="multiple")
DownloadButton("Get", variant="primary")
Gallery()
Gallery(columns=4, type="pil", object_fit="cover", interactive=False)
Chatbot()
Chatbot(layout="panel", editable="user", feedback_options=["Good", "Bad"], height=300)
MultimodalTextbox()
MultimodalTextbox(file_count="multiple", placeholder="Say", sources=["upload", "microphone"])
Dataframe()
Dataframe(headers=["a", "b"], datatype=["str", "number"], type="array", row_count=2, column_widths=[10, "20%"])
Dataframe([[1, 2]], static_columns=[1], interactive=True)
Code()
Code("print(1)", language="python", lines=3)
HighlightedText()
HighlightedText([("a", "x"), ("b", None)], color_map={"x": "red"}, show_legend=True)
ColorPicker()
ColorPicker("#ff0000", label="Ink")
DateTime()
DateTime("2026-01-31", include_time=False, type="string")
Timer()
Timer(5, active=False)
AnnotatedImage()
ImageEditor()
ImageEditor(brush=False, layers=False, canvas_size=(100, 50))
Sketchpad()
Paint()
ImageMask()
ImageSlider()
Model3D()
Model3D(display_mode="wireframe", clear_color=(1, 1, 1, 1), camera_position=(90, None, 3), height=200, label="Body")
LoginButton()
LoginButton("Enter", "Leave, {}", size="sm")
DuplicateButton()
DeepLinkButton()
DeepLinkButton("Share", "Done", variant="primary", size="sm")
Navbar()
Navbar([("Web", "https://example.org")], main_page_name=False, visible=False, elem_classes="x")
Files()
Microphone()
PlayableVideo()
Numpy()
Matrix()
Plot()
LinePlot()
BarPlot(x="a", y="b", color="c", title="T", x_lim=[0, 1], label="L")
ScatterPlot(x="a", y="b", tooltip=["a"])
Sidebar()
Walkthrough()
ParamViewer()
ParamViewer({"a": {"type": "int", "description": "d"}}, linkify=["x"], anchor_links=True, max_height=200)
Dialogue()
Dialogue([{"speaker": "A", "text": "hi"}], speakers=["A"], color_map={"A": "red"}, info="I", interactive=True)
""".strip().splitlines()

# Values on their way to the page, and payloads on their way to functions.
SHOWN = """
Image().postprocess(picture)
Image(format="png").postprocess(array)
Image().postprocess(png)
Image().postprocess(None)
Audio().postprocess((8000, sound))
Audio().postprocess(wav)
Video().postprocess(mp4)
File().postprocess(png)
File(file_count="multiple").postprocess([png, wav])
UploadButton().postprocess(png)
DownloadButton().postprocess(png)
Gallery().postprocess([png, (png, "a caption"), mp4])
Gallery().postprocess([(array, "x")])
Gallery().postprocess(None)
Chatbot().postprocess([{"role": "user", "content": "  hi  "}, {"role": "assistant", "content": ["a", "b"]}])
Chatbot().postprocess([gr.ChatMessage("thinking", metadata={"title": "Hm", "status": "pending"})])
Chatbot().postprocess([gr.ChatMessage("pick", options=[{"value": "x", "label": "X"}])])
Chatbot().postprocess([{"role": "user", "content": {"path": png, "alt_text": "a picture"}}])
Chatbot(reasoning_tags=[("<t>", "</t>")]).postprocess([{"role": "assistant", "content": "a<t>b</t>c<t>d"}])
Chatbot().postprocess(None)
MultimodalTextbox().postprocess("hi")
MultimodalTextbox().postprocess({"text": "hi", "files": [png]})
MultimodalTextbox().postprocess(None)
Dataframe().postprocess(frame)
Dataframe(headers=["x"]).postprocess([[1, 2], [3, 4]])
Dataframe().postprocess([1, 2])
Dataframe().postprocess({"headers": ["a"], "data": [[1]]})
Dataframe().postprocess(None)
Dataframe().postprocess(array[:2, :2, 0])
Dataframe().postprocess(csv)
Dataframe().postprocess(frame.style.highlight_max(subset=["n"]))
Code().postprocess("  x = 1\\n")
HighlightedText().postprocess([("a", "x"), ("b", 0.5), ("c", None)])
HighlightedText().postprocess({"text": "In Rome", "entities": [{"entity_group": "LOC", "start": 3, "end": 7}]})
HighlightedText(combine_adjacent=True, adjacent_separator="-").postprocess([("a", "x"), ("b", "x"), ("", None)])
HighlightedText(show_whitespaces=False).postprocess([(" a ", "x")])
ColorPicker().postprocess("#123456")
DateTime(timezone="Europe/Berlin").postprocess(1769850000)
DateTime(include_time=False, timezone="UTC").postprocess(1769850000.5)
DateTime().postprocess(datetime(2026, 1, 31, 10))
AnnotatedImage().postprocess((array, [((1, 1, 9, 9), "box"), (mask, "mask")]))
AnnotatedImage().postprocess((png, []))
ImageEditor().postprocess(png)
ImageEditor().postprocess({"background": array, "layers": [array], "composite": None})
ImageSlider().postprocess((png, array))
Model3D().postprocess(obj)
Model3D().postprocess(None)
Plot().postprocess(None)
LinePlot(x="n", y="n").postprocess(frame)
ScatterPlot().postprocess(dates)
BrowserState({"a": 1}).postprocess({"a": [1, (2, 3)]})
Timer().postprocess(3)
FileExplorer(root_dir="/etc").postprocess("/etc/apt/sources.list")
Dialogue().postprocess("free")
Dialogue(speakers=["A"]).postprocess([{"speaker": "A", "text": "hi"}])
Dialogue().postprocess(None)
""".strip().splitlines()

TAKEN = """
Image(type="numpy") png
Image(type="pil", image_mode="L") png
Image(type="filepath", image_mode=None) png
Image(type="numpy", image_mode="RGBA") png
Image() None
Audio(type="numpy") wav
Audio(type="filepath") wav
Video() mp4
File() png
File(type="binary") csv
File(file_count="multiple") [png, wav]
UploadButton(file_count="multiple") [png]
DownloadButton() png
Gallery() [{"image": file(png), "caption": "x"}]
Gallery(type="numpy") [{"image": file(png), "caption": None}]
Chatbot() [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
MultimodalTextbox() {"text": "hi", "files": [file(png)]}
Dataframe(type="pandas") {"headers": ["a", "b"], "data": [[1, "x"]], "metadata": None}
Dataframe(type="array") {"headers": ["a", "b"], "data": [[1, "x"]], "metadata": None}
Dataframe(type="numpy") {"headers": ["a"], "data": [[1], [2]], "metadata": None}
Code() "x"
HighlightedText() [{"token": "a", "class_or_confidence": "x"}]
ColorPicker() "#123456"
DateTime(type="string") "2026-01-31 10:00:00"
DateTime(type="timestamp", timezone="Europe/Berlin") "2026-01-31 10:00:00"
DateTime(type="datetime") "2026-01-31 10:00:00"
AnnotatedImage() {"image": file(png), "annotations": [{"image": file(png), "label": "x"}]}
ImageEditor() {"background": file(png), "layers": [file(png)], "composite": file(png)}
ImageEditor(image_mode="RGB") {"background": file(png), "layers": [], "composite": None}
ImageSlider(type="filepath", image_mode=None) [file(png), file(png)]
Model3D() obj
Model3D() None
Dialogue(speakers=["A", "B"]) [{"speaker": "A", "text": "hi"}, {"speaker": "B", "text": "yo"}]
Dialogue(separator="|", formatter=lambda a, b: a + b) [{"speaker": "A", "text": "x"}, {"speaker": "B", "text": "y"}]
Dialogue() [{"speaker": "A", "text": ""}]
Dialogue(type="list") [{"speaker": "A", "text": "hi"}]
Dialogue(type="list") "free"
ParamViewer() {"a": {"type": "int", "description": "", "default": None}}
BrowserState(3) None
Timer() 2
FileExplorer(root_dir="/etc") [["apt", "sources.list"]]
FileExplorer(root_dir="/etc", file_count="single") [["passwd"]]
""".strip().splitlines()

FILED = {"Image", "Audio", "Video", "File", "UploadButton", "DownloadButton", "Model3D"}
LEFT_OUT = {"description", "additional_description", "storage_key", "secret", "root_dir", "example_inputs"}


def tidy(value: Any) -> Any:
    """A value without what depends on the machine: paths are names, arrays are their shape, kind and sum."""
    if value.__class__.__module__.startswith("PIL"):
        return ["picture", value.mode, list(value.size)]
    if hasattr(value, "model_dump"):
        return tidy(value.model_dump())
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return ["frame", tidy(value.to_dict(orient="split"))]
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return ["array", str(value.dtype), list(value.shape), float(value.sum())] if value.shape else value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return ["bytes", len(value)]
    if isinstance(value, dict):
        made = {str(key): tidy(each) for key, each in value.items() if key not in LEFT_OUT}
        if (value.get("meta") or {}).get("_type") == "gradio.FileData":
            url = value.get("url") or ""
            made["url"] = url[:20] if url.startswith("data:") else None  # made when it is sent
            if made.get("orig_name") == made.get("path"):
                made["orig_name"] = None  # the same fact twice
        return made
    if isinstance(value, (list, tuple)):
        return [tidy(each) for each in value]
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def answers(module: str) -> dict[str, Any]:
    """Ask every question of a library."""
    import wave
    from datetime import datetime

    import numpy as np
    import pandas as pd
    import PIL.Image

    gr = importlib.import_module(module)
    warnings.simplefilter("ignore")
    home = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.mkdtemp())
    array = (np.arange(12 * 10 * 3) % 251).astype(np.uint8).reshape(12, 10, 3)
    picture = PIL.Image.fromarray(array)
    mask = np.zeros((12, 10))
    mask[2:4, 2:4] = 0.5
    sound = (np.arange(100) * 50).astype(np.int16)
    png, wav, mp4, csv, obj = (str(home / name) for name in ("a.png", "b.wav", "c.mp4", "d.csv", "e.obj"))
    picture.save(png)
    Path(obj).write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    Path(mp4).write_bytes(b"\0\0\0\x18ftypmp42")
    Path(csv).write_text("n,t\n1,x\n2,y\n")
    with wave.open(wav, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000), file.writeframes(sound.tobytes())
    frame = pd.DataFrame({"n": [1, 2], "t": ["x", "y"]})
    dates = pd.DataFrame({"d": pd.to_datetime(["2026-01-01", "2026-01-02"]), "v": [0.5, 1.5]})

    def file_data(path: str) -> dict[str, Any]:
        return {"path": path, "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}

    names = dict(locals()) | {"file": file_data, "datetime": datetime}
    names |= {name: getattr(gr, name) for name in {line.split("(")[0] for line in MADE + SHOWN} | {"FileExplorer"}}
    told: dict[str, Any] = {"made": {}, "shown": {}, "taken": {}}
    for line in MADE:
        with gr.Blocks() as page:
            block = eval(line, names)
        config = next(each for each in page.get_config_file()["components"] if each["id"] == block._id)
        kept = ("type", "props", "skip_api", "api_info", "api_info_as_input", "api_info_as_output")
        entry = {name: config[name] for name in kept if name in config}
        entry["props"].pop("elem_classes", None)
        if line.startswith(("LoginButton", "DeepLinkButton")):
            entry["props"].pop("icon", None)  # the company's pictures, which are not ours
        told["made"][line] = tidy(entry)
    for line in SHOWN:
        told["shown"][line] = tidy(eval(line, names))
    for line in TAKEN:
        constructor, _, payload = line.partition(") ")
        component, value = eval(constructor + ")", names), eval(payload, names)
        if component.__class__.__name__ in FILED:
            value = [file_data(each) for each in value] if isinstance(value, list) else value and file_data(value)
        model = getattr(component, "data_model", None)
        if model is not None and value is not None:
            value = _modelled(component, model, value)
        told["taken"][line] = tidy(component.preprocess(value))
    told["apps"] = apps(module, gr)
    return json.loads(json.dumps(told))


def apps(module: str, gr: Any) -> dict[str, Any]:
    """What apps answer: of their pages, of functions known by their type hints, and of values that are judged."""
    from starlette.testclient import TestClient

    create = importlib.import_module(f"{module}.routes").App.create_app
    with gr.Blocks(title="Shop") as shop:
        gr.Navbar(main_page_name="Start")
        text = gr.Textbox()
        text.submit(lambda text: text, text, text, api_name="echo")
    with shop.route("Über uns", show_in_navbar=False):
        gr.Markdown("x")
        gr.Button().click(lambda: 1, None, gr.Number(), api_name="one")
    shop.route("X", "/x.y/")
    with gr.Blocks() as hinted:

        def some(
            a: int, b: list[str], c: Literal["x", "y"] = "x", d: dict[str, float] | None = None
        ) -> tuple[int, str]:
            """Do some things."""
            return a, c

        some.__annotations__["return"] = tuple[int, str]  # gradio reads no annotation that is a text
        gr.api(some)
        gr.api(lambda: None, api_name="nothing")
    with gr.Blocks() as judging:
        name, age, out, go = gr.Textbox(), gr.Number(), gr.Textbox(), gr.Button()

        def judge(name: str, age: float) -> Any:
            return [gr.validate(len(name) > 1, "longer"), gr.validate(age > 17, "older")]

        go.click(lambda name, age: name, [name, age], out, api_name="both", validator=judge)
        go.click(lambda *all: 1, [name, age], out, api_name="star", validator=judge)
        go.click(lambda name: 1, name, out, api_name="one", validator=lambda name: gr.validate(False, "never"))
        go.click(lambda a, b: 1, [name, age], out, validator=lambda a, b: [gr.validate(False, "x"), {"is_valid": True}])
    ids = {block: number for number, block in enumerate(shop.blocks)}

    def numbered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: numbered(ids.get(v, "page") if key == "id" else v) for key, v in value.items()}
        return [numbered(each) for each in value] if isinstance(value, list) else value

    def placed(page: Any) -> Any:
        return numbered({**page, "components": [ids[each] for each in page["components"]]})

    with TestClient(create(shop), base_url="http://127.0.0.1") as client:
        config = client.get("/config").json()
        told: dict[str, Any] = {"pages": config["pages"], "page": {k: placed(v) for k, v in config["page"].items()}}
        path = config["pages"][1][0]
        one = client.get("/config", params={"page": path}).json()
        told["one page"] = [
            numbered(one["layout"]),
            [entry["type"] for entry in one["components"]],
            one["current_page"],
        ]
        told["its endpoints"] = list(client.get("/gradio_api/info", params={"page": path}).json()["named_endpoints"])
    told["hinted"] = hinted.get_api_info()
    told["judged"] = []
    with TestClient(create(judging), base_url="http://127.0.0.1") as client:
        for number in range(4):
            data = ["A"] if number == 2 else ["A", 3]
            body = {"data": data, "fn_index": number, "session_hash": "s"}
            answer = client.post("/gradio_api/queue/join", json=body)
            told["judged"].append([answer.status_code, answer.json()["detail"]])
    return told


def _modelled(component: Any, model: Any, value: Any) -> Any:
    # gradio hands payloads to components as records of its own.
    if isinstance(value, list) and not hasattr(model, "from_json"):
        return [model(**each) for each in value]
    return model.from_json(value)


if __name__ == "__main__":
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # gradio makes pages with a sign-in button only in a Space, or with a token of its own Hub.
    os.environ |= {"SYSTEM": "spaces", "SPACE_ID": "ann/demo", "OPENID_PROVIDER_URL": "http://127.0.0.1:9"}
    os.environ |= {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret", "OAUTH_SCOPES": "openid profile"}
    print(json.dumps(answers(sys.argv[1]), indent=0, sort_keys=True))
