"""The page of the inference server in a real browser: answers as they are written, settings, and Stop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import enfold.transformers as tf
import tiny_models
from enfold.serving.app import create_app
from enfold.serving.keys import Keys
from enfold.serving.limits import Limits
from enfold.serving.loading import add_text_model
from enfold.serving.service import Service
from enfold.web.server import BackgroundServer

pytestmark = pytest.mark.browser

KEY = "a key that nobody guesses"
CLIENT = httpx.Client(timeout=120)
# Every message as its words; the system prompt leads.
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama that writes words without an end, no faster than a page can show them."""
    home = tmp_path_factory.mktemp("talker")
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=len(tiny_models.WORDS), hidden_size=256, num_hidden_layers=8, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=1024, max_position_embeddings=20_000, eos_token_id=None,
        bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = tf.LlamaForCausalLM(config)
    model.generation_config.suppress_tokens = [0, 1, 2, 3]  # words only
    tiny_models.folder(home, model)
    tokenizer = tf.AutoTokenizer.from_pretrained(home)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(home)
    return home


@pytest.fixture
def served(folder: Path) -> Iterator[Callable[..., tuple[str, Service]]]:
    """Serve the model: ``served(keys=…)`` gives the address and the service."""
    open_servers = []

    def serve(**options: Any) -> tuple[str, Service]:
        service = Service(**options)
        add_text_model(service, f"talker={folder}", dtype="float32")
        server = BackgroundServer(create_app(service))
        open_servers.append((server, service))
        return server.url, service

    yield serve
    for server, service in open_servers:
        service.end()
        server.stop()


def open_page(page: Any, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")


def say(page: Any, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_label("Message").press("Enter")


def set_number(page: Any, label: str, value: str) -> None:
    box = page.get_by_label(f"number input for {label}")
    box.fill(value)
    box.press("Tab")


def test_it_answers_as_the_engine_does(page: Any, served: Any, axe: Callable[[Any], list[str]]) -> None:
    url, _ = served()
    open_page(page, url)
    assert axe(page) == []
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("dog")
    set_number(page, "Temperature", "0")
    set_number(page, "Most new tokens", "12")
    say(page, "the cat")
    body = {"temperature": 0, "max_tokens": 12}
    messages = [{"role": "system", "content": "dog"}, {"role": "user", "content": "the cat"}]
    asked = CLIENT.post(f"{url}/v1/chat/completions", json={"messages": messages, **body}).json()
    wanted = asked["choices"][0]["message"]["content"]
    assert asked["usage"]["completion_tokens"] == 12 and len(wanted.split()) == 12
    page.get_by_text(wanted, exact=True).wait_for()
    # what was said before is part of the next prompt
    say(page, "sat")
    messages += [{"role": "assistant", "content": wanted}, {"role": "user", "content": "sat"}]
    again = CLIENT.post(f"{url}/v1/chat/completions", json={"messages": messages, **body}).json()
    wanted = again["choices"][0]["message"]["content"]
    page.get_by_text(wanted, exact=True).last.wait_for()


def test_stop_ends_the_writing(page: Any, served: Any) -> None:
    url, service = served(limits=Limits(new_tokens=15_000))
    open_page(page, url)
    page.get_by_role("button", name="Settings").click()
    set_number(page, "Most new tokens", "15000")
    say(page, "the cat")
    page.get_by_text(re.compile(r"(\w+ ){20}")).first.wait_for()  # it is shown while it is written
    engine = service.models["talker"].writer.engine
    assert engine.statistics.running == 1
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Send").wait_for()
    for _ in range(500):
        if engine.statistics.running == 0:
            break
        page.wait_for_timeout(10)
    assert engine.statistics.running == 0 and engine.statistics.new_tokens < 15_000


def test_examples_start_a_conversation(page: Any, served: Any) -> None:
    url, _ = served()
    open_page(page, url)
    page.get_by_role("button", name="Settings").click()
    set_number(page, "Most new tokens", "5")
    page.get_by_role("button", name=re.compile("haiku")).click()
    page.get_by_text("Write a haiku about the sea.").last.wait_for()
    page.get_by_text(re.compile(r"^((the|cat|sat|on|a|mat|dog)\s*){5}$")).first.wait_for()


def test_a_key_is_the_password(page: Any, served: Any) -> None:
    url, _ = served(keys=Keys([KEY]))
    assert CLIENT.get(f"{url}/v1/models").status_code == 401
    assert CLIENT.post(url, json={"inputs": "the"}).status_code == 401  # TGI's route has the same path
    assert "talker" not in CLIENT.get(url).text
    page.goto(url)
    page.get_by_label("Name").fill("anybody")
    page.get_by_label("Password").fill(KEY)
    page.get_by_role("button").click()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.get_by_role("strong").get_by_text("talker").wait_for()


def test_it_can_be_switched_off_and_leaves_other_paths_alone(served: Any) -> None:
    without, _ = served(page=False)
    assert CLIENT.get(without).status_code in (404, 405)
    url, _ = served()
    assert "<html" in CLIENT.get(url).text
    assert CLIENT.get(f"{url}/nothing").json() == {
        "error": "nothing is served under this path",
        "error_type": "not_found",
    }
    made = CLIENT.post(url, json={"inputs": "the cat", "parameters": {"max_new_tokens": 3}})
    assert made.json()[0]["generated_text"]
