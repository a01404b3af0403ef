"""What OpenAI's routes have in common: how their fields become a wish, and how tokens are told.

Source: https://platform.openai.com/docs/api-reference; the further sampling fields are those that vLLM added.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from enfold.serving.answers import Answer, Answers, Token
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields
from enfold.serving.sampling import Wish
from enfold.serving.text import TextModel

__all__ = ["COMMON", "REASONS", "bytes_of", "chat_logprobs", "format_wish", "usage", "wish_of"]

COMMON = (
    "model stream stream_options n seed temperature top_p top_k min_p typical_p stop stop_token_ids ignore_eos "
    "include_stop_str_in_output min_tokens presence_penalty frequency_penalty repetition_penalty logit_bias user "
    "allowed_token_ids skip_special_tokens response_format structured_outputs guided_json guided_regex guided_choice "
    "guided_grammar no_repeat_ngram_size metadata service_tier safety_identifier prompt_cache_key"
).split()
"""Fields of both routes; those that only concern OpenAI's own service change nothing here."""

REASONS = {"eos": "stop", "stop": "stop", "length": "length", "cancelled": "stop", "error": "stop"}


def wish_of(fields: Fields, model: TextModel, limits: Any, room: int, asked: int | None) -> Wish:
    """Return how the answers are written.

    Args:
        fields: of the body.
        model: that writes.
        limits: of the server.
        room: tokens that fit behind the prompt.
        asked: tokens that were asked for, or None for as many as fit.

    Raises:
        ServingError: 400 for a field that makes no sense.
    """
    width = model.writer.width
    if asked is not None and asked > limits.new_tokens:
        raise ServingError(
            f"{asked} new tokens are asked for; at most {limits.new_tokens} are written in one answer",
            param="max_tokens",
        )
    if asked is not None and asked > room:
        raise ServingError(
            f"{asked} new tokens are asked for, and the prompt leaves {room} of {model.writer.longest}",
            param="max_tokens",
            code="context_length_exceeded",
        )
    options: dict[str, Any] = {"max_new_tokens": room if asked is None else asked, **sampling(fields)}
    ends = fields.tokens("stop_token_ids", width)
    if fields.flag("ignore_eos"):
        options["eos_token_id"] = ends or None
    elif ends:
        options["eos_token_id"] = [*model.writer.ends, *ends]
    if (fewest := fields.whole("min_tokens", 0)) is not None and fewest > 0:
        options["min_new_tokens"] = min(fewest, options["max_new_tokens"])
    bias = fields.object("logit_bias") or {}
    for token, value in bias.items():
        if not str(token).isdigit() or int(token) >= width or not isinstance(value, int | float):
            raise fields.wrong("logit_bias", f"has {token!r}: {value!r}; expected token ids below {width} with numbers")
    wish = Wish(
        options=options,
        count=fields.whole("n", 1, limits.choices, 1),
        seed=fields.whole("seed"),
        stops=fields.texts("stop", limits.stops),
        keep_stop=fields.flag("include_stop_str_in_output"),
        skip_special=fields.flag("skip_special_tokens", True),
        presence=fields.number("presence_penalty", -2, 2, 0.0),
        frequency=fields.number("frequency_penalty", -2, 2, 0.0),
        bias={int(token): max(-100.0, min(100.0, float(value))) for token, value in bias.items()},
        allowed=fields.tokens("allowed_token_ids", width) or None,
    )
    return format_wish(fields, wish)


def sampling(fields: Fields) -> dict[str, Any]:
    """Return how tokens are drawn, as fields of ``GenerationConfig``: by OpenAI's defaults, temperature and top_p 1."""
    temperature = fields.number("temperature", 0, 100)
    options: dict[str, Any] = {"do_sample": temperature is None or temperature > 0}
    if options["do_sample"]:
        options |= {"temperature": 1.0 if temperature is None else max(float(temperature), 1e-4), "top_k": 0}
        if (top_p := fields.number("top_p", 0, 1)) is not None:
            options["top_p"] = max(float(top_p), 1e-6)
        if (top_k := fields.whole("top_k", -1)) is not None:
            options["top_k"] = max(top_k, 0)
        if (min_p := fields.number("min_p", 0, 1)) is not None:
            options["min_p"] = float(min_p)
        if (typical := fields.number("typical_p", 1e-6, 1)) is not None and typical < 1:
            options["typical_p"] = float(typical)
    else:
        fields.number("top_p", 0, 1)
        options |= {"temperature": None, "top_p": None, "top_k": None}
    if (penalty := fields.number("repetition_penalty", 1e-3, 100)) is not None:
        options["repetition_penalty"] = float(penalty)
    if (size := fields.whole("no_repeat_ngram_size", 0)) is not None:
        options["no_repeat_ngram_size"] = size
    return options


