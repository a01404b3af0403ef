"""TGI's routes and the Hub's: the official client of the Hub asks a server in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import enfold.transformers as tf

PEER = """
import json, sys
from huggingface_hub import InferenceClient

url = sys.argv[1]
client = InferenceClient(url)
found = {}
found["text"] = client.text_generation("once", max_new_tokens=8)
details = client.text_generation("once", max_new_tokens=8, details=True, top_n_tokens=2, decoder_input_details=True)
found["details"] = [details.generated_text, details.details.finish_reason, details.details.generated_tokens,
                    [token.id for token in details.details.tokens], len(details.details.prefill)]
found["stream"] = list(client.text_generation("once", max_new_tokens=8, stream=True))
frames = list(client.text_generation("once", max_new_tokens=8, stream=True, details=True))
found["frames"] = [len(frames), frames[-1].generated_text, frames[-1].details.finish_reason, frames[-1].token.id]
found["full"] = client.text_generation("once", max_new_tokens=8, return_full_text=True)
grammar = {"type": "regex", "value": "[ab]{4}"}
found["grammar"] = client.text_generation("once", max_new_tokens=20, seed=1, grammar=grammar)
try:
    client.text_generation("x" * 600)
except Exception as error:
    found["error"] = [type(error).__name__, str(error)]
chat = client.chat_completion([{"role": "user", "content": "hi"}], max_tokens=8, temperature=0)
found["chat"] = chat.choices[0].message.content
parts = client.chat_completion([{"role": "user", "content": "hi"}], max_tokens=8, temperature=0, stream=True)
found["chat stream"] = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
held = client.chat_completion([{"role": "user", "content": "hi"}], max_tokens=100, seed=1, response_format=shape)
found["held"] = json.loads(held.choices[0].message.content)
other = InferenceClient(base_url=url)
found["base_url"] = other.chat.completions.create(model="one", messages=[{"role": "user", "content": "hi"}],
                                                  max_tokens=8, temperature=0).choices[0].message.content
by_path = InferenceClient(url + "/models/one")
found["adapter"] = by_path.text_generation("once", max_new_tokens=8)
found["adapter chat"] = by_path.chat_completion([{"role": "user", "content": "hi"}], max_tokens=8, temperature=0
                                                ).choices[0].message.content
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(server: Any, peer: Callable[..., Any]) -> Any:
    return peer(PEER, server.url, variables={"HF_HUB_OFFLINE": "0"})


@pytest.mark.peer
def test_the_hubs_client_reads_what_generate_writes(told: Any, folder: Path) -> None:
    words, model = tf.AutoTokenizer.from_pretrained(folder), tf.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = words("once", return_tensors="pt")["input_ids"]
    new = model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    text = words.decode(new, skip_special_tokens=True)
    assert told["text"] == text and told["full"] == "once" + text
    assert told["details"] == [text, "length", 8, new.tolist(), 4]
    assert "".join(told["stream"]) == text
    assert told["frames"] == [8, text, "length", int(new[-1])]


@pytest.mark.peer
def test_the_hubs_client_holds_answers_to_grammars(told: Any) -> None:
    assert len(told["grammar"]) == 4 and set(told["grammar"]) <= {"a", "b"}
    assert told["held"]["a"] in (1, 2)


@pytest.mark.peer
def test_the_hubs_client_chats(told: Any) -> None:
    assert told["chat"] and told["chat stream"] == told["chat"]
    assert told["base_url"] == told["adapter chat"] != told["chat"]
    assert told["adapter"] != told["text"]


@pytest.mark.peer
def test_the_hubs_client_knows_what_was_wrong(told: Any) -> None:
    kind, message = told["error"]
    assert kind == "ValidationError" and "600 tokens" in message and "511" in message


def test_a_server_tells_of_itself(server: Any, ask: Callable[..., Any], folder: Path) -> None:
    info = httpx.get(f"{server.url}/info").json()
    assert info["model_id"] == "tiny" and info["max_total_tokens"] == 512 and info["max_input_tokens"] == 511
    required = "max_concurrent_requests max_best_of max_stop_sequences validation_workers max_client_batch_size router"
    assert all(name in info for name in (*required.split(), "version"))
    assert httpx.get(f"{server.url}/health").status_code == 200
    text = "hé you"
    tokens = ask("/tokenize", inputs=text).json()
    words = tf.AutoTokenizer.from_pretrained(folder)
    assert [token["id"] for token in tokens] == words(text)["input_ids"]
    assert all(token["text"] == text[token["start"] : token["stop"]] for token in tokens)


def test_the_best_of_several_is_the_likeliest(ask: Callable[..., Any]) -> None:
    parameters = {"best_of": 3, "max_new_tokens": 6, "temperature": 1.5, "seed": 4, "details": True}
    found = ask("/generate", inputs="once", parameters=parameters).json()
    others = found["details"]["best_of_sequences"]
    means = [
        sum(token["logprob"] for token in each["tokens"]) / len(each["tokens"]) for each in (found["details"], *others)
    ]
    assert len(others) == 2 and means[0] == max(means)
    assert ask("/generate_stream", inputs="once", parameters=parameters).status_code == 422


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"max_new_tokens": 5000}, "<= 512"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"temperature": 0}, "at least"),
        ({"top_p": 2}, "between"),
        ({"stop": ["x"] * 40}, "at most 16"),
        ({"grammar": {"type": "poem", "value": "x"}}, "json_schema or regex"),
        ({"grammar": {"type": "regex", "value": "["}}, "regex"),
        ({"watermark": True}, "watermark"),
        ({"adapter_id": "three"}, "no model 'three'"),
    ],
)
def test_what_is_wrong_is_told_as_tgi_does(ask: Callable[..., Any], parameters: Any, told: str) -> None:
    found = ask("/generate", inputs="once", parameters=parameters)
    assert found.status_code in (404, 422), found.text
    assert told in found.json()["error"] and found.json()["error_type"] in ("validation", "not_found")
