"""Builders: from files of one kind to tables."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".base": ["BUILDERS", "DatasetBuilder", "builder_for", "builder_of"]})
