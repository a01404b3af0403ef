"""ChatInterface: a page for a function that answers messages."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from enfold.gradio.block import as_list
from enfold.gradio.blocks import Blocks, Looks
from enfold.gradio.chat_messages import answered_by, asked_by, example_of, place_of, plain, title_of
from enfold.gradio.components.base import Component
from enfold.gradio.components.chat import Chatbot, MultimodalTextbox
from enfold.gradio.components.state import State
from enfold.gradio.components.structured import JSON
from enfold.gradio.components.text import Markdown, Textbox
from enfold.gradio.errors import GradioError
from enfold.gradio.events import EditData, EventData, LikeData, RetryData, UndoData, api, on
from enfold.gradio.functions import function_name
from enfold.gradio.interface import _component
from enfold.gradio.layouts import Accordion, Column, Group, Row
from enfold.gradio.request import skip, update

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ChatInterface"]


class ChatInterface(Blocks):
    """A page for a conversation: what was said, a field to say more, and a function that answers.

    Args:
        fn: called with the message, the conversation before it (a list of messages) and the additional inputs; it
            returns or yields a text, a component, a :class:`~enfold.gradio.ChatMessage`, a dict, or a list of these.
        multimodal: whether messages may carry files; the function receives ``{"text": ..., "files": [path, ...]}``.
        type: accepted; the conversation is a list of messages.
        chatbot, textbox: the components, to choose their properties.
        additional_inputs, additional_inputs_accordion: further inputs below, and the heading they fold under.
        additional_outputs: components outside that the function fills too: it returns a tuple then.
        editable: whether visitors can edit their messages; what followed is said anew.
        examples: messages to begin with; lists with values of the additional inputs when there are any.
        examples_label, example_labels, example_icons: accepted, a text per example, a picture per example.
        run_examples_on_click: whether picking one sends it, or only writes it into the field.
        cache_examples, cache_mode: whether answers to examples are kept.
        title, description: shown above.
        flagging_mode: "manual" gives answers buttons that write the conversation to a file.
        flagging_options, flagging_dir: the buttons' texts, and where the file is.
        autofocus, autoscroll: whether the field has the focus at the beginning, and the page follows what is said.
        submit_btn, stop_btn: texts of the buttons in the field; False leaves one out.
        save_history: whether conversations are kept in the visitor's browser and listed at the side.
        delete_cache, fill_height, fill_width: as for :class:`~enfold.gradio.Blocks`.
        concurrency_limit, show_progress, api_name, api_description, api_visibility: see :func:`enfold.gradio.on`.
        validator: as for :func:`enfold.gradio.on`, of the message.
        analytics_enabled: accepted.
        looks: see :class:`~enfold.gradio.blocks.Looks`.

    Example:
        >>> demo = ChatInterface(lambda message, history: f"{len(history)}: {message}", api_name="chat")
        >>> list(demo.get_api_info()["named_endpoints"])
        ['/chat']
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        multimodal: bool = False,
        type: Literal["messages", "tuples"] | None = None,
        chatbot: Chatbot | None = None,
        textbox: Textbox | MultimodalTextbox | None = None,
        additional_inputs: Any = None,
        additional_inputs_accordion: str | Accordion | None = None,
        additional_outputs: Component | list[Component] | None = None,
        editable: bool = False,
        examples: list[Any] | None = None,
        examples_label: str = "Examples",
        example_labels: list[str] | None = None,
        example_icons: list[str] | None = None,
        run_examples_on_click: bool = True,
        cache_examples: bool | None = None,
        cache_mode: Literal["eager", "lazy"] | None = None,
        title: str | None = None,
        description: str | None = None,
        flagging_mode: Literal["never", "manual"] | None = None,
        flagging_options: Sequence[str] | None = ("Like", "Dislike"),
        flagging_dir: str = ".gradio/flagged",
        analytics_enabled: bool | None = None,
        autofocus: bool = True,
        autoscroll: bool = True,
        submit_btn: str | bool | None = True,
        stop_btn: str | bool | None = True,
        concurrency_limit: int | Literal["default"] | None = "default",
        delete_cache: tuple[int, int] | None = None,
        show_progress: Literal["full", "minimal", "hidden"] = "minimal",
        fill_height: bool = True,
        fill_width: bool = False,
        api_name: str | Literal[False] | None = None,
        api_description: str | Literal[False] | None = None,
        api_visibility: Literal["public", "private", "undocumented"] = "public",
        save_history: bool = False,
        validator: Callable[..., Any] | None = None,
        **looks: Unpack[Looks],
    ) -> None:
        if not callable(fn):
            raise GradioError(f"ChatInterface needs a function, not {fn!r}")
        self.set_up(
            mode="chat_interface",
            title=title or "Gradio",
            fill_height=fill_height,
            fill_width=fill_width,
            looks=dict(looks),
        )
        self.delete_cache = delete_cache
        self.fn, self.multimodal = fn, multimodal or isinstance(textbox, MultimodalTextbox)
        extra = [_component(each) for each in as_list(additional_inputs)]
        self.additional_inputs, self.additional_outputs = extra, as_list(additional_outputs)
        self.examples = [example_of(each, at, example_labels, example_icons) for at, each in enumerate(examples or [])]
        with self:
            if title:
                Markdown(f"<h1 style='text-align: center; margin-bottom: 1rem'>{title}</h1>")
            if description:
                Markdown(description)
            saved = self._shelf() if save_history else None
            with Column():
                self.chatbot = _placed(chatbot) or Chatbot(
                    label="Chatbot",
                    scale=1,
                    height=400,
                    autoscroll=autoscroll,
                    editable="user" if editable else None,
                    examples=[{name: each[name] for name in each if name != "extra"} for each in self.examples],
                    feedback_options=list(flagging_options or []),
                )
                with Group(), Row():
                    self.textbox = _placed(textbox) or self._field(autofocus)
                self.stop, self.submit = stop_btn, submit_btn
                inside = [each for each in extra if each.parent is None]
                if inside:
                    heading = additional_inputs_accordion or "Additional Inputs"
                    folded = heading if isinstance(heading, Accordion) else Accordion(heading, open=False)
                    with folded:
                        for each in inside:
                            each.render()
                self._events(
                    concurrency_limit=concurrency_limit,
                    show_progress=show_progress,
                    run_examples=run_examples_on_click,
                    saved=saved,
                    validator=validator,
                )
                if flagging_mode == "manual":
                    self._flag(list(flagging_options or []), flagging_dir)
                response = JSON(label="Response", visible=False)
                options: dict[str, Any] = {
                    "api_description": api_description,
                    "concurrency_limit": concurrency_limit,
                    "validator": _of_message(validator),
                }
                api(
                    self._for_clients(),
                    inputs=[self.textbox, State([]), *extra],
                    outputs=[response, *self.additional_outputs],
                    api_name=api_name or function_name(fn),
                    api_visibility="private" if api_name is False else api_visibility,
                    postprocess=False,  # an answer that is a text stays one, also where it looks like JSON
                    **options,
                )
        self._cache: dict[int, list[Any]] | None = {} if cache_examples else None

    def _field(self, autofocus: bool) -> Component:
        shared: dict[str, Any] = {
            "label": "",
            "show_label": False,
            "placeholder": "Type a message...",
            "scale": 7,
            "autofocus": autofocus,
            "submit_btn": True,
        }
        return MultimodalTextbox(**shared, file_count="multiple") if self.multimodal else Textbox(**shared)

    # --- answering -----------------------------------------------------------------------------------------------

    def _answers(self, result: Any) -> tuple[list[Any], list[Any]]:
        """What a function returned, as messages and as the additional outputs' values."""
        rest: list[Any] = []
        if self.additional_outputs:
            result, *rest = result if isinstance(result, tuple) else (result,)
            if len(rest) != len(self.additional_outputs):
                raise GradioError(
                    f"{function_name(self.fn)} must return its answer and {len(self.additional_outputs)} more values"
                )
        if result is None:
            return [], rest
        several = result if isinstance(result, list) else [result]
        return [answered_by(each) for each in several], rest

    def _wrapped(self, before: Callable[..., tuple[Any, list[Any], tuple[Any, ...]]]) -> Callable[..., Any]:
        """Answer as the page shows it: first what the visitor said, then the answer as it grows.

        ``before`` turns the arguments of the event into the message, the conversation before it, and the rest.
        """
        busy = update(**_restart(self.textbox, False, self.stop), **_emptied(self.textbox))
        rest_of = [skip()] * len(self.additional_outputs)

        def shown(said: list[Any], result: Any) -> list[Any]:
            messages, rest = self._answers(result)
            return [skip(), [*said, *messages], *(rest or rest_of)]

        fn = self.fn
        if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):

            async def answer(*arguments: Any) -> AsyncIterator[Any]:
                message, history, rest = before(*arguments)
                said = [*history, asked_by(message)]
                yield [busy, said, *rest_of]
                result = fn(message, history, *rest)
                if inspect.isasyncgen(result):
                    async for each in result:
                        yield shown(said, each)
                else:
                    yield shown(said, await result)

            return answer

        def answered(*arguments: Any) -> Iterator[Any]:
            message, history, rest = before(*arguments)
            said = [*history, asked_by(message)]
            yield [busy, said, *rest_of]
            result = fn(message, history, *rest)
            if inspect.isgenerator(result):
                for each in result:
                    yield shown(said, each)
            else:
                yield shown(said, result)

        return answered

    def _events(
        self, *, concurrency_limit: Any, show_progress: Any, run_examples: bool, saved: Any, validator: Any
    ) -> None:
        options: dict[str, Any] = {
            "api_visibility": "undocumented",
            "concurrency_limit": concurrency_limit,
            "concurrency_id": f"chat {id(self)}",
            "show_progress": show_progress,
            "show_progress_on": self.chatbot,
        }
        inputs = [self.textbox, self.chatbot, *self.additional_inputs]
        outputs = [self.textbox, self.chatbot, *self.additional_outputs]
        # Answering to a button of the conversation: the message is in it already.
        self._runs: list[Any] = []

        def attach(trigger: Any, before: Callable[..., Any], kind: type[EventData] | None, more: Any = ()) -> None:
            made = self._wrapped(before)
            given = _typed(made, self.fn, kind)
            judge = _of_message(validator) if kind is None else None
            run = on([trigger], given, inputs, [*outputs, *more], api_name="respond", validator=judge, **options)
            run.then(None, None, [self.textbox], js=_js(_restart(self.textbox, self.submit, False)), queue=False)
            self._runs.append(run)

        def written(message: Any, history: list[Any], *rest: Any) -> tuple[Any, list[Any], tuple[Any, ...]]:
            return message, history, rest

        def retried(message: Any, history: list[Any], event: RetryData, *rest: Any) -> Any:
            return self._taken(history, event.index), history[: place_of(event)], rest

        def edited(message: Any, history: list[Any], event: EditData, *rest: Any) -> Any:
            return self._taken(history, event.index), history[: place_of(event)], rest

        def chosen(message: Any, history: list[Any], event: EventData, *rest: Any) -> Any:
            return self._as_message(event.value), history, rest

        def picked(message: Any, history: list[Any], event: EventData, *rest: Any) -> Any:
            example = self.examples[event.index]
            files = [each["path"] for each in example.get("files") or []]
            words = example.get("text", "")
            values = tuple(example.get("extra") or rest) + rest[len(example.get("extra") or ()) :]
            return ({"text": words, "files": files} if self.multimodal else words), history, values[: len(rest)]

        attach(self.textbox.submit, written, None)
        attach(self.chatbot.retry, retried, RetryData)
        if self.chatbot.editable:
            attach(self.chatbot.edit, edited, EditData)
        attach(self.chatbot.option_select, chosen, EventData)
        if self.examples and run_examples:
            attach(self.chatbot.example_select, picked, EventData)
        elif self.examples:

            def fill(event: EventData) -> Any:
                example = self.examples[event.index]
                text = example.get("text", "")
                return {"text": text, "files": example.get("files") or []} if self.multimodal else text

            on([self.chatbot.example_select], fill, None, self.textbox, api_visibility="private", queue=False)

        def undone(history: list[Any], event: UndoData) -> Any:
            return self._taken(history, event.index), history[: place_of(event)]

        on(
            [self.chatbot.undo],
            undone,
            self.chatbot,
            [self.textbox, self.chatbot],
            api_visibility="private",
            queue=False,
        )
        if self.stop:
            back = _js(_restart(self.textbox, self.submit, False))
            self.textbox.stop(None, None, [self.textbox], js=back, queue=False, cancels=self._runs)
        if saved is not None:
            self._keep(saved)
        self.chatbot.clear(None, js="() => []", queue=False, api_visibility="private")

    def _taken(self, history: list[Any], index: Any) -> Any:
        """The message at a place of the conversation, as the function receives messages."""
        place = index[0] if isinstance(index, (list, tuple)) else index
        if not isinstance(place, int) or not 0 <= place < len(history):
            raise GradioError("the conversation has no such message")
        parts = history[place]["content"]
        words = "\n".join(part["text"] for part in parts if part["type"] == "text")
        files = [part["file"]["path"] for part in parts if part["type"] == "file"]
        return {"text": words, "files": files} if self.multimodal else words

    def _as_message(self, value: Any) -> Any:
        return {"text": str(value), "files": []} if self.multimodal else str(value)

    def _for_clients(self) -> Callable[..., Any]:
        """The function for clients: the message in, the answer out, the conversation in a state of the session."""
        fn = self.fn

        def finish(message: Any, history: list[Any], result: Any) -> Any:
            messages, rest = self._answers(result)
            shown = self.chatbot.postprocess(messages)
            said = [plain(each) for each in shown]
            answer = said[0] if len(said) == 1 else said
            history[:] = [*history[: finish.length], *self.chatbot.postprocess([asked_by(message)]), *shown]  # type: ignore[attr-defined]
            more = [block.postprocess(value) for block, value in zip(self.additional_outputs, rest, strict=True)]
            return [answer, *more] if more else answer

        if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):

            @functools.wraps(fn)
            async def asked_async(message: Any, history: list[Any], *rest: Any) -> Any:
                finish.length = len(history)  # type: ignore[attr-defined]
                result = fn(message, list(history), *rest)
                if inspect.isasyncgen(result):
                    async for each in result:
                        yield finish(message, history, each)
                else:
                    yield finish(message, history, await result)

            return asked_async

        @functools.wraps(fn)
        def asked(message: Any, history: list[Any], *rest: Any) -> Iterator[Any]:
            finish.length = len(history)  # type: ignore[attr-defined]
            result = fn(message, list(history), *rest)
            if inspect.isgenerator(result):
                for each in result:
                    yield finish(message, history, each)
            else:
                yield finish(message, history, result)

        return asked

    # --- keeping -------------------------------------------------------------------------------------------------

    def _flag(self, options: list[str], folder: str) -> None:
        from enfold.gradio.flagging import CSVLogger

        writer = CSVLogger()
        writer.setup([self.chatbot, *self.additional_inputs], folder)

        def liked(history: list[Any], event: LikeData, *rest: Any) -> None:
            option = event.liked if isinstance(event.liked, str) else options[0 if event.liked else -1]
            writer.flag([history, *rest], flag_option=option)

        inputs = [self.chatbot, *self.additional_inputs]
        self.chatbot.like(liked, inputs, None, api_visibility="private", queue=False, preprocess=False)

    def _shelf(self) -> Any:
        from enfold.gradio.components.browser_state import BrowserState
        from enfold.gradio.components.buttons import Button
        from enfold.gradio.components.dataset import Dataset
        from enfold.gradio.layouts import Sidebar

        kept = BrowserState([], storage_key=f"conversations {self.title}")
        current = State(None)
        with Sidebar("Conversations", open=False):
            fresh = Button("New conversation", size="md")
            listed = Dataset(components=[Textbox(render=False)], samples=[], label="Conversations", type="index")
        return kept, current, fresh, listed

    def _keep(self, saved: Any) -> None:
        kept, current, fresh, listed = saved

        def titles(conversations: list[Any]) -> list[list[str]]:
            return [[title_of(each)] for each in conversations]

        def put(history: list[Any], conversations: list[Any], place: int | None) -> Any:
            conversations = list(conversations or [])
            if place is None or place >= len(conversations):
                place = len(conversations)
                conversations.append(history)
            else:
                conversations[place] = history
            return conversations, place, update(samples=titles(conversations))

        quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        for run in self._runs:
            run.success(put, [self.chatbot, kept, current], [kept, current, listed], preprocess=False, **quiet)
        fresh.click(lambda: ([], None), None, [self.chatbot, current], **quiet)
        self.load(lambda each: update(samples=titles(each or [])), kept, listed, **quiet)

        def opened(conversations: list[Any], event: EventData) -> Any:
            return conversations[event.index], event.index

        listed.select(opened, kept, [self.chatbot, current], postprocess=False, **quiet)


