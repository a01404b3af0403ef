"""Streaming outputs: playlists that grow, their pieces, the whole as one file, and who may read them."""

from __future__ import annotations

import io
import json
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.files import FileData, FileRules, InvalidPathError, current_rules, keep_bytes
from enfold.gradio.lengths import joined, length_of, sound_suffix
from enfold.gradio.playlists import MediaStream
from enfold.gradio.sessions import RUNS, Session

RATE = 8000
MP3 = bytes.fromhex("fffb9000") + bytes(413)  # one frame: MPEG 1 layer III, 128 kbit/s at 44100 Hz, 1152 samples
AAC = bytes.fromhex("fff150800d3ffc") + bytes(98)  # one frame: ADTS, 44100 Hz, 105 bytes, 1024 samples


def tone(number: int, samples: int = RATE // 2) -> Any:
    return np.full(samples, number + 1, np.int16)


def frames_of(body: bytes) -> tuple[int, Any]:
    with wave.open(io.BytesIO(body)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)


def listed(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A page whose functions give sound piece by piece."""
    gate, reached, begun, over = (threading.Event() for _ in range(4))

    def speak(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            yield RATE, tone(number)

    def held(n: float) -> Iterator[Any]:
        yield RATE, tone(0)
        yield RATE, tone(1)
        reached.set()
        gate.wait(20)
        yield RATE, tone(2)

    def endless(n: float) -> Iterator[Any]:
        while True:
            yield RATE, tone(0)
            begun.set()
            over.wait(20)

    async def later(n: float) -> Any:
        yield None
        for _ in range(int(n)):
            yield MP3 * 100

    def breaks(n: float) -> Iterator[Any]:
        yield AAC * 50
        raise gr.Error("no more", print_exception=False)

    def both(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            yield f"{number}", (RATE, tone(number))

    def mixed(n: float) -> Iterator[Any]:
        yield MP3
        yield RATE, tone(0)

    @gr.cache
    def remembered(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            yield RATE, tone(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("kept")))
        with gr.Blocks() as demo:
            number, text, go = gr.Number(), gr.Textbox(), gr.Button()
            sound, still = gr.Audio(streaming=True), gr.Audio()
            for fn in (speak, held, endless, later, breaks, mixed, remembered):
                go.click(fn, number, sound, api_name=fn.__name__)
            go.click(both, number, [text, sound])
            go.click(speak, number, still, api_name="plain")
            go.click(lambda n: (RATE, tone(0)), number, sound, api_name="at_once")
        _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
        ids = {fn.api_name: fn.id for fn in demo.fns.values()}
        with httpx.Client(base_url=url + "gradio_api/", timeout=20) as client:

            def join(name: str, n: int, session: str, user: str = "api") -> Any:
                body = {"data": [n], "fn_index": ids[name], "session_hash": session}
                answer = client.post("queue/join", json=body, headers={"x-gradio-user": user})
                return answer.raise_for_status().json()["event_id"]

            def outputs(session: str) -> list[list[Any]]:
                frames = client.get("queue/data", params={"session_hash": session}).text.split("\n\n")
                told = [json.loads(frame[6:]) for frame in frames if frame]
                return [each["output"]["data"] for each in told if "data" in each.get("output", {})]

            def streamed(name: str, n: int, session: str) -> Any:
                join(name, n, session)
                return outputs(session)[0][-1]

            yield SimpleNamespace(
                demo=demo, url=url, client=client, gate=gate, reached=reached, begun=begun, sound=sound._id,
                join=join, outputs=outputs, streamed=streamed,
            )  # fmt: skip
        gate.set()
        over.set()
        demo.close()


def test_clients_are_told_one_playlist_for_all_pieces(site: SimpleNamespace) -> None:
    site.join("speak", 3, "shape")
    (first,), *more, (last,) = site.outputs("shape")
    session, run, component, name = first["path"].split("/")
    assert (session, component, name) == ("shape", str(site.sound), "playlist.m3u8") and len(run) == 32
    assert first == {
        "path": first["path"],
        "url": f"{site.url}gradio_api/stream/{first['path']}",
        "size": None,
        "orig_name": "audio.wav",
        "mime_type": None,
        "is_stream": True,
        "meta": {"_type": "gradio.FileData"},
    }
    assert more == [[[]], [[]]] and last == first, "later values change nothing: the playlist has grown"


def test_a_playlist_lists_every_piece_and_how_long_it_lasts(site: SimpleNamespace) -> None:
    url = site.streamed("speak", 3, "list")["url"]
    answer = httpx.get(url)
    assert answer.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    assert answer.headers["cache-control"] == "no-store"
    lines = answer.text.splitlines()
    assert lines[:6] == [
        "#EXTM3U",
        "#EXT-X-VERSION:4",
        "#EXT-X-TARGETDURATION:1",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-START:TIME-OFFSET=0",
    ]
    assert lines[6::2][:3] == ["#EXTINF:0.500000,"] * 3 and lines[-1] == "#EXT-X-ENDLIST" and len(lines) == 13
    for number, name in enumerate(listed(answer.text)):
        piece = httpx.get(httpx.URL(url).join(name))
        assert piece.headers["content-type"] == "audio/wav" and piece.headers["x-content-type-options"] == "nosniff"
        rate, samples = frames_of(piece.content)
        assert rate == RATE and (samples == tone(number)).all()
    part = httpx.get(httpx.URL(url).join(listed(answer.text)[0]), headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")


def test_the_whole_is_one_correct_file(site: SimpleNamespace) -> None:
    url = site.streamed("speak", 4, "whole")["url"]
    answer = httpx.get(httpx.URL(url).join("playlist-file"))
    assert answer.headers["content-type"] == "audio/wav"
    rate, samples = frames_of(answer.content)
    assert rate == RATE and (samples == np.concatenate([tone(number) for number in range(4)])).all()
    assert struct.unpack_from("<I", answer.content, 4)[0] == len(answer.content) - 8
    again = httpx.get(httpx.URL(url).join("playlist-file"), headers={"Range": "bytes=8-11"})
    assert (again.status_code, again.content) == (206, b"WAVE")


def test_a_stream_that_is_stopped_ends(site: SimpleNamespace) -> None:
    event = site.join("endless", 1, "stops")
    assert site.begun.wait(20)
    site.client.post("cancel", json={"session_hash": "stops", "event_id": event})
    (run,) = site.demo.app.sessions.get("stops").runs
    text = site.client.get(f"stream/stops/{run}/{site.sound}/playlist.m3u8").text
    assert len(listed(text)) == 1 and text.endswith("#EXT-X-ENDLIST\n")


def test_a_stream_is_read_while_it_grows(site: SimpleNamespace) -> None:
    site.join("held", 1, "grows")
    assert site.reached.wait(20)
    session = site.demo.app.sessions.get("grows")
    (run,) = session.runs
    url = f"{site.url}gradio_api/stream/grows/{run}/{site.sound}/"
    now = httpx.get(url + "playlist.m3u8").text
    assert len(listed(now)) == 2 and "ENDLIST" not in now
    rate, samples = frames_of(httpx.get(url + "playlist-file").content)
    assert rate == RATE and samples.size == RATE
    site.gate.set()
    site.outputs("grows")
    after = httpx.get(url + "playlist.m3u8").text
    assert listed(after)[:2] == listed(now) and len(listed(after)) == 3 and after.endswith("#EXT-X-ENDLIST\n")
    assert frames_of(httpx.get(url + "playlist-file").content)[1].size == 3 * RATE // 2


def test_coroutines_stream_and_may_begin_with_nothing(site: SimpleNamespace) -> None:
    shown = site.streamed("later", 2, "later")
    assert shown["is_stream"] and shown["orig_name"] == "audio-stream.mp3"
    text = httpx.get(shown["url"]).text
    assert text.count("#EXTINF:2.612245,") == 2 and "#EXT-X-TARGETDURATION:3" in text
    assert all(name.endswith(".mp3") for name in listed(text))
    whole = httpx.get(httpx.URL(shown["url"]).join("playlist-file"))
    assert (whole.content, whole.headers["content-type"]) == (MP3 * 200, "audio/mpeg")


def test_a_stream_that_breaks_off_ends(site: SimpleNamespace) -> None:
    text = httpx.get(site.streamed("breaks", 1, "breaks")["url"]).text
    assert text.endswith(".aac\n#EXT-X-ENDLIST\n") and "#EXTINF:1.160998," in text


def test_other_outputs_travel_as_ever_beside_a_stream(site: SimpleNamespace) -> None:
    site.join("both", 2, "both")
    first, second, last = site.outputs("both")
    assert first[0] == "0" and last[0] == "1" and first[1]["is_stream"] and second == [[["replace", [], "1"]], []]


def test_what_a_cache_remembers_streams_again(site: SimpleNamespace) -> None:
    shown = [site.streamed("remembered", 2, "cache") for _ in range(2)]
    assert shown[0]["path"] != shown[1]["path"], "each call has a place of its own"
    assert [len(listed(httpx.get(each["url"]).text)) for each in shown] == [2, 2]


def test_pieces_of_several_formats_do_not_make_one_file(site: SimpleNamespace) -> None:
    url = site.streamed("mixed", 1, "mixed")["url"]
    assert [Path(name).suffix for name in listed(httpx.get(url).text)] == [".mp3", ".wav"]
    answer = httpx.get(httpx.URL(url).join("playlist-file"))
    assert answer.status_code == 409 and "do not make one file" in answer.text


def test_calls_by_name_stream_and_direct_ones_do_when_their_session_is_known(site: SimpleNamespace) -> None:
    event = site.client.post("call/speak", json={"data": [2]}).json()["event_id"]
    text = site.client.get(f"call/speak/{event}").text
    (shown,) = json.loads(text.rsplit("data: ", 1)[1])
    assert shown["is_stream"] and len(listed(httpx.get(shown["url"]).text)) == 2
    (shown,) = site.client.post("run/speak", json={"data": [2]}).json()["data"]
    assert not shown["is_stream"] and frames_of(httpx.get(shown["url"]).content)[1][0] == 2
    (shown,) = site.client.post("run/speak", json={"data": [3], "session_hash": "direct"}).json()["data"]
    assert shown["is_stream"] and len(listed(httpx.get(shown["url"]).text)) == 3


def test_files_that_are_no_streams_travel_as_files(site: SimpleNamespace) -> None:
    assert not site.streamed("plain", 2, "plain")["is_stream"]
    assert not site.streamed("at_once", 2, "once")["is_stream"]
    site.join("speak", 1, "page", user="app")
    assert not site.outputs("page")[0][0]["is_stream"], "the page plays the pieces themselves"


CLIENT = """
import json, sys
from pathlib import Path
import gradio_client
from gradio_client import Client

client = Client(sys.argv[1], verbose=False)
job = client.submit(3, api_name="/speak")
got = job.result()
raw = Client(sys.argv[1], verbose=False, download_files=False)
told = raw.submit(2, api_name="/speak")
last = told.result()
print(json.dumps({
    "version": gradio_client.__version__, "name": Path(got).name, "playlist": Path(got).read_text(),
    "outputs": [Path(each).name for each in job.outputs()], "last": last, "all": told.outputs(),
}))
client.close(), raw.close()
"""


@pytest.mark.peer
def test_the_ecosystems_client_is_given_the_playlist(site: SimpleNamespace, peer: Callable[..., Any]) -> None:
    told = peer(CLIENT, site.url)
    assert told["version"].startswith("2.7")
    assert told["name"] == "playlist.m3u8" and told["outputs"] == ["playlist.m3u8"] * 3
    assert told["playlist"].startswith("#EXTM3U\n") and len(listed(told["playlist"])) >= 1
    last = told["last"]
    assert last["is_stream"] and last["url"].endswith(last["path"]) and told["all"] == [last, last]
    assert len(listed(httpx.get(last["url"]).text)) == 2


def film(shade: int) -> bytes:
    """A second of MPEG-TS."""
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as file:
        stream = file.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), shade, np.uint8), format="rgb24")
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_player_of_hls_plays_every_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("soundfile")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))

    def speak(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            yield 16000, (np.sin(np.arange(16000) * (number + 1) / 20) * 9000).astype(np.int16)

    def show(n: float) -> Iterator[Any]:
        for number in range(int(n)):
            path = tmp_path / f"{number}.ts"
            path.write_bytes(film(50 * number))
            yield path

    with gr.Blocks() as demo:
        number, go = gr.Number(), gr.Button()
        sound, screen = gr.Audio(streaming=True, format="mp3"), gr.Video(streaming=True)
        go.click(speak, number, sound, api_name="audio")
        go.click(show, number, screen, api_name="video")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        body = {"data": [3], "session_hash": "s"}
        (shown,) = httpx.post(f"{url}gradio_api/run/{kind}", json=body, timeout=30).json()["data"]
        for address in (shown["url"], str(httpx.URL(shown["url"]).join("playlist-file"))):
            with av.open(address) as file:
                assert (file.format.name == "hls") == address.endswith("m3u8")
                frames = list(file.decode(file.streams[0]))
            seconds = sum(frame.samples for frame in frames) / 16000 if kind == "audio" else len(frames) / 25
            assert seconds == pytest.approx(3, abs=0.4), "an encoder of MP3 adds silence to each piece"
    finally:
        demo.close()


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_nobody_reads_a_stream_by_guessing(site: SimpleNamespace) -> None:
    path = site.streamed("speak", 1, "owner")["path"]
    _, run, component, _ = path.split("/")
    site.join("speak", 1, "other")
    (other,) = site.outputs("other")[-1]
    stream = site.client.get(f"stream/{path}")
    name = listed(stream.text)[0]
    wrong = [
        f"other/{run}/{component}",
        f"nobody/{run}/{component}",
        f"owner/{other['path'].split('/')[1]}/{component}",
        f"owner/{'0' * 32}/{component}",
        f"owner/{run}/{int(component) + 1}",
    ]
    for place in wrong:
        for end in ("playlist.m3u8", "playlist-file", name):
            assert site.client.get(f"stream/{place}/{end}").status_code == 404, f"{place}/{end}"
    assert site.client.get("stream/owner").status_code == 404
    assert site.client.get(f"stream/owner/{run}/x/playlist.m3u8").status_code == 404
    assert site.client.get(f"stream/owner/{run}/{component}/{name}").status_code == 200


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/config", "%2fetc%2fpasswd", "..%5c..%5cx", "x.wav", "%00.wav"],
)
def test_names_of_pieces_lead_nowhere_else(site: SimpleNamespace, name: str) -> None:
    _, run, component, _ = site.streamed("speak", 1, "names")["path"].split("/")
    answer = site.client.get(f"stream/names/{run}/{component}/{name}")
    assert answer.status_code == 404 and b"root:" not in answer.content


def test_a_piece_that_visitors_may_not_read_is_no_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "kept"))
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"RIFF")
    token = current_rules.set(FileRules())
    try:
        stream = MediaStream("s/r/1/playlist.m3u8", "audio")
        for path in (secret, tmp_path / "kept" / ".." / "secret.wav", "/etc/passwd"):
            with pytest.raises(InvalidPathError):
                stream.take(FileData(path=path))
        with pytest.raises(gr.Error, match="public"):
            stream.take(FileData(path="http://127.0.0.1:1/piece.wav"))
        assert not stream.pieces
    finally:
        current_rules.reset(token)


def test_streams_are_behind_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def speak(n: float) -> Iterator[Any]:
        yield RATE, tone(0)

    with gr.Blocks() as demo:
        number, sound, go = gr.Number(), gr.Audio(streaming=True), gr.Button()
        go.click(speak, number, sound, api_name="speak")
    app = gr.routes.App.create_app(demo, auth=("ada", "countess"))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.post("/login", data={"username": "ada", "password": "countess"}).status_code == 200
        body = {"data": [1], "session_hash": "mine"}
        (shown,) = client.post("/gradio_api/run/speak", json=body).json()["data"]
        place = "/gradio_api/stream/" + shown["path"]
        name = listed(client.get(place).text)[0]
        places = [place, place.replace("playlist.m3u8", "playlist-file"), place.replace("playlist.m3u8", name)]
        assert [client.get(each).status_code for each in places] == [200] * 3
        client.cookies.clear()
        assert [client.get(each).status_code for each in places] == [401] * 3
        client.post("/login", data={"username": "ada", "password": "countess"})
        app.sessions.open("mine").close()
        assert [client.get(each).status_code for each in places] == [404] * 3, "a stream ends with its session"


def test_pieces_and_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    stream = MediaStream("s/r/1/playlist.m3u8", "video", limit=3)
    value = FileData(path=keep_bytes(transport(2), "part.ts"))
    for _ in range(3):
        assert stream.take(value)["orig_name"] == "video-stream.ts"
    text = stream.playlist()
    assert "PLAYLIST-TYPE:EVENT" in text and text.count("#EXT-X-DISCONTINUITY\n") == 2
    for _ in range(4):
        stream.take(value)
    text = stream.playlist()
    assert len(listed(text)) == 3 and "#EXT-X-MEDIA-SEQUENCE:4\n" in text and "PLAYLIST-TYPE" not in text
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:3\n" in text and text.count("#EXT-X-DISCONTINUITY\n") == 3
    stream.end()
    stream.take(value)
    assert listed(stream.playlist()) == listed(text), "nothing is added to a stream that has ended"
    session = Session("s")
    for number in range(RUNS + 5):
        session.keep_run(str(number), {})
    assert session.runs is not None and len(session.runs) == RUNS and "4" not in session.runs and "5" in session.runs


# --- lengths ---------------------------------------------------------------------------------------------------------


def transport(pictures: int, step: int = 3600) -> bytes:
    """MPEG-TS whose packets each tell when a picture is shown, the last but one after the last."""
    made = b""
    for number in [*range(pictures - 2), pictures - 1, pictures - 2]:
        at = (2**33 - 1800 + number * step) % 2**33  # moments that begin again on the way
        moment = bytes([0x21 | at >> 29 & 14, at >> 22 & 255, at >> 14 & 254 | 1, at >> 7 & 255, at << 1 & 254 | 1])
        packet = bytes.fromhex("47410010") + b"\0\0\1\xe0\0\0\x80\x80\5" + moment
        made += packet.ljust(188, b"\xff")
    return made


def wav(samples: int, told: int | None = None) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(samples * 4))
    body = buffer.getvalue()
    return body if told is None else body[:40] + struct.pack("<I", told) + body[44:]


@pytest.mark.parametrize(
    "body,seconds",
    [
        (wav(4000), 0.5),
        (wav(4000, told=2**32 - 1), 0.5),
        (MP3 * 10, 10 * 1152 / 44100),
        (b"ID3\4\0\0\0\0\1\0" + bytes(128) + MP3 * 3 + b"TAG" + bytes(125), 3 * 1152 / 44100),
        (MP3[:36] + b"Info" + MP3[40:] + MP3 * 3, 3 * 1152 / 44100),
        (bytes.fromhex("fff39400") + bytes(380), 576 / 24000),  # MPEG 2
        (AAC * 43, 43 * 1024 / 44100),
        (transport(25), 1.0),
        (b"", None),
        (b"RIFF" + bytes(40), None),
        (wav(4000)[:30], None),
        (b"<html><script>alert(1)</script>", None),
        (bytes.fromhex("fffbf0ff") * 9, None),
        (b"\xff\xf1\xff\xff\xff\xff\xff\xff" * 9, None),
        (b"OggS" + bytes(30), None),
        (b"fLaC" + bytes(30), None),
        (b"\0\0\0\x18ftypisom" + bytes(12), None),
    ],
    ids="wav,unknown-size,mp3,tags,table,mpeg-2,aac,ts,empty,no-data,cut,text,no-mp3,no-aac,no-ogg,no-flac,no-film".split(
        ","
    ),
)
def test_lengths_are_read_from_headers(tmp_path: Path, body: bytes, seconds: float | None) -> None:
    (tmp_path / "piece").write_bytes(body)
    found = length_of(tmp_path / "piece")
    assert found == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("format,subtype", [("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")])
def test_lengths_of_what_an_encoder_wrote(tmp_path: Path, format: str, subtype: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"piece.{format}"
    soundfile.write(path, np.zeros(22050, np.float32), 44100, format=format.upper(), subtype=subtype)
    assert length_of(path) == pytest.approx(0.5, abs=0.06)  # an encoder of MP3 adds silence
    assert sound_suffix(path.read_bytes()) == path.suffix


def test_pieces_that_do_not_fit_are_told(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "c.mp4", "d.mp4", "e.wav")]
    other = wav(4).replace(struct.pack("<I", RATE), struct.pack("<I", RATE * 2), 1)
    for path, body in zip(paths, (wav(3), other, b"x", b"y", b"RIFF" + bytes(9)), strict=True):
        path.write_bytes(body)
    with pytest.raises(ValueError, match="samples a second"):
        joined(paths[:2])
    with pytest.raises(ValueError, match="do not make one file"):
        joined(paths[2:4])
    with pytest.raises(ValueError, match="not a WAV file"):
        joined(paths[4:])
    size, parts = joined([paths[0]] * 2)
    made = b"".join(parts)
    assert size == len(made) and frames_of(made)[1].size == 12
