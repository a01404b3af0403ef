"""Text to audio: music, sounds or speech from texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.transformers.pipelines.writing import WritingPipeline

__all__ = ["TextToAudioPipeline"]


class TextToAudioPipeline(WritingPipeline):
    """Makes sound of texts.

    Arguments of a call (or of ``pipeline``): ``forward_params``, for the model in any case, ``generate_kwargs``, for
    models that generate, ``preprocess_params``, for the tokenizer.

    Args:
        vocoder: what turns a spectrogram into sound, for models that make spectrograms.
        sampling_rate: samples a second; what the model's configuration or its codec's says by default.
        kwargs: as ``Pipeline``.

    Returns ``{"audio": (1, channels, samples) float32, "sampling_rate"}`` for a text.
    """

    defaults: Mapping[str, Any] = {"max_new_tokens": 256}

    def __init__(self, *args: Any, vocoder: Any = None, sampling_rate: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.vocoder = vocoder
        self.sampling_rate = self._rate() if sampling_rate is None else sampling_rate

    def _rate(self) -> int | None:
        """Return samples a second, as whoever makes the sound says."""
        config = self.model.config
        makers = (
            getattr(self.vocoder, "config", None),
            config,
            *map(config.__dict__.get, ("codec_config", "audio_encoder")),
        )
        for maker in (*makers, self.generation_config):
            for name in ("sample_rate", "sampling_rate"):
                rate = getattr(maker, name, None)
                if rate is not None:
                    return rate
        return None

    def _sanitize_parameters(
        self,
        preprocess_params: dict[str, Any] | None = None,
        forward_params: dict[str, Any] | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        **_: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        steps = {"forward_params": dict(forward_params or {}), "generate_kwargs": dict(generate_kwargs or {})}
        return dict(preprocess_params or {}), steps, {}

    def __call__(self, text_inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Answer for one text or for many."""
        return super().__call__(text_inputs, **kwargs)

    def preprocess(self, text: Any, **reading: Any) -> Any:  # type: ignore[override]
        """Turn a text into ids [1, T]."""
        return self.tokenizer([text] if isinstance(text, str) else text, return_tensors="pt", **reading)

    def _forward(  # type: ignore[override]
        self, model_inputs: Any, forward_params: dict[str, Any], generate_kwargs: dict[str, Any]
    ) -> Any:
        if self.model.can_generate():
            asked = self.settings({**forward_params, **generate_kwargs})
            sound = self.model.generate(**model_inputs, **self.ensure_tensor_on_device(**asked))
        elif generate_kwargs:
            names = ", ".join(generate_kwargs)
            raise ValueError(f"{type(self.model).__name__} does not generate: give {names} as forward_params")
        else:
            sound = self.model(**model_inputs, **self.ensure_tensor_on_device(**forward_params))[0]
        return sound if self.vocoder is None else self.vocoder(sound)

    def postprocess(self, audio: Any, **_: Any) -> dict[str, Any]:  # type: ignore[override]
        """Turn sound into an array with its rate."""
        if hasattr(audio, "items"):
            audio = audio["waveform"] if "waveform" in audio else audio["sequences"]
        audio = audio[0] if isinstance(audio, tuple) else audio
        return {"audio": audio.float().numpy(), "sampling_rate": self.sampling_rate}
