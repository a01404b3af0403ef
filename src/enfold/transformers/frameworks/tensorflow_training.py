"""How Keras trains our models: with the model's own loss where ``compile`` names none, and with yours where it does."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from enfold.errors import EnfoldError

__all__ = ["IGNORED", "TrainingMixin", "label_names"]

# Arguments of torch's models that have no meaning here.
IGNORED = ("use_cache", "past_key_values", "cache_position")


def label_names(arguments: list[str]) -> list[str]:
    """Return which of a model's arguments are what it should say.

    Example:
        >>> label_names(["input_ids", "labels", "start_positions"])
        ['labels', 'start_positions']
    """
    return [name for name in arguments if "label" in name or name in ("start_positions", "end_positions")]


class TrainingMixin(keras.Model):
    """Steps of ``fit``, ``evaluate`` and ``predict`` for models that take dictionaries and compute their own loss."""

    torch_class: ClassVar[Any] = None
    main_input_name: ClassVar[str] = "input_ids"

    @property
    def _arguments(self) -> list[str]:
        names = inspect.signature(self.torch_class.forward).parameters
        return [name for name in names if name not in ("self", "kwargs", "_", "__", *IGNORED)]

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **options: Any) -> None:
        """Say how to train; as ``keras.Model.compile``. Without a loss the model's own is used."""
        if loss is None:  # Keras would keep one that was given before
            self._compile_loss = self.loss = None
        super().compile(optimizer, loss=loss, **options)

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train; as ``keras.Model.fit``. A batch is a dictionary (``BatchEncoding``) with the labels in it, or a pair
        of inputs and labels. Without a loss given to ``compile`` the model's own is used."""
        return super().fit(_plain(x), *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and metrics; as ``keras.Model.evaluate``, with batches as ``fit`` takes them."""
        return super().evaluate(_plain(x), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the model's output class with arrays, all batches in one; as ``keras.Model.predict``."""
        return self._output_class(super().predict(_plain(x), *args, **kwargs))

    def prepare_tf_dataset(
        self,
        dataset: Any,
        batch_size: int = 8,
        shuffle: bool = True,
        tokenizer: Any = None,
        collate_fn: Any = None,
        collate_fn_args: Mapping[str, Any] | None = None,
        drop_remainder: bool | None = None,
        prefetch: bool = True,
    ) -> Any:
        """Return a data set's batches for ``fit``: columns that the model takes, labels apart.

        Args:
            dataset: a ``datasets.Dataset``.
            batch_size: rows a batch.
            shuffle: a new order in every epoch.
            tokenizer: pads the rows of a batch; by default rows are alike.
            collate_fn: rows → batch, instead of the tokenizer's padding.
            collate_fn_args: more arguments for it.
            drop_remainder: leave out a last, smaller batch; by default as ``shuffle``.
            prefetch: make the next batch while one is used.

        Returns:
            A ``tf.data.Dataset`` of dictionaries, or of pairs of inputs and labels.

        Raises:
            MissingExtra: TensorFlow is not installed.
            EnfoldError: the data set has no column that the model takes.
        """
        from enfold.transformers.trainer.collators import DataCollatorWithPadding, DefaultDataCollator

        if collate_fn is None:
            made: Any = DefaultDataCollator if tokenizer is None else DataCollatorWithPadding
            collate_fn = made(return_tensors="np") if tokenizer is None else made(tokenizer, return_tensors="np")
        known = self._arguments
        labels = label_names(known)
        kept = [name for name in dataset.column_names if name in known or name in ("label", "label_ids")]
        if not kept:
            raise EnfoldError(f"the data set has no column that the model takes: {dataset.column_names}, {known}")
        dataset = dataset.select_columns(kept)
        first = collate_fn([dataset[at] for at in range(min(len(dataset), 2))], **(collate_fn_args or {}))
        columns = [name for name in first if name in known and name not in labels]
        return dataset.to_tf_dataset(
            batch_size=batch_size,
            columns=columns,
            label_cols=[name for name in first if name in labels],
            shuffle=shuffle,
            collate_fn=_always_named(collate_fn),
            collate_fn_args=dict(collate_fn_args or {}),
            drop_remainder=shuffle if drop_remainder is None else drop_remainder,
            prefetch=prefetch,
        )

    # --- steps

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from one batch; Keras calls it."""
        x, y, weights = self._arranged(data)
        with tf.GradientTape() as tape:
            loss, predicted = self._loss_of(x, y, weights, training=True)
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        return self._measured(x, y, predicted, loss, weights)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure one batch; Keras calls it."""
        x, y, weights = self._arranged(data)
        loss, predicted = self._loss_of(x, y, weights, training=False)
        return self._measured(x, y, predicted, loss, weights)

    def predict_step(self, data: Any) -> dict[str, Any]:
        """Compute one batch; Keras calls it."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        fields = self.call(self._inputs(_named_labels(x, self._arguments), {})[0], training=False)
        return {name: value for name, value in fields.items() if name != "loss"}

    def _arranged(self, data: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """Return a batch as inputs, labels and weights of the rows, inputs and labels by name."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        x, _ = self._inputs(_named_labels(x, self._arguments), {})
        labels = label_names(self._arguments)
        found = {name: x.pop(name) for name in labels if name in x}
        if isinstance(y, Mapping):
            y = _named_labels(y, self._arguments)
            found.update({name: y[name] for name in y})
        elif y is not None:
            if not labels:
                found["labels"] = y
            else:
                found["labels" if "labels" in labels else labels[0]] = y
        return x, found, weights

    def _loss_of(self, x: dict[str, Any], y: dict[str, Any], weights: Any, training: bool) -> tuple[Any, Any]:
        own = self._compile_loss is None
        if own:
            if weights is not None:
                raise EnfoldError("the model's own loss takes no weights of rows: compile() a loss to use them")
            fields = self(**x, **y, training=training)
            if "loss" not in fields:
                raise EnfoldError(
                    f"{type(self).__name__} computed no loss: the batch needs labels "
                    f"({', '.join(label_names(self._arguments)) or 'this model has none'}), or compile() a loss"
                )
            return fields["loss"], fields
        fields = self(**x, training=training)
        target, predicted = _matched(y, fields)
        return self.compute_loss(x, target, predicted, weights, training), fields

    def _measured(self, x: Any, y: dict[str, Any], fields: Any, loss: Any, weights: Any) -> dict[str, Any]:
        rows = tf.shape(next(iter(x.values())))[0]
        self._loss_tracker.update_state(loss, sample_weight=rows)
        target, predicted = _matched(y, fields)
        return self.compute_metrics(x, target, predicted, weights)


def _matched(y: dict[str, Any], fields: Any) -> tuple[Any, Any]:
    """Return labels and what was predicted for them: tensors, or dictionaries where there are several labels."""
    outputs = {name: value for name, value in fields.items() if name != "loss"}
    if len(y) <= 1:
        return next(iter(y.values()), None), next(iter(outputs.values()))
    spoken = {"start_positions": "start_logits", "end_positions": "end_logits", "labels": "prediction_logits"}
    pairs = {name: outputs[spoken[name]] for name in y if spoken.get(name) in outputs}
    return ({name: y[name] for name in pairs}, pairs) if pairs else (y, outputs)


def _named_labels(batch: Any, arguments: list[str]) -> Any:
    """Give ``label`` and ``label_ids`` the name that models take."""
    if not isinstance(batch, Mapping):
        return batch
    return {
        "labels" if name in ("label", "label_ids") and name not in arguments else name: batch[name] for name in batch
    }


def _always_named(collate: Any) -> Any:
    def collated(rows: Any, **options: Any) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in collate(rows, **options).items()}

    return collated


def _plain(x: Any) -> Any:
    """A ``BatchEncoding`` is a dictionary, which Keras knows; its lists become arrays."""
    if hasattr(x, "keys") and hasattr(x, "__getitem__"):
        return {name: np.asarray(x[name]) if isinstance(x[name], list) else x[name] for name in x}
    return x
