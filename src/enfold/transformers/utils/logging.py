"""The ecosystem's logging module: loggers that can say a thing once, and the level of all of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import MutableMapping
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING
from typing import Any

from enfold.log import get_logger as _get_logger
from enfold.log import get_verbosity, set_verbosity
from enfold.progress import disable_progress_bars as disable_progress_bar
from enfold.progress import enable_progress_bars as enable_progress_bar

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "NOTSET",
    "WARN",
    "WARNING",
    "disable_progress_bar",
    "enable_progress_bar",
    "get_logger",
    "get_verbosity",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
]


class Once(logging.LoggerAdapter):  # type: ignore[type-arg]
    """A logger that can say a thing once."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Leave the message as it is."""
        return msg, kwargs

    @functools.cache  # noqa: B019  (a logger lives as long as the program)
    def warning_once(self, *args: Any, **kwargs: Any) -> None:
        """Warn, unless the same was said before."""
        self.warning(*args, **kwargs)

    @functools.cache  # noqa: B019
    def info_once(self, *args: Any, **kwargs: Any) -> None:
        """Inform, unless the same was said before."""
        self.info(*args, **kwargs)

    def warning_advice(self, *args: Any, **kwargs: Any) -> None:
        """Warn; the ecosystem can silence these."""
        self.warning(*args, **kwargs)


@functools.cache
def get_logger(name: str | None = None) -> Once:
    """Return the logger of a module, at the level of enfold's own."""
    return Once(_get_logger(name or "enfold"), {})


set_verbosity_debug = functools.partial(set_verbosity, logging.DEBUG)
set_verbosity_info = functools.partial(set_verbosity, logging.INFO)
set_verbosity_warning = functools.partial(set_verbosity, logging.WARNING)
set_verbosity_error = functools.partial(set_verbosity, logging.ERROR)
