"""One engine that writes for many at once: paged keys and values, shared beginnings, and batches that never wait.

    engine = Engine(model)
    results = engine.generate([[1, 2, 3], [4, 5]], max_new_tokens=20)
    for token in engine.submit([1, 2, 3], max_new_tokens=20):
        …

``blocks`` holds memory in blocks, ``prefix`` finds beginnings that were read before, ``pages`` are the keys and values
as a model sees them, ``scheduler`` decides what is read next, ``runner`` reads it, ``choosing`` picks the tokens, and
``engine`` turns the wheel. ``manager`` gives it the ecosystem's names.
"""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".engine": ["Engine", "EngineConfig", "Statistics"],
        ".manager": [
            "ContinuousBatchingConfig",
            "ContinuousBatchingManager",
            "ContinuousMixin",
            "GenerationOutput",
            "RequestStatus",
        ],
        ".requests": ["Request", "Status"],
    },
)
