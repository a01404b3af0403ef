"""Time: a clock that ticks, and a moment to choose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from enfold.gradio.components.base import Common, Component, FormComponent, common
from enfold.gradio.components.image import check_kind
from enfold.gradio.events import Event

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["DateTime", "Timer"]

_NOW = re.compile(r"\s*now\s*(?:-\s*(\d{1,9})\s*([dhms])\s*)?")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


class Timer(Component):
    """Something unseen that ticks; attach functions to its ``tick``.

    Args:
        value: seconds between two ticks.
        active: whether it ticks.
        render: False to place it later.
    """

    type_name = "timer"
    COMMON: ClassVar[Mapping[str, Any]] = {}
    change = Event("always_last")
    tick = Event()

    def __init__(self, value: float = 1, *, active: bool = True, render: bool = True) -> None:
        self._settle()

    def api_info(self) -> dict[str, Any]:
        return {"type": "number"}

    def example_payload(self) -> Any:
        return 1


class DateTime(FormComponent):
    """A day, or a moment, in a field with a calendar.

    Args:
        value: seconds since 1970, a ``datetime`` or a text to begin with, or a function that gives one.
        include_time: whether it has a time of day.
        type: what the function receives: a "timestamp" in seconds, a "datetime" or a "string".
        timezone: the name of the time zone it is meant in, such as "Europe/Berlin"; the server's when None.
        common: see :class:`~enfold.gradio.components.base.Common`.

    Example:
        >>> DateTime(type="string").preprocess("2026-01-31 10:00:00")
        '2026-01-31 10:00:00'
    """

    type_name = "datetime"
    COMMON: ClassVar[Mapping[str, Any]] = common("container", "inputs")
    change = Event("always_last")
    submit = Event()

    def __init__(
        self,
        value: float | str | datetime | Callable[[], Any] | None = None,
        *,
        include_time: bool = True,
        type: Literal["timestamp", "datetime", "string"] = "timestamp",
        timezone: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        check_kind(self, ("timestamp", "datetime", "string"))
        self._settle()

    @property
    def _format(self) -> str:
        return "%Y-%m-%d %H:%M:%S" if self.include_time else "%Y-%m-%d"

    @property
    def _zone(self) -> ZoneInfo | None:
        return ZoneInfo(self.timezone) if self.timezone else None

    def preprocess(self, payload: Any) -> Any:
        if payload is None or not str(payload).strip():
            return None
        text = str(payload)
        if self.type == "string" and "now" not in text:
            return text
        moment = self._moment(text)
        if self.type == "string":
            return moment.strftime(self._format)
        return moment if self.type == "datetime" else moment.timestamp()

    def _moment(self, text: str) -> datetime:
        if "now" in text:
            match = _NOW.fullmatch(text)
            if match is None:
                raise self.refuse("'now' may be followed by a span such as '- 5m' (d, h, m or s)")
            return datetime.now(self._zone) - timedelta(**{_UNITS[match[2] or "s"]: int(match[1] or 0)})
        try:
            return datetime.strptime(text.strip(), self._format).replace(tzinfo=self._zone)
        except ValueError:
            raise self.refuse(f"{text[:40]!r} is not a moment like {datetime(2026, 1, 31):{self._format}}") from None

    def postprocess(self, value: Any) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if not isinstance(value, datetime):
            value = datetime.fromtimestamp(value, self._zone)
        return str(value.strftime(self._format))

    def api_info(self) -> dict[str, Any]:
        return {"type": "string", "description": f"Formatted as YYYY-MM-DD{' HH:MM:SS' if self.include_time else ''}"}

    def example_payload(self) -> str:
        return "2020-10-01 05:20:15"
