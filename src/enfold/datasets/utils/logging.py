"""The verbosity of this package's messages, under the ecosystem's names."""

from __future__ import annotations

import logging
from functools import partial
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

set_verbosity_debug = partial(set_verbosity, DEBUG)
set_verbosity_info = partial(set_verbosity, INFO)
set_verbosity_warning = partial(set_verbosity, WARNING)
set_verbosity_error = partial(set_verbosity, ERROR)


def disable_propagation() -> None:
    """Keep messages from the handlers of the program's own root logger, as it is at first."""
    logging.getLogger(get_logger().name).propagate = False


def enable_propagation() -> None:
    """Give messages to the handlers of the program's own root logger, too."""
    logging.getLogger(get_logger().name).propagate = True
