"""A function attached to a page: what it takes, what it fills, and how it is called."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from enfold.errors import nearest
from enfold.gradio.block import Block
from enfold.gradio.caching import Cache
from enfold.gradio.errors import GradioError
from enfold.gradio.events import EventData
from enfold.gradio.oauth import OAuthProfile, OAuthToken, Signed
from enfold.gradio.request import Header, Progress, Request

__all__ = ["BlockFunction", "function_name", "special_parameters"]


def function_name(fn: Callable[..., Any]) -> str:
    """The name a function goes by, with only letters, digits and underscores.

    Example:
        >>> function_name(lambda: None), function_name(len)
        ('lambda', 'len')
    """
    if isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return re.sub(r"\W+", "_", name).strip("_") or "unnamed"


class Arguments(NamedTuple):
    """What a function is called with."""

    args: list[Any]
    kwargs: dict[str, Any]


def _special(kind: Any, request: Request | None, target: Block | None, event_data: Any) -> Any:
    """What a parameter receives that is filled from the event and not from an input."""
    if isinstance(kind, (Progress, Cache)):
        return kind
    if isinstance(kind, Signed):
        return kind.of(request.signed_in if request is not None else None)
    if isinstance(kind, str):
        headers = getattr(getattr(request, "request", None), "headers", {})
        return headers.get(kind.replace("_", "-"), headers.get(kind))
    return request if issubclass(kind, Request) else kind(target, event_data)


@dataclass(eq=False)
class BlockFunction:
    """An attached function with every option of :func:`enfold.gradio.on`."""

    id: int
    fn: Callable[..., Any] | None
    inputs: list[Block]
    outputs: list[Block]
    targets: list[tuple[int | None, str]] = field(default_factory=list)
    api_name: str = ""
    api_visibility: str = "public"
    api_description: str | bool | None = None
    inputs_as_dict: bool = False
    keywords: Sequence[str] = ()  # names of the parameters that the last inputs are for
    js: str | None = None
    queue: bool = True
    scroll_to_output: bool = False
    show_progress: str = "full"
    show_progress_on: list[Block] | None = None
    batch: bool = False
    max_batch_size: int = 4
    preprocess: bool = True
    postprocess: bool = True
    cancels: list[int] = field(default_factory=list)
    trigger_mode: str = "once"
    trigger_after: int | None = None
    trigger_only_on_success: bool = False
    trigger_only_on_failure: bool = False
    concurrency_limit: int | str | None = "default"
    concurrency_id: str | None = None
    validator: Callable[..., Any] | None = None
    time_limit: float | None = None
    stream_every: float = 0.5
    key: Any = None
    page: str = ""  # the path of the page it belongs to
    renderable: Any = None  # the part of the page it fills; see rendering.py

    def __post_init__(self) -> None:
        self.special, self.count = special_parameters(self.fn) if self.fn else ({}, (0, None))
        self.names = list(inspect.signature(self.fn).parameters) if self.fn and self.special else []
        inner: Any = self.fn.func if isinstance(self.fn, functools.partial) else self.fn
        if inner is not None and not inspect.isroutine(inner):
            inner = type(inner).__call__
        self.is_async_generator = inspect.isasyncgenfunction(inner)
        self.is_async = inspect.iscoroutinefunction(inner) or self.is_async_generator
        self.is_generator = inspect.isgeneratorfunction(inner) or self.is_async_generator
        self.total_time, self.calls, self.failures = 0.0, 0, 0
        if self.batch and self.is_generator:
            raise GradioError(f"{self.api_name or 'a generator'}: a generator cannot run in batches")

    @functools.cached_property
    def judge(self) -> BlockFunction | None:
        """The function that says whether the inputs may be used; it takes what this one takes."""
        if self.validator is None:
            return None
        return BlockFunction(
            -1, self.validator, self.inputs, [], inputs_as_dict=self.inputs_as_dict, keywords=self.keywords
        )

    @property
    def parts_visitors(self) -> bool:
        """Whether it keeps results for single visitors, which are forgotten when they leave."""
        stores = [getattr(self.fn, "cache", None), *(kind for kind in self.special.values() if isinstance(kind, Cache))]
        return any(getattr(store, "per_session", False) for store in stores)

    @property
    def asks_who(self) -> bool:
        """Whether it wants to know who is signed in with the Hub."""
        return any(isinstance(kind, Signed) for kind in self.special.values())

    @property
    def lane(self) -> str:
        """The queue lane it runs in: its own, unless it shares a ``concurrency_id``."""
        return self.concurrency_id or f"function {id(self.fn)}"

    @property
    def average(self) -> float | None:
        """Seconds a call has taken on average; None before the first."""
        return self.total_time / self.calls if self.calls else None

    def record(self, seconds: float) -> None:
        """Note how long a call took."""
        self.calls += 1
        self.total_time += seconds

    def arguments(self, values: list[Any], request: Request | None, target: Block | None, event_data: Any) -> Arguments:
        """Lay the inputs' values out as arguments, with what the signature asks for beside them."""
        count = len(values) - len(self.keywords)
        named: dict[str, Any] = dict(zip(self.keywords, values[count:], strict=True))
        rest = iter([dict(zip(self.inputs, values, strict=True))] if self.inputs_as_dict else values[:count])
        made: list[Any] = []
        apart = False  # whether a parameter before has no value here, so that those after it go by name
        for position in range(max(self.special, default=-1) + 1):
            kind, name = self.special.get(position), self.names[position]
            if kind is not None:
                given = _special(kind, request, target, event_data)
                if apart:
                    named[name] = given
                else:
                    made.append(given)
                continue
            value = inspect.Parameter.empty if apart or name in named else next(rest, inspect.Parameter.empty)
            apart = value is inspect.Parameter.empty
            if not apart:
                made.append(value)
        return Arguments([*made, *rest], named)

    def check_inputs(self) -> str | None:
        """Return what is wrong with the number of inputs, or None: told when the page is made, not when it is used."""
        unknown = self._unknown()
        if unknown:
            return unknown
        low, high = self._free() if self.keywords else self.count
        given = 1 if self.inputs_as_dict else len(self.inputs) - len(self.keywords)
        name = function_name(self.fn) if self.fn else "the function"
        if given < low:
            return f"{name} needs at least {low} argument{'s' * (low != 1)} and gets {given} input{'s' * (given != 1)}"
        if high is not None and given > high:
            return f"{name} takes at most {high} argument{'s' * (high != 1)} and gets {given} input{'s' * (given != 1)}"
        return None

    def _free(self) -> tuple[int, int | None]:
        """How many inputs the parameters take that no keyword names."""
        assert self.fn is not None
        parameters = list(inspect.signature(self.fn).parameters.values())
        free = [
            each
            for position, each in enumerate(parameters)
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
            and position not in self.special
            and each.name not in self.keywords
        ]
        unbounded = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        return sum(each.default is each.empty for each in free), None if unbounded else len(free)

    def _unknown(self) -> str | None:
        if not self.keywords or self.fn is None:
            return None
        parameters = inspect.signature(self.fn).parameters
        if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            return None
        for name in self.keywords:
            if name not in parameters:
                return f"{function_name(self.fn)} has no parameter {name!r}{nearest(name, parameters)}"
        return None

    def config(self) -> dict[str, Any]:
        """This function's entry under ``dependencies`` in ``/config``."""
        shown = None if self.show_progress_on is None else [block._id for block in self.show_progress_on]
        return {
            "id": self.id,
            "targets": [list(target) for target in self.targets],
            "inputs": [block._id for block in self.inputs],
            "outputs": [block._id for block in self.outputs],
            "backend_fn": self.fn is not None,
            "js": self.js,
            "queue": self.queue,
            "api_name": self.api_name,
            "api_description": self.api_description,
            "scroll_to_output": self.scroll_to_output,
            "show_progress": self.show_progress,
            "show_progress_on": shown,
            "batch": self.batch,
            "max_batch_size": self.max_batch_size,
            "cancels": list(self.cancels),
            "types": {"generator": self.is_generator, "cancel": bool(self.cancels)},
            "collects_event_data": any(
                isinstance(kind, type) and issubclass(kind, EventData) for kind in self.special.values()
            ),
            "trigger_after": self.trigger_after,
            "trigger_only_on_success": self.trigger_only_on_success,
            "trigger_only_on_failure": self.trigger_only_on_failure,
            "trigger_mode": self.trigger_mode,
            "api_visibility": self.api_visibility,
            "rendered_in": None,
            "render_id": None,
            "connection": "stream" if any(event == "stream" for _, event in self.targets) else "sse",
            "time_limit": self.time_limit,
            "stream_every": self.stream_every,
            "event_specific_args": None,
            "component_prop_inputs": [],
            "js_implementation": None,
        }


