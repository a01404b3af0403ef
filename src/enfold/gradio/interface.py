"""Interface: a page for one function, from its inputs and outputs alone."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from enfold.errors import nearest
from enfold.gradio import components
from enfold.gradio.block import current_context
from enfold.gradio.blocks import Blocks, Looks
from enfold.gradio.components.base import Component
from enfold.gradio.components.buttons import Button, ClearButton, DeepLinkButton, empty_payload
from enfold.gradio.components.state import State
from enfold.gradio.components.text import Markdown
from enfold.gradio.errors import GradioError, Success
from enfold.gradio.events import on
from enfold.gradio.examples import Examples
from enfold.gradio.functions import function_name
from enfold.gradio.layouts import Accordion, Column, Row, Tab, Tabs

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from enfold.gradio.flagging import FlaggingCallback

__all__ = ["Interface", "TabbedInterface"]

Given = str | Component | Sequence["str | Component"] | None
# Names that stand for a component: its own in lower letters, and these.
_SHORT = {name.lower(): name for name in components.__all__ if name not in {"Component", "FormComponent"}} | {
    "text": "Textbox",
    "str": "Textbox",
    "list": "Dataframe",
    "matrix": "Dataframe",
    "numpy": "Dataframe",
    "files": "File",
    "webcam": "Image",
    "microphone": "Audio",
    "mic": "Audio",
    "playablevideo": "Video",
}

_SHORT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "list": {"type": "array", "column_count": 1},
    "matrix": {"type": "array"},
    "numpy": {"type": "numpy"},
    "files": {"file_count": "multiple"},
    "webcam": {"sources": ["webcam"]},
    "microphone": {"sources": ["microphone"]},
    "mic": {"sources": ["microphone"]},
}


class Interface(Blocks):
    """A page for one function: its inputs, a button, its outputs.

    Args:
        fn: the function, generator or coroutine.
        inputs, outputs: components, or their names ("text", "number", "label" …), one or a list of them.
        examples: rows of input values to pick from; for one input, values.
        cache_examples: whether the outputs of examples are kept, and shown with the inputs when one is picked.
        cache_mode: "eager" runs all of them now, "lazy" each when it is first picked.
        examples_per_page, example_labels: see :class:`~enfold.gradio.Examples`.
        live: whether the function runs whenever an input changes; there is no button then.
        title, description, article: Markdown above the inputs, and below everything.
        flagging_mode: "manual" shows a button that writes inputs and outputs to a file, "auto" writes every result,
            "never" neither; ``GRADIO_FLAGGING_MODE`` or "manual" when None.
        flagging_options: a button for each of these labels, or ``(label, value)`` pairs.
        flagging_dir, flagging_callback: where, and how it is written (CSV).
        batch, max_batch_size, concurrency_limit, api_name, api_description, api_visibility, show_progress: see
            :func:`enfold.gradio.on`.
        additional_inputs, additional_inputs_accordion: further inputs behind a heading, and that heading.
        submit_btn, stop_btn, clear_btn: texts of the buttons, or buttons; None leaves out the last.
        fill_width: whether the page takes the whole window.
        delete_cache: as for :class:`~enfold.gradio.Blocks`.
        validator, time_limit, stream_every: see :func:`enfold.gradio.on`.
        deep_link: whether there is a button that copies a link to the page as it is after a call, or its text, or the
            button; when None, in Spaces.
        preload_example, allow_duplication: accepted; pages begin empty.
        allow_flagging, show_api, analytics_enabled: older spellings.
        looks: see :class:`~enfold.gradio.blocks.Looks`.

    Raises:
        GradioError: the function does not take that many inputs, or a component is not known.

    Example:
        >>> demo = Interface(lambda text: text.upper(), inputs="text", outputs="text", api_name="shout")
        >>> demo("hi")
        'HI'
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        inputs: Given = None,
        outputs: Given = None,
        examples: list[Any] | None = None,
        *,
        cache_examples: bool | None = None,
        cache_mode: Literal["eager", "lazy"] | None = None,
        examples_per_page: int = 10,
        example_labels: list[str] | None = None,
        live: bool = False,
        title: str | None = None,
        description: str | None = None,
        article: str | None = None,
        flagging_mode: Literal["never", "auto", "manual"] | None = None,
        flagging_options: Sequence[Any] | None = None,
        flagging_dir: str = ".gradio/flagged",
        flagging_callback: FlaggingCallback | None = None,
        analytics_enabled: bool | None = None,
        batch: bool = False,
        max_batch_size: int = 4,
        api_visibility: Literal["public", "private", "undocumented"] | None = None,
        api_name: str | Literal[False] | None = None,
        api_description: str | Literal[False] | None = None,
        concurrency_limit: int | Literal["default"] | None = "default",
        additional_inputs: Given = None,
        additional_inputs_accordion: str | Accordion | None = None,
        submit_btn: str | Button = "Submit",
        stop_btn: str | Button = "Stop",
        clear_btn: str | Button | None = "Clear",
        show_progress: Literal["full", "minimal", "hidden"] = "full",
        fill_width: bool = False,
        delete_cache: tuple[int, int] | None = None,
        preload_example: int | Literal[False] = 0,
        time_limit: int | None = 30,
        stream_every: float = 0.5,
        deep_link: str | DeepLinkButton | bool | None = None,
        validator: Callable[..., Any] | None = None,
        allow_duplication: bool = False,
        allow_flagging: str | bool | None = None,
        show_api: bool | None = None,
        **looks: Unpack[Looks],
    ) -> None:
        if not callable(fn):
            raise GradioError(f"Interface needs a function, not {fn!r}")
        name = title or function_name(fn).replace("_", " ")
        self.set_up(mode="interface", title=title or "Gradio", fill_width=fill_width, looks=dict(looks))
        self.fn, self.live, self.delete_cache = fn, live, delete_cache
        outer = current_context.set(None)
        try:
            main = [_component(each) for each in _several(inputs)]
            extra = [_component(each) for each in _several(additional_inputs)]
            self.output_components = [_component(each) for each in _several(outputs)]
            link = _link(deep_link)
        finally:
            current_context.reset(outer)
        self.input_components = [*main, *extra]
        if not self.input_components and not self.output_components:
            raise GradioError("Interface needs inputs, outputs or both")
        _name_inputs(fn, self.input_components)
        _name_outputs(self.output_components)
        self.flagging_mode = _flagging_mode(flagging_mode, allow_flagging)
        flags = [(f, f) if isinstance(f, str) else tuple(f) for f in flagging_options or [("Flag", "")]]
        visible_in = [c for c in main if not isinstance(c, State)]
        visible_out = [c for c in self.output_components if not isinstance(c, State)]
        generates = inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)
        buttons: dict[str, Any] = {}
        flag_buttons: list[tuple[Button, str]] = []

        with self:
            if title:
                Markdown(f"<h1 style='text-align: center; margin-bottom: 1rem'>{title}</h1>")
            if description:
                Markdown(description)
            with Row():
                if visible_in or extra:
                    with Column():
                        with Column():
                            for component in main:
                                component.render()
                            if extra:
                                heading = additional_inputs_accordion or "Additional Inputs"
                                if isinstance(heading, Accordion):
                                    accordion = heading if heading.parent is not None else heading.render()
                                else:
                                    accordion = Accordion(heading, open=False)
                                with accordion:
                                    for component in extra:
                                        component.render()
                        with Row():
                            if clear_btn is not None:
                                buttons["clear"] = _button(clear_btn, ClearButton, variant="secondary")
                            if not live:
                                buttons["submit"] = _button(submit_btn, Button, variant="primary")
                                if generates:
                                    buttons["stop"] = _button(stop_btn, Button, variant="stop", visible=False)
                            if link is not None and not visible_out:
                                link.render()
                else:
                    for component in main:
                        component.render()
                with Column():
                    for component in self.output_components:
                        component.render()
                    with Row():
                        if not (visible_in or extra):
                            if clear_btn is not None:
                                buttons["clear"] = _button(clear_btn, ClearButton, variant="secondary")
                            buttons["submit"] = _button(
                                "Generate" if submit_btn == "Submit" else submit_btn, Button, variant="primary"
                            )
                        if self.flagging_mode == "manual" and visible_out:
                            flag_buttons = [(Button(str(label)), str(value)) for label, value in flags]
                        if link is not None and link.parent is None:
                            link.render()
            shared: dict[str, Any] = {
                "api_name": api_name,
                "api_visibility": api_visibility,
                "show_api": show_api,
                "api_description": api_description,
                "batch": batch,
                "max_batch_size": max_batch_size,
                "concurrency_limit": concurrency_limit,
                "show_progress": show_progress,
                "scroll_to_output": True,
                "validator": validator,
                "stream_every": stream_every,
            }
            call = self._counted(fn)
            if live:
                triggers = [c.change for c in self.input_components if hasattr(type(c), "change")]
                called = on(triggers, call, self.input_components, self.output_components, **shared)
            else:
                triggers = [buttons["submit"].click]
                triggers += [c.submit for c in self.input_components if hasattr(type(c), "submit")]
                called = self._submit(triggers, call, buttons, shared)
            if link is not None:
                link.activate()
                on_ = json.dumps({"__type__": "update", "interactive": True})
                called.then(None, None, link, js=f"() => ({on_})", queue=False)
            if "clear" in buttons:
                self._clear(buttons["clear"], [*visible_in, *extra, *visible_out])
            if self.flagging_mode != "never":
                self._flag(flagging_callback, flagging_dir, flag_buttons, flags, called)
            if examples:
                Examples(
                    examples,
                    [c for c in self.input_components if not isinstance(c, State)],
                    visible_out,
                    fn,
                    cache_examples=bool(cache_examples),
                    cache_mode=cache_mode,
                    examples_per_page=examples_per_page,
                    example_labels=example_labels,
                )
            if article:
                Markdown(article)
        self.display_name = name

    def _counted(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return fn

    def _submit(
        self, triggers: list[Any], fn: Callable[..., Any], buttons: dict[str, Any], shared: dict[str, Any]
    ) -> Any:
        stop = buttons.get("stop")
        if stop is None:
            return on(triggers, fn, self.input_components, self.output_components, **shared)
        # While it generates, Stop stands where Submit was. The browser swaps them: no call to the server.
        pair = [buttons["submit"], stop]
        swap = [{"__type__": "update", "visible": False}, {"__type__": "update", "visible": True}]
        there, back = f"() => {json.dumps(swap)}", f"() => {json.dumps(swap[::-1])}"
        on(triggers, None, None, pair, js=there, queue=False)
        called = on(triggers, fn, self.input_components, self.output_components, **shared)
        called.then(None, None, pair, js=back, queue=False)
        stop.click(None, None, pair, js=back, queue=False, cancels=[called])
        return called

    def _clear(self, clear: Button, components: list[Any]) -> None:
        empty = json.dumps([empty_payload(component) for component in components])
        on([clear.click], None, [], components, js=f"() => {empty}", queue=False)

    def _flag(
        self,
        callback: FlaggingCallback | None,
        folder: str,
        buttons: list[tuple[Button, str]],
        options: list[Any],
        called: Any,
    ) -> None:
        from enfold.gradio.flagging import CSVLogger

        writer = callback or CSVLogger()
        columns = [c for c in [*self.input_components, *self.output_components] if not isinstance(c, State)]
        writer.setup(columns, folder)

        def flag(option: str, announce: bool) -> Callable[..., None]:
            def written(*values: Any) -> None:
                writer.flag(list(values), flag_option=option)
                if announce:
                    Success("The inputs and outputs were written down.", title="Flagged")

            return written

        silent: dict[str, Any] = {"queue": False, "preprocess": False, "api_visibility": "undocumented"}
        for button, option in buttons:
            on([button.click], flag(option, True), columns, None, api_name="flag", show_progress="hidden", **silent)
        if self.flagging_mode == "auto":
            called.success(flag("", False), columns, None, api_name="flag", show_progress="hidden", **silent)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        ins = [type(c).__name__.lower() for c in self.input_components]
        outs = [type(c).__name__.lower() for c in self.output_components]
        return f"Gradio Interface for: {function_name(self.fn)}\ninputs: {', '.join(ins)}\noutputs: {', '.join(outs)}"


class TabbedInterface(Blocks):
    """Several pages behind tabs.

    Args:
        interface_list: the pages.
        tab_names: their tabs' titles; "Tab 0" and so on when None.
        title: shown above them.
        tabs_kwargs: further arguments of :class:`~enfold.gradio.Tabs`.
        looks: see :class:`~enfold.gradio.blocks.Looks`.
    """

    def __init__(
        self,
        interface_list: Sequence[Blocks],
        tab_names: list[str] | None = None,
        title: str | None = None,
        analytics_enabled: bool | None = None,
        tabs_kwargs: dict[str, Any] | None = None,
        **looks: Unpack[Looks],
    ) -> None:
        self.set_up(mode="tabbed_interface", title=title or "Gradio", looks=dict(looks))
        names = tab_names or [f"Tab {number}" for number in range(len(interface_list))]
        if len(names) != len(interface_list):
            raise GradioError(f"{len(interface_list)} pages need as many tab names, not {len(names)}")
        with self:
            if title:
                Markdown(f"<h1 style='text-align: center; margin-bottom: 1rem'>{title}</h1>")
            with Tabs(**(tabs_kwargs or {})):
                for page, name in zip(interface_list, names, strict=True):
                    with Tab(name):
                        page.render()


def _several(given: Given) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _component(given: Any) -> Component:
    if isinstance(given, Component):
        if given.parent is not None:
            given.unrender()
        return given
    if isinstance(given, str):
        kind = _SHORT.get(given.lower().replace("_", ""))
        if kind is None:
            raise GradioError(
                f"unknown component {given!r}{nearest(given.lower(), _SHORT)}; known: {', '.join(_SHORT)}"
            )
        return getattr(components, kind)(render=False, **_SHORT_ARGUMENTS.get(given.lower(), {}))
    raise GradioError(f"{given!r} is neither a component nor the name of one")


def _link(asked: str | DeepLinkButton | bool | None) -> DeepLinkButton | None:
    if asked is None:
        asked = "SPACE_ID" in os.environ
    if isinstance(asked, DeepLinkButton):
        return asked.unrender() if asked.parent is not None else asked
    # Pressed before the first call, it would link to the page as everybody finds it.
    text = asked if isinstance(asked, str) else "Share via Link"
    return DeepLinkButton(text, interactive=False, render=False) if asked else None


def _button(given: str | Button, kind: type[Button], **properties: Any) -> Button:
    return given.render() if isinstance(given, Button) else kind(value=given, **properties)


def _name_inputs(fn: Callable[..., Any], inputs: list[Component]) -> None:
    try:
        names = list(inspect.signature(fn).parameters)
    except (TypeError, ValueError):
        names = []
    for number, component in enumerate(inputs):
        if not isinstance(component, State) and component.__dict__.get("label") is None:
            component.label = names[number] if number < len(names) else f"input {number}"


def _name_outputs(outputs: list[Component]) -> None:
    for number, component in enumerate(outputs):
        if not isinstance(component, State) and component.__dict__.get("label") is None:
            component.label = "output" if len(outputs) == 1 else f"output {number}"


def _flagging_mode(mode: str | None, older: str | bool | None) -> str:
    if older is not None and mode is None:
        warnings.warn("allow_flagging= is spelled flagging_mode= now", DeprecationWarning, stacklevel=3)
        mode = older if isinstance(older, str) else "manual" if older else "never"
    mode = mode or os.environ.get("GRADIO_FLAGGING_MODE") or os.environ.get("GRADIO_ALLOW_FLAGGING") or "manual"
    if mode not in {"manual", "never", "auto"}:
        raise GradioError(f"flagging_mode must be 'manual', 'auto' or 'never', not {mode!r}")
    return mode
