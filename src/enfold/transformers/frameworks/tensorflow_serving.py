"""SavedModels of our models: what they take, and what they answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.tensorflow_training import TrainingMixin

__all__ = ["ServingMixin"]


class ServingMixin(TrainingMixin):
    """What ``tf.saved_model`` and TensorFlow Serving ask a model."""

    config: Any
    variables_of: dict[str, Any]

    @property
    def dummy_inputs(self) -> dict[str, Any]:
        """A small batch that the model accepts."""
        return {
            name: tf.ones([2 if one is None and at == 0 else one or 8 for at, one in enumerate(spec.shape)], spec.dtype)
            for name, spec in self.input_signature.items()
        }

    @property
    def input_signature(self) -> dict[str, Any]:
        """What a saved model takes: name → ``tf.TensorSpec``."""
        main, config = self.main_input_name, self.config
        known = self._arguments
        words = tf.TensorSpec([None, None], tf.int32)
        found: dict[str, Any] = {}
        if main == "input_ids" or "input_ids" in known:
            choices = [None, None, None] if "MultipleChoice" in type(self).__name__ else [None, None]
            found["input_ids"] = tf.TensorSpec(choices, tf.int32)
            if "attention_mask" in known:
                found["attention_mask"] = tf.TensorSpec(choices, tf.int32)
        if "pixel_values" in known:
            vision = getattr(config, "vision_config", config)
            side = getattr(vision, "image_size", 224)
            high, wide = (side, side) if isinstance(side, int) else side
            found["pixel_values"] = tf.TensorSpec([None, getattr(vision, "num_channels", 3), high, wide], tf.float32)
        if main == "input_values":
            found["input_values"] = tf.TensorSpec([None, None], tf.float32)
        if main == "input_features":
            frames = 2 * getattr(config, "max_source_positions", 1500)
            found["input_features"] = tf.TensorSpec([None, config.num_mel_bins, frames], tf.float32)
        if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in known:
            found["decoder_input_ids"] = words
        return found

    def serving(self, inputs: Mapping[str, Any] | None = None) -> Any:
        """Return the function that a saved model serves.

        Args:
            inputs: name → ``tf.TensorSpec``; by default ``input_signature``.
        """
        wanted = self.input_signature if inputs is None else inputs
        signature = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in wanted.items()}

        def serve(given: dict[str, Any]) -> dict[str, Any]:
            return _flat(self.call({name: tf.convert_to_tensor(value) for name, value in given.items()}))

        return tf.function(serve, input_signature=[signature], autograph=False)

    @property
    def _default_save_signature(self) -> Any:  # what ``tf.saved_model.save(model, folder)`` looks for
        return self.serving()

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        """What TensorFlow's own savers find below a model: Keras' parts, and every variable under torch's name."""
        found = super()._trackable_children(save_type, **kwargs)
        return {**found, **{name: variable.value for name, variable in self.variables_of.items()}}

    def export(self, filepath: str | os.PathLike[str], format: str = "tf_saved_model", **options: Any) -> None:
        """Write a SavedModel that TensorFlow serves without this package.

        Args:
            filepath: a folder.
            format: ``"tf_saved_model"``; others are left to Keras.
            options: ``input_signature``, name → ``tf.TensorSpec``.
        """
        if format != "tf_saved_model":
            return super().export(filepath, format=format, **options)
        holder = tf.Module()
        holder.weights = [variable.value for variable in self.variables_of.values()]
        holder.serve = self.serving(options.get("input_signature"))
        tf.saved_model.save(holder, os.fspath(filepath), signatures={"serving_default": holder.serve})


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors by name; of a field with several, ``name_0`` and so on."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, tuple | list):
            found.update(_flat({f"{name}_{at}": one for at, one in enumerate(value)}))
        elif isinstance(value, Mapping):
            found.update(_flat({f"{name}_{key}": one for key, one in value.items()}))
        elif value is not None:
            found[name] = tf.convert_to_tensor(value)
    return found
