"""Automatic speech recognition: recordings written down, letter by letter or word by word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from enfold.log import get_logger
from enfold.transformers.audio.recordings import load_audio
from enfold.transformers.pipelines.alike import joined, one_row
from enfold.transformers.pipelines.base import Pipeline

__all__ = ["AutomaticSpeechRecognitionPipeline"]

logger = get_logger(__name__)


class AutomaticSpeechRecognitionPipeline(Pipeline):
    """Writes down what is said.

    Takes a path, a URL, bytes, samples, or ``{"array" or "raw", "sampling_rate"}`` (``"stride"`` says how many samples
    at both ends are context only; further keys come back), one or many.

    Arguments of a call (or of ``pipeline``): ``chunk_length_s`` and ``stride_length_s`` (seconds of pieces, and of
    their overlap at both ends, a sixth by default), ``return_timestamps`` (``"char"`` or ``"word"`` for models that
    spell, True or ``"word"`` for Whisper), ``return_language`` (Whisper), ``generate_kwargs``, ``ignore_warning``.

    Returns ``{"text"}``, with ``"chunks"`` of ``{"text", "timestamp"}`` where times are asked for.
    """

    _load_tokenizer = _load_feature_extractor = True
    _load_image_processor = False

    def __init__(self, model: Any, *args: Any, decoder: Any = None, **kwargs: Any) -> None:
        kind = getattr(model.config, "model_type", "")
        # How the model writes: spelling frame by frame, Whisper's tokens with times in them, or other tokens.
        self.type = "seq2seq_whisper" if kind == "whisper" else "seq2seq" if hasattr(model, "generate") else "ctc"
        self.decoder = decoder
        super().__init__(model, *args, **kwargs)

    def _sanitize_parameters(
        self,
        chunk_length_s: float | None = None,
        stride_length_s: Any = None,
        ignore_warning: bool | None = None,
        decoder_kwargs: Any = None,
        return_timestamps: Any = None,
        return_language: bool | None = None,
        **generate_kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        if chunk_length_s is not None:
            if self.type != "ctc" and not ignore_warning:
                logger.warning(
                    "chunk_length_s joins pieces that a %s model wrote apart, which can lose words; Whisper's own "
                    "generate hears long recordings. ignore_warning=True silences this",
                    self.model.config.model_type,
                )
            before["chunk_length_s"] = chunk_length_s
        if stride_length_s is not None:
            before["stride_length_s"] = stride_length_s
        during = {**generate_kwargs.pop("generate_kwargs", {}), **generate_kwargs}
        if return_language is not None:
            if self.type != "seq2seq_whisper":
                raise ValueError("return_language is known to Whisper alone")
            after["return_language"] = during["return_language"] = return_language
        own = getattr(getattr(self.model, "generation_config", None), "return_timestamps", False)
        return_timestamps = return_timestamps or own or return_timestamps
        if return_timestamps is not None:
            _check_timestamps(self.type, return_timestamps)
            during["return_timestamps"] = after["return_timestamps"] = return_timestamps
        return before, during, after

    # --- in

    @property
    def _align_to(self) -> int:
        """Samples an output."""
        return getattr(self.model.config, "inputs_to_logits_ratio", 1)

    def preprocess(  # type: ignore[override]
        self, inputs: Any, chunk_length_s: float = 0, stride_length_s: Any = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the features of a recording's pieces, each with its stride: samples, and those of context."""
        rate = self.feature_extractor.sampling_rate
        stride, extra = None, {}
        if hasattr(inputs, "keys") and not hasattr(inputs, "get_all_samples"):
            known = ("stride", "raw", "array", "sampling_rate", "path")
            extra = {key: inputs[key] for key in inputs if key not in known}
            stride = inputs.get("stride")
            ratio = rate / int(inputs.get("sampling_rate", rate))
        samples = load_audio(inputs, rate)
        if stride is not None:
            if self.type == "seq2seq":
                raise ValueError("a stride is of use only to models that spell, and to Whisper")
            if stride[0] + stride[1] > len(samples) / ratio:
                raise ValueError(f"the stride {tuple(stride)} is longer than the recording")
            stride = (len(samples), round(stride[0] * ratio), round(stride[1] * ratio))
        if chunk_length_s:
            yield from ({**piece, **extra} for piece in self._pieces(samples, chunk_length_s, stride_length_s))
            return
        options: dict[str, Any] = {}
        if self.type == "seq2seq_whisper" and len(samples) > self.feature_extractor.n_samples:
            options = {"truncation": False, "padding": "longest"}
        features = self._features(samples, **options)
        yield {"is_last": True, **features, **({} if stride is None else {"stride": stride}), **extra}

    def _features(self, samples: np.ndarray, **options: Any) -> Any:
        made = self.feature_extractor(
            samples,
            sampling_rate=self.feature_extractor.sampling_rate,
            return_tensors="pt",
            return_attention_mask=True,
            **options,
        )
        return made.to(dtype=self.dtype)

    def _pieces(self, samples: np.ndarray, seconds: float, overlap: Any) -> Iterator[dict[str, Any]]:
        left, right = (overlap, overlap) if isinstance(overlap, int | float) else overlap or (seconds / 6, seconds / 6)
        rate, align = self.feature_extractor.sampling_rate, self._align_to
        length, before, behind = (round(part * rate / align) * align for part in (seconds, left, right))
        if length <= before + behind:
            raise ValueError(f"chunk_length_s={seconds} must exceed both ends of stride_length_s, {left} and {right}")
        for start in range(0, len(samples), length - before - behind):
            piece, last = samples[start : start + length], start + length >= len(samples)
            context = 0 if start == 0 else before
            if len(piece) > context:
                yield {
                    "is_last": last,
                    "stride": (len(piece), context, 0 if last else behind),
                    **self._features(piece),
                }
            if last:
                break

    # --- through

    def _forward(  # type: ignore[override]
        self, model_inputs: Any, return_timestamps: Any = False, return_language: Any = None, **generate_kwargs: Any
    ) -> Any:
        inputs = dict(model_inputs)
        stride = inputs.pop("stride", None)
        kept: dict[str, Any] = {"is_last": inputs.pop("is_last")}
        features = {
            name: inputs.pop(name) for name in ("input_values", "input_features", "attention_mask") if name in inputs
        }
        if self.type == "ctc":
            out: dict[str, Any] = {"tokens": self.model(**features).logits.argmax(-1)}
        else:
            out = self._written(features, return_timestamps, return_language, generate_kwargs)
        if stride is not None:
            out["stride"] = _in_outputs(stride, self._align_to) if self.type == "ctc" else stride
        return {**kept, **out, **inputs}

    def _written(
        self, features: dict[str, Any], times: Any, language: Any, generate_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        options = dict(generate_kwargs)
        times = times or getattr(self.model.generation_config, "return_timestamps", False)
        whisper = self.type == "seq2seq_whisper"
        if whisper and times:
            options["return_timestamps"] = True
            if times == "word":
                options["return_token_timestamps"] = options["return_segments"] = True
        if whisper and language:
            options["return_segments"] = True
        written = self.model.generate(**features, **options)
        if not hasattr(written, "keys"):
            return {"tokens": written}
        out = {"tokens": written["sequences"]}
        if whisper and times == "word":
            out["token_timestamps"] = written.get("token_timestamps")
            if "segments" in written:
                out["token_timestamps"] = [
                    torch.cat([segment["token_timestamps"] for segment in row]) for row in written["segments"]
                ]
        if whisper and language and written.get("segments"):
            ids = set(getattr(self.model.generation_config, "lang_to_id", {}).values())
            for row in written["segments"]:
                whole = row[0]["result"] if row else torch.empty(0)
                whole = whole["sequences"] if isinstance(whole, dict) else whole
                spoken = [token for token in whole.tolist() if token in ids]
                if spoken:
                    out.setdefault("lang_id", torch.tensor([spoken[0]]))
        return out

    # --- out

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, return_timestamps: Any = None, return_language: Any = None, **_: Any
    ) -> dict[str, Any]:
        """Join what was written of a recording's pieces."""
        pieces = [model_outputs] if hasattr(model_outputs, "keys") else list(model_outputs)
        optional: dict[str, Any] = {}
        if self.type == "seq2seq_whisper":
            text, optional = self._whispered(pieces, return_timestamps, return_language)
        elif self.type == "seq2seq":
            rows = [piece["tokens"].numpy() for piece in pieces]
            ids = _overlapped(rows, self.tokenizer.all_special_ids) if pieces[-1].get("stride") else rows[0][0]
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
        else:
            ids = np.concatenate([_own(piece["tokens"][0].numpy(), piece.get("stride")) for piece in pieces])
            text = self.tokenizer.decode(ids, skip_special_tokens=False)
            if return_timestamps:
                optional["chunks"] = self._spelled(ids, return_timestamps)
        used = ("tokens", "is_last", "stride", "token_timestamps", "lang_id")
        extra: dict[str, list[Any]] = {}
        for piece in pieces:
            for name, value in piece.items():
                if name not in used:
                    extra.setdefault(name, []).append(value)
        return {"text": text, **optional, **extra}

    def _spelled(self, ids: np.ndarray, unit: str) -> list[dict[str, Any]]:
        asked = {"char": "output_char_offsets", "word": "output_word_offsets"}[unit]
        decoded = self.tokenizer.decode(ids, skip_special_tokens=False, **{asked: True})
        offsets = decoded.char_offsets if unit == "char" else decoded.word_offsets
        second = self._align_to / self.feature_extractor.sampling_rate
        return [
            {"text": item[unit], "timestamp": (item["start_offset"] * second, item["end_offset"] * second)}
            for item in offsets
        ]

    def _whispered(self, pieces: list[dict[str, Any]], times: Any, language: Any) -> tuple[str, dict[str, Any]]:
        rate = self.feature_extractor.sampling_rate
        rows = []
        for piece in pieces:
            row = dict(piece)
            if row.get("stride") is not None:
                row["stride"] = tuple(part / rate for part in row["stride"])
            if language and "lang_id" in row:
                # generate strips the language's token, which the transcript needs
                row["tokens"] = torch.cat((row["lang_id"].view(1, 1).to(row["tokens"].dtype), row["tokens"]), dim=-1)
            rows.append(row)
        return self.tokenizer._decode_asr(
            rows,
            return_timestamps=times,
            return_language=language,
            time_precision=self.feature_extractor.chunk_length / self.model.config.max_source_positions,
        )

    def run_single(self, inputs: Any, preprocess_params: Any, forward_params: Any, postprocess_params: Any) -> Any:
        """Write down one recording."""
        pieces = self.preprocess(inputs, **preprocess_params)
        return self.postprocess([self.forward(piece, **forward_params) for piece in pieces], **postprocess_params)

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Write down several recordings: pieces of one shape share forward passes of at most ``batch_size``."""
        if not batch_size or batch_size == 1:
            return super().run_many(inputs, batch_size, preprocess_params, forward_params, postprocess_params)
        made: list[tuple[int, dict[str, Any]]] = []
        for place, item in enumerate(inputs):
            made.extend((place, piece) for piece in self.preprocess(item, **preprocess_params))
        outputs: list[Any] = [None] * len(made)
        groups: dict[Any, list[int]] = {}
        names = ("input_values", "input_features", "attention_mask")
        for index, (_, piece) in enumerate(made):
            groups.setdefault(tuple(piece[name].shape for name in names if name in piece), []).append(index)
        for group in groups.values():
            for start in range(0, len(group), batch_size):
                batch = group[start : start + batch_size]
                features = joined([{n: made[index][1][n] for n in names if n in made[index][1]} for index in batch])
                found = self.forward({"is_last": True, **features}, **forward_params)
                for row, index in enumerate(batch):
                    rest = {name: value for name, value in made[index][1].items() if name not in names}
                    if rest.get("stride") is not None and self.type == "ctc":
                        rest["stride"] = _in_outputs(rest["stride"], self._align_to)
                    outputs[index] = {**one_row(found, row, len(batch)), **rest}
        own: list[list[Any]] = [[] for _ in inputs]
        for (place, _), output in zip(made, outputs, strict=True):
            own[place].append(output)
        return [self.postprocess(pieces, **postprocess_params) for pieces in own]


def _check_timestamps(kind: str, asked: Any) -> None:
    """Raise ValueError for times that a kind of model cannot tell."""
    allowed: dict[str, tuple[Any, ...]] = {
        "ctc": ("char", "word"),
        "seq2seq_whisper": (True, False, "word"),
        "seq2seq": (False,),
    }
    if asked not in allowed[kind]:
        what = {"ctc": "models that spell", "seq2seq_whisper": "Whisper", "seq2seq": "this kind of model"}[kind]
        raise ValueError(f"return_timestamps={asked!r}: {what} can take {', '.join(map(repr, allowed[kind]))}")


def _in_outputs(stride: tuple[int, int, int], align: int) -> tuple[int, int, int]:
    """Return a stride of samples as one of outputs."""
    total, left, right = stride
    outputs = round(total / align)
    return outputs, round(left / total * outputs), round(right / total * outputs)


def _own(ids: np.ndarray, stride: tuple[int, int, int] | None) -> np.ndarray:
    """Return a piece's ids without those of its context."""
    return ids if stride is None else ids[stride[1] : stride[0] - stride[2]]


def _overlapped(rows: list[np.ndarray], special: list[int]) -> np.ndarray:
    """Return the ids of pieces joined where the end of one and the beginning of the next agree best."""
    joined_ids = [token for token in rows[0][0].tolist() if token not in special]
    for row in rows[1:]:
        following = [token for token in row[0].tolist() if token not in special]
        best, length = 0.0, 0
        for size in range(1, min(len(joined_ids), len(following)) + 1):
            same = sum(a == b for a, b in zip(joined_ids[-size:], following[:size], strict=True))
            score = same / size + size / 10000.0  # longer overlaps win where both agree equally well
            if same > 1 and score > best:
                best, length = score, size
        joined_ids.extend(following[length:])
    return np.array(joined_ids)
