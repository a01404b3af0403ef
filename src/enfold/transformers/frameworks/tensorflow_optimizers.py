"""The optimizer that TensorFlow's examples make: Adam with decoupled decay, a rate that warms up and falls."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

__all__ = ["AdamWeightDecay", "WarmUp", "create_optimizer"]

# What is not drawn towards zero, as regular expressions.
_KEPT = ("LayerNorm", "layer_norm", "bias")


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that grows over the first steps and then follows another schedule.

    Args:
        initial_learning_rate: the rate at the end of the warm-up.
        decay_schedule_fn: step after the warm-up → rate.
        warmup_steps: steps of the warm-up.
        power: 1 grows in a line.
        name: of the operations.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_schedule_fn: Callable[[Any], Any],
        warmup_steps: int,
        power: float = 1.0,
        name: str | None = None,
    ) -> None:
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.warmup_steps = warmup_steps
        self.power = power
        self.decay_schedule_fn = decay_schedule_fn
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = tf.cast(step, tf.float32)
        steps = tf.cast(self.warmup_steps, tf.float32)
        growing = self.initial_learning_rate * (step / tf.maximum(steps, 1.0)) ** self.power
        return tf.where(step < steps, growing, tf.cast(self.decay_schedule_fn(step - steps), tf.float32))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("initial_learning_rate", "decay_schedule_fn", "warmup_steps", "power", "name")
        return {name: getattr(self, name) for name in names}


class AdamWeightDecay(keras.optimizers.AdamW):
    """Adam whose decay of weights does not pass through its moments (https://arxiv.org/abs/1711.05101).

    Args:
        learning_rate: a number or a schedule.
        beta_1, beta_2, epsilon, amsgrad: of Adam.
        weight_decay_rate: share of a weight, times the rate, that it loses in a step.
        include_in_weight_decay: regular expressions of names that always decay; they win over the next.
        exclude_from_weight_decay: regular expressions of names that never do; by default none.
        name: of the optimizer.
        kwargs: ``clipnorm``, ``global_clipnorm``, ``clipvalue`` and others of Keras.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay_rate: float = 0.0,
        include_in_weight_decay: Sequence[str] | None = None,
        exclude_from_weight_decay: Sequence[str] | None = None,
        name: str = "AdamWeightDecay",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay=weight_decay_rate or None,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            name=name,
            **kwargs,
        )
        self.weight_decay_rate = weight_decay_rate
        self._always = list(include_in_weight_decay or [])
        self._never = list(exclude_from_weight_decay or [])

    def _use_weight_decay(self, variable: Any) -> bool:
        name = getattr(variable, "path", variable.name)
        if any(re.search(form, name) for form in self._always):
            return True
        return not any(re.search(form, name) for form in self._never)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        config = {name: value for name, value in super().get_config().items() if name != "weight_decay"}
        return {
            **config,
            "weight_decay_rate": self.weight_decay_rate,
            "include_in_weight_decay": list(self._always),
            "exclude_from_weight_decay": list(self._never),
        }


def create_optimizer(
    init_lr: float,
    num_train_steps: int,
    num_warmup_steps: int,
    min_lr_ratio: float = 0.0,
    adam_beta1: float = 0.9,
    adam_beta2: float = 0.999,
    adam_epsilon: float = 1e-8,
    adam_clipnorm: float | None = None,
    adam_global_clipnorm: float | None = None,
    weight_decay_rate: float = 0.0,
    power: float = 1.0,
    include_in_weight_decay: Sequence[str] | None = None,
) -> tuple[Any, Any]:
    """Return an optimizer and the schedule of its rate: a warm-up from zero, then a fall.

    Args:
        init_lr: the highest rate.
        num_train_steps: steps in all.
        num_warmup_steps: steps of the warm-up.
        min_lr_ratio: the last rate, as a share of the highest.
        adam_beta1, adam_beta2, adam_epsilon: of Adam.
        adam_clipnorm, adam_global_clipnorm: greatest length of each gradient, and of all together.
        weight_decay_rate: 0 gives Keras' Adam; more gives :class:`AdamWeightDecay` that spares norms and biases.
        power: of the fall; 1 is a line.
        include_in_weight_decay: names that decay nevertheless.
    """
    schedule: Any = keras.optimizers.schedules.PolynomialDecay(
        init_lr, max(num_train_steps - num_warmup_steps, 1), end_learning_rate=init_lr * min_lr_ratio, power=power
    )
    if num_warmup_steps:
        schedule = WarmUp(init_lr, schedule, num_warmup_steps)
    options: dict[str, Any] = {
        "beta_1": adam_beta1,
        "beta_2": adam_beta2,
        "epsilon": adam_epsilon,
        "clipnorm": adam_clipnorm,
        "global_clipnorm": adam_global_clipnorm,
    }
    if not weight_decay_rate:
        return keras.optimizers.Adam(schedule, **options), schedule
    optimizer = AdamWeightDecay(
        schedule,
        weight_decay_rate=weight_decay_rate,
        include_in_weight_decay=include_in_weight_decay,
        exclude_from_weight_decay=_KEPT,
        **options,
    )
    return optimizer, schedule
