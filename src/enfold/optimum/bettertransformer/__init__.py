"""The fast path of encoders in inference (``optimum.bettertransformer``)."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".transformation": ["BetterTransformer", "BetterTransformerError"]})
