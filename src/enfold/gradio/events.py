"""Events: what makes a page run a function, and what runs after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from enfold.gradio.block import Block, as_list, current_root
from enfold.gradio.errors import GradioError

if TYPE_CHECKING:
    from enfold.gradio.functions import BlockFunction

__all__ = [
    "CopyData",
    "DeletedFileData",
    "Dependency",
    "DownloadData",
    "EditData",
    "Event",
    "EventData",
    "KeyUpData",
    "LikeData",
    "RetryData",
    "SelectData",
    "Trigger",
    "UndoData",
    "api",
    "on",
]

Components: TypeAlias = "Block | Sequence[Block] | set[Block] | None"


class EventData:
    """What a listener learns about its event: declare a parameter with this type, or a subclass, to receive it.

    Args:
        target: the block the event happened on.
        data: the event's own payload; its keys are attributes as well.
    """

    def __init__(self, target: Block | None, data: Any = None) -> None:
        self.target = target
        self._data = data if isinstance(data, dict) else {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.__dict__.get("_data", {}):
            raise AttributeError(f"this event carries no {name!r}; it carries {sorted(self.__dict__.get('_data', {}))}")
        return self._data[name]


class SelectData(EventData):
    """A ``select`` event: ``index`` and ``value`` of what was selected, and whether it is ``selected`` now."""

    def __init__(self, target: Block | None, data: Any = None) -> None:
        super().__init__(target, data)
        for name in ("index", "value", "row_value", "col_value"):
            setattr(self, name, self._data.get(name))
        self.selected: bool = self._data.get("selected", True)


class LikeData(EventData):
    """A ``like`` event: ``index``, ``value`` and ``liked``."""

    def __init__(self, target: Block | None, data: Any = None) -> None:
        super().__init__(target, data)
        self.index, self.value = self._data.get("index"), self._data.get("value")
        self.liked: bool | str = self._data.get("liked", True)


class KeyUpData(EventData):
    """A ``key_up`` event: ``key`` and the ``input_value`` so far."""


class EditData(EventData):
    """An ``edit`` event: ``index``, ``value`` and ``previous_value``."""


class CopyData(EventData):
    """A ``copy`` event: the ``value`` that was copied."""


class RetryData(EventData):
    """A ``retry`` event: ``index`` and ``value`` of the message to be answered again."""


class UndoData(EventData):
    """An ``undo`` event: ``index`` and ``value`` of the message that is taken back."""


class DownloadData(EventData):
    """A ``download`` event: the ``file`` that was fetched."""

    def __init__(self, target: Block | None, data: Any = None) -> None:
        super().__init__(target, data)
        self.file = self._data.get("file", self._data)


class DeletedFileData(EventData):
    """A ``delete`` event: the ``file`` that was removed."""

    def __init__(self, target: Block | None, data: Any = None) -> None:
        super().__init__(target, data)
        self.file = self._data.get("file", self._data)


class Event:
    """An event that blocks of a class have; read from a block it is the :class:`Trigger` to attach functions with.

    Args:
        mode: what happens when it fires while its function still runs: "once" drops the new one, "multiple" runs
            both, "always_last" runs the newest when the running one ends.
    """

    def __init__(self, mode: Literal["once", "multiple", "always_last"] = "once") -> None:
        self.mode = mode

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Event: ...
    @overload
    def __get__(self, block: Block, owner: type) -> Trigger: ...
    def __get__(self, block: Block | None, owner: type) -> Event | Trigger:
        return self if block is None else Trigger(block, self.name, self.mode)


class Trigger:
    """One event of one block: call it to attach a function, or list it in :func:`on`."""

    def __init__(self, block: Block | None, event: str, mode: str = "once") -> None:
        self.block, self.event, self.mode = block, event, mode

    def __call__(
        self,
        fn: Callable[..., Any] | Literal["decorator"] | None = "decorator",
        inputs: Components = None,
        outputs: Components = None,
        api_name: str | Literal[False] | None = None,
        **options: Any,
    ) -> Any:
        """Run ``fn`` with the values of ``inputs`` when the event happens, and show what it returns in ``outputs``.

        Args:
            fn: the function, generator or coroutine; left out, the call is a decorator; None with ``js`` runs only
                in the browser.
            inputs: blocks whose values become the arguments; a set becomes one argument, a dict by block.
            outputs: blocks that show the results.
            api_name: the name clients call it by; the function's own when None, none at all when False.
            options: every other option of :func:`on`.

        Returns:
            A :class:`Dependency`, for ``.then()``, ``.success()``, ``.failure()`` and ``cancels=``.

        Example:
            >>> button.click(lambda name: f"Hello {name}!", box, out, api_name="greet")  # doctest: +SKIP
        """
        return on([self], fn, inputs, outputs, api_name=api_name, **options)


class Dependency:
    """An attached function: callable as before, and the place to chain what follows it.

    ``then`` runs whatever happened, ``success`` only after a result, ``failure`` only after an error.
    """

    def __init__(self, function: BlockFunction, fn: Callable[..., Any] | None) -> None:
        self.function, self.fn = function, fn
        self.then = _Chain(function.id, "then")
        self.success = _Chain(function.id, "success")
        self.failure = _Chain(function.id, "failure")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the attached function itself."""
        if self.fn is None:
            raise GradioError("this event runs only in the browser: there is no Python function to call")
        return self.fn(*args, **kwargs)

    def __getitem__(self, name: str) -> Any:
        return self.function.config()[name]


