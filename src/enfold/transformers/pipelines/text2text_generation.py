"""Text2text-generation, and what is made of it: summaries and translations."""

from __future__ import annotations

from typing import Any

import torch

from enfold.log import get_logger
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.pipelines.base import Pipeline, length_batches

__all__ = ["SummarizationPipeline", "Text2TextGenerationPipeline", "TranslationPipeline"]

logger = get_logger(__name__)


class Text2TextGenerationPipeline(Pipeline):
    """Answers a text with a text.

    Arguments of a call (or of ``pipeline``): ``return_tensors`` (ids instead of text), ``clean_up_tokenization_spaces``
    (False), ``truncation``, ``stop_sequence`` (its first token ends an answer), and all of ``generate``. Where neither
    the model nor the caller says otherwise, four beams write up to 256 tokens.

    Returns for each text a list of ``{"generated_text"}``, one a sequence; for a list of texts with one sequence each
    a list of the dictionaries themselves.
    """

    _load_tokenizer = True
    _load_feature_extractor = _load_image_processor = _load_processor = False
    return_name = "generated"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.model.config
        known = self.model.generation_config
        settings, _ = GenerationConfig(max_new_tokens=256, num_beams=4).filled(known)
        if getattr(known, "max_length", None) not in (None, 20):
            settings.max_new_tokens = None  # what the model says of a length counts
        # What old files say of a single task, such as T5's "translation_en_to_fr".
        own = dict((getattr(config, "task_specific_params", None) or {}).get(self.task) or {})
        self.prefix: str = own.pop("prefix", None) or getattr(config, "prefix", None) or ""
        settings.update(**own)
        if settings.pad_token_id is None:
            settings.pad_token_id = self.tokenizer.pad_token_id
        self.generation_config = settings

    def _sanitize_parameters(
        self,
        return_tensors: bool | None = None,
        return_text: bool | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: bool | str | None = None,
        stop_sequence: str | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {} if truncation is None else {"truncation": truncation}
        after: dict[str, Any] = {}
        if return_tensors is not None:
            after["return_tensors"] = return_tensors
        if clean_up_tokenization_spaces is not None:
            after["clean_up_tokenization_spaces"] = clean_up_tokenization_spaces
        if stop_sequence is not None:
            ids = self.tokenizer.encode(stop_sequence, add_special_tokens=False)
            if len(ids) > 1:
                logger.warning("stop_sequence %r has %d tokens: its first ends an answer", stop_sequence, len(ids))
            generate_kwargs["eos_token_id"] = ids[0]
        return before, generate_kwargs, after

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a text, a list of texts, a generator or a data set."""
        answers = super().__call__(inputs, *args, **kwargs)
        if isinstance(inputs, list) and all(len(answer) == 1 for answer in answers):
            return [answer[0] for answer in answers]
        return answers

    # --- steps

    def preprocess(self, input_: Any, **preprocess_params: Any) -> Any:
        """Tokenize one text."""
        return self.encoded([input_], **preprocess_params)[0]

    def encoded(self, texts: list[Any], truncation: bool | str = False) -> list[dict[str, Any]]:
        """Tokenize texts at once; each becomes the arguments of ``generate``, as lists."""
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"{self.task or type(self).__name__} takes texts, not {type(text).__name__}")
        return self.rows(self.tokenizer([self.prefix + text for text in texts], truncation=truncation))

    def rows(self, encoded: Any) -> list[dict[str, Any]]:
        """Return what the tokenizer gave for each text; a number counts for all."""
        names = [name for name in encoded if name != "token_type_ids"]
        return [
            {name: encoded[name][row] if isinstance(encoded[name], list) else encoded[name] for name in names}
            for row in range(len(encoded["input_ids"]))
        ]

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn of lengths that make no sense for the task."""
        return True

    def _forward(self, model_inputs: Any, **forward_params: Any) -> Any:  # type: ignore[override]
        rows, length = model_inputs["input_ids"].shape
        if forward_params.get("max_length") is not None and forward_params.get("max_new_tokens") is None:
            forward_params["max_new_tokens"] = None  # the caller's length counts, not the pipeline's
        least = forward_params.get("min_length", self.generation_config.min_length)
        most = forward_params.get("max_length", self.generation_config.max_length)
        self.check_inputs(length, least, most)
        forward_params.setdefault("generation_config", self.generation_config)
        ids = self.model.generate(**model_inputs, **forward_params)
        return {"output_ids": ids.reshape(rows, ids.shape[0] // rows, -1)}

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Answer one text."""
        return self.run_many([inputs], None, preprocess_params, forward_params, postprocess_params)[0]

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Answer several texts, in order, those of like length together; one by one where answers are drawn."""
        encoded = self.encoded(inputs, **preprocess_params)
        draws = forward_params.get("do_sample", self.generation_config.do_sample)
        alone = draws or self.tokenizer.pad_token_id is None
        lengths = [len(row["input_ids"]) for row in encoded]
        batches = [[place] for place in range(len(encoded))] if alone else length_batches(lengths, batch_size)
        answers: list[Any] = [None] * len(encoded)
        for places in batches:
            rows = [encoded[place] for place in places]
            lists = [{name: value for name, value in row.items() if isinstance(value, list)} for row in rows]
            single = {name: value for name, value in rows[0].items() if not isinstance(value, list)}
            if len(rows) == 1:
                batch = {name: torch.tensor([value]) for name, value in lists[0].items()}
            else:
                batch = dict(self.tokenizer.pad(lists, return_tensors="pt"))
            written = self.forward({**batch, **single}, **forward_params)["output_ids"]
            for row, place in enumerate(places):
                answers[place] = self.postprocess({"output_ids": written[row : row + 1]}, **postprocess_params)
        return answers

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: dict[str, Any],
        return_tensors: bool = False,
        clean_up_tokenization_spaces: bool = False,
    ) -> list[dict[str, Any]]:
        """Turn generated ids (1, sequences, tokens) into texts."""
        if return_tensors:
            return [{f"{self.return_name}_token_ids": ids} for ids in model_outputs["output_ids"][0]]
        how = {"skip_special_tokens": True, "clean_up_tokenization_spaces": clean_up_tokenization_spaces}
        return [
            {f"{self.return_name}_text": self.tokenizer.decode(ids, **how)}
            for ids in model_outputs["output_ids"][0].tolist()
        ]


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Summarizes texts; arguments as ``Text2TextGenerationPipeline``, answers are ``{"summary_text"}``."""

    return_name = "summary"

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn of a summary that may be longer than the text."""
        if max_length < min_length:
            logger.warning("min_length=%d exceeds max_length=%d", min_length, max_length)
        if input_length < max_length:
            logger.warning(
                "max_length=%d, but the text has %d tokens: a summary is usually shorter, say max_length=%d",
                max_length,
                input_length,
                input_length // 2,
            )
        return True


class TranslationPipeline(Text2TextGenerationPipeline):
    """Translates texts; answers are ``{"translation_text"}``.

    Arguments as ``Text2TextGenerationPipeline``, and ``src_lang`` and ``tgt_lang`` for models of many languages; the
    task's name may say them instead, as ``translation_en_to_fr`` does.
    """

    return_name = "translation"

    def _sanitize_parameters(  # type: ignore[override]
        self, src_lang: str | None = None, tgt_lang: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before, forward, after = super()._sanitize_parameters(**kwargs)
        named = self.task.split("_")
        if src_lang is None and tgt_lang is None and len(named) == 4:
            src_lang, tgt_lang = named[1], named[3]
        before |= {name: value for name, value in (("src_lang", src_lang), ("tgt_lang", tgt_lang)) if value is not None}
        return before, forward, after

    def encoded(  # type: ignore[override]
        self,
        texts: list[Any],
        truncation: bool | str = False,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> list[dict[str, Any]]:
        """Tokenize texts at once, in the languages that they are from and go to, where the tokenizer knows several."""
        build = getattr(self.tokenizer, "_build_translation_inputs", None)
        if build is None:
            return super().encoded(texts, truncation)
        return self.rows(build(texts, truncation=truncation, src_lang=src_lang, tgt_lang=tgt_lang))

    def check_inputs(self, input_length: int, min_length: int, max_length: int) -> bool:
        """Warn of a text that a translation may not have room for."""
        if input_length > 0.9 * max_length:
            logger.warning(
                "the text has %d tokens and max_length=%d: the translation may not have room", input_length, max_length
            )
        return True
