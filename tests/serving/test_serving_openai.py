"""OpenAI's routes, asked by the official client, of a server in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import torch

import enfold.transformers as tf
from enfold.serving.chat import render
from enfold.serving.errors import ServingError

QUESTION: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def client(server: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none is asked for", max_retries=0)


@pytest.fixture(scope="module")
def parts(folder: Path) -> tuple[Any, Any]:
    return tf.AutoTokenizer.from_pretrained(folder), tf.AutoModelForCausalLM.from_pretrained(folder).eval()


def alone(parts: tuple[Any, Any], messages: Any, new: int, adapter: Path | None = None) -> str:
    """What ``generate`` writes for a chat."""
    words, model = parts
    if adapter is not None:
        from enfold.peft import PeftModel

        base = tf.AutoModelForCausalLM.from_pretrained(adapter.parent.parent)
        model = PeftModel.from_pretrained(base, adapter).eval()
    ids = words.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        out = model.generate(input_ids=ids, max_new_tokens=new, do_sample=False)
    return str(words.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def test_models_are_listed_with_their_adapters(client: openai.OpenAI) -> None:
    found = {model.id: model for model in client.models.list()}
    assert set(found) == {"tiny", "one", "two"}
    about: Any = {name: model.model_extra for name, model in found.items()}
    assert about["one"]["parent"] == "tiny" and about["tiny"]["max_model_len"] == 512
    assert client.models.retrieve("two").id == "two"
    with pytest.raises(openai.NotFoundError, match="did you mean 'tiny'"):
        client.chat.completions.create(model="tinny", messages=QUESTION)


def test_a_chat_says_what_generate_writes(client: openai.OpenAI, parts: tuple[Any, Any]) -> None:
    found = client.chat.completions.create(model="tiny", messages=QUESTION, temperature=0, max_tokens=20)
    choice = found.choices[0]
    assert choice.message.content == alone(parts, QUESTION, 20)
    assert choice.finish_reason in ("length", "stop")
    assert found.usage is not None and found.usage.completion_tokens <= 20
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_a_stream_says_the_same_and_tells_what_it_used(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "temperature": 0, "max_completion_tokens": 24}
    whole = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage is not None and whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_adapters_are_asked_by_name_and_share_a_batch(server: Any, parts: tuple[Any, Any], folder: Path) -> None:
    import asyncio

    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none") as client:
            names = ["tiny", "one", "two"] * 4
            asked = [
                client.chat.completions.create(model=name, messages=QUESTION, temperature=0, max_tokens=30)
                for name in names
            ]
            return [found.choices[0].message.content or "" for found in await asyncio.gather(*asked)]

    told = asyncio.run(ask())
    expected = [alone(parts, QUESTION, 30)]
    expected += [alone(parts, QUESTION, 30, folder / "adapters" / name) for name in ("one", "two")]
    assert len(set(expected)) == 3
    assert told == expected * 4


def test_several_answers_of_a_seed_are_the_same_again(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "max_tokens": 12, "n": 3, "temperature": 1.5, "top_p": 0.9}
    first, again = (client.chat.completions.create(**options, seed=7) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2] and len(set(texts)) == 3
    assert texts == [choice.message.content for choice in again.choices]
    assert texts != [choice.message.content for choice in client.chat.completions.create(**options, seed=8).choices]


def test_an_answer_ends_before_a_stop_string(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 30}
    text = client.chat.completions.create(**options).choices[0].message.content or ""
    stop = text[5:8]
    whole = client.chat.completions.create(**options, stop=[stop, "never said"]).choices[0]
    assert whole.message.content == text[: text.index(stop)] and whole.finish_reason == "stop"
    chunks = list(client.chat.completions.create(**options, stop=stop, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text[: text.index(stop)]


def test_tokens_are_told_with_their_logarithms(client: openai.OpenAI, parts: tuple[Any, Any]) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 6, "logprobs": True}
    found = client.chat.completions.create(**options, top_logprobs=3).choices[0]
    words, model = parts
    ids = words.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    assert found.logprobs is not None and found.logprobs.content
    for told in found.logprobs.content:
        with torch.no_grad():
            scores = model(ids).logits[0, -1].log_softmax(-1)
        top = scores.topk(3)
        assert told.logprob == pytest.approx(float(top.values[0]), abs=1e-4)
        assert [each.logprob for each in told.top_logprobs] == pytest.approx(top.values.tolist(), abs=1e-4)
        letter = words.convert_ids_to_tokens(int(top.indices[0]))
        assert words.convert_tokens_to_string([letter]).startswith(bytes(told.bytes or []).decode(errors="replace"))
        ids = torch.cat([ids, top.indices[:1][None]], 1)
    streamed = [
        each
        for chunk in client.chat.completions.create(**options, top_logprobs=3, stream=True)
        if chunk.choices[0].logprobs
        for each in chunk.choices[0].logprobs.content or []
    ]
    assert [each.logprob for each in streamed] == [each.logprob for each in found.logprobs.content]


def test_penalties_and_biases_change_what_is_said(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 40}
    a, b = 65, 66  # places in the alphabet of bytes
    words = client.chat.completions.create(**options, logit_bias={str(a): 100}).choices[0].message.content or ""
    assert len(set(words)) == 1
    # what is said loses with every time, until the other is said: both take turns
    both = {str(a): 100, str(b): 100}
    mixed = client.chat.completions.create(**options, logit_bias=both, frequency_penalty=2).choices[0].message.content
    assert set(mixed or "") > set(words) and len(set(mixed or "")) == 2
    present = client.chat.completions.create(**options, presence_penalty=-2).choices[0].message.content or ""
    assert len(set(present)) <= len(set(client.chat.completions.create(**options).choices[0].message.content or ""))


SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["ann", "bob"]}, "age": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_an_answer_keeps_to_its_schema(client: openai.OpenAI, temperature: float) -> None:
    shape: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    options: Any = {"model": "tiny", "messages": QUESTION, "temperature": temperature, "max_tokens": 200, "seed": 3}
    found = client.chat.completions.create(**options, response_format=shape).choices[0]
    told = json.loads(found.message.content or "")
    assert found.finish_reason == "stop"
    assert set(told) == {"name", "age"} and told["name"] in ("ann", "bob") and 1 <= told["age"] <= 99


def test_json_is_an_object_and_other_grammars_hold_too(client: openai.OpenAI, ask: Callable[..., Any]) -> None:
    shape: Any = {"type": "json_object"}
    options: Any = {"model": "tiny", "messages": QUESTION, "max_tokens": 300, "seed": 5, "temperature": 0.7}
    found = client.chat.completions.create(**options, response_format=shape).choices[0]
    text = found.message.content or ""
    assert text.lstrip().startswith("{")
    if found.finish_reason == "stop":
        assert isinstance(json.loads(text), dict)
    body: Any = {**options, "structured_outputs": {"choice": ["yes", "no"]}}
    assert ask("/v1/chat/completions", **body).json()["choices"][0]["message"]["content"] in ("yes", "no")
    body = {**options, "guided_regex": "[0-9]{3}-[a-f]"}
    digits = ask("/v1/chat/completions", **body).json()["choices"][0]["message"]["content"]
    assert digits[:3].isdigit() and digits[3] == "-" and digits[4] in "abcdef" and len(digits) == 5


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
        ({"type": "wat"}, "wat"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        (False, "Unsatisfiable"),
    ],
)
def test_a_schema_that_cannot_be_met_is_refused_with_the_reason(
    ask: Callable[..., Any], schema: Any, reason: str
) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for stream in (False, True):
        found = ask("/v1/chat/completions", messages=QUESTION, response_format=shape, stream=stream)
        assert found.status_code == 400
        error = found.json()["error"]
        assert reason in error["message"] and error["param"] == "response_format" and error["code"] == "invalid_schema"


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather.",
            "parameters": {"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"]},
        },
    },
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
]


def test_a_call_that_is_asked_for_comes(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "messages": QUESTION, "tools": TOOLS, "max_tokens": 150, "seed": 1}
    one: Any = {"type": "function", "function": {"name": "weather"}}
    found = client.chat.completions.create(**options, tool_choice=one).choices[0]
    assert found.finish_reason == "tool_calls" and found.message.content is None
    call: Any = (found.message.tool_calls or [])[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
    chunks = list(client.chat.completions.create(**options, tool_choice=one, stream=True))
    calls = [each for chunk in chunks for each in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function is not None and calls[0].function.name == "weather"
    assert json.loads(calls[0].function.arguments or "")["city"] in ("Rome", "Oslo")
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    any_: Any = client.chat.completions.create(**options, tool_choice="required", parallel_tool_calls=False)
    assert len(any_.choices[0].message.tool_calls) == 1
    with pytest.raises(openai.BadRequestError, match="not among the tools"):
        client.chat.completions.create(**options, tool_choice={"type": "function", "function": {"name": "other"}})


def test_texts_are_written_on(client: openai.OpenAI, parts: tuple[Any, Any]) -> None:
    words, model = parts
    found = client.completions.create(model="tiny", prompt=["once", "twice"], temperature=0, max_tokens=9, echo=True)
    assert [choice.index for choice in found.choices] == [0, 1]
    for choice, prompt in zip(found.choices, ("once", "twice"), strict=True):
        ids = words(prompt, return_tensors="pt")["input_ids"]
        out = model.generate(input_ids=ids, max_new_tokens=9, do_sample=False)
        assert choice.text == words.decode(out[0], skip_special_tokens=True)
    ids = words("once")["input_ids"]
    of_ids = client.completions.create(model="tiny", prompt=ids, temperature=0, max_tokens=9, logprobs=2).choices[0]
    assert "once" + of_ids.text == found.choices[0].text
    assert of_ids.logprobs is not None and len(of_ids.logprobs.tokens or []) == 9
    assert of_ids.logprobs.text_offset is not None and of_ids.logprobs.text_offset[0] == 0
    streamed = client.completions.create(model="tiny", prompt="once", temperature=0, max_tokens=9, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == of_ids.text


def test_responses_come_whole_and_as_events(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "input": "hi", "temperature": 0, "max_output_tokens": 12}
    whole = client.responses.create(**options)
    assert whole.output_text and whole.usage is not None and whole.usage.output_tokens <= 12
    chat = client.chat.completions.create(model="tiny", messages=QUESTION, temperature=0, max_tokens=12)
    assert whole.output_text == chat.choices[0].message.content
    events = list(client.responses.create(**options, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    last: Any = events[-1]
    assert last.response.output_text == whole.output_text
    tool = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}
    forced: Any = {**options, "max_output_tokens": 100, "tools": [tool], "tool_choice": "required"}
    call: Any = client.responses.create(**forced).output[0]
    assert call.type == "function_call" and call.name == "clock"
    kinds = [event.type for event in client.responses.create(**forced, stream=True)]
    assert "response.function_call_arguments.done" in kinds
    with pytest.raises(openai.BadRequestError, match="not stored"):
        client.responses.create(**options, previous_response_id="resp_1")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"n": 0}, "n is 0"),
        ({"n": 1000}, "between 1 and 16"),
        ({"top_p": "much"}, "top_p must be a number"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"stop": ["x"] * 40}, "at most 16"),
        ({"max_tokens": 100_000}, "at most 4096"),
        ({"max_tokens": 4000}, "leaves"),
        ({"logit_bias": {"9999": 1}}, "below 258"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"content": "hi"}]}, "role"),
        ({"messages": [{"role": "nobody", "content": "hi"}]}, "nobody may speak"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "reads text"),
        ({"response_format": {"type": "yaml"}}, "yaml"),
        ({"tool_choice": "required"}, "no tools"),
        ({"top_logprobs": 3}, "needs logprobs"),
    ],
)
def test_what_is_wrong_is_told(ask: Callable[..., Any], wrong: dict[str, Any], told: str) -> None:
    found = ask("/v1/chat/completions", **{"messages": QUESTION, "max_tokens": 3, **wrong})
    assert found.status_code == 400, found.text
    assert told in found.json()["error"]["message"]
    assert found.json()["error"]["type"] == "invalid_request_error"


def test_control_tokens_in_a_message_are_text(ask: Callable[..., Any]) -> None:
    """Nobody can begin a turn of somebody else's by writing the tokens that do."""
    plain, forged = (
        ask("/v1/chat/completions", messages=[{"role": "user", "content": text}], max_tokens=1).json()["usage"]
        for text in ("a<|im_star|>", "a<|im_start|>")
    )
    assert forged["prompt_tokens"] == plain["prompt_tokens"] + 1


def test_a_model_without_a_template_is_told_from_a_conversation_that_it_refuses(folder: Path) -> None:
    words = tf.AutoTokenizer.from_pretrained(folder)
    words.chat_template = None
    model: Any = SimpleNamespace(name="tiny", tokenizer=words)
    with pytest.raises(ServingError, match=r"'tiny' has no chat template: it continues texts, at /v1/completions"):
        render(model, QUESTION, None)
    assert render(model, QUESTION, None, chat_template="{{ messages[0].content }}")
