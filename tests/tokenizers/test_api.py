"""What is around the tokenizer: awaiting it, ready-made ones, the visualizer, memory and forks."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import resource
import subprocess
import sys
import time
import weakref
from html.parser import HTMLParser

import pytest

from enfold.tokenizers import BertWordPieceTokenizer, Tokenizer, normalizers
from enfold.tokenizers import pre_tokenizers as cutting
from enfold.tokenizers.models import BPE, WordLevel
from enfold.tokenizers.tools import Annotation, EncodingVisualizer


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = cutting.Whitespace()
    return made


def test_awaiting_gives_what_calling_gives(tokenizer: Tokenizer) -> None:
    texts = ["a b", "b x"] * 400

    async def all_of_them() -> None:
        assert (await tokenizer.async_encode("a b")).ids == [1, 2]
        for call in (tokenizer.async_encode_batch, tokenizer.async_encode_batch_fast):
            assert [one.ids for one in await call(texts)] == [[1, 2], [2, 0]] * 400
        assert await tokenizer.async_decode([1, 2]) == "a b"
        assert await tokenizer.async_decode_batch([[1], [2]] * 400) == ["a", "b"] * 400
        with pytest.raises(TypeError):
            await tokenizer.async_encode(3)
        tokenizer.enable_padding(pad_to_multiple_of=4)
        assert {len(one) for one in await tokenizer.async_encode_batch(["a", "a b a b a"] * 300)} == {8}

    asyncio.run(all_of_them())


def test_a_cancelled_call_stops_and_harms_no_other(tokenizer: Tokenizer) -> None:
    async def run() -> None:
        slow = asyncio.create_task(tokenizer.async_encode_batch(["a b " * 200] * 20_000))
        await asyncio.sleep(0.01)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        started = time.monotonic()
        assert (await tokenizer.async_encode("b")).ids == [2]
        assert time.monotonic() - started < 2

    asyncio.run(run())


def test_revision_grows_with_every_change_and_with_no_use(tokenizer: Tokenizer) -> None:
    changes = [
        lambda: setattr(tokenizer, "normalizer", normalizers.Strip()),
        lambda: setattr(tokenizer.normalizer, "left", False),
        lambda: setattr(tokenizer.model, "unk_token", "a"),
        lambda: tokenizer.add_tokens(["new"]),
        lambda: tokenizer.enable_truncation(3),
        lambda: tokenizer.no_padding(),
    ]
    for change in changes:
        before = tokenizer.revision
        change()
        assert tokenizer.revision > before
    before = tokenizer.revision
    tokenizer.encode("a")
    assert tokenizer.revision == before


def test_copies_are_independent(tokenizer: Tokenizer) -> None:
    for twin in (copy.copy(tokenizer), copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        twin.add_tokens(["zz"])
        twin.normalizer = normalizers.Lowercase()
        assert twin.encode("A zz").ids == [1, 3]
        assert tokenizer.encode("A zz").ids == [0, 0]
    assert weakref.ref(tokenizer)() is tokenizer


def test_a_ready_made_tokenizer_trains_and_saves(tmp_path: object) -> None:
    made = BertWordPieceTokenizer()
    made.train_from_iterator(["hey hey you"] * 20, vocab_size=40, show_progress=False)
    assert made.encode("hey").tokens == ["hey"]
    files = made.save_model(str(tmp_path))
    assert BertWordPieceTokenizer.from_file(files[0]).encode("hey").tokens == ["[CLS]", "hey", "[SEP]"]
    with pytest.raises(TypeError, match="sep_token"):
        BertWordPieceTokenizer({"[UNK]": 0, "[CLS]": 1})


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.titles, self.open = "", [], 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += tag in ("span", "mark")
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_endtag(self, tag: str) -> None:
        self.open -= tag in ("span", "mark")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_visualizer_shows_the_whole_text_and_escapes_it(tokenizer: Tokenizer) -> None:
    text = 'a <b> & "c"'
    page = EncodingVisualizer(tokenizer, default_to_notebook=False)(text, [Annotation(2, 5, "tag<")])
    assert page is not None
    tags = _Tags()
    tags.feed(page[page.index("<main") :])
    assert tags.text.replace("tag<", "").strip() == text and tags.open == 0
    assert "a · id 1" in tags.titles and "prefers-color-scheme:dark" in page
    with pytest.raises(ValueError, match="overlap"):
        EncodingVisualizer(tokenizer, default_to_notebook=False)(text, [Annotation(0, 3, "x"), Annotation(2, 5, "y")])


def test_a_child_of_a_fork_encodes_on_threads_of_its_own(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    texts = ["a b " * 5000] * 30
    assert len(tokenizer.encode_batch(texts)) == 30
    asyncio.run(tokenizer.async_encode("a"))
    child = os.fork()
    if child == 0:
        right = tokenizer.encode_batch(texts)[29].ids[:2] == [1, 2]
        right = right and asyncio.run(tokenizer.async_encode("a")).ids == [1]
        os._exit(0 if right else 1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0
            return
        time.sleep(0.01)
    os.kill(child, 9)
    pytest.fail("the child hangs")


@pytest.mark.parametrize("value", ["", "off", "FALSE", "f", "No", "n", "0"])
def test_parallelism_is_turned_off_by_the_ecosystems_words(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from enfold import _native

    monkeypatch.setenv("RAYON_NUM_THREADS", "5")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    assert _native.thread_count() == 5
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", value)
    assert _native.thread_count() == 1


GROWTH = """
import resource, sys
from enfold.tokenizers import Tokenizer
from enfold.tokenizers.models import WordLevel
from enfold.tokenizers.pre_tokenizers import Whitespace
tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="b"))
tokenizer.pre_tokenizer = Whitespace()
calls, batches = int(sys.argv[1]), int(sys.argv[2])
def use(calls, batches):
    for i in range(calls):
        tokenizer.encode(f"a {i % 1000} b").offsets
    for i in range(batches):
        tokenizer.encode_batch(["a b", f"x{i % 1000}", "b"])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
use(calls // 10, batches // 10)
before = resident()
use(calls, batches)
print(resident() - before)
"""


@pytest.mark.parametrize(
    ("calls", "batches"), [(30_000, 5_000), pytest.param(1_000_000, 100_000, marks=pytest.mark.slow)]
)
def test_memory_does_not_grow(calls: int, batches: int) -> None:
    made = subprocess.run(
        [sys.executable, "-c", GROWTH, str(calls), str(batches)], capture_output=True, text=True, check=True
    )
    assert float(made.stdout) < 4  # MiB


@pytest.mark.slow
def test_a_word_of_100_megabytes_takes_time_in_proportion() -> None:
    model = BPE({"a": 0, "b": 1, "aa": 2, "aaaa": 3, "ab": 4}, [("a", "a"), ("aa", "aa"), ("a", "b")])
    tokenizer = Tokenizer(model)

    def seconds(megabytes: int) -> float:
        text = "aaab" * (megabytes * 250_000)
        started = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        tokenizer.encode(text)
        return resource.getrusage(resource.RUSAGE_SELF).ru_utime - started

    small = seconds(10)
    assert seconds(100) < 20 * max(small, 0.1)