class _Chain(Trigger):
    def __init__(self, after: int, event: str) -> None:
        super().__init__(None, event, "once")
        self.after = after


def on(
    triggers: Sequence[Trigger] | Trigger | None = None,
    fn: Callable[..., Any] | Literal["decorator"] | None = "decorator",
    inputs: Components = None,
    outputs: Components = None,
    *,
    inputs_kwargs: Mapping[str, Block] | None = None,
    api_visibility: Literal["public", "private", "undocumented"] | None = None,
    api_name: str | Literal[False] | None = None,
    api_description: str | Literal[False] | None = None,
    scroll_to_output: bool = False,
    show_progress: Literal["full", "minimal", "hidden"] = "full",
    show_progress_on: Block | Sequence[Block] | None = None,
    queue: bool | None = True,
    batch: bool = False,
    max_batch_size: int = 4,
    preprocess: bool = True,
    postprocess: bool = True,
    cancels: Dependency | Sequence[Dependency] | None = None,
    trigger_mode: Literal["once", "multiple", "always_last"] | None = None,
    js: str | None = None,
    concurrency_limit: int | Literal["default"] | None = "default",
    concurrency_id: str | None = None,
    show_api: bool | None = None,
    validator: Callable[..., Any] | None = None,
    time_limit: float | None = None,
    stream_every: float = 0.5,
    key: int | str | tuple[int | str, ...] | None = None,
    every: float | None = None,
) -> Any:
    """Run a function on any of several events.

    Args:
        triggers: events, such as ``[box.submit, button.click]``; None for a change of any input and page load.
        fn: the function; left out, the call is a decorator.
        inputs: blocks whose values become its arguments.
        outputs: blocks that show what it returns.
        inputs_kwargs: parameter → the block whose value it receives, beside ``inputs``.
        api_visibility: "public", "undocumented" (callable, not listed) or "private" (not for clients).
        api_name: the name clients call it by; False is the older spelling of private.
        api_description: text for the API page; the docstring when None, none when False.
        scroll_to_output: whether the page scrolls to the outputs when they arrive.
        show_progress: how the outputs show that the function runs.
        show_progress_on: blocks that show it instead of the outputs.
        queue: False runs it at once, beside the queue.
        batch: whether it takes lists of inputs and returns lists of outputs, ``max_batch_size`` calls at a time.
        preprocess, postprocess: False hands values over as they travel.
        cancels: attached functions that are stopped when this event happens.
        trigger_mode: what a second event does meanwhile; see :class:`Event`.
        js: a JavaScript function that runs in the browser first; its results become the inputs.
        concurrency_limit: how many calls run at a time; None for any number, "default" for what ``queue()`` says (1).
        concurrency_id: functions with the same id share one limit (the lowest that one of them gives).
        show_api: older spelling: False is ``api_visibility="undocumented"``.
        validator: called with the inputs' values before the call is queued; it returns :func:`enfold.gradio.validate`
            for each input, and what is not valid is told beside it.
        time_limit: seconds after which a stream from the camera or the microphone ends.
        stream_every: seconds between two pieces of such a stream.
        key: identity across re-rendering.
        every: older spelling: seconds after which the function runs again, for as long as the page is open.

    Returns:
        A :class:`Dependency`.

    Raises:
        GradioError: outside of ``with Blocks():``, or with blocks that cannot be used this way.
    """
    root = current_root()
    if root is None:
        raise GradioError("events are attached inside `with Blocks() as demo:`")
    if isinstance(triggers, Trigger):
        triggers = [triggers]
    if triggers is None:
        several = [*as_list(inputs), *(inputs_kwargs or {}).values()]
        triggers = [block.change for block in several if hasattr(type(block), "change")]
        triggers = [*triggers, root.load]
    for trigger in triggers:
        if trigger.block is not None and trigger.block is not root and not root.knows(trigger.block):
            raise GradioError(
                f"the {type(trigger.block).__name__} of this {trigger.event!r} event is not on the page; "
                "create or render it inside the same Blocks"
            )
    if every is not None:
        from enfold.gradio.components.times import Timer

        triggers = [*triggers, Timer(every).tick]
    if api_name is False:
        api_visibility, api_name = api_visibility or "private", None
    visibility = api_visibility or ("undocumented" if show_api is False else "public")
    modes = {trigger.mode for trigger in triggers}
    mode = trigger_mode or (modes.pop() if len(modes) == 1 else "once")

    def attach(function: Callable[..., Any] | None) -> Dependency:
        chain = next((trigger for trigger in triggers if isinstance(trigger, _Chain)), None)
        targets = [(trigger.block._id if trigger.block is not None else None, trigger.event) for trigger in triggers]
        stopped = [cancels] if isinstance(cancels, Dependency) else list(cancels or [])
        if stopped:
            # A separate entry, so that stopping never waits for a place in the queue.
            stopper = root.attach(
                None,
                targets=targets,
                cancels=[each.function.id for each in stopped],
                queue=False,
                api_visibility="private",
            )
            if function is None and js is None:
                return Dependency(stopper, None)
        made = root.attach(
            function,
            targets=targets,
            inputs=inputs,
            outputs=outputs,
            inputs_kwargs=inputs_kwargs,
            api_name=api_name,
            api_visibility=visibility,
            api_description=api_description,
            scroll_to_output=scroll_to_output,
            show_progress=show_progress,
            show_progress_on=show_progress_on,
            queue=queue is not False,
            batch=batch,
            max_batch_size=max_batch_size,
            preprocess=preprocess,
            postprocess=postprocess,
            js=js,
            trigger_mode=mode,
            trigger_after=chain.after if chain else None,
            trigger_only_on_success=chain is not None and chain.event == "success",
            trigger_only_on_failure=chain is not None and chain.event == "failure",
            concurrency_limit=concurrency_limit,
            concurrency_id=concurrency_id,
            validator=validator,
            time_limit=time_limit,
            stream_every=stream_every,
            key=key,
        )
        return Dependency(made, function)

    return attach if fn == "decorator" else attach(fn)  # type: ignore[arg-type]


