"""Models that read instead of write, as a server serves them: vectors of texts, scores of pairs, tasks of pipelines."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.serving.batching import Batches
from enfold.serving.errors import ServingError
from enfold.serving.sentences import SentencePipeline, load_sentences, longest

if TYPE_CHECKING:
    from enfold.transformers.pipelines.texts import Piece

__all__ = ["Embedder", "PipelineModel", "Reader", "Reranker", "kind_of", "load_reader"]

EMBEDDING, RERANK, TRANSCRIPTION = "embedding", "rerank", "transcription"


class Reader:
    """Base of what is served under a name and answers in batches; see :class:`enfold.serving.service.Served`.

    Args:
        name: that clients call it by.
        pipe: the pipeline; loaded once, used by one thread at a time.
        size: requests of a batch, at most.
        waiting: requests that may wait.
    """

    kind = ""

    def __init__(self, name: str, pipe: Any, *, size: int = 64, waiting: int = 256) -> None:
        self.name, self.pipe = name, pipe
        self.about: dict[str, Any] = {"task": pipe.task}
        self.batches: Batches[Any, Any] = Batches(
            self.run, size=size, joins=self.joins, waiting=waiting, name=f"enfold-{name}"
        )
        self._words = threading.Lock()  # a tokenizer keeps how it cuts, so it serves one thread at a time

    if TYPE_CHECKING:

        def run(self, items: list[Any]) -> list[Any]:
            """Answer requests that share a batch; in the thread of the batches. Each kind says how."""

    def joins(self, first: Any, other: Any) -> bool:
        """Whether a request may share the batch of the first."""
        return True

    def start(self) -> None:
        """Begin to work: there is nothing to do before somebody asks."""

    def stop(self) -> None:
        """Let the thread end."""
        self.batches.close()

    def gauges(self) -> dict[str, float]:
        """Return what waits, and how much was computed together."""
        return {
            "requests_waiting": float(self.batches.waiting),
            "batches": float(self.batches.batches),
            "batched_requests": float(self.batches.items),
        }


class Embedder(Reader):
    """Vectors of texts. Texts of all requests that wait are sorted by length and share forward passes."""

    kind = EMBEDDING
    pipe: SentencePipeline

    def __init__(self, name: str, pipe: SentencePipeline, **options: Any) -> None:
        super().__init__(name, pipe, **options)
        self.about = {"task": "feature-extraction", "max_model_len": pipe.max_length}

    def prompt(self, name: str | None) -> str:
        """Return the text that goes before each, by the name that the folder gives it.

        Raises:
            ServingError: 400, there is none of that name.
        """
        steps = self.pipe.steps
        name = name if name is not None else steps.default_prompt
        if name is None:
            return ""
        if name not in steps.prompts:
            known = ", ".join(map(repr, steps.prompts)) or "none"
            raise ServingError(f"this model has no prompt {name!r} (it has: {known})", param="prompt_name")
        return steps.prompts[name]

    async def read(
        self, texts: Sequence[str | list[int]], *, prompt: str = "", truncate: bool = False, param: str = "input"
    ) -> list[Piece]:
        """Tokenize texts.

        Args:
            texts: texts, or token ids of the model's own.
            prompt: goes before each text.
            truncate: cut what is too long.
            param: names the field in errors.

        Raises:
            ServingError: 400 for what is empty or too long, and for ids that the model does not have.
        """

        def tokenized() -> list[Piece]:
            with self._words:
                return [piece for (piece,) in self.pipe.pieces(list(texts), truncation=truncate, prompt=prompt)]

        try:
            return list(await self.batches.outside(tokenized))
        except ValueError as error:
            code = "context_length_exceeded" if "reads" in str(error) else None
            raise ServingError(str(error), param=param, code=code) from None

    async def vectors(self, pieces: list[Piece]) -> Tensor:
        """Return the vectors (n, W) of what was read."""
        found: Tensor = await self.batches(pieces)
        return found

    def run(self, items: list[list[Piece]]) -> list[Tensor]:
        """Compute what several requests ask for."""
        self.pipe.run_pieces([piece for item in items for piece in item], None, {})
        with torch.inference_mode():
            return [self.pipe.vectors(item) for item in items]


class Reranker(Reader):
    """How well texts answer a question, by a model that reads question and text together."""

    kind = RERANK

    def __init__(self, name: str, pipe: Any, **options: Any) -> None:
        super().__init__(name, pipe, **options)
        self.max_length = longest(pipe.model.config, pipe.tokenizer)
        self.about = {"task": RERANK, "max_model_len": self.max_length}

    async def read(self, query: str, texts: Sequence[str], *, truncate: bool, param: str) -> list[Piece]:
        """Tokenize pairs; ``truncate`` cuts the texts, never the question.

        Raises:
            ServingError: 400 for what is too long.
        """

        def tokenized() -> list[Piece]:
            options: dict[str, Any] = {}
            with self._words:
                if truncate and self.max_length is not None:
                    alone = len(self.pipe.tokenizer(query, "")["input_ids"])
                    if alone >= self.max_length:
                        raise ServingError(
                            f"the query has {alone} tokens; of {self.max_length} some must be left for the texts",
                            param="query",
                            code="context_length_exceeded",
                        )
                    options = {"truncation": "only_second", "max_length": self.max_length}
                made = self.pipe.pieces([{"text": query, "text_pair": text} for text in texts], **options)
            return [piece for (piece,) in made]

        pieces: list[Piece] = await self.batches.outside(tokenized)
        for place, piece in enumerate(pieces):
            if self.max_length is not None and len(piece) > self.max_length:
                raise ServingError(
                    f"text {place} with the query has {len(piece)} tokens; this model reads {self.max_length}",
                    param=param,
                    code="context_length_exceeded",
                )
        return pieces

    async def scores(self, pieces: list[Piece]) -> Tensor:
        """Return the model's scores (n,) of what was read, as it gives them: any number, higher is better."""
        found: Tensor = await self.batches(pieces)
        return found

    def run(self, items: list[list[Piece]]) -> list[Tensor]:
        """Compute what several requests ask for."""
        self.pipe.run_pieces([piece for item in items for piece in item], None, {})
        return [torch.stack([piece.outputs["logits"].reshape(-1)[0].float() for piece in item]) for item in items]


