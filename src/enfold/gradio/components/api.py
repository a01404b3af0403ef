"""What stands for a parameter or a result of a function that only clients call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.gradio.components.base import Component

__all__ = ["Api"]


class Api(Component):
    """Any value that its JSON Schema allows; nothing of it is seen on the page.

    Args:
        value: the default.
        _api_info: the schema.
        label: what clients are told of it.

    Example:
        >>> Api(3, {"type": "integer"}, "1st").api_info()
        {'type': 'integer'}
    """

    type_name = "api"
    lists_buttons = False
    COMMON: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, value: Any = None, _api_info: dict[str, Any] | None = None, label: str = "API") -> None:
        self._settle()

    def api_info(self) -> dict[str, Any]:
        return self.__dict__["_api_info"] or {}

    def example_payload(self) -> Any:
        return "..." if self.value is None else self.value
