"""Formats: what the values of a dataset are given as. The table of names is in ``base``."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".base": ["Formatter", "format_name", "make_formatter"]})
