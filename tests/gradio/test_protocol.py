"""The wire protocol, spoken in plain HTTP."""

from __future__ import annotations

import json
import re
import threading
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

import enfold.gradio as gr
from enfold.gradio.edits import apply
from enfold.web.server import BackgroundServer


def test_the_configuration_has_what_clients_read(served: SimpleNamespace) -> None:
    config = served.client.get(served.url + "config").json()
    assert (config["protocol"], config["api_prefix"], config["version"]) == ("sse_v3", "/gradio_api", "6.31.0")
    known = {entry["id"] for entry in config["components"]}
    for dependency in config["dependencies"]:
        assert set(dependency["inputs"]) | set(dependency["outputs"]) <= known
    assert config["connect_heartbeat"] is True and config["root"] == served.url.rstrip("/")
    state = next(entry for entry in config["components"] if entry["type"] == "state")
    assert "value" not in state["props"] and state["skip_api"]


def test_a_queued_call_is_estimated_started_and_completed(served: SimpleNamespace) -> None:
    event = served.join("classify", ["x"], unknown_key=1).json()["event_id"]
    messages = served.stream("s1")
    assert [m["msg"] for m in messages] == ["estimation", "process_starts", "process_completed", "close_stream"]
    assert {m["event_id"] for m in messages[:-1]} == {event}
    assert messages[2]["success"] and messages[2]["output"]["data"] == [
        {"label": "yes", "confidences": [{"label": "yes", "confidence": 0.9}]}
    ]


@pytest.mark.parametrize("name,value,last", [("count", 4, "xxxx"), ("letters", "abc", "abc")])
def test_a_generator_sends_its_first_value_and_then_edits(
    served: SimpleNamespace, name: str, value: Any, last: str
) -> None:
    served.join(name, [value])
    values = [m["output"]["data"] for m in served.stream("s1") if m["msg"] == "process_generating"]
    assert values[1] == [[["append", [], last[1]]]]
    shown = values[0][0]
    for edits in values[1:]:
        shown = apply(shown, edits[0])
    assert shown == last and len(values) == len(last)


def test_what_a_page_passes_over_leaves_its_changes_of_properties(served: SimpleNamespace) -> None:
    for box in ("s1", "s2"):
        served.join("hurries", ["x"], box, user="app" if box == "s1" else "api")
    shown = [frame for frame in served.stream("s1") if frame["msg"].startswith("process_")][1:]
    last: Any = None
    told: dict[str, Any] = {}
    for frame in shown:
        values = frame["output"]["data"]
        if last is not None and frame["msg"] == "process_generating":
            values = [apply(last[0], values[0])]
        last = values
        told |= values[0] if isinstance(values[0], dict) else {"value": values[0]}
    assert (told["label"], told["info"], told["value"]) == ("Now", "later", "end")
    # Who asks for every value gets each as it was.
    assert served.stream("s2")[-2]["output"]["data"] == ["end"]


def test_errors_tell_only_what_they_may(served: SimpleNamespace) -> None:
    served.join("shown_error", ["x"])
    served.join("hidden_error", ["x"])
    ends = {m["event_id"]: m for m in served.stream("s1") if m["msg"] == "process_completed"}
    outputs = [m["output"] for m in ends.values()]
    assert {"error": "No good", "duration": 3, "visible": True, "title": "Error"} in outputs
    assert {"error": None} in outputs
    assert not any(m["success"] for m in ends.values())


def test_progress_and_notes_travel_beside_the_result(served: SimpleNamespace) -> None:
    served.join("work", ["x"])
    messages = {m["msg"]: m for m in served.stream("s1")}
    assert messages["progress"]["progress_data"][0] | {"unit": ""} == {
        "index": None, "length": None, "unit": "", "progress": 0.5, "desc": "Half",
    }  # fmt: skip
    assert (messages["log"]["log"], messages["log"]["level"]) == ("Nearly there", "info")


