"""``/v1/chat/completions``: conversations, whole or token by token, with tools and answers that keep to a schema."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from enfold.serving.answers import Answers
from enfold.serving.app import body_of
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields
from enfold.serving.openai import COMMON, REASONS, chat_logprobs, usage, wish_of
from enfold.serving.sampling import Wish
from enfold.serving.sending import DONE, JSON, EventStream, data, unless_gone
from enfold.serving.service import Service
from enfold.serving.text import TextModel
from enfold.serving.tools import FORMATS, Call, Format, ToolReader, forced, format_of, tools_of
from enfold.transformers.tokenization.sandbox import ChatTemplateError

__all__ = ["Conversation", "conversation_of", "render", "routes"]

FIELDS = (
    *COMMON,
    *(
        "messages max_tokens max_completion_tokens logprobs top_logprobs tools tool_choice parallel_tool_calls "
        "functions function_call chat_template chat_template_kwargs add_generation_prompt continue_final_message "
        "documents store reasoning_effort verbosity modalities audio prediction web_search_options"
    ).split(),
)
NOT_SERVED = {"audio": "sound", "functions": "the old functions; give tools", "web_search_options": "web search"}


class Conversation:
    """A conversation that was asked about: its prompt and how it is answered.

    Attributes:
        model: that answers.
        prompt: token ids.
        wish: how.
        way: how the model writes calls, or None where it may not.
        forced: whether the answer is nothing but calls.
    """

    def __init__(self, model: TextModel, prompt: list[int], wish: Wish, way: Format | None, forced: bool) -> None:
        self.model, self.prompt, self.wish, self.way, self.forced = model, prompt, wish, way, forced

    async def answers(self) -> Answers:
        """Ask for the answers."""
        return await self.model.ask(self.prompt, self.wish)

    def readers(self) -> list[Reader]:
        """Return what parts each answer into what is said and calls."""
        return [Reader(self.way, self.forced) for _ in range(self.wish.count)]


class Reader:
    """Parts one answer into what is said and calls of tools.

    Args:
        way: how the model writes calls, or None where it may not.
        forced: whether the answer is an array of calls.
    """

    def __init__(self, way: Format | None, forced: bool) -> None:
        self._tools = ToolReader(way) if way is not None and not forced else None
        self._forced, self._all = forced, ""
        self.calls = 0

    def step(self, text: str, is_last: bool) -> tuple[str, list[Call]]:
        """Return what is said, and the calls that are whole."""
        if self._forced:
            self._all += text
            calls = FORMATS["hermes"].read(self._all) or [] if is_last else []
            self.calls += len(calls)
            return ("", calls) if calls or not is_last else (self._all, [])
        if self._tools is None:
            return text, []
        said, calls = self._tools.step(text)
        if is_last:
            more, others = self._tools.end()
            said, calls = said + more, calls + others
        self.calls += len(calls)
        return said, calls


def render(model: TextModel, messages: list[Any], tools: list[dict[str, Any]] | None, **options: Any) -> list[int]:
    """Return the prompt for a conversation, by the model's chat template.

    What stands in messages is text: it cannot make the tokens that part a conversation into turns.

    Raises:
        ServingError: 400 where the template is missing or refuses the conversation, with its words.
    """
    tokenizer = model.tokenizer
    if tokenizer.chat_template is None and options.get("chat_template") is None:
        raise ServingError(
            f"{model.name!r} has no chat template: it continues texts, at /v1/completions. If it was trained to talk, "
            "start the server with --chat-template",
            param="messages",
        )
    try:
        ids = tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=True, return_dict=False, sanitize_control_tokens=True, **options
        )
    except ChatTemplateError as error:
        raise ServingError(f"the chat template refuses this conversation: {error}", param="messages") from None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ServingError(f"these messages cannot be put into the chat template: {error}", param="messages") from None
    if not ids:
        raise ServingError("the chat template makes an empty prompt of these messages", param="messages")
    return [int(token) for token in ids]


def plain_messages(given: Any) -> list[dict[str, Any]]:
    """Return messages as templates take them: content in parts becomes one text, arguments of calls become objects.

    Raises:
        ServingError: 400 for what is no message, and for pictures and sound.
    """
    if not isinstance(given, list) or not given:
        raise ServingError("messages must be an array of at least one message", param="messages")
    found = []
    for place, message in enumerate(given):
        where = f"messages[{place}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ServingError(f"{where} must be an object with a role", param=where)
        message = dict(message)
        content = message.get("content")
        if isinstance(content, list):
            texts = []
            for part in content:
                kind = part.get("type", "text") if isinstance(part, dict) else "text"
                text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
                if kind not in ("text", "input_text", "output_text") or not isinstance(text, str):
                    raise ServingError(f"{where} has a part of the type {kind!r}; this model reads text", param=where)
                texts.append(text)
            message["content"] = "".join(texts)
        elif content is None:
            message["content"] = ""
        elif not isinstance(content, str):
            raise ServingError(f"{where}.content must be a text or an array of parts", param=where)
        if message["role"] == "developer":
            message["role"] = "system"
        if message.get("tool_calls") is None:
            message.pop("tool_calls", None)
        else:
            message["tool_calls"] = [_plain_call(call, where) for call in message["tool_calls"]]
        found.append(message)
    return found


def _plain_call(call: Any, where: str) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise ServingError(f"{where}.tool_calls must be calls of functions", param=where)
    given = function.get("arguments")
    if isinstance(given, str):  # templates write the object themselves
        try:
            given = json.loads(given or "{}")
        except ValueError:
            raise ServingError(f"{where}.tool_calls has arguments that are not JSON", param=where) from None
    return {**call, "function": {**function, "arguments": given}}


async def conversation_of(body: dict[str, Any], service: Service) -> Conversation:
    """Return what a body asks for.

    Raises:
        ServingError: for whatever is wrong with it.
    """
    fields = Fields(body, FIELDS)
    for name, what in NOT_SERVED.items():
        if name in fields:
            raise ServingError(f"{name}: this server has no {what}", param=name)
    model: TextModel = service.find(fields.text("model"), "text")
    messages = plain_messages(body.get("messages"))
    choice = body.get("tool_choice")
    tools = tools_of(fields.array("tools") or [])
    schema = forced(tools, choice, fields.flag("parallel_tool_calls", True))
    shown = None if not tools or choice == "none" else tools
    goes_on = fields.flag("continue_final_message")
    options = {
        "add_generation_prompt": fields.flag("add_generation_prompt", not goes_on) and not goes_on,
        "continue_final_message": goes_on,
        "documents": fields.array("documents"),
        **(fields.object("chat_template_kwargs") or {}),
    }
    if "reasoning_effort" in fields:
        options.setdefault("reasoning_effort", fields.text("reasoning_effort"))
    if "chat_template" in fields:
        options["chat_template"] = fields.text("chat_template")
    prompt = await asyncio.to_thread(render, model, messages, shown, **options)
    room = model.room(len(prompt))
    asked = fields.whole("max_completion_tokens", 1, default=fields.whole("max_tokens", 1))
    wish = wish_of(fields, model, service.limits, room, asked)
    if fields.flag("logprobs"):
        wish.logprobs = fields.whole("top_logprobs", 0, service.limits.top_logprobs, 0)
    elif fields.whole("top_logprobs", 0):
        raise ServingError("top_logprobs needs logprobs: true", param="top_logprobs")
    if schema is not None:
        if wish.grammar is not None:
            raise ServingError(f"{wish.grammar_param} and a forced tool_choice contradict each other")
        wish = replace(wish, grammar=("json", schema), grammar_param="tools")
    template = options.get("chat_template") or model.tokenizer.get_chat_template(None, shown)
    way = format_of(template) if shown and schema is None and wish.grammar is None else None
    if way is not None:  # the marks of calls may be special tokens
        wish = replace(wish, skip_special=False)
    return Conversation(model, prompt, wish, way, schema is not None)


def routes(service: Service) -> list[Route]:
    """Return the routes of chats."""

    async def chat(request: Request) -> Any:
        body = await body_of(request, service)
        if "model_id" in request.path_params:  # /models/{id}/v1/chat/completions of the Hub's client
            body["model"] = request.path_params["model_id"]
        elif body.get("model") in ("tgi", "dummy"):  # what clients of a server of one model write
            body["model"] = None
        asked = await conversation_of(body, service)
        answers = await asked.answers()
        number, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        head = {"id": number, "object": "chat.completion", "created": created, "model": asked.model.name}
        if body.get("stream"):
            included = bool((Fields(body).object("stream_options") or {}).get("include_usage"))
            frames = _frames(asked, answers, head | {"object": "chat.completion.chunk"}, included)
            return EventStream(frames, answers, service.limits.send_seconds)
        choices = await unless_gone(request, answers, _choices(asked, answers))
        return JSON({**head, "choices": choices, "usage": usage(len(asked.prompt), answers)})

    return [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        # The Hub's client names the model in the path; its router has one door for each provider.
        Route("/models/{model_id:path}/v1/chat/completions", chat, methods=["POST"]),
        Route("/hf-inference/models/{model_id:path}/v1/chat/completions", chat, methods=["POST"]),
    ]


async def _choices(asked: Conversation, answers: Answers) -> list[dict[str, Any]]:
    found = []
    for answer, (text, tokens), reader in zip(answers.all, await answers.whole(), asked.readers(), strict=True):
        said, calls = reader.step(text, True)
        message: dict[str, Any] = {"role": "assistant", "content": said if said or not calls else None, "refusal": None}
        if calls:
            message["tool_calls"] = [_told(call) for call in calls]
        told = None if asked.wish.logprobs is None else chat_logprobs(asked.model.tokenizer, tokens, answer)
        reason = "tool_calls" if calls else REASONS[answer.reason or "error"]
        found.append({"index": answer.index, "message": message, "logprobs": told, "finish_reason": reason})
    return found


def _told(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


async def _frames(asked: Conversation, answers: Answers, head: dict[str, Any], included: bool) -> AsyncIterator[bytes]:
    head = {**head, "system_fingerprint": None}
    tail: dict[str, Any] = {"usage": None} if included else {}

    def frame(index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Any = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return data({**head, "choices": [choice], **tail})

    readers, begun = asked.readers(), set[int]()
    async for piece in answers:
        answer, reader = answers.all[piece.index], readers[piece.index]
        if piece.index not in begun:
            begun.add(piece.index)
            yield frame(piece.index, {"role": "assistant", "content": ""})
        said, calls = reader.step(piece.text, piece.is_last)
        logprobs = None
        if asked.wish.logprobs is not None and piece.tokens:
            logprobs = chat_logprobs(asked.model.tokenizer, piece.tokens, answer)
        if said or (logprobs and logprobs["content"]):
            yield frame(piece.index, {"content": said}, None, logprobs)
        for place, call in enumerate(calls, reader.calls - len(calls)):
            yield frame(piece.index, {"tool_calls": [{"index": place, **_told(call)}]})
        if piece.is_last:
            yield frame(piece.index, {}, "tool_calls" if reader.calls else REASONS[answer.reason or "error"])
    if included:
        yield data({**head, "choices": [], "usage": usage(len(asked.prompt), answers)})
    yield DONE
