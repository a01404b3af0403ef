"""``/v1/responses``: OpenAI's newer route for one answer, with its stream of named events. Nothing is stored.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from enfold.serving.answers import Answers
from enfold.serving.app import body_of
from enfold.serving.chat import Conversation, conversation_of
from enfold.serving.errors import ServingError
from enfold.serving.fields import Fields
from enfold.serving.openai import chat_logprobs, usage
from enfold.serving.sending import JSON, EventStream, data, unless_gone
from enfold.serving.service import Service
from enfold.serving.tools import Call

__all__ = ["routes"]

FIELDS = (
    "model input instructions stream temperature top_p max_output_tokens tools tool_choice parallel_tool_calls text "
    "store metadata previous_response_id reasoning truncation user seed stop top_k min_p top_logprobs include "
    "background conversation service_tier prompt prompt_cache_key safety_identifier max_tool_calls stream_options"
).split()
SAME = ("model", "temperature", "top_p", "tool_choice", "parallel_tool_calls", "seed", "stop", "top_k", "min_p")


def chat_body(body: dict[str, Any]) -> dict[str, Any]:
    """Return the chat that a body of this route asks for.

    Raises:
        ServingError: 400 for what this server does not do, such as going on from a stored answer.
    """
    fields = Fields(body, FIELDS)
    for name in ("previous_response_id", "conversation", "prompt"):
        if name in fields:
            raise ServingError(f"{name}: answers are not stored here; send the whole conversation as input", param=name)
    if fields.flag("background"):
        raise ServingError("background: answers are not stored here", param="background")
    messages: list[dict[str, Any]] = []
    if "instructions" in fields:
        messages.append({"role": "system", "content": fields.text("instructions")})
    given = body.get("input")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    elif isinstance(given, list) and given:
        messages += _messages(given)
    else:
        raise fields.wrong("input", "must be a text or an array of items")
    found: dict[str, Any] = {name: body[name] for name in SAME if name in fields}
    found["messages"] = messages
    found["max_completion_tokens"] = fields.whole("max_output_tokens", 1)
    tools = fields.array("tools") or []
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise ServingError(f"tools[{place}]: this server has functions only", param="tools")
    found["tools"] = tools
    shape = (fields.object("text") or {}).get("format")
    if isinstance(shape, dict):
        found["response_format"] = shape
    if "message.output_text.logprobs" in (fields.array("include") or []):
        found |= {"logprobs": True, "top_logprobs": fields.whole("top_logprobs", 0, default=0)}
    effort = (fields.object("reasoning") or {}).get("effort")
    return found | ({} if effort is None else {"reasoning_effort": effort})


def _messages(items: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for place, item in enumerate(items):
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            found.append({"role": item.get("role"), "content": item.get("content")})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if found and found[-1]["role"] == "assistant":
                found[-1].setdefault("tool_calls", []).append(call)
            else:
                found.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind == "function_call_output":
            output = item.get("output")
            content = output if isinstance(output, str) else json.dumps(output)
            found.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        elif kind != "reasoning":
            raise ServingError(f"input[{place}] has the type {kind!r}, which is not known here", param="input")
    return found


def routes(service: Service) -> list[Route]:
    """Return the route of responses."""

    async def respond(request: Request) -> Any:
        body = await body_of(request, service)
        asked = await conversation_of(chat_body(body), service)
        answers = await asked.answers()
        made = Made(asked, answers, body)
        if body.get("stream"):
            return EventStream(made.frames(), answers, service.limits.send_seconds)
        (text, tokens) = (await unless_gone(request, answers, answers.whole()))[0]
        said, calls = asked.readers()[0].step(text, True)
        logprobs: list[Any] = []
        if asked.wish.logprobs is not None:
            logprobs = chat_logprobs(asked.model.tokenizer, tokens, answers.all[0])["content"]
        return JSON(made.whole(said, calls, logprobs))

    return [Route("/v1/responses", respond, methods=["POST"])]


class Made:
    """One response and its events.

    Args:
        asked: what was asked.
        answers: one.
        body: of the request.
    """

    def __init__(self, asked: Conversation, answers: Answers, body: dict[str, Any]) -> None:
        self.asked, self.answers, self.body = asked, answers, body
        self.id, self.message_id = f"resp_{secrets.token_hex(12)}", f"msg_{secrets.token_hex(12)}"
        self.created = int(time.time())
        self._number = -1

    def response(self, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the response as it is now."""
        body, answer = self.body, self.answers.all[0]
        cut = status == "completed" and answer.reason == "length"
        told = usage(len(self.asked.prompt), self.answers)
        counts = {
            "input_tokens": told["prompt_tokens"],
            "input_tokens_details": told["prompt_tokens_details"],
            "output_tokens": told["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": told["total_tokens"],
        }
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": "incomplete" if cut else status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": self.asked.model.name,
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": counts if status == "completed" else None,
            "user": body.get("user"),
        }

    def whole(self, said: str, calls: list[Call], logprobs: list[Any]) -> dict[str, Any]:
        """Return the finished response."""
        output = [] if calls and not said else [self._message("completed", [self._part(said, logprobs)])]
        return self.response("completed", output + [_item(call) for call in calls])

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield its events as they come."""
        reader, answer = self.asked.readers()[0], self.answers.all[0]
        output: list[dict[str, Any]] = []
        text, logprobs = "", list[Any]()
        begun = False
        async for piece in self.answers:
            if not begun:
                begun = True
                for name in ("created", "in_progress"):
                    yield self._event(f"response.{name}", response=self.response("in_progress", []))
            said, calls = reader.step(piece.text, piece.is_last)
            fresh = []
            if self.asked.wish.logprobs is not None:
                fresh = chat_logprobs(self.asked.model.tokenizer, piece.tokens, answer)["content"]
            if said or (piece.is_last and not calls and not output and not text):
                if not text and not output:
                    yield self._event(
                        "response.output_item.added", output_index=0, item=self._message("in_progress", [])
                    )
                    yield self._event("response.content_part.added", **self._where(), part=self._part("", []))
                text, logprobs = text + said, logprobs + fresh
                if said:
                    yield self._event("response.output_text.delta", **self._where(), delta=said, logprobs=fresh)
            if piece.is_last and (text or not (calls or output)):
                part = self._part(text, logprobs)
                yield self._event("response.output_text.done", **self._where(), text=text, logprobs=logprobs)
                yield self._event("response.content_part.done", **self._where(), part=part)
                message = self._message("completed", [part])
                yield self._event("response.output_item.done", output_index=0, item=message)
                output.insert(0, message)
            for call in calls:
                # A message that has begun keeps its place.
                place = len(output) + (1 if text and not piece.is_last else 0)
                item = _item(call)
                begun_item = {**item, "arguments": "", "status": "in_progress"}
                yield self._event("response.output_item.added", output_index=place, item=begun_item)
                where = {"item_id": item["id"], "output_index": place}
                yield self._event("response.function_call_arguments.delta", **where, delta=call.arguments)
                done = {"name": call.name, "arguments": call.arguments}
                yield self._event("response.function_call_arguments.done", **where, **done)
                yield self._event("response.output_item.done", output_index=place, item=item)
                output.append(item)
        whole = self.response("completed", output)
        yield self._event(f"response.{whole['status']}", response=whole)

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        return f"event: {kind}\n".encode() + data({"type": kind, "sequence_number": self._number, **fields})

    def _where(self) -> dict[str, Any]:
        return {"item_id": self.message_id, "output_index": 0, "content_index": 0}

    def _message(self, status: str, content: list[Any]) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    @staticmethod
    def _part(text: str, logprobs: list[Any]) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _item(call: Call) -> dict[str, Any]:
    return {
        "id": call.id.replace("call_", "fc_"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }
