"""State: a value that stays on the server, one for each visitor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from enfold.gradio.components.base import Component
from enfold.gradio.errors import GradioError
from enfold.gradio.events import Event

__all__ = ["State"]


class State(Component):
    """A Python value that functions receive and return, never sent to the page; every visitor has a copy.

    Args:
        value: what each visitor begins with; it must be possible to copy it.
        render: False to place it later.
        time_to_live: seconds after which a value that is not touched is dropped; None for the session's life.
        delete_callback: called with the value when it is dropped.

    Raises:
        GradioError: the value cannot be copied.
    """

    type_name = "state"
    change = Event("always_last")
    COMMON: ClassVar[Mapping[str, Any]] = {}
    HIDDEN: ClassVar[frozenset[str]] = frozenset({"render", "value", "time_to_live", "delete_callback"})

    def __init__(
        self,
        value: Any = None,
        render: bool = True,
        *,
        time_to_live: float | None = None,
        delete_callback: Callable[[Any], None] | None = None,
    ) -> None:
        self.initial = value
        self.value = None
        try:
            copy.deepcopy(value)
        except Exception as error:
            raise GradioError(f"State needs a value that can be copied for each visitor: {error}") from error
        self._settle()

    @property
    def skip_api(self) -> bool:
        return True

    def fresh(self) -> Any:
        """A copy of the initial value, for a new visitor."""
        return copy.deepcopy(self.initial() if callable(self.initial) else self.initial)
