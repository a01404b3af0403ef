"""What models on another runtime than torch share, whichever it is.

``heads`` is the one table of tasks, from which every runtime's classes are made; ``model`` the base; ``writing`` is for
models that write; ``caches`` for what they remember. A runtime adds how graphs are found, made ready and run:
``onnxruntime`` and ``intel.openvino``.
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".caches": ["GrowingCache"],
        ".heads": ["HEADS", "Head", "classes", "names"],
        ".model": ["RuntimeModel"],
        ".writing": ["Decoder", "EncoderDecoder"],
    },
)
