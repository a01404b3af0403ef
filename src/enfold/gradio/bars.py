"""Bars of ``tqdm`` inside an event, reported to the page."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
from collections.abc import Iterator
from typing import Any

from enfold.gradio.request import _report, _unit

__all__ = ["tracking"]

_tracked: contextvars.ContextVar[bool] = contextvars.ContextVar("tracked", default=False)


@contextlib.contextmanager
def tracking() -> Iterator[None]:
    """Report the steps of every ``tqdm`` bar opened in this context, in this thread."""
    _install()
    token = _tracked.set(True)
    try:
        yield
    finally:
        _tracked.reset(token)


def _install() -> None:
    # One wrapper around the two methods that move a bar, put in once; outside of tracking() it does nothing.
    try:
        bar: Any = importlib.import_module("tqdm.std").tqdm
    except ImportError:
        return
    if getattr(bar, "_enfold", False):
        return
    update, iterate = bar.update, bar.__iter__

    def reporting_update(self: Any, n: float = 1) -> Any:
        moved = update(self, n)
        if _tracked.get():
            _report([_unit(self.n, self.total, self.unit, None, self.desc or None)])
        return moved

    def reporting_iterate(self: Any) -> Iterator[Any]:
        if not _tracked.get():
            yield from iterate(self)
            return
        for index, item in enumerate(iterate(self)):
            _report([_unit(index, self.total, self.unit, None, self.desc or None)])
            yield item

    bar.update, bar.__iter__, bar._enfold = reporting_update, reporting_iterate, True
