"""Run by both libraries: one grid of calls of tokenizers and pipelines, printed as JSON on the last line."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

TEXTS = [
    "Hello, world! It's a fine day -- isn't it?",
    "short",
    "naïve café 東京 😀 [SEP] <|endoftext|>  two  spaces </s>",
    " ".join(f"word{number}" for number in range(40)),
]
PAIRS = ["A second text.", "another, much longer second text that must give way first", "x", "東京 tower"]
WORDS = [["Hello", "world", "unbelievable"], ["a"]]
MODELS = ["google-bert/bert-base-uncased", "openai-community/gpt2", "meta-llama/Llama-2-7b-hf"]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi <there> & you"},
    {"role": "assistant", "content": "Hello world"},
]
PLAIN = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}] {{ message['content'] | trim }}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
MARKED = (
    "{% for m in messages %}[{{ m.role }}] {% if m.role == 'assistant' %}{% generation %}{{ m.content }}."
    "{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}"
)
TOOLS = (
    "{{ tools | tojson }}|{{ documents | tojson(indent=2) }}|{% for m in messages %}{% if loop.first %}{% continue %}"
    "{% endif %}{{ m.content }}{% if not loop.last %};{% endif %}{% endfor %}"
)


def weather(place: str, days: int = 3, unit: str | None = None) -> list[float]:
    """Tell the weather.

    Args:
        place: Where, for example
            a city.
        days: How many days.
        unit: The unit.

    Returns:
        Degrees.
    """
    return [0.0 for _ in place] * days


def plain(value: Any) -> Any:
    """Return tensors and batches as lists."""
    if hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def attempt(make: Any) -> Any:
    """Return a result, or the kind of error."""
    try:
        return plain(make())
    except Exception as error:
        kinds = [ValueError, TypeError]
        return "error: " + next((kind.__name__ for kind in kinds if isinstance(error, kind)), "other")


def calls(tokenizer: Any) -> dict[str, Any]:
    """Return the results of every call of the grid."""
    found: dict[str, Any] = {}
    for padding, truncation, limit, side in itertools.product(
        [False, True, "max_length"], [False, True, "only_first"], [None, 12], ["left", "right"]
    ):
        options = {"padding": padding, "truncation": truncation, "max_length": limit, "padding_side": side}
        for name, texts in {"batch": (TEXTS,), "pairs": (TEXTS[:2], PAIRS[:2]), "one": (TEXTS[0],)}.items():
            found[f"{name} {options}"] = attempt(lambda a=texts, o=options: tokenizer(*a, **o))
            if padding and truncation:
                found[f"np {name} {options}"] = attempt(
                    lambda a=texts, o=options: tokenizer(*a, return_tensors="np", **o)
                )
                found[f"pt {name} {options}"] = attempt(
                    lambda a=texts, o=options: tokenizer(*a, return_tensors="pt", **o)
                )
    extras = {
        "return_offsets_mapping": True,
        "return_special_tokens_mask": True,
        "return_length": True,
        "return_token_type_ids": True,
        "return_attention_mask": False,
        "return_overflowing_tokens": True,
        "add_special_tokens": False,
        "pad_to_multiple_of": 8,
        "split_special_tokens": True,
    }
    for name, value in extras.items():
        for options in ({}, {"padding": True, "truncation": True, "max_length": 16, "stride": 4}):
            found[f"{name} {options}"] = attempt(lambda n=name, v=value, o=options: tokenizer(TEXTS, **{n: v}, **o))
            found[f"{name} pair {options}"] = attempt(
                lambda n=name, v=value, o=options: tokenizer(TEXTS[0], PAIRS[0], **{n: v}, **o)
            )
    for strategy in ("longest_first", "only_first", "only_second"):
        found[f"overflow {strategy}"] = attempt(
            lambda s=strategy: tokenizer(
                TEXTS[3], PAIRS[1], truncation=s, max_length=24, stride=3, return_overflowing_tokens=True
            )
        )
    found["windows"] = attempt(
        lambda: tokenizer(
            [TEXTS[3], TEXTS[0]],
            max_length=20,
            truncation=True,
            stride=5,
            padding="max_length",
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
    )
    found["words"] = attempt(lambda: tokenizer(WORDS, is_split_into_words=True))
    found["word ids"] = attempt(lambda: tokenizer(WORDS, is_split_into_words=True).word_ids(0))
    batch = tokenizer(TEXTS[:2], PAIRS[:2], padding=True)
    found["tokens"] = [batch.tokens(row) for row in range(2)]
    found["sequence ids"] = [batch.sequence_ids(row) for row in range(2)]
    found["places"] = [
        batch.char_to_token(0, 1),
        batch.char_to_token(0, 3, 1),
        list(batch.token_to_chars(0, 2)),
        batch.token_to_word(0, 2),
        list(batch.word_to_tokens(0, 0)),
        list(batch.word_to_chars(0, 0)),
        batch.char_to_word(0, 1),
    ]
    found["target"] = attempt(lambda: tokenizer(TEXTS[:2], text_target=PAIRS[:2]))
    found["pad"] = attempt(lambda: tokenizer.pad([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], pad_to_multiple_of=4))
    found["pad np"] = attempt(lambda: tokenizer.pad({"input_ids": [[5, 6, 7], [8]]}, return_tensors="np"))
    found["wrong text"] = attempt(lambda: tokenizer([1, 2]))
    found["ragged"] = attempt(lambda: tokenizer(TEXTS, return_tensors="np"))
    found["encode"] = [tokenizer.encode(TEXTS[0]), tokenizer.encode(TEXTS[0], PAIRS[0], add_special_tokens=False)]
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    found["decode"] = [tokenizer.decode(row) for row in ids]
    found["decode skip"] = tokenizer.batch_decode(ids, skip_special_tokens=True)
    found["decode clean"] = tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)
    found["tokenize"] = [tokenizer.tokenize(text) for text in TEXTS]
    found["string"] = tokenizer.convert_tokens_to_string(tokenizer.tokenize(TEXTS[0]))
    found["vocabulary"] = [
        len(tokenizer),
        tokenizer.vocab_size,
        tokenizer.convert_tokens_to_ids(["the", "nosuchtoken", tokenizer.eos_token or "[SEP]"]),
        tokenizer.convert_ids_to_tokens(ids[0]),
        tokenizer.convert_ids_to_tokens(ids[0], skip_special_tokens=True),
        tokenizer.all_special_tokens,
        tokenizer.all_special_ids,
        tokenizer.model_max_length,
        tokenizer.padding_side,
        tokenizer.truncation_side,
        tokenizer.model_input_names,
        tokenizer.num_special_tokens_to_add(False),
        tokenizer.num_special_tokens_to_add(True),
        type(tokenizer).__name__,
    ]
    found["added"] = [
        tokenizer.add_tokens(["newword", "the"]),
        tokenizer.add_special_tokens({"additional_special_tokens": ["<extra>"]}),
        tokenizer("a newword<extra>b")["input_ids"],
        len(tokenizer),
        tokenizer.decode(tokenizer("a newword<extra>b")["input_ids"], skip_special_tokens=True),
    ]
    return found


def chats(tokenizer: Any) -> dict[str, Any]:
    """Return what templates make of a conversation."""
    tokenizer.chat_template = PLAIN
    found = {
        "text": tokenizer.apply_chat_template(CHAT, tokenize=False),
        "prompt": tokenizer.apply_chat_template(CHAT[:2], tokenize=False, add_generation_prompt=True),
        "open": tokenizer.apply_chat_template(CHAT, tokenize=False, continue_final_message=True),
        "several": tokenizer.apply_chat_template([CHAT, CHAT[:2]], tokenize=False),
        "inputs": attempt(lambda: tokenizer.apply_chat_template(CHAT)),
        "ids": attempt(lambda: tokenizer.apply_chat_template(CHAT, return_dict=False)),
        "arrays": attempt(lambda: tokenizer.apply_chat_template([CHAT, CHAT[:2]], padding=True, return_tensors="np")),
    }
    tokenizer.chat_template = MARKED
    found["mask"] = attempt(lambda: tokenizer.apply_chat_template(CHAT, return_assistant_tokens_mask=True))
    tokenizer.chat_template = TOOLS
    documents = [{"title": "a", "text": "<é>"}]
    found["tools"] = tokenizer.apply_chat_template(CHAT, tools=[weather], documents=documents, tokenize=False)
    return found


def pipes(library: Any, models: Path) -> dict[str, Any]:
    """Return what pipelines answer."""
    folder = str(models / "distilbert" / "distilbert-base-uncased-finetuned-sst-2-english")
    classify = library.pipeline("sentiment-analysis", model=folder, device=-1)
    texts = ["I love this", "What an awful, slow and boring film it was!", "ok", "fine " * 30] * 2
    found = {
        "one": classify(texts[0]),
        "list": classify(texts),
        "all": classify(texts[0], top_k=None),
        "all list": classify(texts[:2], top_k=None),
        "top one": classify(texts[:2], top_k=1),
        "pair": classify({"text": "a", "text_pair": "b"}),
        "pairs": classify([{"text": "a", "text_pair": "b"}, {"text": "longer text", "text_pair": "c"}]),
        "raw": classify(texts[:2], function_to_apply="none"),
        "sigmoid": classify(texts[:2], function_to_apply="sigmoid"),
        "cut": classify(texts, truncation=True, max_length=8),
        "generator": list(classify(text for text in texts[:3])),
        "every": library.pipeline("text-classification", model=folder, device=-1, top_k=None)(texts[0]),
        "batched": classify(texts, batch_size=3),
    }
    folder = str(models / "openai-community" / "gpt2")
    write = library.pipeline("text-generation", model=folder, device=-1)
    how = {"do_sample": False, "max_new_tokens": 8}
    prompts = ["Once upon a time", "Hello", "The quick brown fox jumps over the lazy dog"]
    found |= {
        "write": write(prompts[0], **how),
        "write list": write(prompts, **how),
        "new": write(prompts[0], return_full_text=False, **how),
        "ids": write(prompts[0], return_tensors=True, **how),
        "length": write(prompts[:2], do_sample=False, max_length=12),
        "prefix": write(prompts[0], prefix="Well. ", return_full_text=False, **how),
        "beams": write(prompts[0], num_beams=3, num_return_sequences=2, **how),
        "stream": list(write((prompt for prompt in prompts[:2]), **how)),
    }
    write.tokenizer.chat_template = PLAIN
    found["chat"] = write(CHAT[:2], **how)
    found["chats"] = write([CHAT[:2], CHAT[1:2]], **how)
    found["going on"] = write(CHAT, **how)
    return found


def main(name: str, models: Path, saved: Path, foreign: Path | None) -> dict[str, Any]:
    """Return all results; tokenizers are saved into ``saved``, and the other library's are read from ``foreign``."""
    library = importlib.import_module(name)
    found: dict[str, Any] = {"calls": {}, "chats": {}, "own": {}, "foreign": {}}
    for model in MODELS:
        tokenizer = library.AutoTokenizer.from_pretrained(str(models / model))
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        found["chats"][model] = chats(tokenizer)
        found["calls"][model] = calls(tokenizer)
        tokenizer.chat_template = PLAIN
        tokenizer.save_pretrained(str(saved / model))
        texts = TEXTS
        found["own"][model] = [plain(tokenizer(texts, padding=True)), tokenizer.chat_template, len(tokenizer)]
        if foreign is not None:
            again = library.AutoTokenizer.from_pretrained(str(foreign / model))
            found["foreign"][model] = [plain(again(texts, padding=True)), again.chat_template, len(again)]
    found["pipes"] = pipes(library, models)
    return found


if __name__ == "__main__":
    extra = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), extra), default=plain))