def _placed(component: Component | None) -> Any:
    if component is None:
        return None
    return component if component.parent is not None else component.render()


def _typed(made: Callable[..., Any], fn: Callable[..., Any], kind: type[EventData] | None) -> Callable[..., Any]:
    """Give a wrapper the signature that says what it is called with: the function's own, and the event's data."""
    import typing

    try:
        parameters = list(inspect.signature(fn).parameters.values())
        hints = typing.get_type_hints(fn)
    except (TypeError, ValueError, NameError):
        parameters, hints = [], {}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    plain = []
    for parameter in parameters:
        if parameter.kind in positional:
            parameter = parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            continue
        plain.append(parameter.replace(annotation=hints.get(parameter.name, parameter.empty)))
    if kind is not None:
        data = inspect.Parameter("event_data_", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
        plain = [*plain[:2], data, *plain[2:]]
    made.__signature__ = inspect.Signature(_ordered(plain))  # type: ignore[attr-defined]
    made.__annotations__ = {p.name: p.annotation for p in plain if p.annotation is not p.empty}
    made.__name__ = function_name(fn)
    return made


def _ordered(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    # A parameter without default may not follow one that has it: then the later ones get one too.
    seen = False
    made = []
    for parameter in parameters:
        seen = seen or parameter.default is not parameter.empty
        if seen and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
            parameter = parameter.replace(default=None)
        made.append(parameter)
    return made


def _restart(field: Component, submit: Any, stop: Any) -> dict[str, Any]:
    return {"submit_btn": submit, "stop_btn": stop}


def _emptied(field: Component) -> dict[str, Any]:
    return {"value": {"text": "", "files": []} if isinstance(field, MultimodalTextbox) else ""}


def _js(changes: dict[str, Any]) -> str:
    import json

    return f"() => [{json.dumps({**changes, '__type__': 'update'})}]"


def _of_message(validator: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """The judge of a message, as a judge of everything that a call of the conversation takes."""
    return None if validator is None else lambda message, *rest: validator(message)
