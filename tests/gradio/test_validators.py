"""Judges of sounds and films, and how a judge is asked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.errors import EnfoldError
from enfold.gradio.film import film_length


def written(path: Path, options: dict[str, str], codec: str = "mpeg4", frames: int = 25) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number, np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options", "seconds"),
    [
        ("a.mp4", "mpeg4", {}, 2.5),
        ("b.mov", "mpeg4", {"movflags": "faststart"}, 2.5),
        ("c.mp4", "mpeg4", {"movflags": "frag_keyframe+empty_moov"}, 2.5),
        ("d.webm", "libvpx", {}, 2.5),
        ("e.webm", "libvpx", {"live": "1"}, 2.4),  # as browsers record: no length is told, the last picture's time is
        ("f.mkv", "mpeg4", {}, 2.5),
        ("g.avi", "mpeg4", {}, 2.5),
    ],
)
def test_the_length_of_a_film_is_read(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], seconds: float
) -> None:
    assert film_length(written(tmp_path / name, options, codec)) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no film",
        b"\0\0\0\x08ftyp\0\0\0\0moov",
        b"\0\0\0\x18ftypmp42" + bytes(12) + b"\0\0\0\x10moov\0\0\0\x08mvhd",
        b"\x1a\x45\xdf\xa3" + b"\xff" * 40,
        struct.pack(">I4sQ", 1, b"moov", 3),
    ],
    ids=range(6),
)
def test_what_is_no_film_is_said(tmp_path: Path, body: bytes) -> None:
    pytest.importorskip("av")
    (tmp_path / "x.mp4").write_bytes(body)
    with pytest.raises(EnfoldError, match=r"x\.mp4"):
        film_length(tmp_path / "x.mp4")


def test_lengths_are_judged(tmp_path: Path) -> None:
    film = written(tmp_path / "a.mp4", {})
    sound = (8000, np.zeros(12_000))
    judge_sound, judge_film = gr.validators.is_audio_correct_length, gr.validators.is_video_correct_length
    assert judge_sound(sound, 1, 2) == {"__type__": "validate", "is_valid": True}
    assert judge_sound(sound, None, None)["is_valid"] and judge_film(film, None, 3)["is_valid"]
    for told, words in (
        (judge_sound(sound, 2, None), "Audio is too short. It must be at least 2 seconds"),
        (judge_sound(sound, None, 1), "Audio is too long. It must be at most 1 seconds"),
        (judge_sound(None, 1, None), "Audio is too short. It must be at least 1 seconds"),
        (judge_film(film, 3, None), "Video is too short. It must be at least 3 seconds"),
        (judge_film(str(film), 1, 2), "Video is too long. It must be at most 2 seconds"),
    ):
        assert told == {"__type__": "validate", "is_valid": False, "message": words}


@pytest.fixture
def ask() -> Any:
    """A page whose functions are judged in several ways, and ``ask(name, *data)``."""

    async def later(name: str) -> Any:
        return gr.validate(len(name) > 1, "longer")

    def with_request(name: str, request: gr.Request) -> Any:
        return gr.validate(request.headers["x-who"] == name, "not you")

    def fails(name: str) -> Any:
        raise RuntimeError("secret")

    with gr.Blocks() as demo:
        name, age, out, go = gr.Textbox(), gr.Number(), gr.Textbox(), gr.Button()
        go.click(lambda name: name, name, out, api_name="later", validator=later)
        go.click(lambda name: name, name, out, api_name="request", validator=with_request)
        go.click(
            lambda given: given[name],
            {age, name},
            out,
            api_name="set",
            validator=lambda given: [gr.validate(bool(given[name]), "a name"), gr.validate(given[age] > 17, "older")],
        )
        go.click(lambda name: name, name, out, api_name="fails", validator=fails)
        go.click(lambda name: name, name, out, api_name="nothing", validator=lambda name: None)
        gr.ChatInterface(lambda m, h: m, api_name="chat", validator=lambda m: gr.validate(m != "no", "say yes"))
        gr.Interface(lambda x: x, "text", "text", api_name="face", validator=lambda x: gr.validate(x != "no", "yes"))
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")

    def call(fn: str, *data: Any) -> Any:
        answer = client.post(f"/gradio_api/call/{fn}", json={"data": list(data)}, headers={"x-who": "ada"})
        return answer.status_code, answer.json().get("detail")

    return call


def test_a_judge_is_asked_as_the_function_would_be(ask: Any) -> None:
    refused = {"__type__": "validate", "is_valid": False}
    assert ask("later", "a") == (422, [{**refused, "message": "longer", "parameter_name": "name"}])
    assert ask("later", "ada")[0] == ask("request", "ada")[0] == ask("nothing", "x")[0] == 200
    assert ask("request", "eve") == (422, [{**refused, "message": "not you", "parameter_name": "name"}])
    fine = {"__type__": "validate", "is_valid": True, "message": "a name", "parameter_name": "parameter_0"}
    older = {**refused, "message": "older", "parameter_name": "parameter_1"}
    # A set's blocks come in the order in which they were made.
    assert ask("set", "Ada", 3) == (422, [fine, older]) and ask("set", "Ada", 30)[0] == 200
    assert ask("fails", "x") == (400, "the inputs cannot be read")  # what went wrong is in the log alone
    assert ask("face", "no")[0] == 422 and ask("face", "yes")[0] == 200


def test_a_conversations_messages_are_judged(ask: Any) -> None:
    status, detail = ask("chat", "no")
    assert status == 422 and detail[0]["message"] == "say yes"
    assert ask("chat", "hello")[0] == 200
