"""A checkpoint just in time: what a machine's notice of shutdown (SIGTERM) turns into."""

from __future__ import annotations

import signal
import threading
from typing import Any

from enfold.log import get_logger
from enfold.transformers.trainer.callbacks import TrainerCallback

__all__ = ["JitCheckpointCallback"]

logger = get_logger(__name__)


class JitCheckpointCallback(TrainerCallback):
    """On SIGTERM, writes a checkpoint after the step that runs and stops the training."""

    def __init__(self) -> None:
        self.noticed = False
        self._before: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Listen for the notice; only the main thread of a process can."""
        self.noticed = False
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._notice)

    def _notice(self, number: int, frame: Any) -> None:
        logger.warning("SIGTERM: the training stops with a checkpoint after this step")
        self.noticed = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Save and stop, if there was a notice."""
        if self.noticed:
            control.should_save = control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Listen no more."""
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None
