"""Processors of models that hear or sing: recordings and texts together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from enfold.transformers.processing.processor import ProcessorMixin

__all__ = ["ClapProcessor", "MusicgenProcessor", "SpeechProcessor", "Wav2Vec2Processor", "WhisperProcessor"]

# arguments that belong to texts, where recordings and texts are given at once
_OF_TEXT = ("padding", "truncation", "max_length", "pad_to_multiple_of", "return_tensors", "return_attention_mask")


class SpeechProcessor(ProcessorMixin):
    """A feature extractor and a tokenizer: what is said, and how it is written."""

    feature_extractor: Any
    _reads_texts = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Turn recordings into features, texts into labels, or both into both.

        Args:
            args: the recordings, also by the names ``audio`` and ``raw_speech``.
            kwargs: ``text``; ``sampling_rate``; and what the feature extractor and the tokenizer take.

        Returns:
            The features; with recordings and ``text`` the features and ``labels``; with ``text`` alone its ids.
        """
        if self._reads_texts:
            return self.tokenizer(*args, **kwargs)
        audio = kwargs.pop("audio", kwargs.pop("raw_speech", None))
        if args:
            audio, args = args[0], args[1:]
        text = kwargs.pop("text", None)
        rate = kwargs.pop("sampling_rate", None)
        if audio is None and text is None:
            raise ValueError(f"{type(self).__name__} needs audio, text, or both")
        if text is not None:
            shared = {name: kwargs[name] for name in _OF_TEXT if name in kwargs} if audio is not None else kwargs
            encodings = self.tokenizer(text, **shared)
            if audio is None:
                return encodings
        inputs = self.feature_extractor(audio, *args, sampling_rate=rate, **kwargs)
        if text is not None:
            inputs["labels"] = encodings["input_ids"]
        return inputs

    def pad(self, *args: Any, **kwargs: Any) -> Any:
        """Pad features (``input_features``, the first argument), labels, or both.

        Args:
            args: the features.
            kwargs: ``labels``, and what the feature extractor's and the tokenizer's ``pad`` take.
        """
        features, labels = kwargs.pop("input_features", None), kwargs.pop("labels", None)
        if args:
            features, args = args[0], args[1:]
        padded = None if features is None else self.feature_extractor.pad(features, *args, **kwargs)
        if labels is None:
            return padded
        ids = self.tokenizer.pad(labels, **kwargs)
        if padded is None:
            return ids
        padded["labels"] = ids["input_ids"]
        return padded

    @contextmanager
    def as_target_processor(self) -> Iterator[None]:
        """Let calls read texts (v4 spelling); ``processor(text=…)`` is the newer one."""
        self._reads_texts = True
        try:
            yield
        finally:
            self._reads_texts = False


class Wav2Vec2Processor(SpeechProcessor):
    """wav2vec 2.0's feature extractor and tokenizer of letters."""

    feature_extractor_class = "Wav2Vec2FeatureExtractor"
    tokenizer_class = "AutoTokenizer"


class WhisperProcessor(SpeechProcessor):
    """Whisper's feature extractor and tokenizer."""

    feature_extractor_class = "WhisperFeatureExtractor"
    tokenizer_class = "WhisperTokenizer"

    def get_decoder_prompt_ids(
        self, task: str | None = None, language: str | None = None, no_timestamps: bool = True
    ) -> Any:
        """Return the places and ids that a transcript begins with: the tokenizer's method."""
        return self.tokenizer.get_decoder_prompt_ids(task=task, language=language, no_timestamps=no_timestamps)

    def get_prompt_ids(self, text: str, return_tensors: str = "np") -> Any:
        """Return the ids of words that came before the recording."""
        return self.tokenizer.get_prompt_ids(text, return_tensors=return_tensors)


class ClapProcessor(ProcessorMixin):
    """CLAP's feature extractor and tokenizer."""

    feature_extractor: Any
    feature_extractor_class = "ClapFeatureExtractor"
    tokenizer_class = ("RobertaTokenizer", "RobertaTokenizerFast")

    def __call__(self, text: Any = None, audio: Any = None, audios: Any = None, **kwargs: Any) -> Any:
        """Turn texts into ids, recordings into features, or both into both.

        Args:
            text: one or several.
            audio: recordings; ``audios`` is its older name.
            kwargs: ``sampling_rate`` for recordings; the rest for texts.
        """
        audio = audios if audio is None else audio
        rate = kwargs.pop("sampling_rate", None)
        if text is None and audio is None:
            raise ValueError("ClapProcessor needs text, audio, or both")
        encodings = None if text is None else self.tokenizer(text, **kwargs)
        if audio is None:
            return encodings
        tensors = kwargs.get("return_tensors")
        features = self.feature_extractor(audio, sampling_rate=rate, return_tensors=tensors)
        if encodings is None:
            return features
        encodings.update(features)
        return encodings


class MusicgenProcessor(ProcessorMixin):
    """MusicGen's EnCodec feature extractor and T5 tokenizer."""

    feature_extractor: Any
    feature_extractor_class = "EncodecFeatureExtractor"
    tokenizer_class = ("T5Tokenizer", "T5TokenizerFast")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Turn texts into ids and recordings to go on from into ``input_values``.

        Args:
            args: recordings, also as ``audio``.
            kwargs: ``text``, ``sampling_rate``, and what the parts take.
        """
        audio = args[0] if args else kwargs.pop("audio", None)
        text, rate = kwargs.pop("text", None), kwargs.pop("sampling_rate", None)
        if text is None and audio is None:
            raise ValueError("MusicgenProcessor needs text, audio, or both")
        inputs = None if text is None else self.tokenizer(text, **kwargs)
        if audio is None:
            return inputs
        features = self.feature_extractor(audio, *args[1:], sampling_rate=rate, **kwargs)
        if inputs is None:
            return features
        inputs["input_values"] = features["input_values"]
        if "padding_mask" in features:
            inputs["padding_mask"] = features["padding_mask"]
        return inputs

    def batch_decode(self, *args: Any, **kwargs: Any) -> Any:
        """Turn rows of ids into texts, or sound without its padding (``audio``, ``padding_mask``) into arrays."""
        audio, mask = kwargs.pop("audio", None), kwargs.pop("padding_mask", None)
        if args and getattr(args[0], "ndim", 0) == 3:
            audio, args = args[0], args[1:]
        if audio is None:
            return super().batch_decode(*args, **kwargs)
        import numpy as np

        sound = np.asarray(audio)
        if mask is None:
            return list(sound)
        silent = 1 - self.feature_extractor.padding_value
        kept = np.pad(np.asarray(mask), ((0, 0), (0, sound.shape[-1] - mask.shape[-1])), constant_values=silent)
        real = kept != self.feature_extractor.padding_value
        return [row[:, own].reshape(sound.shape[1], -1) for row, own in zip(sound, real, strict=True)]
