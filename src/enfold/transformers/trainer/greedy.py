"""A learning rate that follows a metric: up while it improves, down while it does not."""

from __future__ import annotations

import collections
import math
from typing import Any

from torch.optim import Optimizer

__all__ = ["GreedyLR", "StreamingAverage", "get_greedy_schedule"]


class StreamingAverage:
    """The mean of the last values.

    Args:
        window_size: how many values count.

    Example:
        >>> mean = StreamingAverage(2)
        >>> [mean.streamavg(value) for value in (1.0, 3.0, 5.0)]
        [1.0, 2.0, 4.0]
    """

    def __init__(self, window_size: int) -> None:
        self.window_size = window_size
        self.values: collections.deque[float] = collections.deque(maxlen=window_size)

    def streamavg(self, value: float) -> float:
        """Add a value and return the mean."""
        self.values.append(value)
        return sum(self.values) / len(self.values)

    def state_dict(self) -> dict[str, Any]:
        """Return the values and their sum."""
        return {"window_size": self.window_size, "values": list(self.values), "sum": sum(self.values)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.window_size = state_dict.get("window_size", self.window_size)
        self.values = collections.deque(state_dict.get("values", ()), maxlen=self.window_size)


class GreedyLR:
    """Divides the rate by ``factor`` after more than ``patience`` improvements in a row, multiplies it after as many
    steps without one.

    Args:
        optimizer: whose rates are set.
        mode: ``"min"`` or ``"max"``: what an improvement of the metric is.
        factor: below 1.
        patience: steps in a row that change nothing yet.
        threshold, threshold_mode: smallest improvement that counts, ``"abs"`` or relative (``"rel"``).
        cooldown, warmup: steps that do not count after the rate was lowered, and after it was raised.
        min_lr, max_lr: bounds of the rate, one for all groups or one each.
        eps: smallest change of the rate.
        verbose: print changes.
        smooth, window_size: follow the mean of the last values instead of each.
        reset_start: lowerings at ``min_lr`` after which everything begins anew.

    Source: https://arxiv.org/abs/2512.14527
    """

    # What a checkpoint holds, under the ecosystem's names.
    _KEPT = (
        "factor min_lrs max_lrs patience verbose cooldown warmup cooldown_counter warmup_counter mode threshold "
        "threshold_mode best num_bad_epochs num_good_epochs eps last_epoch smooth window_size reset_start "
        "reset_start_original _last_lr _init_lrs"
    ).split()

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.95,
        patience: int = 10,
        threshold: float = 1e-6,
        threshold_mode: str = "abs",
        cooldown: int = 0,
        warmup: int = 0,
        min_lr: float | list[float] = 1e-3,
        max_lr: float | list[float] = 1.0,
        eps: float = 1e-8,
        verbose: bool = False,
        smooth: bool = False,
        window_size: int = 50,
        reset_start: int = 500,
    ) -> None:
        if factor >= 1.0:
            raise ValueError(f"GreedyLR's factor must be below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"GreedyLR's mode is 'min' or 'max' and its threshold_mode 'rel' or 'abs', got {mode!r} and "
                f"{threshold_mode!r}"
            )
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.eps, self.verbose = threshold, threshold_mode, eps, verbose
        self.cooldown, self.warmup, self.smooth, self.window_size = cooldown, warmup, smooth, window_size
        self.min_lrs, self.max_lrs = self._of_groups("min_lr", min_lr), self._of_groups("max_lr", max_lr)
        self._init_lrs = [group["lr"] for group in optimizer.param_groups]
        self._last_lr = list(self._init_lrs)
        self.reset_start = self.reset_start_original = reset_start
        self.last_epoch = 0
        self._begin()

    def _of_groups(self, name: str, value: float | list[float]) -> list[float]:
        groups = len(self.optimizer.param_groups)
        if not isinstance(value, (list, tuple)):
            return [value] * groups
        if len(value) != groups:
            raise ValueError(f"{name} must be one number or one for each of {groups} groups, got {len(value)}")
        return list(value)

    def _begin(self) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs = self.num_good_epochs = self.cooldown_counter = self.warmup_counter = 0
        self._streaming_avg = StreamingAverage(self.window_size) if self.smooth else None

    def is_better(self, current: float, best: float) -> bool:
        """Return whether ``current`` improves on ``best``."""
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * current > sign * best * (1 + sign * self.threshold)
        return sign * current > sign * best + self.threshold

    def step(self, metrics: float, epoch: int | None = None) -> None:
        """Take note of the metric and set the rates."""
        current = float(metrics)
        if self._streaming_avg is not None:
            current = self._streaming_avg.streamavg(current)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.cooldown_counter or self.warmup_counter:
            if self.cooldown_counter:
                self.cooldown_counter -= 1
            else:
                self.warmup_counter -= 1
            self.num_bad_epochs = self.num_good_epochs = 0
        elif self.is_better(current, self.best):
            self.best = current
            self.num_bad_epochs, self.num_good_epochs = 0, self.num_good_epochs + 1
        else:
            self.num_bad_epochs, self.num_good_epochs = self.num_bad_epochs + 1, 0
        if self.num_good_epochs > self.patience:
            self._set([min(lr / self.factor, most) for lr, most in zip(self._rates(), self.max_lrs, strict=True)])
            self.reset_start = self.reset_start_original
            self.warmup_counter, self.num_good_epochs = self.warmup, 0
        elif self.num_bad_epochs > self.patience:
            self._set([max(lr * self.factor, least) for lr, least in zip(self._rates(), self.min_lrs, strict=True)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            if all(lr <= least for lr, least in zip(self._rates(), self.min_lrs, strict=True)):
                self.reset_start -= 1
                if self.reset_start <= 0:
                    self._reset()
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _set(self, rates: list[float]) -> None:
        for index, (group, rate) in enumerate(zip(self.optimizer.param_groups, rates, strict=True)):
            if abs(rate - float(group["lr"])) > self.eps:
                group["lr"] = rate
                if self.verbose:
                    print(f"Epoch {self.last_epoch}: learning rate of group {index} is now {rate:.4e}")

    def _reset(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._init_lrs, strict=True):
            group["lr"] = rate
        self._begin()
        self.reset_start = self.reset_start_original

    def get_last_lr(self) -> list[float]:
        """Return the rates as the last step left them."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything that :meth:`load_state_dict` needs."""
        state = {name: getattr(self, name) for name in self._KEPT}
        if self._streaming_avg is not None:
            state["_streaming_avg"] = self._streaming_avg.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned; the optimizer gets its rates back."""
        for name in self._KEPT:
            setattr(self, name, state_dict.get(name, getattr(self, name)))
        if "_streaming_avg" in state_dict:
            self._streaming_avg = StreamingAverage(self.window_size)
            self._streaming_avg.load_state_dict(state_dict["_streaming_avg"])
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


def get_greedy_schedule(optimizer: Optimizer, **kwargs: Any) -> GreedyLR:
    """Return a :class:`GreedyLR`; keyword arguments are its own."""
    return GreedyLR(optimizer, **kwargs)
