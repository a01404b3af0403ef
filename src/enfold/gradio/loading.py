"""Demos made of what runs elsewhere: a model behind an inference service, or a page on another server."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

from enfold.errors import nearest
from enfold.gradio import components
from enfold.gradio.block import Block, BlockContext
from enfold.gradio.blocks import Blocks
from enfold.gradio.chat_interface import ChatInterface
from enfold.gradio.components.base import Component
from enfold.gradio.edits import apply
from enfold.gradio.errors import Error, GradioError
from enfold.gradio.events import Trigger, on
from enfold.gradio.interface import Interface
from enfold.gradio.request import Request

__all__ = ["load", "load_chat"]


def _scores(found: Any) -> dict[str, float]:
    return {each["label"]: each["score"] for each in found}


# Task of a model → inputs, outputs, and the call of an inference client that turns one into the other.
_TASKS: dict[str, tuple[list[str], str, Callable[..., Any]]] = {
    "text-classification": (["text"], "label", lambda c, text: _scores(c.text_classification(text))),
    "fill-mask": (["text"], "label", lambda c, t: {each["token_str"]: each["score"] for each in c.fill_mask(t)}),
    "text-generation": (["text"], "text", lambda c, text: text + str(c.text_generation(text))),
    "summarization": (["text"], "text", lambda c, text: c.summarization(text)["summary_text"]),
    "translation": (["text"], "text", lambda c, text: c.translation(text)["translation_text"]),
    "question-answering": (
        ["text", "text"],
        "text",
        lambda c, context, question: c.question_answering(question=question, context=context)["answer"],
    ),
    "token-classification": (
        ["text"],
        "highlightedtext",
        lambda c, text: {"text": text, "entities": [dict(each) for each in c.token_classification(text)]},
    ),
    "zero-shot-classification": (
        ["text", "text"],
        "label",
        lambda c, text, labels: _scores(c.zero_shot_classification(text, [each.strip() for each in labels.split(",")])),
    ),
    "feature-extraction": (["text"], "json", lambda c, text: c.feature_extraction(text)),
    "image-classification": (["image"], "label", lambda c, path: _scores(c.image_classification(path))),
    "image-to-text": (["image"], "text", lambda c, path: c.image_to_text(path)["generated_text"]),
    "object-detection": (
        ["image"],
        "annotatedimage",
        lambda c, path: (
            path,
            [
                ([each["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")], each["label"])
                for each in c.object_detection(path)
            ],
        ),
    ),
    "text-to-image": (["text"], "image", lambda c, text: c.text_to_image(text)),
    "automatic-speech-recognition": (["audio"], "text", lambda c, path: c.automatic_speech_recognition(path)["text"]),
    "audio-classification": (["audio"], "label", lambda c, path: _scores(c.audio_classification(path))),
    "text-to-speech": (["text"], "audio", lambda c, text: c.text_to_speech(text)),
}


def load(
    name: str,
    src: Callable[..., Blocks] | str | None = None,
    token: str | None = None,
    accept_token: bool = False,
    provider: str | None = None,
    **kwargs: Any,
) -> Blocks:
    """Make a page of a model or of another page.

    Args:
        name: "models/owner/name", "spaces/owner/name", or the address of a page.
        src: "models" or "spaces", when the name does not begin with it; or a function of ``name`` and ``token`` that
            makes the page.
        token: the Hub's access token.
        accept_token: refused: a page that asks visitors for their tokens teaches them to give them away.
        provider: the inference service for a model.
        kwargs: further arguments of :class:`~enfold.gradio.Interface`.

    Returns:
        The page.

    Raises:
        GradioError: the name is neither, or the model's task has no page here.
    """
    if accept_token:
        raise GradioError("accept_token=True is not offered: pass token=, which stays on the server")
    if callable(src):
        return src(name=name, token=token, **kwargs)
    kind, _, rest = name.partition("/")
    if src is None and kind in {"models", "spaces"}:
        src, name = kind, rest
    if src == "models":
        return _model(name, token, provider, kwargs)
    if src == "spaces" or name.startswith(("http://", "https://")):
        return _page(name, token)
    raise GradioError(f"{name!r} must begin with 'models/', 'spaces/' or 'https://', or src must say which it is")


def load_chat(
    base_url: str,
    model: str,
    token: str | None = None,
    *,
    file_types: str | list[str] = "text_encoded",
    system_message: str | None = None,
    streaming: bool = True,
    **kwargs: Any,
) -> ChatInterface:
    """Make a conversation with a model behind an address that speaks OpenAI's protocol.

    Args:
        base_url: such as "http://localhost:8000/v1".
        model: the model's name there.
        token: the key; ``OPENAI_API_KEY`` when None.
        file_types: accepted; messages are text.
        system_message: what the model is told before the conversation.
        streaming: whether answers are shown as they are written.
        kwargs: further arguments of :class:`~enfold.gradio.ChatInterface`.

    Returns:
        The page.
    """
    from enfold.hub import InferenceClient

    client = InferenceClient(base_url=base_url, api_key=token or os.environ.get("OPENAI_API_KEY"))

    def chat(message: str, history: list[Any]) -> Iterator[str]:
        said = [{"role": "system", "content": system_message}] if system_message else []
        for each in history:
            words = "\n".join(part["text"] for part in each["content"] if part["type"] == "text")
            said.append({"role": each["role"], "content": words})
        said.append({"role": "user", "content": message})
        if not streaming:
            yield client.chat_completion(said, model=model).choices[0].message.content
            return
        words = ""
        for event in client.chat_completion(said, model=model, stream=True):
            words += (event.choices[0].delta.content if event.choices else None) or ""
            yield words

    return ChatInterface(chat, **{"title": model, "api_name": "chat", **kwargs})


def _model(name: str, token: str | None, provider: str | None, kwargs: dict[str, Any]) -> Interface:
    from enfold.hub import HfApi, InferenceClient

    task = HfApi(token=token).model_info(name).pipeline_tag
    if task not in _TASKS:
        raise GradioError(f"{name} is for {task!r}; pages are made for {', '.join(_TASKS)}")
    inputs, output, call = _TASKS[task]
    client = InferenceClient(model=name, token=token, provider=provider)
    shown = [_input(kind) for kind in inputs]
    return Interface(
        lambda *values: call(client, *values), shown, output, **{"title": name, "api_name": "predict", **kwargs}
    )


def _input(kind: str) -> Any:
    files = {"image": components.Image, "audio": components.Audio}
    return files[kind](type="filepath", render=False) if kind in files else kind


# --- a page on another server ----------------------------------------------------------------------------------------


class _Remote:
    """The functions of another page, called over its wire protocol."""

    def __init__(self, address: str, token: str | None) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.address = address.rstrip("/") + "/"
        # No cookies are kept: visitors of this page are not each other there.
        self.headers = headers
        self._httpx = httpx
        answer = httpx.get(self.address + "config", headers=headers, timeout=30, follow_redirects=True)
        if answer.status_code != 200:
            raise GradioError(f"{address} is no page that can be loaded: it answered {answer.status_code}")
        self.config = answer.json()
        prefix = str(self.config.get("api_prefix", "/gradio_api")).strip("/")
        self.api = f"{self.address}{prefix}/" if prefix else self.address

    def call(self, number: int, data: list[Any], session: str) -> Iterator[list[Any]]:
        """Call a function; its values as they come."""
        with self._httpx.Client(headers=self.headers, timeout=self._httpx.Timeout(30, read=None)) as client:
            sent = [self._outgoing(client, each) for each in data]
            body = {"data": sent, "fn_index": number, "session_hash": session}
            joined = client.post(self.api + "queue/join", json=body)
            if joined.status_code != 200:
                raise Error(f"the page behind this one answered {joined.status_code}", print_exception=False)
            event, values = joined.json()["event_id"], None
            heard: dict[str, int] = {}
            with client.stream("GET", self.api + "queue/data", params={"session_hash": session}) as stream:
                for line in stream.iter_lines():
                    if not line.startswith("data:"):
                        continue
                    message = json.loads(line[5:])
                    if message.get("event_id") not in (event, None):
                        continue
                    kind, output = message["msg"], message.get("output") or {}
                    if kind == "process_generating" and output.get("data") is not None:
                        if values is None:
                            values = output["data"]
                        else:
                            values = [apply(old, edits) for old, edits in zip(values, output["data"], strict=True)]
                        yield from self._shown(client, json.loads(json.dumps(values)), heard)
                    elif kind == "process_completed":
                        if not message.get("success"):
                            raise Error(str(output.get("error") or "the page behind this one failed"))
                        if output.get("data") is not None:
                            yield from self._shown(client, output["data"], heard, last=True)
                        return
                    elif kind in {"unexpected_error", "close_stream"}:
                        raise Error("the page behind this one went away", print_exception=False)

    def _shown(self, client: Any, values: list[Any], heard: dict[str, int], last: bool = False) -> Iterator[list[Any]]:
        """Values as this page shows them; of streams there, the pieces that were not heard before, one by one."""
        shown = [self._incoming(each) for each in values]
        streams = {at: self._pieces(client, each, heard) for at, each in enumerate(shown) if self._is_stream(each)}
        rounds = max(map(len, streams.values()), default=1)
        for number in range(rounds if last else rounds or 1):
            for at, pieces in streams.items():
                shown[at] = pieces[number] if number < len(pieces) else {"__type__": "update"}
            yield list(shown)

    def _is_stream(self, value: Any) -> bool:
        # Only below the page's own address: this server fetches nothing else because a page elsewhere says so.
        return isinstance(value, dict) and value.get("is_stream") is True and str(value.get("url")).startswith(self.api)

    def _pieces(self, client: Any, stream: dict[str, Any], heard: dict[str, int]) -> list[dict[str, Any]]:
        """The pieces of a stream that are new, each by its own address."""
        url = stream["url"]
        answer = client.get(url)
        lines = answer.text.splitlines() if answer.status_code == 200 else []
        named = [urljoin(url, line) for line in lines if line and not line.startswith("#")]
        new, heard[url] = named[heard.get(url, 0) :], max(len(named), heard.get(url, 0))
        return [{**stream, "path": each, "url": each, "is_stream": False} for each in new]

    def _outgoing(self, client: Any, value: Any) -> Any:
        from enfold.gradio.files import received

        if isinstance(value, list):
            return [self._outgoing(client, each) for each in value]
        if not isinstance(value, dict):
            return value
        if (value.get("meta") or {}).get("_type") == "gradio.FileData":
            if not value.get("path"):
                return value
            path = received(value)
            assert path is not None
            with open(path, "rb") as file:
                answer = client.post(self.api + "upload", files={"files": (value.get("orig_name") or "file", file)})
            answer.raise_for_status()
            return {**value, "path": answer.json()[0], "url": None}
        return {name: self._outgoing(client, each) for name, each in value.items()}

    def _incoming(self, value: Any) -> Any:
        """Files there are shown from there, by their address: nothing of them is kept or opened here."""
        if isinstance(value, list):
            return [self._incoming(each) for each in value]
        if not isinstance(value, dict):
            return value
        if (value.get("meta") or {}).get("_type") == "gradio.FileData" and value.get("path"):
            url = value.get("url") or f"{self.api}file={value['path']}"
            return {**value, "path": url, "url": url}
        return {name: self._incoming(each) for name, each in value.items()}


def _page(name: str, token: str | None) -> Blocks:
    if not name.startswith(("http://", "https://")):
        name = f"https://{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.hf.space"
    remote = _Remote(name, token)
    config = remote.config
    entries = {entry["id"]: entry for entry in config["components"]}
    page = Blocks(title=str(config.get("title") or name))
    made: dict[int, Block] = {}
    numbers: dict[int, Any] = {}
    whole = {"layout": config["layout"], "components": list(entries), "dependencies": None}
    for path, title, shown in config.get("pages") or [("", "Home", True)]:
        own = (config.get("page") or {}).get(path) or whole
        with page if path == "" else page.route(title, path, bool(shown)):
            for branch in own["layout"].get("children", []):
                _build(branch, entries, made, remote)
            for number in own["components"]:  # states, and what has no place in the layout
                if number not in made and entries[number]["type"] == "state":
                    made[number] = components.State()
            for entry in config["dependencies"]:
                if own["dependencies"] is None or entry["id"] in own["dependencies"]:
                    _attach(entry, made, remote, numbers, page)
    return page


_TYPES = {
    "row": "Row",
    "column": "Column",
    "group": "Group",
    "accordion": "Accordion",
    "tabs": "Tabs",
    "tabitem": "Tab",
    "sidebar": "Sidebar",
    "form": "Group",
}


def _build(branch: dict[str, Any], entries: dict[int, Any], made: dict[int, Block], remote: _Remote) -> None:
    import enfold.gradio as gr

    entry = entries[branch["id"]]
    kinds = {each.lower(): each for each in components.__all__}
    named = _TYPES.get(entry["type"]) or kinds.get(str(entry["props"].get("name", entry["type"])).lower())
    if named is None:
        raise GradioError(f"the page has a {entry['type']!r}, which is not known here{nearest(entry['type'], kinds)}")
    kind: Any = getattr(components, named) if named in components.__all__ else getattr(gr, named)
    import inspect

    known = {*inspect.signature(kind.__init__).parameters, *kind.COMMON} - {"self", "render", "key", "value"}
    given = {name: value for name, value in entry["props"].items() if name in known}
    if entry["type"] == "form":
        given = {}
    block = kind(**given)
    made[branch["id"]] = block
    if isinstance(block, Component) and entry["props"].get("value") is not None:
        block.value = remote._incoming(entry["props"]["value"])
    if isinstance(block, BlockContext):
        with block:
            for child in branch.get("children", []):
                _build(child, entries, made, remote)


def _attach(
    entry: dict[str, Any], made: dict[int, Block], remote: _Remote, numbers: dict[int, Any], page: Blocks
) -> None:
    """Attach a function of the other page; scripts of its author do not run here."""
    inputs = [made[number] for number in entry["inputs"] if number in made]
    outputs = [made[number] for number in entry["outputs"] if number in made]
    if not entry.get("backend_fn") or len(inputs) < len(entry["inputs"]) or len(outputs) < len(entry["outputs"]):
        return
    sessions: dict[str, str] = {}

    def call(*values: Any) -> Iterator[Any]:
        *data, request = values
        session = sessions.setdefault(getattr(request, "session_hash", None) or "", uuid.uuid4().hex)
        if len(sessions) > 10_000:
            sessions.pop(next(iter(sessions)))
        for each in remote.call(entry["id"], data, session):
            yield each[0] if len(outputs) == 1 else each

    def called(*values: Any) -> Iterator[Any]:
        yield from call(*values)

    import inspect

    taken = [inspect.Parameter(f"value_{at}", inspect.Parameter.POSITIONAL_OR_KEYWORD) for at in range(len(inputs))]
    last = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)
    called.__signature__ = inspect.Signature([*taken, last])  # type: ignore[attr-defined]
    called.__annotations__ = {"request": Request}
    called.__name__ = str(entry.get("api_name") or "remote")
    triggers = [
        Trigger(made[block] if block is not None and block in made else page, event)
        for block, event in entry["targets"]
        if event == "load" or block in made
    ]
    options: dict[str, Any] = {
        "preprocess": False,
        "postprocess": False,
        "concurrency_limit": None,
        "show_progress": entry.get("show_progress", "full"),
        "api_name": entry.get("api_name") or None,
        "api_visibility": entry.get("api_visibility", "public"),
    }
    after = entry.get("trigger_after")
    if after is not None and after in numbers:
        chain = numbers[after]
        kind = "success" if entry.get("trigger_only_on_success") else "then"
        numbers[entry["id"]] = getattr(chain, kind)(called, inputs, outputs, **options)
    elif triggers or not entry["targets"]:
        numbers[entry["id"]] = on(triggers, called, inputs, outputs, **options)
