"""Zero-shot audio classification: which of the labels named in the call a recording holds."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.audio.recordings import load_audio
from enfold.transformers.pipelines.candidates import CandidatesPipeline

__all__ = ["ZeroShotAudioClassificationPipeline"]


class ZeroShotAudioClassificationPipeline(CandidatesPipeline):
    """Labels recordings with labels of your own.

    Takes a path, a URL, bytes, samples, or ``{"array" or "raw", "sampling_rate"}``, one or many. Arguments of a call
    (or of ``pipeline``): ``candidate_labels``, ``hypothesis_template`` ("This is a sound of {}.").

    Returns ``[{"score", "label"}]`` for a recording, best first.
    """

    hypothesis: ClassVar[str] = "This is a sound of {}."
    logits_name: ClassVar[str] = "logits_per_audio"
    _load_feature_extractor = True
    _load_image_processor = _load_processor = False

    def features(self, inputs: Any, timeout: float | None) -> dict[str, Any]:
        """Return a spectrogram [1, …]."""
        rate = self.feature_extractor.sampling_rate
        made = self.feature_extractor([load_audio(inputs, rate)], sampling_rate=rate, return_tensors="pt")
        return dict(made.to(dtype=self.dtype))
