"""The base of feature extractors: recordings in, rows of one length out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from enfold.errors import EnfoldError
from enfold.log import get_logger
from enfold.transformers.processing.features import BatchFeature
from enfold.transformers.processing.files import Preprocessor

__all__ = ["FeatureExtractionMixin", "SequenceFeatureExtractor", "standardized"]

logger = get_logger(__name__)


class FeatureExtractionMixin(Preprocessor):
    """Base of all feature extractors; see ``Preprocessor``."""

    part = "feature_extractor"


class SequenceFeatureExtractor(FeatureExtractionMixin):
    """Base of feature extractors for recordings.

    Args:
        feature_size: numbers a moment: 1 for samples, more for spectrograms and channels.
        sampling_rate: samples a second that the model was trained on.
        padding_value: what fills rows up.
        kwargs: ``padding_side`` (``"right"`` or ``"left"``), ``return_attention_mask``, and further settings.
    """

    def __init__(self, feature_size: int, sampling_rate: int, padding_value: float | None, **kwargs: Any) -> None:
        self.feature_size, self.sampling_rate, self.padding_value = feature_size, sampling_rate, padding_value
        self.padding_side = kwargs.pop("padding_side", "right")
        self.return_attention_mask = kwargs.pop("return_attention_mask", True)
        super().__init__(**kwargs)

    def rows(self, recordings: Any, sampling_rate: int | None, dtype: Any = np.float32) -> list[np.ndarray]:
        """Return recordings as a list of arrays (samples,).

        Args:
            recordings: one recording (numbers, an array, a tensor), or a list or an array of them.
            sampling_rate: samples a second of the recordings.
            dtype: type of the arrays.

        Raises:
            ValueError: for another sampling rate than the model's, several channels, or a recording of length zero.
        """
        if sampling_rate is None:
            logger.warning(
                "%s was not told the recording's sampling_rate and takes it for %d; pass it to be safe",
                type(self).__name__,
                self.sampling_rate,
            )
        elif sampling_rate != self.sampling_rate:
            raise ValueError(
                f"{type(self).__name__} expects {self.sampling_rate} samples a second, not {sampling_rate}: "
                "resample the recording first, for example with dataset.cast_column('audio', "
                f"Audio(sampling_rate={self.sampling_rate}))"
            )
        shape = getattr(recordings, "ndim", None)
        many = shape > 1 if shape is not None else len(recordings) > 0 and _is_row(recordings[0])
        arrays = [np.asarray(one, dtype=dtype) for one in (recordings if many else [recordings])]
        for index, array in enumerate(arrays):
            if array.ndim != 1:
                raise ValueError(f"recording {index} has shape {array.shape}; one row of samples (mono) was expected")
            if array.size == 0:
                raise ValueError(f"recording {index} has no samples")
        return arrays

    def pad(
        self,
        processed_features: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: Any = None,
    ) -> BatchFeature:
        """Bring features of several recordings to one length.

        Args:
            processed_features: name → list of arrays (T, …), one array, or a list of such dictionaries; the first of
                ``model_input_names`` is what is padded.
            padding: True or ``"longest"``, ``"max_length"``, or False.
            max_length: length to pad and to cut to.
            truncation: cut what is longer than ``max_length``.
            pad_to_multiple_of: round lengths up.
            return_attention_mask: add ``attention_mask`` (B, T); the class's setting by default.
            return_tensors: "pt", "np", "tf" or "jax"; without it arrays, or tensors where tensors came in.
        """
        main = self.model_input_names[0]
        given: dict[str, Any]
        if isinstance(processed_features, Sequence):
            given = {key: [one[key] for one in processed_features] for key in processed_features[0]}
        else:
            given = dict(processed_features)
        if main not in given:
            raise ValueError(f"pad needs {main!r}; it was given {', '.join(map(repr, given)) or 'nothing'}")
        wants_mask = self.return_attention_mask if return_attention_mask is None else return_attention_mask
        if len(given[main]) == 0:
            return BatchFeature({**given, **({"attention_mask": []} if wants_mask else {})})
        single = not _is_row(given[main][0])
        values = {key: [_array(one) for one in ([value] if single else value)] for key, value in given.items()}
        if return_tensors is None:
            return_tensors = "pt" if _is_torch(given[main]) else "np"
        kind = str(getattr(padding, "value", padding))
        if kind not in ("True", "longest", "max_length", "False", "do_not_pad"):
            raise ValueError(f"padding={padding!r}: it is True, 'longest', 'max_length', False or 'do_not_pad'")
        if max_length is None and (kind == "max_length" or truncation):
            raise ValueError("padding='max_length' and truncation=True need max_length")
        rows = values[main]
        if truncation:
            assert max_length is not None
            limit = _rounded(max_length, pad_to_multiple_of)
            rows = [row[:limit] for row in rows]
        lengths = [len(row) for row in rows]
        if wants_mask and "attention_mask" not in values:
            values["attention_mask"] = [np.ones(length, np.int32) for length in lengths]
        if "attention_mask" in values:
            values["attention_mask"] = [
                mask[:length] for mask, length in zip(values["attention_mask"], lengths, strict=True)
            ]
        if kind in ("True", "longest", "max_length"):
            if self.padding_value is None:
                raise EnfoldError(f"{type(self).__name__} has no padding_value, which padding needs")
            target = max(lengths) if kind != "max_length" else max_length
            assert target is not None
            target = _rounded(target, pad_to_multiple_of)
            rows = [self._filled(row, target, self.padding_value) for row in rows]
            if "attention_mask" in values:
                values["attention_mask"] = [self._filled(mask, target, 0) for mask in values["attention_mask"]]
        values[main] = rows
        made = {key: value[0] for key, value in values.items()} if single else values
        return BatchFeature(made, tensor_type=return_tensors)

    def _filled(self, row: np.ndarray, length: int, value: float) -> np.ndarray:
        missing = length - len(row)
        if missing <= 0:
            return row
        place = (0, missing) if self.padding_side == "right" else (missing, 0)
        return np.pad(row, [place, *[(0, 0)] * (row.ndim - 1)], constant_values=value)


def standardized(rows: Sequence[np.ndarray], lengths: Sequence[int] | None, padding_value: float) -> list[np.ndarray]:
    """Return rows with mean 0 and variance 1.

    Args:
        rows: (T, …) each.
        lengths: how much of each row is no padding; None takes it whole.
        padding_value: what the rest of a row becomes.
    """
    made = []
    for index, row in enumerate(rows):
        real = row if lengths is None else row[: lengths[index]]
        out = (row - real.mean()) / np.sqrt(real.var() + 1e-7)
        out[len(real) :] = padding_value
        made.append(out)
    return made


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0 or isinstance(value, Mapping)


def _is_torch(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) else value
    return type(first).__module__.startswith("torch")


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _rounded(length: int, multiple: int | None) -> int:
    return length if not multiple else -(-length // multiple) * multiple
