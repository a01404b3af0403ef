"""Results that are kept, and values known by their contents."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import enfold.gradio as gr
from enfold.gradio.caching import Store, forget
from enfold.gradio.digests import NoDigest, digest, size_of


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Plain:
    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


DIFFERENT = [
    *(None, True, 1, 1.0, "1", b"1", "", (), [], {}, set(), [[]], ([],), [1, [2]], [[1], 2], (1, 2), [1, 2], {1, 2}),
    *({"a": 1}, {"a": "1"}, {1: 2}, {"1": 2}, ["ab", "c"], ["a", "bc"], -0.0, 0.0, Colour.RED, Colour.BLUE),
    *(Point(1), Point(2), Point(1, Point(1)), Plain(x=1), Plain(x=2), datetime.date(2026, 1, 1), float("inf")),
    *(np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.array(["a"]), np.array([None, 1], dtype=object)),
    *(len, partial(len, [1]), partial(len, [2]), range(3).__class__),
]


def test_values_that_differ_have_other_digests() -> None:
    assert len({digest(value) for value in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        (Point(1, "é"), Point(1, "é")),
        (Plain(x=[1]), Plain(x=[1])),
        (float("nan"), float("nan")),
    ],
    ids=["dictionaries", "sets", "arrays", "dataclasses", "objects", "not-a-number"],
)
def test_equal_values_have_one_digest(one: Any, other: Any) -> None:
    assert digest(one) == digest(other)


def test_pictures_tables_and_tensors_are_known_by_their_contents() -> None:
    pd, image = pytest.importorskip("pandas"), pytest.importorskip("PIL.Image")
    pl, torch = pytest.importorskip("polars"), pytest.importorskip("torch")

    def values(n: int) -> list[Any]:
        frame = {"a": [1, n], "b": ["x", "y"]}
        return [
            *(image.new("RGB", (2, 2), (n, 0, 0)), pd.DataFrame(frame), pd.Series([1, n]), pl.DataFrame(frame)),
            *(pl.Series([1, n]), torch.tensor([1, n]), torch.tensor([float(n)], dtype=torch.bfloat16)),
        ]

    assert list(map(digest, values(1))) == list(map(digest, values(1)))
    assert len({*map(digest, values(1)), *map(digest, values(2))}) == 14
    frame = pd.DataFrame({"a": [1]})
    assert digest(frame) != digest(frame.rename(columns={"a": "b"})) != digest(frame.set_index([[5]]))


def test_what_cannot_be_told_apart_is_said() -> None:
    with pytest.raises(NoDigest, match="a key="):
        digest(threading.Lock())
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NoDigest, match="itself"):
        digest(loop)


def test_sizes_count_what_is_held() -> None:
    image, pd = pytest.importorskip("PIL.Image"), pytest.importorskip("pandas")
    assert size_of(np.zeros(1000)) == 8000 and size_of({"a": [bytes(500)] * 2}) > 1000
    assert size_of(image.new("RGB", (10, 10))) == 300 and size_of(pd.DataFrame({"a": np.zeros(100)})) >= 800


def test_the_least_recently_used_goes_first() -> None:
    store = Store(2, None, False)
    for key in "ab":
        store.put(key, key)
    store.get("a")
    store.put("c", "c")
    assert [store.get(key) for key in "ac"] == ["a", "c"] and len(store) == 2
    heavy = Store(0, 2500, False)
    for key in "abc":
        heavy.put(key, bytes(1000))
    assert len(heavy) == 2 and heavy.memory <= 2500
    heavy.put("d", bytes(9000))  # larger than the limit: the newest stays
    assert len(heavy) == 1 and heavy.get("d") == bytes(9000)
    heavy.clear()
    assert (len(heavy), heavy.memory) == (0, 0)


def test_functions_of_every_kind_run_once_for_equal_arguments() -> None:
    import asyncio

    ran: list[Any] = []

    @gr.cache
    def plain(x: Any, y: int = 1) -> list[Any]:
        ran.append("plain")
        return [x, y]

    @gr.cache(max_size=4)
    def several(x: int) -> Any:
        ran.append("several")
        yield from range(x)

    @gr.cache
    async def later(x: int) -> int:
        ran.append("later")
        return x

    @gr.cache
    async def one_by_one(x: int) -> Any:
        ran.append("one_by_one")
        for number in range(x):
            yield number

    async def both() -> Any:
        return [await later(3), await later(3), [n async for n in one_by_one(2)], [n async for n in one_by_one(2)]]

    assert plain(np.ones(2)) and plain(x=np.ones(2), y=1)
    assert list(several(3)) == list(several(3)) == [0, 1, 2]
    assert asyncio.run(both()) == [3, 3, [0, 1], [0, 1]]
    assert ran == ["plain", "several", "later", "one_by_one"]
    first = plain("a")
    first.append("changed")  # what is kept stays as it was
    assert plain("a") == ["a", 1] and len(plain.cache) == 2


def test_a_generator_that_is_left_keeps_nothing_half() -> None:
    @gr.cache
    def count(n: int) -> Any:
        yield from range(n)

    next(count(3))
    assert len(count.cache) == 0 and list(count(3)) == [0, 1, 2]


def test_helpers_share_what_is_kept_and_keys_choose_what_counts() -> None:
    ran: list[str] = []

    def find(words: str, noise: int) -> str:
        ran.append(words)
        return words.upper()

    for noise in range(3):
        assert gr.cache(find, key=lambda given: given["words"])("a", noise) == "A"
        key = lambda given: given["words"]  # noqa: E731 - another function: another cache
    assert len(ran) == 3
    for noise in range(3):
        assert gr.cache(find, key=key)("b", noise) == "B"
    assert ran.count("b") == 1
    with pytest.raises(TypeError, match="takes a function"):
        gr.cache("find('a')")


@pytest.fixture
def page() -> Iterator[SimpleNamespace]:
    """A page with caches, and ``call(name, *data)`` which returns the messages of a call."""
    ran: list[Any] = []

    @gr.cache
    def shout(text: str) -> str:
        ran.append(text)
        return text.upper()

    @gr.cache
    def letters(text: str) -> Any:
        ran.append(text)
        for end in range(len(text)):
            yield text[: end + 1]

    def helped(text: str) -> str:
        return gr.cache(str.title)(text)

    def own(text: str, kept: gr.Cache = gr.Cache(per_session=True)) -> str:  # noqa: B008
        hit = kept.get(text)
        if hit is None:
            kept.set(text, words=f"{text}!")
            return "new"
        return hit["words"]

    @gr.cache
    def whose(text: str, request: gr.Request) -> str:
        ran.append(request.session_hash)
        return f"{request.session_hash} {text}"

    with gr.Blocks() as demo:
        box, out, go = gr.Textbox(), gr.Textbox(), gr.Button()
        for fn in (shout, letters, helped, own, whose):
            go.click(fn, box, out)
    app = gr.App.create_app(demo)
    client = TestClient(app, base_url="http://127.0.0.1")  # entered below: one event loop for all requests
    ids = {fn.api_name: fn.id for fn in demo.fns.values()}

    def call(name: str, *data: Any, session: str = "s") -> list[dict[str, Any]]:
        body = {"data": list(data), "fn_index": ids[name], "session_hash": session}
        event = client.post("/gradio_api/queue/join", json=body).json()["event_id"]
        text = client.get("/gradio_api/queue/data", params={"session_hash": session}).text
        frames = [json.loads(frame[6:]) for frame in text.split("\n\n") if frame]
        return [frame for frame in frames if frame["event_id"] == event]

    with client:
        yield SimpleNamespace(ran=ran, call=call, client=client, demo=demo, app=app)


def test_a_kept_result_is_answered_beside_the_queue(page: SimpleNamespace) -> None:
    first, second = page.call("shout", "a"), page.call("shout", "a")
    assert [each["msg"] for each in first] == ["estimation", "process_starts", "process_completed"]
    assert "used_cache" not in first[-1]
    (only,) = second
    assert only["msg"] == "process_completed" and only["output"]["data"] == ["A"] and page.ran == ["a"]
    assert only["used_cache"] == "full" and only["cache_duration"] >= 0


def test_a_kept_stream_is_told_value_by_value(page: SimpleNamespace) -> None:
    page.call("letters", "abc")
    again = page.call("letters", "abc")
    assert [each["msg"] for each in again] == [*["process_generating"] * 3, "process_completed"]
    assert again[-1]["output"]["data"] == ["abc"] and again[-1]["used_cache"] == "full" and page.ran == ["abc"]


def test_what_a_function_took_from_a_cache_is_told(page: SimpleNamespace) -> None:
    assert "used_cache" not in page.call("helped", "ann lee")[-1]
    last = page.call("helped", "ann lee")[-1]
    assert last["used_cache"] == "partial" and last["output"]["data"] == ["Ann Lee"]


def test_visitors_have_caches_of_their_own_until_they_leave(page: SimpleNamespace) -> None:
    def say(session: str) -> Any:
        return page.call("own", "x", session=session)[-1]["output"]["data"][0]

    assert [say("one"), say("one"), say("two")] == ["new", "x!", "new"]
    forget("one")
    assert [say("one"), say("two")] == ["new", "x!"]
    assert page.demo.get_config_file()["connect_heartbeat"] is True
    endpoint = page.demo.get_api_info()["named_endpoints"]["/own"]
    assert [each["parameter_name"] for each in endpoint["parameters"]] == ["text"]


def test_a_result_that_depends_on_the_visitor_is_nobody_elses(page: SimpleNamespace) -> None:
    said = [page.call("whose", "x", session=name)[-1]["output"]["data"][0] for name in ("one", "two", "one")]
    assert said == ["one x", "two x", "one x"] and page.ran == ["one", "two"]


def test_inputs_that_are_refused_are_refused_as_ever(page: SimpleNamespace) -> None:
    with gr.Blocks() as demo:
        number = gr.Number(minimum=3)
        number.submit(gr.cache(lambda n: n), number, number, api_name="f")
    client = TestClient(gr.App.create_app(demo), base_url="http://127.0.0.1")
    assert client.post("/gradio_api/run/f", json={"data": [1]}).status_code == 500
    assert client.post("/gradio_api/run/f", json={"data": [4]}).json()["data"] == [4]
