"""``/v1/completions``: texts that are written on."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from enfold.serving.answers import Answer, Answers, Token
from enfold.serving.app import body_of
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields
from enfold.serving.openai import COMMON, REASONS, usage, wish_of
from enfold.serving.sampling import Wish
from enfold.serving.sending import DONE, JSON, EventStream, data, unless_gone
from enfold.serving.service import Service
from enfold.serving.text import TextModel

__all__ = ["routes"]

FIELDS = (*COMMON, *"prompt max_tokens logprobs echo suffix best_of truncate_prompt_tokens add_special_tokens".split())
DEFAULT_TOKENS = 16  # of OpenAI's


async def prompts_of(fields: Fields, model: TextModel, most: int) -> list[list[int]]:
    """Return the prompts as token ids: one text, several, or the ids of one or of several.

    Raises:
        ServingError: 400 for anything else.
    """
    given = fields.body.get("prompt")
    width = model.writer.width
    special = fields.flag("add_special_tokens", True)
    rows: list[Any]
    if isinstance(given, str) or (isinstance(given, list) and given and all(isinstance(part, int) for part in given)):
        rows = [given]
    elif isinstance(given, list) and given:
        rows = given
    else:
        raise fields.wrong("prompt", "must be a text, several, or token ids")
    if len(rows) > most:
        raise fields.wrong("prompt", f"has {len(rows)} texts; at most {most} are accepted")
    found = []
    for row in rows:
        if isinstance(row, str):
            ids = await asyncio.to_thread(model.tokenizer.encode, row, add_special_tokens=special)
        elif isinstance(row, list) and all(isinstance(token, int) and 0 <= token < width for token in row):
            ids = row
        else:
            raise fields.wrong("prompt", f"must hold texts or token ids below {width}")
        if (cut := fields.whole("truncate_prompt_tokens", 1)) is not None:
            ids = ids[-cut:]
        if not ids:
            begin = model.tokenizer.bos_token_id
            ids = [begin if begin is not None else next(iter(model.writer.ends), 0)]
        found.append([int(token) for token in ids])
    return found


def routes(service: Service) -> list[Route]:
    """Return the route of completions."""

    async def complete(request: Request) -> Any:
        body = await body_of(request, service)
        fields = Fields(body, FIELDS)
        model: TextModel = service.find(fields.text("model"), "text")
        if fields.text("suffix"):
            raise ServingError("suffix: this model writes on; it does not fill in", param="suffix")
        prompts = await prompts_of(fields, model, service.limits.choices)
        wish = _wish(fields, model, service, prompts)
        asked: list[Answers] = []
        try:
            for prompt in prompts:
                asked.append(await model.ask(prompt, wish, goes_on=True))
        except BaseException:
            for group in asked:
                group.cancel()
            raise
        # All answers of all prompts are one row of choices.
        answers = Answers([answer for group in asked for answer in group.all])
        for index, answer in enumerate(answers.all):
            answer.index = index
        whole = Completion(model, prompts, wish, fields.flag("echo"))
        head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.name,
        }
        if body.get("stream"):
            included = bool((Fields(body).object("stream_options") or {}).get("include_usage"))
            return EventStream(whole.frames(answers, head, included), answers, service.limits.send_seconds)
        choices = await unless_gone(request, answers, whole.choices(answers))
        return JSON({**head, "choices": choices, "usage": whole.usage(answers)})

    return [Route("/v1/completions", complete, methods=["POST"])]


def _wish(fields: Fields, model: TextModel, service: Service, prompts: list[list[int]]) -> Wish:
    room = min(model.room(len(prompt), "prompt") for prompt in prompts)
    asked = fields.whole("max_tokens", 1)
    wish = wish_of(fields, model, service.limits, room, min(DEFAULT_TOKENS, room) if asked is None else asked)
    wish.logprobs = fields.whole("logprobs", 0, service.limits.top_logprobs)
    best = fields.whole("best_of", 1)
    if best is not None and best != wish.count:
        raise ServingError("best_of must be n: answers are not ranked here", param="best_of")
    if wish.count * len(prompts) > service.limits.choices:
        most = service.limits.choices
        message = f"{len(prompts)} prompts with n={wish.count} are {wish.count * len(prompts)} answers; at most {most}"
        raise ServingError(message, param="n")
    return wish


class Completion:
    """Prompts with their answers.

    Args:
        model: that writes.
        prompts: token ids of each.
        wish: how.
        echo: whether each answer begins with its prompt.
    """

    def __init__(self, model: TextModel, prompts: list[list[int]], wish: Wish, echo: bool) -> None:
        self.model, self.prompts, self.wish, self.echo = model, prompts, wish, echo

    def usage(self, answers: Answers) -> dict[str, Any]:
        """Return how many tokens came and went."""
        return usage(sum(map(len, self.prompts)), answers)

    async def choices(self, answers: Answers) -> list[dict[str, Any]]:
        """Wait for the answers."""
        found = []
        for answer, (text, tokens) in zip(answers.all, await answers.whole(), strict=True):
            before = self._before(answer)
            logprobs = self._logprobs(answer, tokens, len(before))
            reason = REASONS[answer.reason or "error"]
            found.append({"text": before + text, "index": answer.index, "logprobs": logprobs, "finish_reason": reason})
        return found

    async def frames(self, answers: Answers, head: dict[str, Any], included: bool) -> AsyncIterator[bytes]:
        """Yield the answers as they come."""
        tail: dict[str, Any] = {"usage": None} if included else {}
        lengths: dict[int, int] = {}
        async for piece in answers:
            answer = answers.all[piece.index]
            text = ("" if piece.index in lengths else self._before(answer)) + piece.text
            logprobs = self._logprobs(answer, piece.tokens, lengths.get(piece.index, 0))
            lengths[piece.index] = lengths.get(piece.index, 0) + len(text)
            reason = REASONS[answer.reason or "error"] if piece.is_last else None
            if text or reason or (logprobs and logprobs["tokens"]):
                choice = {"text": text, "index": piece.index, "logprobs": logprobs, "finish_reason": reason}
                yield data({**head, "choices": [choice], **tail})
        if included:
            yield data({**head, "choices": [], "usage": self.usage(answers)})
        yield DONE

    def _before(self, answer: Answer) -> str:
        if not self.echo:
            return ""
        prompt = self.prompts[answer.index // self.wish.count]
        return str(self.model.tokenizer.decode(prompt, skip_special_tokens=self.wish.skip_special))

    def _logprobs(self, answer: Answer, tokens: list[Token], offset: int) -> dict[str, Any] | None:
        if self.wish.logprobs is None:
            return None
        told: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for token in tokens:
            if token.id in answer.request.ends:
                continue
            text = self._text(token.id)
            told["tokens"].append(text)
            told["token_logprobs"].append(token.logprob)
            told["top_logprobs"].append({self._text(other): value for other, value in token.top.items()})
            told["text_offset"].append(offset)
            offset += len(text)
        return told

    def _text(self, token: int) -> str:
        return str(self.model.tokenizer.decode([token], skip_special_tokens=False))