def test_a_state_belongs_to_its_session_and_never_travels(served: SimpleNamespace) -> None:
    totals = []
    for session in ("one", "one", "two"):
        served.join("add", [2, None], session)
        done = next(m for m in served.stream(session) if m["msg"] == "process_completed")
        totals.append(done["output"]["data"])
        assert done["output"]["changed_state_ids"]
    assert totals == [[2, None], [4, None], [2, None]]


def test_one_call_at_a_time_unless_said_otherwise(served: SimpleNamespace) -> None:
    for _ in range(3):
        assert served.join("held", ["x"]).status_code == 200
    served.join("shout", ["a"])  # another function's lane does not wait
    time.sleep(0.1)
    assert served.seen.running == 1
    served.seen.gate.set()
    messages = served.stream("s1")
    assert sum(m["msg"] == "process_completed" for m in messages) == 4 and served.seen.most == 1
    assert max(m.get("rank") or 0 for m in messages if m["msg"] == "estimation") >= 1


def test_waiting_calls_share_a_batch(served: SimpleNamespace) -> None:
    threads = [threading.Thread(target=served.join, args=("doubled", ["ab"], f"b{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        done = next(m for m in served.stream(f"b{n}") if m["msg"] == "process_completed")
        assert done["output"]["data"][0].startswith("abab/")


def test_cancelling_closes_the_generator_and_needs_the_session(served: SimpleNamespace) -> None:
    event = served.join("forever", [0], "mine").json()["event_id"]
    served.client.post("cancel", json={"event_id": event, "session_hash": "other", "fn_index": 3})
    assert not served.seen.closed.wait(0.2)
    served.client.post("cancel", json={"event_id": event, "session_hash": "mine", "fn_index": 3})
    assert served.seen.closed.wait(2)
    last = [m for m in served.stream("mine") if m["msg"] == "process_completed"]
    assert last[0]["success"] and last[0]["output"] == {}
    assert served.client.post("reset", json={"event_id": event}).json() == {"success": True}


def test_a_cut_stream_goes_on_where_it_stopped(served: SimpleNamespace) -> None:
    served.join("count", [3])
    everything = served.stream("s1")
    again = served.stream("s1", after=everything[1]["seq"])
    assert [m["seq"] for m in again[:-1]] == [m["seq"] for m in everything[2:-1]]


@pytest.mark.alone
def test_a_clients_stream_closes_with_its_last_message(served: SimpleNamespace) -> None:
    waits = []
    for session in ("s1", "s2", "s3"):
        served.join("shout", ["a"], session)
        begun = time.perf_counter()
        assert served.stream(session)[-1] == {"msg": "close_stream", "event_id": None}
        waits.append(time.perf_counter() - begun)
    assert min(waits) < 0.14


def test_a_pages_stream_lingers_for_the_next_call(served: SimpleNamespace) -> None:
    served.join("shout", ["a"], user="app")
    timer = threading.Timer(0.05, served.join, ("shout", ["b"]), {"user": "app"})
    timer.start()
    ends = [m["output"]["data"] for m in served.stream("s1") if m["msg"] == "process_completed"]
    timer.join()
    assert ends == [["A"], ["B"]]


def test_unknown_sessions_and_functions_are_refused(served: SimpleNamespace) -> None:
    assert served.stream("nobody")[0]["session_not_found"] is True
    post = served.client.post
    assert post("queue/join", json={"data": [], "fn_index": 99, "session_hash": "s"}).status_code == 400
    assert post("queue/join", json={"data": ["a", "b"], "fn_index": 0, "session_hash": "s"}).status_code == 400
    assert post("queue/join", content=b"[" * 100_000).status_code == 400
    answer = post("call/clasify", json={"data": ["x"]})
    assert answer.status_code == 404 and "did you mean 'classify'" in answer.json()["detail"]
    assert post("call/secret", json={"data": ["x"]}).status_code == 404


def test_calls_by_name_stream_full_values(served: SimpleNamespace) -> None:
    def call(path: str, body: dict[str, Any]) -> str:
        event = served.client.post(path, json=body).json()["event_id"]
        return served.client.get(f"call/{path.rpartition('/')[2]}/{event}").text

    assert call("call/shout", {"data": ["a"]}) == 'event: complete\ndata: ["A"]\n\n'
    assert call("call/v2/shout", {"self": "b"}) == 'event: complete\ndata: ["B"]\n\n'
    assert call("call/shown_error", {"data": ["a"]}).startswith('event: error\ndata: {"error":"No good"')
    shown = call("call/count", {"data": [2]})
    assert (
        shown
        == 'event: generating\ndata: ["x"]\n\nevent: generating\ndata: ["xx"]\n\nevent: complete\ndata: ["xx"]\n\n'
    )


def test_direct_calls_answer_at_once(served: SimpleNamespace) -> None:
    assert served.client.post("run/direct", json={"data": ["a"]}).json()["data"] == ["a!"]
    assert served.client.post("api/later", json={"data": ["abc"]}).json()["data"] == ["cba"]
    failed = served.client.post("run/hidden_error", json={"data": ["a"]})
    assert failed.status_code == 500 and failed.json() == {"error": None}


def test_changes_of_choices_hold_for_one_visitor(served: SimpleNamespace) -> None:
    served.join("changes", ["new"], "visitor")
    done = next(m for m in served.stream("visitor") if m["msg"] == "process_completed")
    assert done["output"]["data"] == [
        {"choices": [["p", "p"]], "label": "new", "__type__": "update"},
    ]
    assert served.client.get(served.url + "config").json()["dependencies"]
    dropdown = next(block for block in served.demo.blocks.values() if block.type_name == "dropdown")
    assert dropdown.choices == [("q", "q")]


def test_a_full_queue_says_so() -> None:
    gate = threading.Event()
    with gr.Blocks() as demo:
        box = gr.Textbox()
        box.submit(lambda text: gate.wait(5) and text, box, box, api_name="hold")
    demo.queue(max_size=1)
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        body = {"data": ["x"], "fn_index": 0, "session_hash": "s"}
        codes = [httpx.post(url + "gradio_api/queue/join", json=body).status_code for _ in range(3)]
        assert codes == [200, 200, 503]
    finally:
        gate.set()
        demo.close()


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_heartbeat_beats_and_its_end_runs_unload(wrapped: bool) -> None:
    left: list[Any] = []
    gone = threading.Event()

    def unload(request: gr.Request) -> None:
        left.append((request.session_hash, request.headers["x-who"]))
        gone.set()

    with gr.Blocks() as demo:
        demo.unload(unload)
    app = gr.App.create_app(demo)

    async def between(scope: Any, receive: Any, send: Any) -> None:  # as middleware of others does
        async def passed(message: Any) -> None:
            await send(message)

        await app(scope, receive, passed)

    with BackgroundServer(between if wrapped else app, lifespan="off") as server:
        with httpx.stream("GET", server.url + "/gradio_api/heartbeat/a%2Dc", headers={"x-who": "me"}) as answer:
            lines = answer.iter_bytes()
            assert next(lines) == b"data: ALIVE\n\n"
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert [session.connections for session in app.sessions] == [1]
        assert gone.wait(5) and left == [("a-c", "me")]
        assert [session.connections for session in app.sessions] == [0]
        with httpx.stream("GET", server.url + "/gradio_api/heartbeat/b") as answer:
            lines = answer.iter_bytes()
            assert next(lines) == b"data: ALIVE\n\n"
            app.end()
            assert list(lines) == []


def test_closing_ends_open_streams_quickly(served: SimpleNamespace) -> None:
    served.join("held", ["x"])
    messages: list[Any] = []
    reader = threading.Thread(target=lambda: messages.extend(served.stream("s1")))
    reader.start()
    time.sleep(0.2)
    begun = time.perf_counter()
    served.seen.gate.set()
    served.demo.close()
    reader.join(3)
    assert time.perf_counter() - begun < 2.5 and messages[-1]["msg"] == "close_stream"


def test_a_page_mounts_into_fastapi_and_starlette() -> None:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    app = FastAPI()

    @app.get("/other")
    def other() -> str:
        return "still here"

    demo = gr.Interface(str.upper, gr.Textbox(label="T"), "text", api_name="shout")
    assert gr.mount_gradio_app(app, demo, "/demo") is app
    with TestClient(app, base_url="http://example.test") as client:
        assert client.get("/other").json() == "still here"
        page = client.get("/demo")
        assert page.status_code == 200 and page.url.path == "/demo/" and "g-config" in page.text
        assert client.get("/demo/config").json()["root"] == "http://example.test/demo"
        assert client.post("/demo/gradio_api/run/shout", json={"data": ["a"]}).json()["data"] == ["A"]


def test_a_password_guards_everything() -> None:
    demo = gr.Interface(str.upper, "text", "text", api_name="shout")
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True, auth=("ada", "s3cret"))
    try:
        with httpx.Client(base_url=url) as client:
            for path in ("config", "gradio_api/info", "gradio_api/queue/data?session_hash=x", "gradio_api/heartbeat/x"):
                assert client.get(path).status_code == 401
            for path in ("gradio_api/run/shout", "gradio_api/queue/join", "gradio_api/cancel"):
                assert client.post(path, json={"data": ["a"]}).status_code == 401
            assert "password" in client.get("").text
            assert client.post("login", data={"username": "ada", "password": "wrong"}).status_code == 400
            entered = client.post("login", data={"username": "ada", "password": "s3cret"})
            assert entered.json() == {"success": True} and "HttpOnly" in entered.headers["set-cookie"]
            assert client.post("gradio_api/run/shout", json={"data": ["a"]}).json()["data"] == ["A"]
            assert client.get("config").json()["username"] == "ada"
    finally:
        demo.close()


def test_the_page_carries_its_configuration_and_a_strict_policy() -> None:
    demo = gr.Interface(
        lambda text: text, "text", "text", title="</script><script>alert(1)</script>", flagging_mode="never"
    )
    _, url, _ = demo.launch(prevent_thread_lock=True, server_port=0, quiet=True)
    try:
        answer = httpx.get(url)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'self'" in policy
        assert "<script>alert" not in answer.text and "</script><script>alert(1)" not in answer.text
        begin = answer.text.index('id="g-config">') + len('id="g-config">')
        config = json.loads(answer.text[begin : answer.text.index("</script>", begin)])
        assert config["title"] == "</script><script>alert(1)</script>"
        base = answer.text[answer.text.index("gradio_api/ui/") :].partition('"')[0]
        asset = httpx.get(url + base)
        assert "immutable" in asset.headers["cache-control"] and asset.headers["content-encoding"] == "gzip"
        assert httpx.get(url + base.rpartition("/")[0] + "/..%2f..%2fpage.py").status_code == 404
    finally:
        demo.close()


def test_nothing_of_a_call_stays_behind(served: SimpleNamespace) -> None:
    app = served.demo.app
    for number in range(40):
        served.client.post("run/shout", json={"data": [str(number)]})
        event = served.client.post("call/shout", json={"data": ["x"]}).json()["event_id"]
        served.client.get(f"call/shout/{event}")
        served.join("count", [2], "steady")
        served.stream("steady")
    session = app.sessions.get("steady")
    assert not app.calls.results and not app.engine._tasks and not session.pending and len(app.sessions) == 1
    assert len(session.mailbox.take(0)) <= 65
    assert sum(map(len, app.engine.lanes.values())) == 0


def test_a_client_that_leaves_stops_its_generator(served: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enfold.gradio.streams.GRACE", 0.1)
    served.join("forever", [0], "leaving")
    with served.client.stream("GET", "queue/data", params={"session_hash": "leaving"}) as answer:
        next(answer.iter_bytes())
    assert served.seen.closed.wait(3)


def test_a_page_of_text_is_light() -> None:
    from starlette.testclient import TestClient

    from enfold.gradio.ui_files import found

    client = TestClient(gr.App.create_app(gr.Interface(str.upper, "text", "text", title="Loud")))
    answer = client.get("/")
    files = {name.rsplit("/", 1)[1] for name in re.findall(r'(?:href|src)="(gradio_api/ui/[^"]+)"', answer.text)}
    weight = int(answer.headers["content-length"]) + sum(len(found(name).packed) for name in files)
    assert len(files) <= 5 and weight < 23_000