class PipelineModel(Reader):
    """A task of a pipeline. Requests of equal parameters share a batch."""

    def __init__(self, name: str, pipe: Any, **options: Any) -> None:
        super().__init__(name, pipe, **options)
        self.kind = pipe.task
        self.max_length = None if pipe.tokenizer is None else longest(pipe.model.config, pipe.tokenizer)

    def lengths(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text has."""
        with self._words:
            return [len(ids) for ids in self.pipe.tokenizer(texts)["input_ids"]]

    async def answer(self, given: Any, options: dict[str, Any]) -> Any:
        """Return what the pipeline makes of one input, with these arguments of a call."""
        return await self.batches((given, options))

    def joins(self, first: Any, other: Any) -> bool:
        """Whether both have the same parameters."""
        return bool(first[1] == other[1])

    def run(self, items: list[Any]) -> list[Any]:
        """Answer several inputs at once."""
        options = items[0][1]
        if len(items) == 1:
            return [self.pipe(items[0][0], **options)]
        return list(self.pipe([given for given, _ in items], batch_size=8, **options))


def kind_of(source: str | os.PathLike[str]) -> str:
    """Return what a folder's or a repository's model is served for: ``"text"`` for one that writes, ``"embedding"``,
    ``"rerank"``, ``"transcription"``, or the name of a pipeline's task.

    Raises:
        UnknownTask: its files do not say.
    """
    from enfold.transformers.pipelines.build import task_of
    from enfold.transformers.pipelines.registry import UnknownTask
    from enfold.transformers.tokenization.files import Source

    files = Source(source, {})
    config = files.json("config.json") or {}
    names = [str(name) for name in config.get("architectures") or ()]
    if any(name.endswith("ForSequenceClassification") for name in names):
        labels = config.get("num_labels") or len(config.get("id2label") or (0, 1))
        return RERANK if labels == 1 else "text-classification"
    if files.json("modules.json") is not None:
        return EMBEDDING
    try:
        task = task_of(source)
    except UnknownTask:
        if any(name.endswith(("Model", "EncoderModel")) for name in names):
            return EMBEDDING
        raise
    return {"text-generation": "text", "automatic-speech-recognition": TRANSCRIPTION}.get(task, task)


def load_reader(
    source: str | os.PathLike[str],
    name: str | None = None,
    kind: str | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    **options: Any,
) -> Reader:
    """Load a model that reads, once, ready to be served.

    Args:
        source: a folder or a repository's id.
        name: that clients call it by; the source by default.
        kind: as of :func:`kind_of`, which says it by default.
        dtype, device: of the model.
        options: ``size`` of a batch and requests that may be ``waiting``, see :class:`Reader`.

    Raises:
        EnfoldError: for a model that writes, and for one whose files do not say what it is for.
    """
    from enfold.transformers import pipeline

    kind = kind or kind_of(source)
    called = name or str(source)
    if kind == EMBEDDING:
        return Embedder(called, load_sentences(source, dtype=dtype, device=device), **options)
    task = {RERANK: "text-classification", TRANSCRIPTION: "automatic-speech-recognition"}.get(kind, kind)
    given = {} if dtype is None else {"dtype": dtype}
    pipe = pipeline(task, model=os.fspath(source), device=device, **given)
    if kind == RERANK:
        return Reranker(called, pipe, **options)
    if kind == TRANSCRIPTION:
        from enfold.serving.transcribing import Transcriber

        return Transcriber(called, pipe, **options)
    return PipelineModel(called, pipe, **options)