def api(
    fn: Callable[..., Any] | Literal["decorator"] = "decorator",
    *,
    inputs: Components = None,
    outputs: Components = None,
    **options: Any,
) -> Any:
    """Offer a function to clients without anything on the page that calls it.

    Its type hints say what it takes and returns (a tuple is several values), and values travel as they are.

    Args:
        fn: the function; left out, the call is a decorator.
        inputs, outputs: components that describe its arguments and results instead.
        options: every other option of :func:`on`.

    Returns:
        A :class:`Dependency`.

    Raises:
        GradioError: outside of ``with Blocks():``, or a parameter has no type hint.

    Example:
        >>> from enfold.gradio import Blocks
        >>> with Blocks() as demo:
        ...     @api
        ...     def add(a: int, b: int = 1) -> int:
        ...         return a + b
        >>> [each["python_type"]["type"] for each in demo.get_api_info()["named_endpoints"]["/add"]["parameters"]]
        ['int', 'int']
    """
    if fn == "decorator":
        return lambda function: api(function, inputs=inputs, outputs=outputs, **options)
    if inputs is None and outputs is None:
        if current_root() is None:
            raise GradioError("api() is called inside `with Blocks() as demo:`")
        from enfold.gradio.hints import described

        inputs, outputs = described(fn)
        options = {"preprocess": False, "postprocess": False, "show_progress": "hidden", **options}
    return on([], fn, inputs, outputs, **options)
