"""How much the libraries say, by the calls of `huggingface_hub.logging`."""

from __future__ import annotations

import logging
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING

from enfold.log import get_logger, get_verbosity, set_verbosity

__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "NOTSET",
    "WARN",
    "WARNING",
    "disable_propagation",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
]


def set_verbosity_debug() -> None:
    """Say everything."""
    set_verbosity(DEBUG)


def set_verbosity_info() -> None:
    """Say what is done."""
    set_verbosity(INFO)


def set_verbosity_warning() -> None:
    """Say what may be wrong."""
    set_verbosity(WARNING)


def set_verbosity_error() -> None:
    """Say what is wrong."""
    set_verbosity(ERROR)


def disable_propagation() -> None:
    """Keep messages from the program's own log."""
    logging.getLogger("enfold").propagate = False


def enable_propagation() -> None:
    """Pass messages on to the program's own log."""
    logging.getLogger("enfold").propagate = True
