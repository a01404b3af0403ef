"""What a function can ask for beside its inputs: the request, a progress report, and a change of properties."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Header", "Progress", "Request", "is_cancelled", "skip", "update", "validate"]


class Request:
    """The HTTP request behind a call: declare a parameter with this type to receive it.

    Args:
        request: the web framework's request; None outside of one.
        username: who is logged in; None without ``auth``.
        session_hash: the page's session.

    Attributes ``headers``, ``query_params``, ``cookies``, ``client``, ``url`` and ``method`` are the request's own.
    """

    def __init__(
        self, request: Any = None, username: str | None = None, session_hash: str | None = None, **kwargs: Any
    ) -> None:
        self.request, self.username, self.session_hash, self.kwargs = request, username, session_hash, kwargs
        self.signed_in: dict[str, Any] | None = None  # what the Hub said of the visitor; see sign_in.py

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        request = self.__dict__.get("request")
        if request is not None:
            return getattr(request, name)
        try:
            return self.__dict__["kwargs"][name]
        except KeyError:
            raise AttributeError(f"the request has no attribute {name!r}") from None


class Header(str):
    """A header of the request: declare a parameter with this type, named like the header with underscores, to receive
    it; None where the request has none.

    Example:
        >>> def who(text: str, x_api_token: Header):
        ...     return "known" if x_api_token else "unknown"
    """


class Progress:
    """Report how far a function is: make it the default of a parameter, then call it.

    Args:
        track_tqdm: whether bars of ``tqdm`` that the function opens are shown as well.

    Example:
        >>> def work(text, progress=Progress()):
        ...     progress(0.5, desc="Half way")
        ...     return text.upper()
        >>> work("a")
        'A'
    """

    def __init__(self, track_tqdm: bool = False) -> None:
        self.track_tqdm = track_tqdm

    def __call__(
        self,
        progress: float | tuple[int, int | None] | None,
        desc: str | None = None,
        total: float | None = None,
        unit: str = "steps",
    ) -> None:
        """Show a fraction between 0 and 1, or ``(steps done, steps in all)``; None shows only that it runs.

        Raises:
            Cancelled: the visitor has stopped the event.
        """
        if isinstance(progress, tuple):
            _report([_unit(progress[0], progress[1], unit, None, desc)])
        else:
            _report([_unit(None, total, unit, progress, desc)])

    def tqdm(
        self,
        iterable: Iterable[Any] | None,
        desc: str | None = None,
        total: float | None = None,
        unit: str = "steps",
        _tqdm: Any = None,
    ) -> Iterator[Any]:
        """Go through ``iterable`` and report each step; ``total`` is its length when it has none."""
        items: Iterable[Any] = iterable if iterable is not None else range(int(total or 0))
        length = len(items) if hasattr(items, "__len__") else total  # type: ignore[arg-type]
        for index, item in enumerate(items):
            _report([_unit(index, length, unit, None, desc)])
            yield item
        _report([_unit(length, length, unit, None, desc)])


def _unit(index: Any, length: Any, unit: str, progress: float | None, desc: str | None) -> dict[str, Any]:
    return {"index": index, "length": length, "unit": unit, "progress": progress, "desc": desc}


def _report(units: list[dict[str, Any]]) -> None:
    from enfold.gradio.jobs import Cancelled, current_job

    job = current_job.get()
    if job is None:
        return
    if job.cancelled.is_set():
        raise Cancelled
    # At most a hundred reports a second travel; the first and the last always do.
    now = time.monotonic()
    last = units[0]["index"] is not None and units[0]["index"] == units[0]["length"]
    if now - job.reported >= 0.01 or last:
        job.reported = now
        job.post_soon({"msg": "progress", "progress_data": units})


def is_cancelled() -> bool:
    """Whether the visitor has stopped the event whose function is running: long loops may ask and return early."""
    from enfold.gradio.jobs import current_job

    job = current_job.get()
    return job is not None and job.cancelled.is_set()


def update(
    elem_id: str | None = None,
    elem_classes: list[str] | str | None = None,
    visible: Any = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Return this instead of a value to change properties of an output; what is not given stays.

    Args:
        elem_id, elem_classes, visible: as in the block's constructor.
        kwargs: any other property of the block, also its ``value``.

    Example:
        >>> update(visible=False)
        {'visible': False, '__type__': 'update'}
    """
    given = {"elem_id": elem_id, "elem_classes": elem_classes, "visible": visible}
    return {**{name: value for name, value in given.items() if value is not None}, **kwargs, "__type__": "update"}


def validate(is_valid: bool, message: str) -> dict[str, Any]:
    """What a ``validator`` returns for one input: whether its value may be used, and what the visitor is told if not.

    Example:
        >>> validate(False, "At least one")["is_valid"]
        False
    """
    return {"__type__": "validate", "is_valid": is_valid, "message": message}


def skip() -> dict[str, Any]:
    """Return this instead of a value to leave an output as it is."""
    return {"__type__": "update"}
