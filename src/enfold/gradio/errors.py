"""What a function says to the visitor: errors that stop it, and notes beside its result."""

from __future__ import annotations

from typing import Any

from enfold.errors import EnfoldError

__all__ = ["Error", "GradioError", "Info", "Success", "Warning"]


class GradioError(EnfoldError, ValueError):
    """A demo is put together in a way that cannot work: its text says what and where."""


class Error(Exception):
    """Raised inside an event function, shows the visitor a message instead of a result.

    Args:
        message: plain text.
        duration: seconds the message stays; None until it is closed.
        visible: whether the page shows it at all.
        title: the line above the message.
        print_exception: whether the server's log gets the traceback.

    Example:
        >>> raise Error("The file is empty")
        Traceback (most recent call last):
            ...
        enfold.gradio.errors.Error: 'The file is empty'
    """

    def __init__(
        self,
        message: str = "Error raised.",
        duration: float | None = 10,
        visible: bool = True,
        title: str = "Error",
        print_exception: bool = True,
    ) -> None:
        super().__init__(message)
        self.message, self.duration, self.visible, self.title = str(message), duration, visible, title
        self.print_exception = print_exception

    def __str__(self) -> str:
        return repr(self.message)

    def payload(self) -> dict[str, Any]:
        """What travels as ``output`` of the failed event: exactly the keys that clients know."""
        return {"error": self.message, "duration": self.duration, "visible": self.visible, "title": self.title}


def Info(message: str = "Info issued.", duration: float | None = 10, visible: bool = True, title: str = "Info") -> None:
    """Show the visitor a note while the function goes on; outside an event it goes to the log.

    Args:
        message: plain text.
        duration: seconds it stays; None until it is closed.
        visible: whether the page shows it.
        title: the line above it.
    """
    _note("info", message, duration, visible, title)


def Warning(
    message: str = "Warning issued.", duration: float | None = 10, visible: bool = True, title: str = "Warning"
) -> None:
    """Show the visitor a warning while the function goes on; arguments as for :func:`Info`."""
    _note("warning", message, duration, visible, title)


def Success(
    message: str = "Success.", duration: float | None = 10, visible: bool = True, title: str = "Success"
) -> None:
    """Show the visitor that something worked while the function goes on; arguments as for :func:`Info`."""
    _note("success", message, duration, visible, title)


def _note(level: str, message: str, duration: float | None, visible: bool, title: str) -> None:
    from enfold.gradio.jobs import current_job

    job = current_job.get()
    if job is None:
        from enfold.log import get_logger

        log = get_logger(__name__)
        (log.warning if level == "warning" else log.info)("%s: %s", title, message)
        return
    job.post_soon(
        {"msg": "log", "log": str(message), "level": level, "duration": duration, "visible": visible, "title": title}
    )
