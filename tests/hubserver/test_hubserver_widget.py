"""Small models answer on their pages, in a process of their own, where they can be run at all."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import httpx
import pytest
import torch

from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.widget import models
from enfold.transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
from tiny_models import folder

PAGE = {"accept": "text/html"}
SIZE = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models")
    labels = {"id2label": {0: "calm", 1: "cross"}, "label2id": {"calm": 0, "cross": 1}}
    folder(place / "moods", BertForSequenceClassification(BertConfig(**SIZE, **labels)))
    folder(place / "writer", GPT2LMHeadModel(GPT2Config(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=64)))
    with EmbeddedHub(tmp_path_factory.mktemp("hub"), durable=False) as hub:
        api = HfApi(hub.endpoint, hub.token)
        for name, task in (("moods", "text-classification"), ("writer", "text-generation")):
            (place / name / "README.md").write_text(f"---\npipeline_tag: {task}\n---\n")
            api.create_repo(f"demo/{name}")
            api.upload_folder(repo_id=f"demo/{name}", folder_path=str(place / name))
        yield hub


@pytest.fixture
def client(hub: EmbeddedHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.endpoint, headers=PAGE, timeout=180) as client:
        yield client


def test_a_model_answers_on_its_page(client: httpx.Client, hub: EmbeddedHub) -> None:
    page = client.get("/demo/moods").text
    assert "Ask the model" in page and 'role="status"' not in page
    said = client.post("/demo/moods/try", data={"inputs": "the cat <b>sat</b>"}).text
    assert "<dt>calm</dt>" in said and "<dt>cross</dt>" in said and "the cat &lt;b&gt;sat&lt;/b&gt;</textarea>" in said
    first, second = (float(part.partition("</dd>")[0]) for part in said.split("<dd>")[1:3])
    assert first + second == pytest.approx(1, abs=0.002) and first >= second
    written = client.post("/demo/writer/try", data={"inputs": "the cat"}).text
    assert '<p class="said">the cat' in written
    assert len([one for one in hub.hub.models._workers.values() if not one.ended.is_set()]) == 2


def test_questions_have_a_length(client: httpx.Client) -> None:
    assert client.post("/demo/moods/try", data={"inputs": " "}).status_code == 400
    assert client.post("/demo/moods/try", data={"inputs": "x" * 5001}).status_code == 400


def test_a_model_that_cannot_be_loaded_says_so(client: httpx.Client, hub: EmbeddedHub) -> None:
    api = HfApi(hub.endpoint, hub.token)
    api.create_repo("demo/broken")
    files = {
        "README.md": b"---\npipeline_tag: fill-mask\n---\n",
        "config.json": b"{}",
        "model.safetensors": b"nonsense",
    }
    for path, data in files.items():
        api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id="demo/broken")
    assert "cannot be loaded" in client.post("/demo/broken/try", data={"inputs": "a [MASK]"}).text


def test_a_page_says_why_a_model_is_not_run(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, hub: EmbeddedHub
) -> None:
    monkeypatch.setattr(models, "_BYTES", 10)
    page = client.get("/demo/moods").text
    assert "are not run here" in page and "Ask the model" not in page
    assert client.post("/demo/moods/try", data={"inputs": "x"}).status_code == 404
    monkeypatch.undo()
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else real(name, *more))
    assert "torch is not installed" in client.get("/demo/moods").text
    api = HfApi(hub.endpoint, hub.token)
    api.create_repo("demo/nothing")
    assert "Try it" not in client.get("/demo/nothing").text
