"""The ecosystem's second place for trainers; here each is in ``enfold.trl``, and this names it again."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {})
