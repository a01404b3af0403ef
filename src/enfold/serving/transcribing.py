"""Speech written down, as a server serves it: what was said, when, and how sure the model was."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.datasets.features.audio import Recording
from enfold.serving.errors import ServingError
from enfold.serving.readers import TRANSCRIPTION, Reader
from enfold.transformers.audio.recordings import load_audio
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.tokenization.whisper import LANGUAGES

__all__ = ["Asked", "Transcriber", "Transcript", "decoded"]

MOST_SAMPLES = 2 * 48_000 * 3600
"""Samples of one recording: a small file can unpack to very many."""
TOGETHER = 8  # recordings of one window that share a batch


@dataclass(frozen=True)
class Asked:
    """How a recording is to be written down.

    Args:
        task: ``"transcribe"``, or ``"translate"`` into English.
        language: of what is said; heard where None.
        prompt: a text that sets names and style.
        temperature: of sampling, 0 to 1; 0 always takes the likeliest.
        segments: tell when each part was said.
        sureness: of the parts, tell how sure the model was.
        words: tell when each word was said.
    """

    task: str = "transcribe"
    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    segments: bool = False
    sureness: bool = False
    words: bool = False


@dataclass
class Transcript:
    """What was said.

    Args:
        text: all of it.
        language: its English name in lower case, where the model knows it.
        duration: seconds of the recording.
        segments: ``{"id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
            "compression_ratio", "no_speech_prob"}`` each, where asked for.
        words: ``{"word", "start", "end"}`` each, where asked for.
    """

    text: str
    language: str | None
    duration: float
    segments: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)


class Transcriber(Reader):
    """Writes down recordings. Those of at most one window, with equal wishes, share a batch."""

    kind = TRANSCRIPTION

    def __init__(self, name: str, pipe: Any, **options: Any) -> None:
        super().__init__(name, pipe, **{"size": TOGETHER, **options})
        self.rate = int(pipe.feature_extractor.sampling_rate)
        self.is_whisper = pipe.type == "seq2seq_whisper"

    async def write(self, recording: bytes, asked: Asked, *, param: str = "file") -> Transcript:
        """Write a recording down.

        Args:
            recording: the bytes of a file that libsndfile reads: WAV, FLAC, Ogg, MP3 …
            asked: how.
            param: names the field in errors.

        Raises:
            ServingError: 400 for what is no recording or has no samples, and for wishes that the model cannot fulfil.
        """
        samples = await self.batches.outside(decoded, recording, self.rate, param)
        if not self.is_whisper and (asked.task != "transcribe" or asked.language or asked.prompt or asked.segments):
            raise ServingError(
                "this model spells what it hears: it knows no translations, languages, prompts and times of segments",
                param="model",
            )
        found: Transcript = await self.batches((samples, asked))
        return found

    def joins(self, first: Any, other: Any) -> bool:
        """Whether two recordings share a batch: short ones with equal wishes that need no account of every token."""
        return self._short(first) and self._short(other) and bool(first[1] == other[1])

    def _short(self, item: Any) -> bool:
        samples, asked = item
        if not self.is_whisper or asked.segments or asked.words:
            return False
        return len(samples) <= self.pipe.feature_extractor.n_samples

    def run(self, items: list[Any]) -> list[Transcript]:
        """Write down recordings that share a batch."""
        try:
            with torch.inference_mode():
                return self._whisper(items) if self.is_whisper else [self._spelled(*item) for item in items]
        except GenerationError as error:
            raise ServingError(str(error)) from None

    # --- models that spell

    def _spelled(self, samples: np.ndarray, asked: Asked) -> Transcript:
        options = {"return_timestamps": "word"} if asked.words and self.pipe.type == "ctc" else {}
        found = self.pipe({"array": samples, "sampling_rate": self.rate}, **options)
        words = [
            {"word": chunk["text"], "start": float(chunk["timestamp"][0]), "end": float(chunk["timestamp"][1])}
            for chunk in found.get("chunks", ())
        ]
        return Transcript(found["text"], None, len(samples) / self.rate, words=words)

    # --- Whisper

    def _whisper(self, items: list[Any]) -> list[Transcript]:
        asked: Asked = items[0][1]
        features = self._features([samples for samples, _ in items])
        sure = _Sureness()
        options = self._options(asked)
        long = features["input_features"].shape[-1] > self._window
        if asked.segments or asked.words or long:
            options["return_timestamps"] = True
        if asked.sureness:
            options["logits_processor"] = [sure]
        if asked.words:
            options["return_token_timestamps"] = True
        written = self.pipe.model.generate(**features, return_segments=True, **options)
        made = []
        for row, (samples, _) in enumerate(items):
            segments = written["segments"][row]
            seconds = len(samples) / self.rate
            text = "".join(map(self._text, segments)).strip()
            transcript = Transcript(text, self._language(segments, asked), seconds)
            if asked.segments:
                transcript.segments = self._told(segments, asked, sure, features["input_features"], seconds)
            if asked.words:
                transcript.words = self._words_of(segments, seconds)
            made.append(transcript)
        return made

    @property
    def _window(self) -> int:
        return 2 * int(self.pipe.model.config.max_source_positions)

    def _features(self, rows: list[np.ndarray]) -> dict[str, Tensor]:
        extractor = self.pipe.feature_extractor
        long = max(map(len, rows)) > extractor.n_samples
        made = extractor(
            rows,
            sampling_rate=self.rate,
            return_tensors="pt",
            return_attention_mask=True,
            **({"truncation": False, "padding": "longest"} if long else {}),
        )
        device, dtype = self.pipe.device, self.pipe.dtype
        return {
            "input_features": made["input_features"].to(device=device, dtype=dtype),
            "attention_mask": made["attention_mask"].to(device),
        }

    def _options(self, asked: Asked) -> dict[str, Any]:
        multilingual = getattr(self.pipe.model.generation_config, "is_multilingual", None)
        options: dict[str, Any] = {"temperature": asked.temperature}
        if asked.task == "translate":
            options["task"] = "translate"
        english = (asked.language or "").lower() in ("en", "english")
        if asked.language and not (english and multilingual is False):
            options["language"] = asked.language
        if asked.prompt:
            try:
                ids = self.pipe.tokenizer.get_prompt_ids(asked.prompt, return_tensors="pt")
            except ValueError as error:
                raise ServingError(str(error), param="prompt") from None
            most = self.pipe.model.config.max_target_positions // 2 - 1
            # Whisper keeps the end of a long prompt; its first token announces it.
            options["prompt_ids"] = torch.cat((ids[:1], ids[1:][-(most - 1) :])).to(self.pipe.device)
        return options

    def _text(self, segment: dict[str, Any]) -> str:
        return str(self.pipe.tokenizer.decode(segment["tokens"], skip_special_tokens=True))

    def _language(self, segments: Sequence[dict[str, Any]], asked: Asked) -> str | None:
        if asked.task == "translate":
            return "english"
        if asked.language:
            return str(LANGUAGES.get(asked.language.lower(), asked.language.lower()))
        known = getattr(self.pipe.model.generation_config, "lang_to_id", None)
        if not known:
            return "english" if getattr(self.pipe.model.generation_config, "is_multilingual", None) is False else None
        if segments:
            result = segments[0]["result"]
            whole = result["sequences"] if isinstance(result, dict) else result
            names = {number: name for name, number in known.items()}
            spoken = [names[token] for token in whole.tolist() if token in names]
            if spoken:
                code = spoken[0].removeprefix("<|").removesuffix("|>")
                return str(LANGUAGES.get(code, code))
        return None

    def _told(
        self, segments: Sequence[Any], asked: Asked, sure: _Sureness, features: Tensor, seconds: float
    ) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        window, before, seek, silence = -1, None, 0, 0.0
        for number, segment in enumerate(segments):
            if segment["result"] is not before:  # the first of another window
                window, before = window + 1, segment["result"]
                seek = min(round(float(segment["start"]) * 100), features.shape[-1] - 1) if window else 0
                silence = self._silence(features[:, :, seek : seek + self._window]) if asked.sureness else 0.0
            text = self._text(segment)
            told.append(
                {
                    "id": number,
                    "seek": seek,
                    "start": round(min(float(segment["start"]), seconds), 2),
                    "end": round(min(float(segment["end"]), seconds), 2),
                    "text": text,
                    "tokens": segment["tokens"].tolist(),
                    "temperature": asked.temperature,
                    "avg_logprob": sure.mean(window, *segment["idxs"]),
                    "compression_ratio": _compression(text),
                    "no_speech_prob": silence,
                }
            )
        return told

    def _silence(self, window: Tensor) -> float:
        """Return how likely it is that nobody speaks, as the model says right after the start token."""
        config, model = self.pipe.model.generation_config, self.pipe.model
        stamps = getattr(config, "no_timestamps_token_id", None)
        if stamps is None:
            return 0.0
        window = torch.nn.functional.pad(window, (0, self._window - window.shape[-1]))
        start = torch.full((1, 1), config.decoder_start_token_id, device=window.device)
        logits = model(input_features=window, decoder_input_ids=start, use_cache=False).logits[0, -1]
        return float(logits.float().softmax(-1)[stamps - 1])

    def _words_of(self, segments: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
        if not segments:
            return []
        tokens = torch.cat([segment["tokens"] for segment in segments])[None]
        times = torch.cat([segment["token_timestamps"] for segment in segments])[None]
        found = self.pipe.postprocess([{"tokens": tokens, "token_timestamps": times}], return_timestamps="word")
        return [
            {
                "word": chunk["text"].strip(),
                "start": round(min(float(chunk["timestamp"][0]), seconds), 2),
                "end": round(
                    min(seconds if chunk["timestamp"][1] is None else float(chunk["timestamp"][1]), seconds), 2
                ),
            }
            for chunk in found["chunks"]
        ]


def decoded(recording: bytes, rate: int, param: str = "file") -> np.ndarray:
    """Return the samples of a caller's file at a rate, (samples,).

    Raises:
        ServingError: 400 for what is no recording or has no samples; 413 for one that unpacks to too much.
    """
    if not recording:
        raise ServingError("the file is empty", param=param)
    try:
        told = Recording(recording).metadata
        samples = round(told.duration_seconds * told.sample_rate) * told.num_channels
        if samples > MOST_SAMPLES:
            raise ServingError(
                f"the recording has {samples} samples; at most {MOST_SAMPLES} are accepted",
                413,
                param=param,
            )
        return load_audio(recording, rate)
    except (OSError, ValueError, RuntimeError) as error:
        message = "the file is no recording that can be read: WAV, FLAC, Ogg and MP3 are"
        if "no samples" in str(error):
            message = "the recording has no samples"
        raise ServingError(message, param=param) from None


class _Sureness:
    """Changes no logits; keeps the log probability of each token that is chosen, one recording at a time."""

    def __init__(self) -> None:
        self.windows: list[dict[int, float]] = []
        self._length = math.inf
        self._before: Tensor | None = None

    def set_begin_index(self, begin: int) -> None:
        """Note that another window begins."""
        self.windows.append({})
        self._length, self._before = math.inf, None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        length = ids.shape[1]
        if self._before is not None and length == self._length + 1:
            self.windows[-1][length - 1] = float(self._before[ids[0, -1]])
        self._length, self._before = length, scores[0].float().log_softmax(-1)
        return scores

    def mean(self, window: int, low: int, high: int) -> float:
        """Return the mean of a window's places ``low`` to ``high``."""
        kept = self.windows[window] if window < len(self.windows) else {}
        found = [kept[place] for place in range(low, high) if place in kept and math.isfinite(kept[place])]
        return sum(found) / len(found) if found else 0.0


def _compression(text: str) -> float:
    """Return how much shorter a text becomes when it is compressed: what repeats itself does so most."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0
