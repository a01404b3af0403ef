"""Loggers that speak once, on the main process, unless they are told to speak on all."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from enfold.accelerate.state import PartialState

__all__ = ["MultiProcessAdapter", "get_logger"]


class MultiProcessAdapter(logging.LoggerAdapter):  # type: ignore[type-arg]
    """A logger with two more arguments to each call: ``main_process_only`` (True) and ``in_order`` (False)."""

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Log on the main process, on all, or on all one after the other."""
        only, in_order = kwargs.pop("main_process_only", True), kwargs.pop("in_order", False)
        kwargs.setdefault("stacklevel", 2)
        state = PartialState()
        if not self.isEnabledFor(level):
            return
        if in_order:
            for index in range(state.num_processes):
                if index == state.process_index:
                    text, more = self.process(msg, kwargs)
                    self.logger.log(level, text, *args, **more)
                state.wait_for_everyone()
        elif not only or state.is_main_process:
            text, more = self.process(msg, kwargs)
            self.logger.log(level, text, *args, **more)

    @functools.lru_cache(None)  # noqa: B019 — a logger lives as long as the program
    def warning_once(self, *args: Any, **kwargs: Any) -> None:
        """Warn with the same words once only."""
        self.warning(*args, **kwargs)


def get_logger(name: str, log_level: str | None = None) -> MultiProcessAdapter:
    """Return a logger for programs of several processes.

    Args:
        name: its name, usually ``__name__``.
        log_level: such as ``"INFO"``; by default ``ACCELERATE_LOG_LEVEL``.
    """
    level = log_level or os.environ.get("ACCELERATE_LOG_LEVEL")
    logger = logging.getLogger(name)
    if level is not None:
        logger.setLevel(level.upper())
        logger.root.setLevel(level.upper())
    return MultiProcessAdapter(logger, {})
