"""Text to text: what an encoder-decoder model writes for a text. Summaries and translations are kinds of it."""

from __future__ import annotations

from typing import Any

import torch

from enfold.transformers.pipelines.base import length_batches
from enfold.transformers.pipelines.text_generation import ReturnType
from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["TextToTextPipeline"]


class TextToTextPipeline(WritingPipeline):
    """Writes a text for each text.

    A task sets ``return_name``, and may override ``encode`` (how texts become ids) and ``check_inputs`` (what is worth
    a warning). Arguments of a call (or of ``pipeline``): ``return_tensors`` (ids instead of text),
    ``clean_up_tokenization_spaces``, ``truncation``, ``stop_sequence`` (end at this token), and everything that
    ``generate`` takes.

    Returns ``[{"<return_name>_text"}]`` for a text, one dictionary for each text of a list, and lists of dictionaries
    with ``num_return_sequences``.
    """

    return_name = "generated"
    defaults = {"max_new_tokens": 256, "num_beams": 4}

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        return_type: ReturnType | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: Any = None,
        stop_sequence: str | None = None,
        prefix: str | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {key: value for key, value in (("truncation", truncation), ("prefix", prefix)) if value is not None}
        after: dict[str, Any] = {}
        if return_type is None and return_tensors is not None:
            return_type = ReturnType.TENSORS if return_tensors else ReturnType.NEW_TEXT
        if return_type is not None:
            after["return_type"] = return_type
        if clean_up_tokenization_spaces is not None:
            after["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        if stop_sequence is not None:
            generate_kwargs["eos_token_id"] = self.stop_id(stop_sequence)
        return before, generate_kwargs, after

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Write for a text, a list of texts, a generator or a data set."""
        answers = super().__call__(inputs, *args, **kwargs)
        flat = isinstance(inputs, list) and all(isinstance(text, str) for text in inputs)
        return [answer[0] for answer in answers] if flat and all(len(answer) == 1 for answer in answers) else answers

    def check_inputs(self, input_length: int, min_length: int | None, max_length: int | None) -> None:
        """Warn of lengths that do not fit the task."""

    def encode(self, texts: list[str], truncation: Any = False, **_: Any) -> Any:
        """Return the model's inputs, one list a text."""
        return self.tokenizer(texts, truncation=truncation)

    def preprocess(self, inputs: Any, **preprocess_params: Any) -> dict[str, list[int]]:  # type: ignore[override]
        """Turn a text into the model's inputs."""
        return self._rows([inputs], **preprocess_params)[0]

    def _rows(self, texts: list[Any], prefix: str | None = None, **preprocess_params: Any) -> list[dict[str, Any]]:
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise TypeError(f"{self.task or 'this task'} takes texts, not {type(wrong).__name__}: {str(wrong)[:80]!r}")
        start = (self.prefix if prefix is None else prefix) or ""
        encoded = self.encode([start + text for text in texts], **preprocess_params)
        names = [name for name in encoded if name != "token_type_ids"]
        return [{name: encoded[name][row] for name in names} for row in range(len(texts))]

    def _forward(self, model_inputs: Any, **generate_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        settings = self.settings(generate_kwargs)
        rows, length = model_inputs["input_ids"].shape
        limits = (
            settings.get(name, getattr(self.generation_config, name, None)) for name in ("min_length", "max_length")
        )
        self.check_inputs(length, *limits)
        out = self.model.generate(**model_inputs, **settings)
        sequences = out if isinstance(out, torch.Tensor) else out["sequences"]
        return {"output_ids": sequences.reshape(rows, sequences.shape[0] // rows, -1)}

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Write for one text."""
        return self.run_many([inputs], 1, preprocess_params, forward_params, postprocess_params)[0]

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Write for texts of like length together, and put the answers back in order."""
        rows = self._rows(inputs, **preprocess_params)
        lengths = [len(row["input_ids"]) for row in rows]
        settings = self.settings(forward_params)
        # Random numbers are drawn for each text by itself, and a streamer shows one text.
        alone = self.tokenizer.pad_token_id is None or settings.get("streamer") is not None
        alone = alone or (batch_size is None and bool(_asked(settings, "do_sample")))
        answers: list[Any] = [None] * len(inputs)
        for batch in length_batches(lengths, 1 if alone else batch_size):
            some = [rows[place] for place in batch]
            if len({lengths[place] for place in batch}) == 1:
                ready = {name: torch.tensor([row[name] for row in some]) for name in some[0]}
            else:
                ready = dict(self.tokenizer.pad(some, return_tensors="pt"))
            out = self.forward(ready, **forward_params)["output_ids"]
            for row, place in enumerate(batch):
                answers[place] = self.postprocess({"output_ids": out[row : row + 1]}, **postprocess_params)
        return answers

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: dict[str, Any],
        return_type: ReturnType = ReturnType.NEW_TEXT,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[dict[str, Any]]:
        """Turn ids [1, sequences, tokens] into texts."""
        rows = model_outputs["output_ids"][0]
        if return_type == ReturnType.TENSORS:
            return [{f"{self.return_name}_token_ids": row} for row in rows]
        how = {"skip_special_tokens": True, "clean_up_tokenization_spaces": clean_up_tokenization_spaces}
        return [{f"{self.return_name}_text": self.tokenizer.decode(row.tolist(), **how)} for row in rows]


def _asked(settings: dict[str, Any], name: str) -> Any:
    return settings.get(name, getattr(settings.get("generation_config"), name, None))
