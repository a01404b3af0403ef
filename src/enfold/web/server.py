"""Run an ASGI application in a background thread of this process, on an address that is ready when the call returns."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Any

from enfold.errors import EnfoldError, MissingExtra

__all__ = ["BackgroundServer"]


class BackgroundServer:
    """Serve an ASGI application from a daemon thread until :meth:`stop`.

    Args:
        app: the ASGI application.
        host: the address to bind; the loopback address by default.
        port: the port, or 0 for any free one.
        options: further options of ``uvicorn.Config``.

    Raises:
        EnfoldError: the port is taken, or the application failed while starting.
        MissingExtra: uvicorn is not installed.

    Example:
        >>> async def app(scope, receive, send): ...
        >>> with BackgroundServer(app) as server:  # doctest: +SKIP
        ...     print(server.url)
        http://127.0.0.1:41753
    """

    def __init__(self, app: Any, *, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        try:
            import uvicorn
        except ImportError:
            raise MissingExtra("serving over HTTP", "server") from None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named because asyncio turns Nagle's delay off (40 ms an answer) only where it is.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise EnfoldError(f"cannot serve on {host}:{port}: {error.strerror}") from None
        self.host, self.port = host, self._socket.getsockname()[1]
        settings: dict[str, Any] = {
            "log_level": "warning",
            "access_log": False,
            "timeout_graceful_shutdown": 2,
            "http": _protocol(),
            **options,
        }
        self._server = uvicorn.Server(uvicorn.Config(app, **settings))
        # Waited for in place of the thread: a join that Ctrl-C interrupts takes the thread for ended (bpo-45274).
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"enfold-server-{self.port}", daemon=True)
        self._thread.start()
        while not self._server.started:
            if self._ended.is_set():
                self._socket.close()
                raise EnfoldError(f"the server on {host}:{self.port} stopped while starting; its log says why")
            time.sleep(0.002)

    @property
    def url(self) -> str:
        """The address clients use, without a trailing slash."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server still answers."""
        return not self._ended.is_set()

    def stop(self, timeout: float = 10) -> None:
        """Finish the running requests (two seconds at most) and close the address; a second call does nothing.

        Args:
            timeout: seconds to wait for the thread; more than the option ``timeout_graceful_shutdown``.
        """
        self._server.should_exit = True
        self._ended.wait(timeout)
        self._socket.close()

    def wait(self) -> None:
        """Block until the server stops; Ctrl-C reaches the caller."""
        while not self._ended.wait(0.5):
            pass

    def __enter__(self) -> BackgroundServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        import asyncio

        # Not Server.run: that one takes the process's signals, which belong to the program around us.
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._ended.set()


def _protocol() -> Any:
    """Return the HTTP that sends files without copying them, where httptools is installed."""
    try:
        from enfold.web.heads import ShortHeads
    except ImportError:
        return "auto"
    return ShortHeads