def special_parameters(fn: Callable[..., Any]) -> tuple[dict[int, Any], tuple[int, int | None]]:
    """Positions that are filled from the event and not from inputs, and how many inputs the rest takes."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # some builtins tell nothing
        return {}, (0, None)
    try:
        import typing

        # functools.partial and callable objects carry their annotations one level down.
        source = fn.func if isinstance(fn, functools.partial) else fn
        hints = typing.get_type_hints(source if inspect.isroutine(source) else type(source).__call__)
    except Exception:  # annotations may name things that only a type checker sees
        hints = {}
    special: dict[int, Any] = {}
    low, high = 0, 0
    unbounded = False
    for position, parameter in enumerate(signature.parameters.values()):
        if parameter.kind is parameter.VAR_POSITIONAL:
            unbounded = True
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            continue
        hint = hints.get(parameter.name)
        parts = getattr(hint, "__args__", ()) if not isinstance(hint, type) else ()  # Request | None
        for part in parts:
            if isinstance(part, type) and issubclass(part, (Request, EventData, Header, OAuthProfile, OAuthToken)):
                hint = part
        if isinstance(parameter.default, (Progress, Cache)):
            special[position] = parameter.default
        elif isinstance(hint, type) and issubclass(hint, (OAuthProfile, OAuthToken)):
            special[position] = Signed(hint, optional=type(None) in parts or parameter.default is None)
        elif isinstance(hint, type) and issubclass(hint, Header):
            special[position] = parameter.name
        elif isinstance(hint, type) and issubclass(hint, (Request, EventData)):
            special[position] = hint
        else:
            high += 1
            low += parameter.default is parameter.empty
    return special, (low, None if unbounded else high)
