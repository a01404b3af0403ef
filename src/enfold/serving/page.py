"""A page to talk with the models that write, at the server's root: built of our own ``enfold.gradio``.

Answers come from the same engine as those over HTTP, in this process. Where the server asks for keys, visitors log in
with any name and a key as the password.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from enfold.serving.chat import conversation_of
from enfold.serving.errors import ServingError
from enfold.serving.service import Service

__all__ = ["chat_page", "routes"]

PATHS = {"/", "/config", "/config/", "/login", "/logout", "/favicon.ico", "/gradio.js"}
PREFIX = "/gradio_api/"
SYSTEM = "You are a helpful assistant."
EXAMPLES = ["What can you help me with?", "Explain in two sentences how rain forms.", "Write a haiku about the sea."]


def routes(service: Service) -> list[Any]:
    """Return the page's route: none where it is switched off, or no model writes."""
    if not service.page or not any(model.kind == "text" for model in service.models.values()):
        return []
    from enfold.gradio.routes import App, Settings

    def knows(name: str, password: str) -> bool:
        return service.keys.owner(f"Bearer {password}") is not None

    settings = Settings(
        auth=knows if service.keys.required else None,
        auth_message="The password is one of this server's API keys; the name is up to you.",
        footer_links=[],
    )
    app = App(chat_page(service), settings)
    service.endings.append(app.end)
    return [PageRoute(app)]


def chat_page(service: Service) -> Any:
    """Return the page, an :class:`enfold.gradio.ChatInterface`."""
    import enfold.gradio as gr

    models: list[Any] = [model for model in service.models.values() if model.kind == "text"]
    names = [model.name for model in models]
    most = max(1, min(service.limits.new_tokens, max(model.writer.longest for model in models) - 1))

    async def answer(
        message: str, history: list[dict[str, Any]], model: str, system: str, temperature: float, tokens: float
    ) -> AsyncIterator[str]:
        said = [{"role": each["role"], "content": _text(each["content"])} for each in history]
        first = [{"role": "system", "content": system}] if system.strip() else []
        body = {
            "model": model,
            "messages": [*first, *said, {"role": "user", "content": message}],
            "temperature": temperature,
        }
        try:
            asked = await conversation_of(body, service)
            asked.wish.options["max_new_tokens"] = min(asked.wish.options["max_new_tokens"], int(tokens))
            answers = await asked.answers()
        except ServingError as error:
            raise gr.Error(error.message, print_exception=False) from None
        text = ""
        try:
            async for piece in answers:
                text += piece.text
                yield text
        finally:
            answers.cancel()  # the visitor pressed Stop, or has gone

    return gr.ChatInterface(
        answer,
        title="Chat",
        description=f"Served here by enfold: **{', '.join(names)}**. What you write stays on this server.",
        textbox=gr.Textbox(
            label="Message", show_label=False, placeholder="Say something …", scale=7, autofocus=True, submit_btn=True,
            max_length=100_000,
        ),
        additional_inputs=[
            gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1),
            gr.Textbox(SYSTEM, label="System prompt", info="What the model is told before the conversation.", lines=2),
            gr.Slider(0, 2, 0.7, step=0.05, label="Temperature", info="0 always takes the likeliest word."),
            gr.Slider(1, most, min(512, most), step=1, label="Most new tokens"),
        ],
        additional_inputs_accordion="Settings",
        examples=EXAMPLES,
        concurrency_limit=None,
        api_name=False,
        fill_height=True,
    )  # fmt: skip


class PageRoute(BaseRoute):
    """Gives the page the few paths that it has, and leaves all others to the server.

    Args:
        app: of the page; it looks after who may come in by itself.
    """

    opened = True
    path = "/"

    def __init__(self, app: Any) -> None:
        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a path is the page's."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path = scope["path"]
        if path == "/" and scope["method"] not in ("GET", "HEAD"):
            return Match.NONE, {}
        return (Match.FULL, {}) if path in PATHS or path.startswith(PREFIX) else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.app(scope, receive, send)


def _text(content: Any) -> str:
    """Return the text of a message of the page's: a text, or parts of which some are."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in parts)
