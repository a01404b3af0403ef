"""The ASGI application of a server, and how a module adds routes to it.

A module of routes has one function, ``routes(service) -> list[starlette.routing.Route]``, and is named in ``PARTS``;
``create_app`` calls it. What a route needs is in the :class:`~enfold.serving.service.Service` that it was given:

- ``service.find(name, kind)`` → the model, or a 404 that names the nearest; ``service.models`` has all by name.
- ``service.limits`` → how much is accepted; a body is read by ``await body_of(request, service)`` (413 beyond it).
- ``service.metrics`` → what is counted; requests and their seconds are counted here, for every route.
- The caller's key has been checked, and its open requests counted, before a route is called. Paths in ``OPEN`` ask for
  none; a module may name more in ``OPEN_PATHS``, and a route whose ``opened`` is true looks after its callers itself.

A route raises :class:`~enfold.serving.errors.ServingError` (message, status, ``param``, ``code``); it becomes OpenAI's
shape, ``{"error": {"message", "type", "param", "code"}}``, under ``/v1`` and TGI's, ``{"error", "error_type"}``,
elsewhere. Any other exception becomes a 500 of the same shape that says nothing of its text, which goes to the log.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from enfold.log import get_logger
from enfold.serving.errors import ServingError, openai_shape, tgi_shape
from enfold.serving.metrics import Counter, gauge
from enfold.serving.service import Service
from enfold.web.limits import BodyTooLarge, read_json

__all__ = ["body_of", "create_app"]

logger = get_logger(__name__)

OPEN = {"/health", "/ping"}
"""Paths that ask for no key."""

PARTS = ("chat", "completions", "responses", "tgi", "encoders", "page")
"""Modules with ``routes(service)``, in the order in which they are asked."""


async def body_of(request: Request, service: Service) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        ServingError: 413 for more bytes than are accepted, 400 for anything but a JSON object.
    """
    try:
        body = await read_json(request, service.limits.body)
    except BodyTooLarge as error:
        raise ServingError(str(error), 413) from None
    except ValueError as error:
        raise ServingError(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ServingError(f"the body must be a JSON object, not {type(body).__name__}")
    return body


def create_app(service: Service) -> ASGIApp:
    """Return the application that serves ``service``; its models start and stop with it."""
    routes = [*_about(service)]
    opened = set(OPEN)
    for name in PARTS:
        module = f"{__package__}.{name}"
        if importlib.util.find_spec(module) is None:
            continue
        part: Any = importlib.import_module(module)
        routes += part.routes(service)
        opened |= set(getattr(part, "OPEN_PATHS", ()))

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        for model in service.models.values():
            model.start()
        try:
            yield
        finally:
            for model in service.models.values():
                model.stop()

    return Door(Router(routes, lifespan=lifespan), service, routes, opened)


class Door:
    """What stands before every route: the key, the count of what is open, errors in the client's shape, and numbers.

    Args:
        app: behind it.
        service: whose keys and numbers they are.
        routes: of the application; their paths name the numbers.
        opened: paths that ask for no key.
    """

    def __init__(self, app: ASGIApp, service: Service, routes: list[Route], opened: set[str]) -> None:
        self.app, self.service, self.routes, self.opened = app, service, routes, opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499  # what nginx calls a client that went away
        number = f"req_{secrets.token_hex(12)}"
        scope["app"] = self.app  # with it the router raises what it does not find
        scope.setdefault("state", {})["request_id"] = number

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((b"x-request-id", number.encode()))
            await send(message)

        path = scope["path"]
        try:
            owner = self._owner(scope)
            with contextlib.nullcontext() if scope["method"] != "POST" else self.service.keys.holding(owner):
                await self._answer(scope, receive, told)
        except ServingError as error:
            await refusal(path, error)(scope, receive, told)
        finally:
            name = self._name(scope)
            self.service.metrics.requests.add(1, scope["method"], name, str(status))
            self.service.metrics.seconds.add(time.perf_counter() - began, name)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watching(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watching)
        except ClientDisconnect:
            return
        except Exception as error:
            if begun:
                logger.exception("an answer broke off")
                raise
            await refusal(scope["path"], _as_serving(error))(scope, receive, send)

    def _owner(self, scope: Scope) -> str:
        headers = dict(scope["headers"])
        client = scope.get("client") or ("", 0)
        if not self.service.keys.required:
            return f"address {client[0]}"
        shown = headers.get(b"authorization", b"").decode("latin-1")
        owner = self.service.keys.owner(shown or f"Bearer {headers.get(b'x-api-key', b'').decode('latin-1')}")
        if owner is not None:
            return owner
        if scope["path"] in self.opened or getattr(self._route(scope), "opened", False):
            return f"address {client[0]}"
        what = "is not one of this server's" if shown else "is missing: send the header `Authorization: Bearer KEY`"
        raise ServingError(f"the API key {what}", 401, code="invalid_api_key")

    def _route(self, scope: Scope) -> Any:
        """Return the route that a request is for, or one of its path for another method, or None."""
        found = [(route.matches(scope)[0], route) for route in self.routes]
        for wanted in (Match.FULL, Match.PARTIAL):
            for match, route in found:
                if match is wanted:
                    return route
        return None

    def _name(self, scope: Scope) -> str:
        route = self._route(scope)
        return "other" if route is None else str(route.path)


def _as_serving(error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    if isinstance(error, HTTPException):
        told = {404: "nothing is served under this path", 405: "this path takes another method"}
        return ServingError(told.get(error.status_code, error.detail), error.status_code)
    logger.error("a request failed", exc_info=error)
    return ServingError("something went wrong inside the server; its log says what", 500)


def refusal(path: str, error: ServingError) -> Response:
    """Return an error in the shape that clients of a path expect."""
    shape = openai_shape if "/v1/" in f"{path}/" else tgi_shape
    return JSONResponse(shape(error), error.status, headers=error.headers)


def _about(service: Service) -> list[Route]:
    async def health(request: Request) -> Response:
        return Response(status_code=200)

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(numbers(service), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(request: Request) -> Response:
        found = [_card(service, name) for name in service.models]
        return JSONResponse({"object": "list", "data": found})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in service.models:
            service.find(name, next(iter(service.models.values())).kind if service.models else "text")
        return JSONResponse(_card(service, name))

    return [
        Route("/health", health),
        Route("/ping", health),
        Route("/metrics", metrics),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
    ]


def _card(service: Service, name: str) -> dict[str, Any]:
    model = service.models[name]
    return {"id": name, "object": "model", "created": service.created, "owned_by": "enfold", **model.about}


def numbers(service: Service) -> str:
    """Return what is counted, and what the models hold now, in Prometheus' text format."""
    held: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, model in service.models.items():
        for metric, value in model.gauges().items():
            held.setdefault(metric, []).append(({"model": name}, value))
    # What this thread takes is what the event loop takes: asked of it while it answers.
    spent = Counter("process_cpu_seconds_total", "Processor time of the process.")
    front = Counter("enfold_front_cpu_seconds_total", "Processor time of the event loop, which is part of it.")
    spent.add(time.process_time())
    front.add(time.thread_time())
    return (
        service.metrics.lines()
        + spent.lines()
        + front.lines()
        + "".join(
            gauge(f"enfold_{metric}", f"{metric.replace('_', ' ').capitalize()} now.", values)
            for metric, values in held.items()
        )
    )