def format_wish(fields: Fields, wish: Wish) -> Wish:
    """Take what the answer has to keep to from whichever field says it."""
    found: list[tuple[str, str, Any]] = []
    shape = fields.object("response_format")
    if shape is not None:
        kind = shape.get("type")
        schema = shape.get("value", shape.get("schema"))
        if kind == "json_schema":
            named = shape.get("json_schema", shape)
            schema = named.get("schema", schema) if isinstance(named, dict) else None
            if not isinstance(schema, dict | bool):
                raise fields.wrong("response_format", "has the type json_schema and no json_schema.schema")
            found.append(("response_format", "json", schema))
        elif kind in ("json_object", "json"):  # with a schema as TGI and the Hub's client write it
            found.append(("response_format", "json", schema if isinstance(schema, dict) else {"type": "object"}))
        elif kind in ("regex", "lark"):
            found.append(("response_format", kind, schema))
        elif kind != "text":
            raise fields.wrong("response_format", f"has the type {kind!r}; expected text, json_object or json_schema")
    held = fields.object("structured_outputs") or {}
    names = {"json": "json", "regex": "regex", "choice": "choice", "grammar": "lark"}
    for name, kind in names.items():
        found += [("structured_outputs", kind, held[name])] if held.get(name) is not None else []
        other = f"guided_{name}"
        found += [(other, kind, fields.body[other])] if other in fields else []
    if len(found) > 1:
        raise ServingError(f"{' and '.join(name for name, _, _ in found)} contradict each other: give one")
    for param, kind, value in found:
        wish.grammar, wish.grammar_param = (kind, value), param
    return wish


def usage(prompt: int, answers: Answers) -> dict[str, Any]:
    """Return how many tokens came and went."""
    new = sum(answer.count for answer in answers.all)
    cached = max((answer.request.cached_tokens for answer in answers.all), default=0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": new,
        "total_tokens": prompt + new,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def bytes_of(tokenizer: Any, token: int) -> tuple[str, list[int]]:
    """Return a token as text and as bytes; half a character is bytes alone."""
    text = tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if "\ufffd" in text:
        piece = tokenizer.convert_ids_to_tokens(token)
        if piece is not None:
            raw = _raw(piece)
            if raw is not None:
                return text, list(raw)
    return text, list(text.encode("utf-8", "replace"))


@functools.cache
def _letters() -> dict[str, int]:
    """Return the letters that stand for bytes in GPT-2's kind of vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [code for code in range(256) if code not in shown]
    return {chr(code): code for code in shown} | {chr(256 + place): code for place, code in enumerate(hidden)}


def _raw(piece: str) -> bytes | None:
    """Return the bytes of a token of a vocabulary of bytes: GPT-2's letters, or ``<0xE4>``."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    letters = _letters()
    return bytes(letters[letter] for letter in piece) if all(letter in letters for letter in piece) else None


def chat_logprobs(tokenizer: Any, tokens: Sequence[Token], answer: Answer) -> dict[str, Any]:
    """Return the logarithms of tokens in the shape of chats; the token that ended the text is not among them."""
    ends = answer.request.ends
    content = []
    for token in tokens:
        if token.id in ends:
            continue
        text, raw = bytes_of(tokenizer, token.id)
        likely = [(bytes_of(tokenizer, other), logprob) for other, logprob in token.top.items()]
        content.append(
            {
                "token": text,
                "logprob": _finite(token.logprob),
                "bytes": raw,
                "top_logprobs": [
                    {"token": other, "logprob": _finite(logprob), "bytes": raw} for (other, raw), logprob in likely
                ],
            }
        )
    return {"content": content, "refusal": None}


def _finite(value: float | None) -> float | None:
    return None if value is None else max(value, -9999.0)
