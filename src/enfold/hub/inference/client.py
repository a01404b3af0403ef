"""`InferenceClient` and `AsyncInferenceClient`: models behind an address, by one call for each task."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Any

from enfold.hub import http
from enfold.hub.errors import HfHubHTTPError, HubUnreachable, InferenceTimeoutError
from enfold.hub.inference.calls import Call, chat_address, raise_server_error, read_event
from enfold.hub.inference.media import MediaTasks
from enfold.hub.inference.text import TextTasks

__all__ = ["AsyncInferenceClient", "InferenceClient"]

_ROUTER = "https://router.huggingface.co"
# Tasks of models that have several: the address says which.
_SEVERAL = ("feature-extraction", "sentence-similarity")


class _Client(TextTasks, MediaTasks):
    def __init__(
        self,
        model: str | None = None,
        *,
        provider: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
        headers: dict[str, str] | None = None,
        cookies: dict[str, str] | None = None,
        bill_to: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        if model is not None and base_url is not None:
            raise ValueError("model and base_url are two names for the same thing: give one of them")
        if token is not None and api_key is not None:
            raise ValueError("token and api_key are two names for the same thing: give one of them")
        token = token if token is not None else api_key
        if isinstance(token, bool):
            raise TypeError("token is a string or None")
        self.model, self.token, self.timeout = base_url or model, token, timeout
        self.provider = provider or "auto"
        self.headers, self.cookies = dict(headers or {}), cookies
        if bill_to is not None:
            self.headers["X-HF-Bill-To"] = bill_to

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(model={self.model!r}, timeout={self.timeout})>"

    @property
    def chat(self) -> Any:
        """``client.chat.completions.create(…)``, by which OpenAI's client calls :meth:`chat_completion`."""
        return SimpleNamespace(completions=SimpleNamespace(create=self.chat_completion))

    def _address(self, call: Call) -> tuple[str, Any]:
        """Return where a call goes, and its body, which for chats names the model."""
        model, body = call.model or self.model, call.body
        chat = call.task == "conversational"
        if chat and self.model and self.model.startswith(("http://", "https://")):
            model, body = self.model, {"model": call.model or "default", **body}  # a server of several models
        if model is None:
            raise ValueError("which model? Give model=…, its id or the address of a server that runs it")
        if model.startswith(("http://", "https://")):
            return (chat_address(model), {"model": "default", **body}) if chat else (model, body)
        router = (os.environ.get("HF_INFERENCE_ENDPOINT") or _ROUTER).rstrip("/")
        if chat:
            served = model if self.provider in ("auto", "hf-inference") else f"{model}:{self.provider}"
            return f"{router}/v1/chat/completions", {"model": served, **call.body}
        if self.provider not in ("auto", "hf-inference"):
            raise ValueError(
                f"{self.provider!r} takes only chats here; give the address of its server, or provider='hf-inference'"
            )
        tail = f"/pipeline/{call.task}" if call.task in _SEVERAL else ""
        return f"{router}/hf-inference/models/{model}{tail}", call.body

    def _headers(self, call: Call) -> dict[str, str]:
        found = {"accept": "text/event-stream" if call.read_event else call.accept, **self.headers}
        if self.cookies:
            found["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return found

    def _timed_out(self, address: str, cause: BaseException) -> InferenceTimeoutError:
        return InferenceTimeoutError(f"{address} did not answer in {self.timeout or 30:g} s: {cause}")

    def _server(self, model: str | None) -> str:
        address = model or self.model
        if address is None or not address.startswith(("http://", "https://")):
            raise ValueError(f"only a server's address can be asked this, not {address!r}")
        return address.rstrip("/")


def _named(error: HfHubHTTPError) -> None:
    """Raise the error that a server of language models names in its answer, if it names one."""
    try:
        answer = error.response.json() if error.response is not None else None
    except ValueError:
        return
    raise_server_error(answer)


class InferenceClient(_Client):
    """Ask models that are served elsewhere: texts, chats, embeddings, images and sounds.

    Args:
        model: a model's id, or the address of a server that runs it, such as text-generation-inference, vLLM or
            `llama-server`.
        provider: "auto" and "hf-inference" for the public router (``HF_INFERENCE_ENDPOINT`` names another); for chats
            also a provider's name.
        token: a token; the saved one by default, which is sent to the router but not to other addresses.
        timeout: seconds to wait for an answer (30).
        headers: further headers.
        cookies: cookies.
        bill_to: the organisation that pays, by the public router's header.
        base_url: what OpenAI's client calls the address.
        api_key: what OpenAI's client calls the token.

    Raises:
        InferenceTimeoutError: from calls: the server did not answer in time.
        HfHubHTTPError: from calls: it answered with an error.

    Example:
        >>> client = InferenceClient("http://127.0.0.1:8080")
        >>> client.text_generation("Once upon a time", max_new_tokens=8)  # doctest: +SKIP
        ', there was a little girl named Lily'
    """

    def _ask(self, call: Call) -> Any:
        address, body = self._address(call)
        if call.read_event is not None:
            return self._events(call, address, body)
        options = {"json": body} if call.content is None else {"content": call.content}
        try:
            response = http.request(
                "POST",
                address,
                token=_token(self.token, address),
                headers=self._headers(call),
                timeout=self.timeout,
                **options,
            )
        except HubUnreachable as error:
            if isinstance(error.__cause__, _timeouts()):
                raise self._timed_out(address, error.__cause__) from error
            raise
        except HfHubHTTPError as error:
            _named(error)
            raise
        return call.read(response.content)

    def _events(self, call: Call, address: str, body: Any) -> Iterator[Any]:
        assert call.read_event is not None
        try:
            with http.stream(
                address,
                method="POST",
                json=body,
                token=_token(self.token, address),
                headers=self._headers(call),
                timeout=self.timeout,
            ) as response:
                for line in response.iter_lines():
                    event = read_event(line)
                    if event is ...:
                        return
                    if event is not None:
                        yield call.read_event(event)
        except HfHubHTTPError as error:
            _named(error)
            raise
        except _timeouts() as error:
            raise self._timed_out(address, error) from error

    def get_endpoint_info(self, *, model: str | None = None) -> dict[str, Any]:
        """Return what a server says about itself."""
        address = self._server(model)
        found: dict[str, Any] = http.request("GET", f"{address}/info", token=_token(self.token, address)).json()
        return found

    def health_check(self, model: str | None = None) -> bool:
        """Say whether a server is ready."""
        address = self._server(model)
        found = http.request("GET", f"{address}/health", token=_token(self.token, address), check=False, attempts=1)
        return found.status_code == 200

    def close(self) -> None:
        """Do nothing: connections belong to the session that all requests share."""

    def __enter__(self) -> InferenceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncInferenceClient(_Client):
    """As :class:`InferenceClient`, for asyncio: every call is awaited, and a stream comes by ``async for``.

    Example:
        >>> client = AsyncInferenceClient("http://127.0.0.1:8080")
        >>> async for piece in await client.chat_completion(messages, stream=True): ...  # doctest: +SKIP
    """

    def __init__(self, model: str | None = None, *, trust_env: bool = False, **options: Any) -> None:
        super().__init__(model, **options)
        self.trust_env = trust_env
        self._client: Any = None

    def _session(self) -> Any:
        if self._client is None or self._client.is_closed:
            self._client = http.get_async_session()
        return self._client

    def _request(self, call: Call, address: str, body: Any) -> dict[str, Any]:
        http.before_request(address)
        import httpx

        headers = http.build_hf_headers(token=_token(self.token, address), headers=self._headers(call))
        content: Mapping[str, Any] = {"json": body} if call.content is None else {"content": call.content}
        wait = self.timeout if self.timeout is not None else httpx.USE_CLIENT_DEFAULT
        return {"method": "POST", "url": address, "headers": headers, "timeout": wait, **content}

    async def _ask(self, call: Call) -> Any:
        address, body = self._address(call)
        options = self._request(call, address, body)
        if call.read_event is not None:
            return self._events(call, address, options)
        response = await self._reached(address, partial(self._session().request, **options))
        return call.read(response.content)

    async def _reached(self, address: str, send: Any) -> Any:
        import httpx

        try:
            response = await send()
            http.hf_raise_for_status(response)
        except httpx.TimeoutException as error:
            raise self._timed_out(address, error) from error
        except httpx.TransportError as error:
            raise HubUnreachable(f"cannot reach {address}: {error or type(error).__name__}") from error
        except HfHubHTTPError as error:
            _named(error)
            raise
        return response

    async def _events(self, call: Call, address: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        assert call.read_event is not None
        client = self._session()

        async def send() -> Any:
            timeout = options.pop("timeout")
            response = await client.send(client.build_request(timeout=timeout, **options), stream=True)
            if response.status_code >= 400:
                await response.aread()
            return response

        response = await self._reached(address, send)
        try:
            async for line in response.aiter_lines():
                event = read_event(line)
                if event is ...:
                    return
                if event is not None:
                    yield call.read_event(event)
        finally:
            await response.aclose()

    async def get_endpoint_info(self, *, model: str | None = None) -> dict[str, Any]:
        """Return what a server says about itself."""
        address = self._server(model)
        response = await self._reached(address, partial(self._session().get, f"{address}/info"))
        found: dict[str, Any] = response.json()
        return found

    async def health_check(self, model: str | None = None) -> bool:
        """Say whether a server is ready."""
        address = self._server(model)
        return bool((await self._session().get(f"{address}/health")).status_code == 200)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def __aenter__(self) -> AsyncInferenceClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _timeouts() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.TimeoutException,)


def _token(token: str | None, address: str) -> str | bool | None:
    """Return the token to send: one that was given goes anywhere, the saved one only to the router."""
    if token is not None:
        return token
    router = (os.environ.get("HF_INFERENCE_ENDPOINT") or _ROUTER).rstrip("/")
    return None if address.startswith(f"{router}/") else False
