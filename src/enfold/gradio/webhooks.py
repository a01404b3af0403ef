"""Functions that a Hub's webhooks call: ``@webhook_endpoint``, and a server of them beside a page."""

from __future__ import annotations

import atexit
import inspect
import os
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from enfold.errors import EnfoldError, MissingExtra
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.gradio.blocks import Blocks

__all__ = ["WebhooksServer", "webhook_endpoint"]

_log = get_logger(__name__)


class WebhooksServer:
    """Serve functions that webhooks call, each under ``/webhooks/NAME``.

    A function is called with what its first argument's annotation asks for: ``WebhookPayload`` (also without an
    annotation), ``dict``, or starlette's ``Request``; what it returns is the answer, as JSON.

    Args:
        ui: a page to show at the address.
        webhook_secret: what callers have to send as ``X-Webhook-Secret``; ``WEBHOOK_SECRET`` by default. Without one,
            anybody who reaches the address may call.

    Example:
        >>> app = WebhooksServer(webhook_secret="s")
        >>> @app.add_webhook
        ... async def retrain(payload):
        ...     return {"model": payload.repo.name}
        >>> app.launch()  # doctest: +SKIP
    """

    def __init__(self, ui: Blocks | None = None, webhook_secret: str | None = None) -> None:
        self._ui = ui
        self.webhook_secret = webhook_secret or os.environ.get("WEBHOOK_SECRET")
        self.registered_webhooks: dict[str, Callable[..., Any]] = {}
        self._server: Any = None

    def add_webhook(self, path: Any = None) -> Callable[..., Any]:
        """Register a function; ``path`` is its name in the address, the function's own by default.

        Raises:
            ValueError: that name is taken.
        """
        if callable(path):
            return self.add_webhook()(path)

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            where = f"/webhooks/{(path or function.__name__).strip('/')}"
            if where in self.registered_webhooks:
                raise ValueError(f"there is a webhook {where} already")
            self.registered_webhooks[where] = function
            return function

        return register

    def create_app(self) -> Any:
        """Return the ASGI application: the functions, and the page."""
        try:
            from starlette.applications import Starlette
            from starlette.routing import Route
        except ImportError:
            raise MissingExtra("a server of webhooks", "server") from None
        routes = [
            Route(where, self._called(function), methods=["POST"])
            for where, function in self.registered_webhooks.items()
        ]
        app = Starlette(routes=routes)
        if self._ui is not None:
            from enfold.gradio.mount import mount_gradio_app

            mount_gradio_app(app, self._ui, path="/")
        return app

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request
        from starlette.responses import JSONResponse

        from enfold.hub.webhook_payloads import WebhookPayload

        first = next(iter(inspect.signature(function).parameters.values()), None)
        wanted = str(getattr(first.annotation, "__name__", first.annotation)) if first is not None else ""

        async def answer(request: Request) -> Any:
            if self.webhook_secret is not None:
                given = request.headers.get("x-webhook-secret")
                if given is None:
                    return JSONResponse({"error": "x-webhook-secret header not set."}, 401)
                if not secrets.compare_digest(given.encode(), self.webhook_secret.encode()):
                    return JSONResponse({"error": "Invalid webhook secret."}, 403)
            arguments: list[Any] = []
            if wanted.endswith("Request"):
                arguments = [request]
            elif first is not None:
                try:
                    said = await request.json()
                    arguments = [said if wanted == "dict" else WebhookPayload.parse_obj_as_instance(said)]
                except ValueError as error:
                    return JSONResponse({"error": f"this is not what a Hub tells: {error}"}, 422)
            if inspect.iscoroutinefunction(function):
                found = await function(*arguments)
            else:
                found = await run_in_threadpool(function, *arguments)
            return JSONResponse(found)

        return answer

    def launch(self, prevent_thread_lock: bool = False, **launch_kwargs: Any) -> None:
        """Serve, until Ctrl-C unless ``prevent_thread_lock``.

        Args:
            prevent_thread_lock: return at once and serve in the background.
            launch_kwargs: ``server_name`` and ``server_port``, as for ``launch`` of a page.
        """
        from enfold.gradio.launch import serve_on

        if not self.registered_webhooks:
            raise EnfoldError("no webhook is registered: decorate a function with add_webhook first")
        host = launch_kwargs.get("server_name") or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
        self._server = serve_on(self.create_app(), host, launch_kwargs.get("server_port"), {})
        #: where it is served
        self.local_url = self._server.url
        if self.webhook_secret is None:
            _log.warning("no webhook_secret: anybody who reaches %s may call its webhooks", self.local_url)
        print("\n".join(f"POST {self.local_url}{where}" for where in self.registered_webhooks), flush=True)
        if not prevent_thread_lock:
            self._server.wait()

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()


_shared: WebhooksServer | None = None


def webhook_endpoint(path: Any = None) -> Callable[..., Any]:
    """Register a function as a webhook of a server that starts when the program ends, or by ``function.launch()``.

    Example:
        >>> @webhook_endpoint  # doctest: +SKIP
        ... async def retrain(payload: WebhookPayload): ...
    """
    if callable(path):
        return webhook_endpoint()(path)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        global _shared
        if _shared is None:
            _shared = WebhooksServer()
            atexit.register(_shared.launch)
        server = _shared
        server.add_webhook(path)(function)

        def launch(**options: Any) -> None:
            atexit.unregister(server.launch)
            server.launch(**options)

        function.launch = launch  # type: ignore[attr-defined]
        return function

    return register
