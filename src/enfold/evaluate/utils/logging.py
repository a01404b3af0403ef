"""The verbosity of messages, under the ecosystem's names."""

from __future__ import annotations

from enfold.datasets.utils import logging as _switches

__all__ = [
    "get_logger",
    "get_verbosity",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
]

get_logger = _switches.get_logger
get_verbosity = _switches.get_verbosity
set_verbosity = _switches.set_verbosity
set_verbosity_debug = _switches.set_verbosity_debug
set_verbosity_error = _switches.set_verbosity_error
set_verbosity_info = _switches.set_verbosity_info
set_verbosity_warning = _switches.set_verbosity_warning
