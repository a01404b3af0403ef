"""``debug``: watch a training's numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from torch import nn

from enfold.log import get_logger
from enfold.transformers.debug_utils import DebugOption, DebugUnderflowOverflow

__all__ = ["watched"]

logger = get_logger(__name__)


@contextlib.contextmanager
def watched(model: nn.Module, options: Iterable[str]) -> Iterator[None]:
    """Watch a model while it trains, as the options ask for.

    Args:
        model: the model that trains.
        options: of :class:`~enfold.transformers.debug_utils.DebugOption`.
    """
    chosen = list(options)
    if DebugOption.TPU_METRICS_DEBUG in chosen:
        logger.warning("debug='tpu_metrics_debug' has no effect: this is no TPU")
    watch = DebugUnderflowOverflow(model) if DebugOption.UNDERFLOW_OVERFLOW in chosen else None
    try:
        yield
    finally:
        if watch is not None:
            watch.remove()
