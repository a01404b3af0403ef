"""TGI's routes and the Hub's: ``/generate``, ``/generate_stream``, ``/``, ``/models/{id}``, ``/info``, ``/tokenize``.

Source: the OpenAPI description of text-generation-inference, and what ``huggingface_hub.InferenceClient`` sends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from enfold.serving.answers import Answer, Answers, Piece, Token
from enfold.serving.app import body_of
from enfold.serving.errors import ServingError, tgi_shape
from enfold.serving.fields import Fields
from enfold.serving.openai import usage
from enfold.serving.sampling import Wish
from enfold.serving.sending import JSON, EventStream, data, unless_gone
from enfold.serving.service import Service
from enfold.serving.text import TextModel

__all__ = ["routes"]

PARAMETERS = (
    "adapter_id best_of decoder_input_details details do_sample frequency_penalty grammar max_new_tokens "
    "repetition_penalty return_full_text seed stop temperature top_k top_n_tokens top_p truncate typical_p watermark "
    "stop_sequences max_length num_return_sequences min_new_tokens"
).split()
REASONS = {"eos": "eos_token", "stop": "stop_sequence", "length": "length", "cancelled": "stop_sequence"}


class Text:
    """A text that TGI's clients ask to be written on.

    Attributes:
        model: that writes.
        prompt: token ids.
        wish: how.
        full: whether the answer begins with the text.
        details: whether tokens are told.
        prefill: whether the prompt's tokens are told.
    """

    def __init__(self, inputs: str, model: TextModel, prompt: list[int], wish: Wish, fields: Fields) -> None:
        self.inputs, self.model, self.prompt, self.wish = inputs, model, prompt, wish
        self.full = fields.flag("return_full_text")
        self.details = fields.flag("details")
        self.prefill = fields.flag("decoder_input_details")
        self.top = fields.whole("top_n_tokens", 0, default=0)
        self.best = fields.whole("best_of", 1, default=1)
        self._special = set(model.tokenizer.all_special_ids)

    def token(self, token: Token) -> dict[str, Any]:
        """Return a token as TGI tells it."""
        return self._token(token.id, token.logprob)

    def top_of(self, token: Token) -> list[dict[str, Any]]:
        """Return the likeliest at a token's place."""
        return [self._token(other, value) for other, value in token.top.items()]

    def _token(self, id: int, logprob: float | None) -> dict[str, Any]:
        text = self.model.tokenizer.decode([id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return {"id": id, "text": text, "logprob": logprob, "special": id in self._special}

    def told(self, answer: Answer, tokens: list[Token]) -> dict[str, Any]:
        """Return the details of a whole answer."""
        found: dict[str, Any] = {
            "finish_reason": REASONS.get(answer.reason or "", "length"),
            "generated_tokens": answer.count,
            "seed": None if self.wish.seed is None else self.wish.seed + answer.index,
            "prefill": [],
            "tokens": [self.token(token) for token in tokens],
        }
        if self.prefill:
            found["prefill"] = [self._token(token, None) for token in self.prompt]
        if self.top:
            found["top_tokens"] = [self.top_of(token) for token in tokens]
        return found


async def text_of(body: dict[str, Any], service: Service, name: str | None = None) -> Text:
    """Return what a body asks for.

    Raises:
        ServingError: 422 for whatever is wrong with it, as TGI answers.
    """
    inputs = body.get("inputs")
    if not isinstance(inputs, str) or not inputs:
        raise ServingError("`inputs` must be a text that is not empty", 422, param="inputs")
    given = body.get("parameters")
    if given is not None and not isinstance(given, dict):
        raise ServingError("`parameters` must be an object", 422, param="parameters")
    fields = Fields(given or {}, PARAMETERS, "parameters.")
    model: TextModel = service.find(fields.text("adapter_id") or name, "text")
    prompt = [int(token) for token in await asyncio.to_thread(model.tokenizer.encode, inputs)]
    if (cut := fields.whole("truncate", 1)) is not None:
        prompt = prompt[-cut:]
    return Text(inputs, model, prompt, _wish(fields, model, service, len(prompt)), fields)


def _wish(fields: Fields, model: TextModel, service: Service, prompt: int) -> Wish:
    limits = service.limits
    room = model.room(prompt, "inputs")
    asked = fields.whole("max_new_tokens", 1)
    if asked is not None and asked > room:
        raise ServingError(
            f"`inputs` tokens + `max_new_tokens` must be <= {model.writer.longest}, and `max_new_tokens` <= "
            f"{limits.new_tokens}. Given: {prompt} `inputs` tokens and {asked} `max_new_tokens`",
            422,
        )
    best = fields.whole("best_of", 1, limits.choices, 1)
    temperature, top_p = fields.number("temperature", 1e-6), fields.number("top_p", 1e-6, 1)
    top_k, typical = fields.whole("top_k", 1), fields.number("typical_p", 1e-6, 1)
    # What only makes sense for drawing asks for it, as in TGI.
    draws = (
        fields.flag("do_sample") or best > 1 or any(value is not None for value in (temperature, top_p, top_k, typical))
    )
    options: dict[str, Any] = {
        "max_new_tokens": min(limits.default_new_tokens, room) if asked is None else asked,
        "do_sample": draws,
        "temperature": (1.0 if temperature is None else float(temperature)) if draws else None,
        "top_k": (top_k or 0) if draws else None,
        "top_p": top_p if draws else None,
    }
    if draws and typical is not None and typical < 1:
        options["typical_p"] = float(typical)
    if (penalty := fields.number("repetition_penalty", 1e-3)) is not None:
        options["repetition_penalty"] = float(penalty)
    if (fewest := fields.whole("min_new_tokens", 0)) is not None:
        options["min_new_tokens"] = fewest
    if fields.flag("watermark"):
        raise ServingError("`watermark` is not available on this server", 422, param="watermark")
    top = fields.whole("top_n_tokens", 0, limits.top_logprobs)
    seed = fields.whole("seed", 0)
    wish = Wish(
        options=options,
        count=best,
        seed=secrets.randbits(63) if draws and seed is None else seed,
        logprobs=top or 0,
        stops=[*fields.texts("stop", limits.stops), *fields.texts("stop_sequences", limits.stops)],
        keep_stop=True,  # TGI leaves what ended a text in it
        frequency=fields.number("frequency_penalty", -2, 2, 0.0),
    )
    grammar = fields.object("grammar")
    if grammar is not None:
        kinds = {"json": "json", "json_schema": "json", "regex": "regex"}
        if grammar.get("type") not in kinds or grammar.get("value") is None:
            raise fields.wrong("grammar", "has a type, json, json_schema or regex, and a value")
        value = grammar["value"]
        if grammar["type"] == "json_schema" and isinstance(value, dict):
            value = value.get("schema", value)
        wish.grammar, wish.grammar_param = (kinds[grammar["type"]], value), "grammar"
    return wish


def routes(service: Service) -> list[Route]:
    """Return TGI's routes and the Hub's."""

    async def asked(request: Request, body: dict[str, Any]) -> tuple[Text, Answers]:
        try:
            text = await text_of(body, service, request.path_params.get("model_id"))
            return text, await text.model.ask(text.prompt, text.wish, goes_on=True)
        except ServingError as error:
            if error.status == 400:  # TGI's clients know 422 for what is wrong with a request
                error.status = 422
            raise

    async def whole(request: Request, body: dict[str, Any], listed: bool) -> Response:
        text, answers = await asked(request, body)
        found = await unless_gone(request, answers, _best(text, answers))
        return JSON([found] if listed else found)

    async def stream(request: Request, body: dict[str, Any]) -> Any:
        if ((body.get("parameters") or {}).get("best_of") or 1) != 1:
            raise ServingError("`best_of` != 1 is not possible for a stream", 422, param="best_of")
        text, answers = await asked(request, body)
        return EventStream(_frames(text, answers), answers, service.limits.send_seconds, tgi_shape)

    async def generate(request: Request) -> Response:
        return await whole(request, await body_of(request, service), False)

    async def generate_stream(request: Request) -> Any:
        return await stream(request, await body_of(request, service))

    async def either(request: Request) -> Any:
        body = await body_of(request, service)
        if body.get("stream"):
            return await stream(request, body)
        return await whole(request, body, True)

    async def info(request: Request) -> Response:
        return JSON(_info(service))

    async def tokenize(request: Request) -> Response:
        body = await body_of(request, service)
        inputs = body.get("inputs")
        if not isinstance(inputs, str):
            raise ServingError("`inputs` must be a text", 422, param="inputs")
        model: TextModel = service.find(None, "text")
        special = bool(body.get("add_special_tokens", True))
        made = await asyncio.to_thread(model.tokenizer.backend_tokenizer.encode, inputs, add_special_tokens=special)
        rows = zip(made.ids, made.offsets, strict=True)
        return JSON([{"id": id, "text": inputs[a:b], "start": a, "stop": b} for id, (a, b) in rows])

    return [
        Route("/generate", generate, methods=["POST"]),
        Route("/generate_stream", generate_stream, methods=["POST"]),
        Route("/", either, methods=["POST"]),
        Route("/invocations", either, methods=["POST"]),
        Route("/info", info),
        Route("/tokenize", tokenize, methods=["POST"]),
        *(_TextRoute(f"{door}/models/{{model_id:path}}", either, service) for door in ("", "/hf-inference")),
    ]


class _TextRoute(Route):
    """A route of models that write; others are asked under the same path in their own way."""

    def __init__(self, path: str, endpoint: Any, service: Service) -> None:
        super().__init__(path, endpoint, methods=["POST"])
        self.service = service

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for a model that writes."""
        found, child = super().matches(scope)
        model = self.service.models.get(child.get("path_params", {}).get("model_id", ""))
        return (found, child) if model is not None and model.kind == "text" else (Match.NONE, {})


async def _best(text: Text, answers: Answers) -> dict[str, Any]:
    found = await answers.whole()
    sums = [sum(token.logprob or 0.0 for token in tokens) / max(len(tokens), 1) for _, tokens in found]
    first = sums.index(max(sums))

    def told(place: int) -> dict[str, Any]:
        written, tokens = found[place]
        return {"generated_text": (text.inputs if text.full else "") + written} | (
            text.told(answers.all[place], tokens) if place != first else {}
        )

    answer: dict[str, Any] = {"generated_text": told(first)["generated_text"]}
    if text.details or text.best > 1 or text.prefill:
        answer["details"] = text.told(answers.all[first], found[first][1])
        if text.best > 1:
            others = [place for place in range(len(found)) if place != first]
            answer["details"]["best_of_sequences"] = [told(place) for place in others]
    return answer


async def _frames(text: Text, answers: Answers) -> AsyncIterator[bytes]:
    """Yield a frame for every token; text that waited for its end comes with the token that brought it."""
    index, parts = 0, list[str]()
    answer = answers.all[0]

    def frame(token: Token, shown: str, piece: Piece, is_end: bool) -> bytes:
        nonlocal index
        index += 1
        told = {**text.token(token), "text": shown}
        value: dict[str, Any] = {"index": index, "token": told, "generated_text": None, "details": None}
        if text.top:
            value["top_tokens"] = text.top_of(token)
        if is_end:
            value["generated_text"] = (text.inputs if text.full else "") + "".join(parts)
            counts = usage(len(text.prompt), answers)
            value["details"] = {
                "finish_reason": REASONS.get(answer.reason or "", "length"),
                "generated_tokens": answer.count,
                "seed": text.wish.seed,
                "input_length": counts["prompt_tokens"],
            }
        return data(value)

    last: Token | None = None
    async for piece in answers:
        parts.append(piece.text)
        for place, token in enumerate(piece.tokens):
            is_end = piece.is_last and place == len(piece.tokens) - 1
            shown = piece.text if place == len(piece.tokens) - 1 else ""
            special = token.id in answer.request.ends
            yield frame(token, text.token(token)["text"] if special and not shown else shown, piece, is_end)
            last = token
        if piece.is_last and not piece.tokens:
            yield frame(last or Token(0), piece.text, piece, True)


def _info(service: Service) -> dict[str, Any]:
    import enfold

    model: TextModel = service.find(None, "text")
    limits, writer = service.limits, model.writer
    most = writer.longest - 1 if limits.prompt_tokens is None else min(limits.prompt_tokens, writer.longest - 1)
    return {
        "model_id": model.name,
        "model_sha": None,
        "model_dtype": str(writer.model.dtype),
        "model_device_type": writer.model.device.type,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": writer.engine.config.max_running + limits.queue,
        "max_best_of": limits.choices,
        "max_stop_sequences": limits.stops,
        "max_input_tokens": most,
        "max_total_tokens": writer.longest,
        "validation_workers": 1,
        "max_client_batch_size": 1,
        "router": "enfold",
        "version": enfold.__version__,
    }
